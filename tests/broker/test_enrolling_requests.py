"""Enrolling and withdrawing at a kiosk, as central sees it: what it takes, what it refuses, what is left."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.doubles.central_rig import LOAN, RECIPE, KioskEnd, Rig, held, kiosk_state
from tests.doubles.waiting import eventually
from wire.canonical import canonical
from wire.enrolment import (
    EnrolReply,
    EnrolRequest,
    EnrolSecrets,
    UndoEnrolRequest,
    WithdrawReply,
    WithdrawRequest,
)
from wire.fleet import Presence
from wire.ids import ClaimId, KioskId, SubjectId
from wire.requests import ClaimRequest, HeadRequest, PinOutcome, Refusal, Refused
from wire.sealing import enrol_binding, seal, seal_box, template_binding, withdraw_binding
from wire.topics import TopicKind
from wire.values import AgreeBy, GalleryRow, SealedTemplate, Tombstone

PIN = "481516"


def sealed_template(end: KioskEnd, subject: SubjectId) -> SealedTemplate:
    """A template as this kiosk seals one."""
    key, grant = end.secrets.gallery_keys[-1], end.grant
    binding = template_binding(grant.operator, grant.site, subject, RECIPE)
    sealed = seal(key.key, key.version, end.dice.randbytes(12), end.dice.randbytes(512), binding)
    return SealedTemplate(sealed, key.version, RECIPE, 3)


def asked(end: KioskEnd, **changes: Any) -> EnrolRequest:
    """A newcomer with everything in order, but for `changes`; `claim_id` and `pin` go into the box."""
    nonce = changes.pop("nonce", None) or end.nonce()
    subject = changes.get("subject") or SubjectId(end.dice.randbytes(16).hex())
    claim = changes.pop("claim_id", None) or ClaimId(end.dice.randbytes(16).hex())
    secrets = canonical(EnrolSecrets(claim, changes.pop("pin", PIN)))
    binding = enrol_binding(end.grant.kiosk, subject, nonce)
    fields: dict[str, Any] = {
        "nonce": nonce,
        "not_after_ms": end.clock.ms + 5000,
        "subject": subject,
        "consent_version": "2026-11",
        "consent_language": "ar",
        "consented_at_ms": end.clock.ms - 60_000,
        "template": sealed_template(end, subject),
        "sealed_secrets": seal_box(
            end.grant.central_box_public_key, end.dice.randbytes(32), secrets, binding
        ),
        "agree_by": AgreeBy.NOD,
    }
    return EnrolRequest(**{**fields, **changes})


async def answered(end: KioskEnd, request: Any) -> Any:
    """Send a request made beforehand, and wait for the reply to it."""
    end.send(TopicKind.REQUEST, request)
    return await end.wait_for(
        lambda: next(
            (r.message for r in end.heard if getattr(r.message, "nonce", None) == request.nonce), None
        )
    )


async def enrolled(end: KioskEnd, **changes: Any) -> SubjectId:
    request = asked(end, **changes)
    reply = await answered(end, request)
    assert reply == EnrolReply(request.nonce, request.subject, accepted=True, reason="enrolled")
    return request.subject


async def withdraws(end: KioskEnd, subject: SubjectId, pin: str) -> WithdrawReply:
    nonce = end.nonce()
    binding = withdraw_binding(end.grant.kiosk, subject, nonce)
    sealed = seal_box(end.grant.central_box_public_key, end.dice.randbytes(32), pin.encode(), binding)
    reply = await end.ask(WithdrawRequest, nonce=nonce, subject=subject, sealed_pin=sealed)
    assert isinstance(reply, WithdrawReply)
    return reply


async def entry_of(end: KioskEnd, claim: ClaimId) -> Any:
    digest = end.claim_digest(claim)
    return (await end.ask(ClaimRequest, gallery=end.grant.gallery, claim_digest=digest)).entry


def rows(rig: Rig) -> dict[SubjectId, Any]:
    """What the gallery says of everybody, as feeds have it."""
    use_cases = rig.central.use_cases
    everybody = use_cases.feeds._store.subjects_after("", 1000)
    return {row.subject: row for row in use_cases.feeds._gallery_rows(everybody)}


async def test_a_kiosk_with_the_right_to_enrol_enrols_a_member_whole(rig: Rig):
    claim = ClaimId("c1" * 16)
    async with rig.kiosk("desk-1", enrols=True) as end:
        subject = await enrolled(end, claim_id=claim)
        row = await entry_of(end, claim)
    use_cases = rig.central.use_cases
    assert isinstance(row, GalleryRow)
    assert (row.subject, row.agree_by, row.template.recipe_digest) == (subject, AgreeBy.NOD, RECIPE)
    assert use_cases.members.check_pin(subject, PIN).outcome is PinOutcome.RIGHT
    stored = use_cases.feeds._store.subject(subject)
    assert (stored.agree_by, stored.enrolled_by) == (AgreeBy.NOD, "desk-1")


async def test_who_enrols_without_a_face_is_a_member_too(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        subject = await enrolled(end, template=None)
    assert rows(rig)[subject].template is None


async def test_the_same_enrolment_again_is_accepted_and_changes_nothing(rig: Rig):
    subject, claim = SubjectId("a" * 32), ClaimId("b" * 32)
    async with rig.kiosk("desk-1", enrols=True) as end:
        for _ in range(2):
            await enrolled(end, subject=subject, claim_id=claim)
        other = await answered(end, asked(end, subject=subject, pin="2749"))
    assert (other.accepted, other.reason) == (False, "subject_taken")
    assert len(rows(rig)) == 1
    assert rig.central.use_cases.members.check_pin(subject, PIN).outcome is PinOutcome.RIGHT


async def test_a_claim_that_somebody_holds_is_not_given_twice(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        await enrolled(end, claim_id=ClaimId("b" * 32))
        again = await answered(end, asked(end, claim_id=ClaimId("b" * 32)))
    assert (again.accepted, again.reason) == (False, "claim_taken")
    assert len(rows(rig)) == 1


async def test_a_kiosk_without_the_right_enrols_nobody(rig: Rig):
    async with rig.kiosk("gate-1") as end:
        reply = await answered(end, asked(end))
    assert (reply.accepted, reply.reason) == (False, "not_allowed")
    assert rows(rig) == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pin": "1111"}, "weak_pin"),
        ({"pin": "345678"}, "weak_pin"),
        ({"consented_at_ms": 0}, "bad_consent"),
        ({"consented_at_ms": 2**45}, "bad_consent"),
        ({"subject": SubjectId("d" * 32), "template": "another's"}, "bad_template"),
    ],
)
async def test_what_is_not_in_order_is_refused_and_nothing_kept(
    rig: Rig, changes: dict[str, Any], reason: str
):
    async with rig.kiosk("desk-1", enrols=True) as end:
        if "template" in changes:
            changes = {**changes, "template": sealed_template(end, SubjectId("e" * 32))}
        reply = await answered(end, asked(end, **changes))
    assert (reply.accepted, reply.reason) == (False, reason)
    assert rows(rig) == {}


async def test_claim_and_pin_sealed_for_another_request_are_refused(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        good = asked(end)
        for moved in (
            msgspec.structs.replace(good, nonce=end.nonce()),
            msgspec.structs.replace(good, subject=SubjectId("f" * 32)),
        ):
            reply = await answered(end, moved)
            assert isinstance(reply, Refused)
            assert reply.reason is Refusal.BAD_SEAL
        empty = seal_box(
            end.grant.central_box_public_key,
            end.dice.randbytes(32),
            b"\x80",
            enrol_binding(end.grant.kiosk, good.subject, good.nonce),
        )
        assert (await answered(end, msgspec.structs.replace(good, sealed_secrets=empty))).reason is (
            Refusal.BAD_SEAL
        )
    assert rows(rig) == {}


async def test_neither_pin_nor_claim_reaches_the_database(rig: Rig):
    claim = ClaimId("c1" * 16)
    async with rig.kiosk("desk-1", enrols=True) as end:
        await enrolled(end, claim_id=claim, pin="48151623")
    stored = b"".join(path.read_bytes() for path in rig.config.parent.glob("central.db*"))
    assert b"48151623" not in stored
    assert claim.encode() not in stored
    assert bytes.fromhex(claim) not in stored


async def test_who_looks_alike_must_claim_until_one_of_them_withdraws(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        elder, other = await enrolled(end), await enrolled(end)
        younger = await enrolled(end, claim_needed=(elder, SubjectId("9" * 32)))
        assert {subject for subject, row in rows(rig).items() if row.claim_needed} == {elder, younger}
        assert rig.central.use_cases.enrolling.alike() == [(younger, elder)]
        rig.central.publish_heads()
        before = rig.central.use_cases.feeds.head("gallery", end.grant.gallery)
        rig.central.use_cases.members.withdraw(younger)
        rig.central.publish_heads()
        told = rig.central.use_cases.feeds.delta(
            "gallery", end.grant.gallery, before.epoch, before.version + 1
        )
    assert {row.subject: getattr(row, "claim_needed", None) for row in told.rows} == {
        younger: None,
        elder: False,
    }
    assert not rows(rig)[other].claim_needed


async def test_a_kiosk_undoes_what_it_enrolled_itself_and_of_late(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end, rig.kiosk("desk-2", LOAN, enrols=True) as foreign:
        request = asked(end)
        subject = request.subject
        assert (await end.ask(UndoEnrolRequest, subject=subject)).reason == "no_subject"
        assert (await answered(end, request)).accepted
        assert (await foreign.ask(UndoEnrolRequest, subject=subject)).reason == "not_allowed"
        for _ in range(2):
            undone = await end.ask(UndoEnrolRequest, subject=subject)
            assert (undone.accepted, undone.reason) == (True, "withdrawn")
        again = await answered(end, msgspec.structs.replace(asked(end, subject=subject)))
        assert (again.accepted, again.reason) == (False, "subject_taken")
        kept = await enrolled(end)
        rig.clock.advance(8 * 24 * 3_600_000)
        assert (await end.ask(UndoEnrolRequest, subject=kept)).reason == "not_allowed"
    assert isinstance(rows(rig)[subject], Tombstone)
    assert isinstance(rows(rig)[kept], GalleryRow)


async def test_an_undo_never_overtakes_the_enrolment_it_undoes(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        for _ in range(5):
            request = asked(end)
            end.send(TopicKind.REQUEST, request)
            assert (await end.ask(UndoEnrolRequest, subject=request.subject)).reason == "withdrawn"


async def test_a_member_withdraws_with_their_pin_and_is_nobody_from_then_on(rig: Rig):
    claim = ClaimId("c1" * 16)
    async with rig.kiosk("desk-1", enrols=True) as end, rig.kiosk("gate-1") as gate:
        subject = await enrolled(end, claim_id=claim)
        wrong = await withdraws(gate, subject, "2749")
        assert (wrong.accepted, wrong.reason, wrong.tries_left) == (False, "wrong_pin", 4)
        soon = await withdraws(gate, subject, PIN)
        assert (soon.reason, soon.retry_after_ms) == ("wait", 1000)
        assert isinstance(rows(rig)[subject], GalleryRow)
        rig.clock.advance(60_000)
        gone = await withdraws(gate, subject, PIN)
        assert (gone.accepted, gone.reason) == (True, "withdrawn")
        again = await withdraws(gate, subject, "2749")
        assert (again.accepted, again.reason) == (True, "withdrawn")
        assert isinstance(await entry_of(gate, claim), Tombstone)
        assert (await withdraws(gate, SubjectId("9" * 32), PIN)).reason == "no_subject"
    use_cases = rig.central.use_cases
    assert use_cases.members.check_pin(subject, PIN).outcome is PinOutcome.NO_PIN
    assert use_cases.feeds._store.templates_among([subject]) == {}
    use_cases.withdrawals.refresh()
    assert isinstance(use_cases.standings.issued(subject, end.grant.purpose), Tombstone | None)


async def test_five_wrong_pins_lock_a_withdrawal_as_they_lock_a_passage(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        subject = await enrolled(end)
        for _ in range(5):
            reply = await withdraws(end, subject, "2749")
            rig.clock.advance(60_000)
        assert reply.reason == "locked"
        assert (await withdraws(end, subject, PIN)).reason == "locked"
        assert rig.central.use_cases.members.check_pin(subject, PIN).outcome is PinOutcome.LOCKED


async def test_a_withdrawal_that_a_broker_sends_again_uses_up_one_try(rig: Rig):
    async with rig.kiosk("desk-1", enrols=True) as end:
        subject, nonce = await enrolled(end), end.nonce()
        binding = withdraw_binding(end.grant.kiosk, subject, nonce)
        sealed = seal_box(end.grant.central_box_public_key, bytes(31) + b"\x01", b"2749", binding)
        request = WithdrawRequest(nonce, rig.clock.ms + 60_000, subject, sealed)
        for _ in range(4):
            end.send(TopicKind.REQUEST, request)
        await end.ask(HeadRequest)  # answered after what was sent before it
        await rig.central.settle()
        rig.clock.advance(60_000)
        assert (await withdraws(end, subject, "2749")).tries_left == 3


async def test_a_withdrawal_is_counted_at_each_kiosk_by_the_versions_it_says_it_has(rig: Rig):
    use_cases = rig.central.use_cases
    async with rig.kiosk("gate-1") as near, rig.kiosk("gate-2") as slow, rig.kiosk("gate-3") as lost:
        use_cases.kiosks.add(KioskId("never-paired"), near.grant.purpose)
        subject, _ = rig.add_member(PIN)
        rig.central.publish_heads()
        use_cases.members.withdraw(subject)
        rig.central.publish_heads()
        places = {(kind, name): place for kind, name, place in use_cases.feeds.places()}
        gallery = places["gallery", near.grant.gallery].version
        standings = places["standing", near.grant.purpose].version

        def reaches() -> dict[str, str]:
            return {each.kiosk: each.reach.value for each in use_cases.withdrawals.progress(subject).kiosks}

        assert set(reaches().values()) == {"unreachable"}  # nobody has said anything yet
        near.send(TopicKind.STATE, kiosk_state(near, Presence.READY, "b", caches=held(gallery, standings)))
        slow.send(
            TopicKind.STATE, kiosk_state(slow, Presence.READY, "b", caches=held(gallery - 1, standings))
        )
        lost.send(
            TopicKind.STATE,
            kiosk_state(lost, Presence.DISCONNECTED, "b", caches=held(gallery - 1, standings)),
        )
        expected = {"gate-1": "reached", "gate-2": "not_yet", "gate-3": "unreachable"}
        await eventually(lambda: reaches() == expected)
        # The will was made when the kiosk connected: it takes nothing back.
        near.send(TopicKind.STATE, kiosk_state(near, Presence.LOST, "b", caches=held(0, 0)))
        await eventually(lambda: use_cases.kiosks.sightings()[KioskId("gate-1")].presence == "lost")
        assert reaches() == expected
        slow.send(
            TopicKind.STATE, kiosk_state(slow, Presence.READY, "b", caches=held(gallery, standings - 1))
        )
        await eventually(lambda: use_cases.kiosks.sightings()[KioskId("gate-2")].gallery.version == gallery)
        assert reaches() == expected
        async with rig.http() as client:
            told = (await client.get(f"/v1/subjects/{subject}/withdrawal")).json()
            nobody = await client.get(f"/v1/subjects/{'9' * 32}/withdrawal")
    assert (told["told"], told["reached"], told["not_yet"], told["unreachable"]) == (True, 1, 1, 1)
    assert nobody.status_code == 404


async def test_a_withdrawal_is_noted_with_the_versions_that_tell_it(rig: Rig):
    use_cases = rig.central.use_cases
    subject, _ = rig.add_member(PIN)
    rig.central.publish_heads()
    before = {(kind, name): place for kind, name, place in use_cases.feeds.places()}
    use_cases.members.withdraw(subject)
    use_cases.withdrawals.refresh()
    store = use_cases.withdrawals._store
    assert store.untold_withdrawals() == []
    noted = {(kind, name): place for kind, name, place in store.withdrawal_places(subject)}
    assert noted.keys() == before.keys()
    assert noted["gallery", "members"] > before["gallery", "members"]
    assert use_cases.withdrawals.progress(subject).told
