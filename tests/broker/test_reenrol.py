"""Enrolling again over the wire: what a kiosk says of its pack, and the template that it makes."""

from __future__ import annotations

import base64

import msgspec

from tests.doubles.central_rig import RECIPE, Rig, kiosk_state
from tests.doubles.waiting import eventually
from wire.fleet import Presence
from wire.ids import SubjectId
from wire.sealing import seal, template_binding
from wire.topics import TopicKind

NEXT, PACK = "e" * 64, "f" * 64


def body(rig: Rig, subject: SubjectId, recipe: str) -> dict[str, object]:
    context = rig.central.use_cases.context
    key = context.secrets.gallery_keys[-1]
    binding = template_binding(context.operator, context.site, subject, recipe)
    sealed = seal(key.key, key.version, b"n" * 12, bytes(512), binding)
    template = {
        "sealed": base64.b64encode(sealed).decode(),
        "key_version": key.version,
        "recipe_digest": recipe,
        "images": 5,
    }
    return {"template": template, "consent": {"text_version": "2027-01", "language": "de", "at_ms": 2}}


async def test_a_members_new_template_waits_for_the_switch_and_is_then_the_gallerys(rig: Rig):
    subject, _ = rig.add_member("4711")
    use_cases = rig.central.use_cases
    use_cases.reenrolments.begin("fused", PACK, NEXT)
    async with rig.http() as client:
        path = f"/v1/subjects/{subject}/template"
        answer = await client.put(path, json=body(rig, subject, NEXT))
        assert (answer.status_code, answer.json()) == (200, {"waits_for_switch": True})
        assert use_cases.members.entry(subject).template.recipe_digest == RECIPE
        use_cases.reenrolments.switch()
        assert use_cases.members.entry(subject).template.recipe_digest == NEXT
        late = await client.put(path, json=body(rig, subject, RECIPE))
        assert (late.status_code, late.json()["error"]) == (422, "refused")
        nobody = await client.put(f"/v1/subjects/{'9' * 32}/template", json=body(rig, subject, NEXT))
        assert nobody.status_code == 404
        without = await client.put(path, json={"consent": {}})
        assert without.status_code == 422


async def test_what_a_kiosk_says_of_its_pack_is_counted_and_outlives_its_will(rig: Rig):
    rig.add_member()
    async with rig.kiosk() as end:
        use_cases = rig.central.use_cases
        ready = msgspec.structs.replace(
            kiosk_state(end, Presence.READY, "2"), pack_digest=PACK, recipe_digest=NEXT
        )
        assert use_cases.reenrolments.progress(NEXT).kiosks_there == 0
        end.send(TopicKind.STATE, ready)
        await eventually(lambda: use_cases.reenrolments.progress(NEXT).kiosks_there == 1)
        end.send(TopicKind.STATE, kiosk_state(end, Presence.LOST, "2"))
        await eventually(lambda: use_cases.kiosks.sightings()["gate-1"].presence == "lost")
        assert use_cases.reenrolments.progress(NEXT).kiosks_there == 1
