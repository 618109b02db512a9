"""The HTTP API: a token, bounded bodies, and errors that say what is wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3

import httpx
import pytest

from tests.broker.central_rig import RECIPE, Rig
from wire.ids import SubjectId
from wire.sealing import seal, template_binding

CONSENT = {"text_version": "2026-11", "language": "en", "at_ms": 1}


def body(rig: Rig, subject: str, sealed_for: str | None = None) -> dict[str, object]:
    context = rig.central.desk.context
    key = context.secrets.gallery_keys[-1]
    binding = template_binding(context.operator, context.site, SubjectId(sealed_for or subject), RECIPE)
    sealed = seal(key.key, key.version, b"n" * 12, bytes(512), binding)
    template = {
        "sealed": base64.b64encode(sealed).decode(),
        "key_version": key.version,
        "recipe_digest": RECIPE,
        "images": 3,
    }
    return {"subject": subject, "template": template, "consent": CONSENT}


async def test_a_member_is_enrolled_given_a_claim_and_a_pin_and_explained(rig: Rig):
    subject = "1" * 32
    async with rig.http() as client:
        assert (await client.post("/v1/subjects", json=body(rig, subject))).status_code == 201
        claim = await client.post(f"/v1/subjects/{subject}/claims", json={"kind": "qr"})
        assert len(claim.json()["claim_id"]) == 32
        card = await client.post(f"/v1/subjects/{subject}/claims", json={"kind": "card", "text": "12345678"})
        assert card.status_code == 201
        assert (await client.put(f"/v1/subjects/{subject}/pin", json={"pin": "4711"})).status_code == 200
        event = {
            "event_id": "fare-1",
            "purpose": "ride",
            "kind": "fare",
            "outcome": "kept",
            "at_ms": rig.clock.ms,
        }
        assert (await client.post(f"/v1/subjects/{subject}/events", json=event)).text == "510"
        twice = await client.post(f"/v1/subjects/{subject}/events", json=event)
        assert (twice.status_code, twice.json()["error"]) == (409, "conflict")
        told = (await client.get(f"/v1/subjects/{subject}/standing/ride")).json()
        assert (told["score"], told["tier"], told["events_counted"]) == (510, "standard", 1)
        assert told["factors"] == [{"kind": "fare_kept", "points": 10, "text": "You paid your fares."}]
        assert (await client.get(f"/v1/subjects/{subject}/standing/locker")).json()["score"] == 500
        disputed = await client.post("/v1/events/fare-1/dispute", json={"note": "That was not me."})
        assert (disputed.status_code, disputed.json()["opened_by"]) == (201, "member")
        told = (await client.get(f"/v1/subjects/{subject}/standing/ride")).json()
        assert (told["score"], told["events_disputed"]) == (500, 1)
        assert (await client.delete(f"/v1/subjects/{subject}")).status_code == 200
        assert (await client.get(f"/v1/subjects/{subject}/standing/ride")).status_code == 409


async def test_nothing_but_pairing_answers_without_the_token(rig: Rig):
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        assert (await client.get("/v1/kiosks")).status_code == 401
        wrong = {"authorization": "Bearer wrong"}
        assert (await client.get("/v1/kiosks", headers=wrong)).status_code == 401
        assert (await client.post("/v1/pair", content=b"{}")).status_code == 400


async def test_a_template_sealed_for_somebody_else_is_refused(rig: Rig):
    async with rig.http() as client:
        answer = await client.post("/v1/subjects", json=body(rig, "1" * 32, sealed_for="2" * 32))
        assert (answer.status_code, answer.json()["error"]) == (422, "refused")
        missing = await client.get(f"/v1/subjects/{'1' * 32}/standing/ride")
        assert missing.status_code == 404


@pytest.mark.parametrize(
    ("path", "sent", "named"),
    [
        ("/v1/subjects", {"subject": "1" * 31, "consent": CONSENT}, "body.subject"),
        ("/v1/subjects", {"subject": "1" * 32, "consent": CONSENT, "photo": "x"}, "body.photo"),
        ("/v1/kiosks", {"kiosk": "Gate", "purpose": "ride"}, "body.kiosk"),
        ("/v1/kiosks", {"kiosk": "gate-1", "purpose": "none"}, "purpose"),
        (f"/v1/subjects/{'1' * 32}/claims", {"kind": "face"}, "body.kind"),
        ("/v1/restrictions", {}, "array"),
    ],
)
async def test_an_invalid_body_is_refused_by_name(rig: Rig, path: str, sent: object, named: str):
    async with rig.http() as client:
        answer = await client.post(path, json=sent)
    assert answer.status_code in (404, 422)
    assert named in answer.json()["detail"]


async def test_a_body_past_the_bound_is_refused_unread(rig: Rig):
    async with rig.http() as client:
        assert (await client.post("/v1/subjects", content=b" " * 8193)).status_code == 413

        async def of_unknown_length():
            yield b"{}"

        answer = await client.post("/v1/subjects", content=of_unknown_length())
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_central_goes_on_answering_while_another_program_holds_its_database(rig: Rig):
    held = sqlite3.connect(rig.config.parent / "central.db", isolation_level=None)
    with contextlib.closing(held) as other:
        other.execute("BEGIN IMMEDIATE")
        async with rig.http() as client:
            enrolling = asyncio.create_task(client.post("/v1/subjects", json=body(rig, "1" * 32)))
            for _ in range(50):  # the request is on its way, and waits for the database
                assert (await client.get("/v1/restrictions")).status_code == 200
            assert not enrolling.done()
            other.execute("ROLLBACK")
            assert (await enrolling).status_code == 201
