"""PINs: five tries, a wait after each wrong one, and no way around either."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.central_rig import Clock, KioskEnd, Rig, running
from wire.ids import SubjectId
from wire.requests import HeadRequest, PinOutcome, PinReply, PinRequest, Refusal
from wire.topics import TopicKind


async def try_pin(end: KioskEnd, subject: SubjectId, pin: str) -> PinReply:
    nonce = end.nonce()
    sealed = end.sealed_pin(subject, nonce, pin)
    reply = await end.ask(PinRequest, nonce=nonce, subject=subject, sealed_pin=sealed)
    assert isinstance(reply, PinReply)
    return reply


async def test_a_right_pin_is_right_and_gives_the_tries_back(rig: Rig):
    subject, _ = rig.add_member("4711", face=False)
    async with rig.kiosk() as end:
        assert (await try_pin(end, subject, "4712")).outcome is PinOutcome.WRONG
        rig.clock.advance(60_000)
        right = await try_pin(end, subject, "4711")
        assert (right.outcome, right.tries_left, right.retry_after_ms) == (PinOutcome.RIGHT, 5, 0)


async def test_a_second_try_too_soon_is_not_looked_at(rig: Rig):
    subject, _ = rig.add_member("4711")
    async with rig.kiosk() as end:
        wrong = await try_pin(end, subject, "0815")
        assert (wrong.outcome, wrong.tries_left, wrong.retry_after_ms) == (PinOutcome.WRONG, 4, 1000)
        soon = await try_pin(end, subject, "4711")
        assert (soon.outcome, soon.tries_left, soon.retry_after_ms) == (PinOutcome.WAIT, 4, 1000)


async def test_five_wrong_pins_lock_and_the_lock_survives_a_restart(config: Path, clock: Clock):
    async with running(config, clock) as rig:
        subject, _ = rig.add_member("4711")
        async with rig.kiosk() as end:
            outcomes = []
            for _ in range(5):
                outcomes.append((await try_pin(end, subject, "0815")).outcome)
                clock.advance(60_000)
            assert outcomes == [PinOutcome.WRONG] * 4 + [PinOutcome.LOCKED]
    async with running(config, clock, seed=2) as rig, rig.kiosk("gate-2") as end:
        assert (await try_pin(end, subject, "4711")).outcome is PinOutcome.LOCKED
        rig.central.use_cases.members.unlock_pin(subject)
        assert (await try_pin(end, subject, "4711")).outcome is PinOutcome.RIGHT


async def test_a_subject_without_a_pin_has_none(rig: Rig):
    subject, _ = rig.add_member()
    async with rig.kiosk() as end:
        assert (await try_pin(end, subject, "4711")).outcome is PinOutcome.NO_PIN


async def test_a_pin_sealed_for_another_request_is_refused_and_costs_no_try(rig: Rig):
    subject, _ = rig.add_member("4711")
    async with rig.kiosk() as end:
        sealed = end.sealed_pin(subject, end.nonce(), "4711")
        refused = await end.ask(PinRequest, subject=subject, sealed_pin=sealed)
        assert refused.reason is Refusal.BAD_SEAL
        assert (await try_pin(end, subject, "4711")).outcome is PinOutcome.RIGHT


async def test_the_pin_does_not_cross_the_broker_or_reach_the_database(rig: Rig):
    subject, _ = rig.add_member("471193")
    async with rig.kiosk() as end:
        assert b"471193" not in end.sealed_pin(subject, end.nonce(), "471193")
    stored = b"".join(path.read_bytes() for path in rig.config.parent.glob("central.db*"))
    assert b"471193" not in stored
    assert b"$argon2id$" in stored


async def test_a_wrong_pin_that_a_broker_sends_again_and_again_costs_one_try(rig: Rig):
    subject, _ = rig.add_member("4711")
    async with rig.kiosk() as end:
        nonce, not_after_ms = end.nonce(), rig.clock.ms + 60_000
        request = PinRequest(nonce, not_after_ms, subject, end.sealed_pin(subject, nonce, "0815"))
        for _ in range(6):
            end.send(TopicKind.REQUEST, request)
            end.send(TopicKind.REQUEST, request)
            assert (await end.ask(HeadRequest)).head  # answered after what was sent before it
            await rig.central.settle()
            rig.clock.advance(9_000)
        rig.clock.advance(60_000)
        assert (await try_pin(end, subject, "4711")).outcome is PinOutcome.RIGHT
    assert rig.central.router.ignored["replayed_pin"] == 11
