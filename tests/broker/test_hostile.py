"""Whatever arrives that nobody could have meant is ignored, counted, and changes nothing."""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.doubles.central_rig import RIDE, KioskEnd, Rig
from tests.doubles.waiting import eventually
from wire import topics
from wire.canonical import canonical
from wire.codec import encode
from wire.fleet import Head
from wire.ids import KioskId, OperatorId
from wire.requests import HeadRequest
from wire.signing import Signer
from wire.topics import TopicKind


async def ignored(rig: Rig, reason: str) -> None:
    await eventually(lambda: rig.central.router.ignored[reason] == 1)


def asking(end: KioskEnd) -> HeadRequest:
    return HeadRequest(end.nonce(), end.clock.ms + 5000)


async def test_a_wrong_signature_is_ignored_and_counted(rig: Rig):
    async with rig.kiosk() as end:
        fields = msgspec.msgpack.decode(
            encode(end.address(TopicKind.REQUEST), asking(end), end.signer, "metro", RIDE)
        )
        fields[4] = bytes(64)
        end.send_raw(TopicKind.REQUEST, canonical(fields))
        await ignored(rig, "bad_signature")


async def test_an_unknown_schema_version_is_ignored_and_counted(rig: Rig):
    async with rig.kiosk() as end:
        end.send_raw(TopicKind.REQUEST, canonical([2, "metro"]))
        await ignored(rig, "unknown_version")


async def test_a_kiosk_cannot_speak_for_another(rig: Rig):
    async with rig.kiosk() as end, rig.kiosk("gate-2") as other:
        theirs = topics.kiosk_topic(TopicKind.REQUEST, end.grant.site, KioskId("gate-2"))
        payload = encode(theirs, asking(end), end.signer, "metro", RIDE)
        end.link.publish(theirs, payload)
        await ignored(rig, "wrong_sender")
        assert not any(received.address == other.address(TopicKind.REPLY) for received in other.heard)


async def test_a_stranger_and_another_operators_kiosk_are_ignored(rig: Rig):
    async with rig.kiosk() as end:
        address = end.address(TopicKind.REQUEST)
        stranger = Signer.from_seed(b"s" * 32)
        end.send_raw(TopicKind.REQUEST, encode(address, asking(end), stranger, "metro", RIDE))
        await ignored(rig, "unknown_key")
        end.send_raw(TopicKind.REQUEST, encode(address, asking(end), end.signer, OperatorId("bus"), RIDE))
        await ignored(rig, "wrong_operator")


async def test_a_retained_request_is_ignored(rig: Rig):
    async with rig.kiosk() as end:
        payload = encode(end.address(TopicKind.REQUEST), asking(end), end.signer, "metro", RIDE)
        assert end.link.publish_retained(end.address(TopicKind.REQUEST).topic, payload)
        await end.ask(HeadRequest)
        again = rig.central.link
        await again.close()
        again.open(rig.central.broker.host, rig.central.broker.port)
        await eventually(lambda: again.connected.is_set())
        before = len(end.heard)
        await end.ask(HeadRequest)
        replies = [r for r in end.heard[before:] if r.address.kind is TopicKind.REPLY]
        assert len(replies) == 1


async def test_a_head_that_a_kiosk_signs_is_no_head(rig: Rig):
    async with rig.kiosk() as end, rig.kiosk("gate-2") as victim:
        address = topics.standing_head(end.grant.site, RIDE)
        head = Head("ride", 99, 1, end.clock.ms, 0, bytes(32), ())
        end.link.publish(address, encode(address, head, end.signer, "metro", RIDE))
        await victim.wait_for(lambda: victim.rejected or None)
        assert victim.rejected == ["unknown_key"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_central_answers_on_after_a_flood_of_rubbish(rig: Rig, seed: int):
    dice = random.Random(seed)
    kinds = [TopicKind.REQUEST, TopicKind.RECORD, TopicKind.STATE, TopicKind.HEALTH, TopicKind.REPORTED]
    async with rig.kiosk() as end:
        for _ in range(300):
            kind = dice.choice(kinds)
            size = dice.choice([0, 1, 20, 900, 4096, min(kind_limit(kind), 60_000)])
            end.send_raw(kind, dice.randbytes(size))
        assert (await end.ask(HeadRequest)).head.name == RIDE
        counted = rig.central.router.ignored
        await eventually(lambda: sum(counted.values()) == 300)
        assert set(counted) <= {"malformed", "unknown_version", "oversized"}


def kind_limit(kind: TopicKind) -> int:
    return topics.RULES[kind].max_bytes + 1
