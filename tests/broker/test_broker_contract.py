"""What central and kiosks ask of a broker, of whatever make: the same tests for each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from tests.doubles.contract_lane import Lane, open_lane
from tests.doubles.kiosk_rig import enrol
from tests.doubles.waiting import WAIT_S, eventually
from wire import topics
from wire.codec import Decoded, decode
from wire.fleet import Presence, RollCall
from wire.ids import BootId
from wire.requests import HeadReply, HeadRequest
from wire.topics import LARGEST_MESSAGE_BYTES, TopicKind, parse_topic

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEWCOMER_S = 2.0
MAKES = ("embedded", "mosquitto", "nats")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MAKES)
async def lane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lane]:
    async with open_lane(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


def sighted(lane: Lane, kiosk: str) -> str | None:
    seen = lane.rig.central.use_cases.kiosks.sightings().get(kiosk)
    return None if seen is None else seen.presence


async def test_a_birth_reaches_central_and_a_broken_connection_leaves_its_will(lane: Lane):
    identity = await lane.another("gate-will")
    link = lane.link(identity)
    state = lane.uplink.reporter.state

    def of(presence: Presence):
        return msgspec.structs.replace(state(presence), kiosk=identity.kiosk, boot_id=BootId("c" * 32))

    life = asyncio.create_task(link.run(lambda: of(Presence.LOST)))
    await eventually(lambda: link.connected)
    link.say(TopicKind.STATE, of(Presence.READY))
    await eventually(lambda: sighted(lane, "gate-will") == "ready")
    life.cancel()  # closes the socket without a word
    await asyncio.gather(life, return_exceptions=True)
    await eventually(lambda: sighted(lane, "gate-will") == "lost")


async def kept_for_newcomers(lane: Lane, name: str, wanted: set[str]) -> dict[str, bytes]:
    """What a client that comes anew, as often as it takes, is given as retained: a cluster may be behind."""
    async with asyncio.timeout(WAIT_S):
        while True:
            async with lane.client(name, tuple(wanted)) as newcomer:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(NEWCOMER_S):
                        await eventually(lambda late=newcomer: late.topics() == wanted)
                told = {topic: payload for topic, payload, retained in newcomer.heard if retained}
            if set(told) == wanted:
                return told


async def test_who_comes_later_gets_what_was_retained(lane: Lane):
    await lane.another("gate-late")
    site, purpose = lane.identity.site, lane.identity.purpose
    head = topics.standing_head(site, purpose)
    desired = lane.topic(TopicKind.DESIRED, "gate-late")
    lane.rig.central.publish_heads()
    address = parse_topic(desired)
    assert lane.rig.central.link.publish(address, b"wanted")
    told = await kept_for_newcomers(lane, "gate-late", {head.topic, desired})
    assert told[desired] == b"wanted"
    decoded = decode(head, told[head.topic])
    assert isinstance(decoded, Decoded)
    assert decoded.message.name == purpose


async def test_replies_find_their_questions_by_what_is_in_the_payload(lane: Lane):
    link, asked = lane.uplink.link, (None, lane.identity.gallery, None, lane.identity.gallery)

    async def ask(gallery):
        return await link.ask(lambda nonce, until: HeadRequest(nonce, until, gallery), HeadReply, 5000)

    replies = await asyncio.gather(*(ask(each) for each in asked))
    assert [reply.head.name for reply in replies] == ["ride", "members", "ride", "members"]


async def test_records_arrive_once_and_their_receipts_come_back(lane: Lane):
    passages = await lane.records(20)
    await eventually(lambda: lane.uplink.outbox.backlog.waiting == 0)
    assert lane.at_central(passages) == [1] * 20


async def test_a_change_at_central_reaches_the_cache_of_a_kiosk(lane: Lane):
    subject, _ = enrol(lane.rig, seed=7)
    lane.rig.central.publish_heads()
    await eventually(lambda: lane.uplink.cache.standing(subject) and lane.uplink.cache.member(subject))


async def test_a_roll_call_is_heard_and_answered(lane: Lane):
    seen = lane.rig.central.use_cases.kiosks.sightings
    await lane.another("gate-roll")
    async with lane.client("gate-roll", (topics.roll_call(lane.identity.site).topic,)) as witness:
        lane.rig.clock.advance(1)
        lane.rig.central.on_connect()
        await eventually(lambda: witness.heard)
        called = decode(topics.roll_call(lane.identity.site), witness.heard[0][1])
        assert isinstance(called.message, RollCall)
        await eventually(lambda: seen()[lane.identity.kiosk].seen_at_ms == lane.rig.clock.ms)


async def test_what_is_too_large_for_any_topic_is_not_carried(lane: Lane):
    await lane.another("gate-large")
    central = lane.rig.central.router.ignored
    async with lane.client("gate-large", (lane.topic(TopicKind.REPLY, "gate-large"),)) as client:
        before = dict(central)
        client.say_whatever_its_size(
            lane.topic(TopicKind.REQUEST, "gate-large"), bytes(4 * LARGEST_MESSAGE_BYTES)
        )
        await eventually(lambda: not client.connection.connected or client.connection.connects > 1)
        await eventually(lambda: client.connection.connected)
        client.say(lane.topic(TopicKind.REQUEST, "gate-large"), b"small")
        await eventually(lambda: central["malformed"] == before.get("malformed", 0) + 1)
        assert sum(central.values()) == sum(before.values()) + 1
    assert lane.uplink.link.connected


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
async def test_the_client_speaks_mqtt_5_and_3_1_1(lane: Lane, version: MQTTProtocolVersion):
    name = f"gate-v{version.value}"
    await lane.another(name)
    topic = topics.roll_call(lane.identity.site).topic
    spoken = version if version in lane.broker.versions else lane.broker.versions[0]
    if version is MQTTProtocolVersion.MQTTv311 and version is not spoken:
        pytest.skip(f"{lane.make} has no listener for 3.1.1, and nobody asks for it there")
    async with lane.client(name, (topic,), version) as client:
        assert client.connection.version is spoken
        lane.rig.central.on_connect()
        await eventually(lambda: topic in client.topics())
        assert lane.rig.central.link.version is lane.broker.versions[0]


async def test_after_the_broker_was_restarted_everybody_is_back_and_nothing_is_lost(lane: Lane):
    connects = lane.uplink.link.connection.connects
    before = await lane.records(5)
    restarting = asyncio.create_task(lane.broker.restart())
    during = await lane.records(20)
    await restarting
    await eventually(lambda: lane.uplink.link.connection.connects > connects)
    await lane.calm()
    after = await lane.records(5)
    await eventually(lambda: lane.uplink.outbox.backlog.waiting == 0)
    assert lane.at_central([*before, *during, *after]) == [1] * 30
