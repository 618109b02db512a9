"""Mosquitto as `stile central broker-config` sets it up: who gets in, and what they may do then."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from central.adapters.broker.certificates import BrokerAuthority, Pair
from central.adapters.broker.embedded import LOOPBACK
from edge.adapters.central.renewal import LEFT, Renewal, due
from edge.adapters.central.tls import files_in, look_at_files, open_context, probe
from tests.doubles.brokers import TLS_HOST, Mosquitto
from tests.doubles.contract_lane import Lane, open_lane
from tests.doubles.kiosk_rig import enrol
from tests.doubles.waiting import WAIT_S, eventually
from wire import topics
from wire.environment import utc_ms
from wire.ids import KioskId, Purpose
from wire.tls import BrokerContext, TlsFiles
from wire.topics import RULES, TopicKind, kiosk_topic
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication
from wire.values import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
DAY_MS = 86_400_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lane]:
    async with open_lane("mosquitto", tmp_path_factory.mktemp("tls")) as opened:
        yield opened


def of_others(lane: Lane, kiosk: str) -> tuple[str, ...]:
    """Subscriptions that would show another kiosk's messages, or another purpose's."""
    site, other = lane.identity.site, lane.identity.kiosk
    exact = [kiosk_topic(kind, site, other).topic for kind in RULES if kind.value.startswith("kiosk/")]
    feeds = [
        topics.standing_head(site, Purpose("locker")).topic,
        topics.standing_delta(site, Purpose("locker")).topic,
    ]
    wild = ["#", "+/#", "stile/#", f"stile/v1/{site}/#", f"stile/v1/{site}/kiosk/+/reply", "$SYS/#"]
    return (*exact, *feeds, *wild)


async def traffic(lane: Lane) -> None:
    """Something on every kind of topic that the lane's own kiosk uses."""
    subject, _ = enrol(lane.rig, seed=9)
    lane.rig.central.on_connect()
    await lane.records(3)
    await lane.uplink.members.standing(subject)
    lane.rig.central.link.publish(
        kiosk_topic(TopicKind.COMMAND, lane.identity.site, lane.identity.kiosk), b"c"
    )
    await lane.calm()


async def test_a_kiosk_hears_nothing_of_another_kiosk_by_name_or_by_wildcard(lane: Lane):
    await lane.another("thief-1")
    site, purpose, gallery = lane.identity.site, lane.identity.purpose, lane.identity.gallery
    call = topics.roll_call(site).topic
    everybodys = {
        topics.standing_head(site, purpose).topic,
        topics.standing_delta(site, purpose).topic,
        topics.gallery_head(site, gallery).topic,
        topics.gallery_delta(site, gallery).topic,
        call,
    }
    async with lane.client("thief-1", of_others(lane, "thief-1")) as thief:
        await traffic(lane)
        # The wildcards do cover what it may hear: the roll-call says that everything before it has come.
        before = len([topic for topic in (each[0] for each in thief.heard) if topic == call])
        lane.rig.central.on_connect()
        await eventually(lambda: sum(topic == call for topic, _, _ in thief.heard) > before)
        assert thief.topics() - everybodys == set()


async def test_what_a_kiosk_publishes_on_anybody_elses_topic_goes_nowhere(lane: Lane):
    await lane.another("thief-2")
    site, other = lane.identity.site, lane.identity.kiosk
    ignored, heard = lane.rig.central.router.ignored, lane.uplink.link.ignored
    before, before_heard = sum(ignored.values()), sum(heard.values())
    mine, kiosk_kinds = KioskId("thief-2"), [kind for kind in RULES if kind.value.startswith("kiosk/")]
    forged = [kiosk_topic(kind, site, other).topic for kind in kiosk_kinds]
    forged += [kiosk_topic(k, site, mine).topic for k in kiosk_kinds if RULES[k].sender is Role.CENTRAL]
    forged += [topics.standing_head(site, lane.identity.purpose).topic]
    forged += [topics.standing_delta(site, lane.identity.purpose).topic]
    forged += [topics.gallery_head(site, lane.identity.gallery).topic, topics.roll_call(site).topic]
    async with lane.client("thief-2", (lane.topic(TopicKind.RECEIPT, mine),)) as thief:
        for topic in forged:
            assert thief.say(topic, b"forged", retained=topic.endswith("head"))
        # Central hears a client's messages in their order: the last one, on its own topic, is the only one.
        thief.say(lane.topic(TopicKind.REQUEST, mine), b"its own")
        await eventually(lambda: sum(ignored.values()) > before)
        assert sum(ignored.values()) == before + 1
        assert thief.heard == []
    assert await lane.uplink.members.resolve(enrol(lane.rig, seed=11)[1])
    assert sum(heard.values()) == before_heard


async def test_a_client_cannot_take_anothers_session_over_by_calling_itself_so(lane: Lane):
    await lane.another("thief-3")
    connects = lane.uplink.link.connection.connects
    call = topics.roll_call(lane.identity.site).topic
    identity = f"{lane.identity.site}:{lane.identity.kiosk}"
    for name in (identity, f"stile-kiosk-{lane.identity.site}-{lane.identity.kiosk}"):
        async with lane.client("thief-3", (call,), client_id=name) as thief:
            lane.rig.central.on_connect()
            await eventually(lambda thief=thief: thief.heard)
            await lane.calm()
    assert lane.uplink.link.connection.connects == connects


async def trouble(lane: Lane, tls: Callable[[], ssl.SSLContext] | None, **changes) -> str:
    """What a connection complains of that is not let in."""
    will = Publication("stile/v1/north/kiosk/x/state", b"", 1, retained=False)
    endpoint = Endpoint(lane.identity.broker_host, lane.identity.broker_port, "x", tls)
    connection = Connection(
        replace(endpoint, **changes),
        (("stile/v1/north/central/roll-call", 1),),
        Callbacks(lambda: will, lambda: None, lambda: None, lambda *_: None),
        random.Random(1),
    )
    life = asyncio.create_task(connection.run())
    try:
        return await eventually(lambda: connection.trouble)
    finally:
        assert not connection.connected
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def written(folder: Path, authority: bytes, pair: Pair) -> TlsFiles:
    """Files of a client, as an operator would put them."""
    files = TlsFiles(folder / "ca", folder / "certificate", folder / "key")
    files.ca.write_bytes(authority)
    files.certificate.write_bytes(pair.certificate)
    files.key.write_bytes(pair.key)
    files.key.chmod(0o600)
    return files


def opener(files: TlsFiles) -> Callable[[], ssl.SSLContext]:
    return lambda: open_context(files, utc_ms())


def trusting(authority: BrokerAuthority) -> ssl.SSLContext:
    context = BrokerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    return context


async def handshaken(lane: Lane, files: TlsFiles, now_ms: int, port: int) -> str | None:
    """The version of TLS agreed on with whoever listens at a port."""
    context = open_context(files, now_ms)

    def shake() -> str | None:
        plain = socket.create_connection((LOOPBACK, port), 5)
        with context.wrap_socket(plain, server_hostname=TLS_HOST) as secured:
            return secured.version()

    return await asyncio.to_thread(shake)


def authority_of(lane: Lane) -> BrokerAuthority:
    return BrokerAuthority.load(lane.rig.config.parent / "keys")


async def test_who_shows_no_certificate_is_not_let_in_and_is_told_why(lane: Lane):
    without = trusting(authority_of(lane))
    assert "asks for a client certificate" in await trouble(lane, lambda: without)
    assert await trouble(lane, None)  # no TLS at all


async def test_who_comes_with_a_foreign_ca_is_not_let_in_and_is_told_why(lane: Lane, tmp_path: Path):
    foreign = BrokerAuthority.create(tmp_path, "mallory", utc_ms())
    pair = foreign.client("north", utc_ms())  # calls itself central
    mixed = written(tmp_path, authority_of(lane).pem + foreign.pem, pair)
    assert "does not know the CA" in await trouble(lane, opener(mixed))
    alone = written(tmp_path, foreign.pem, pair)
    assert "is not from the CA given here" in await trouble(lane, opener(alone))


async def test_an_expired_certificate_is_told_by_the_kiosk_and_refused_by_the_broker(
    lane: Lane, tmp_path: Path
):
    authority = authority_of(lane)
    old = authority.client("north:gate-1", utc_ms() - 20 * 365 * DAY_MS)
    files = written(tmp_path, authority.pem, old)
    assert "certificate expired on" in await trouble(lane, opener(files))
    context = trusting(authority)
    context.load_cert_chain(files.certificate, files.key)
    assert "finds this client's certificate expired" in await trouble(lane, lambda: context)


async def test_a_key_of_another_certificate_is_told(lane: Lane, tmp_path: Path):
    authority = authority_of(lane)
    one, other = authority.client("north:a", utc_ms()), authority.client("north:b", utc_ms())
    files = written(tmp_path, authority.pem, Pair(other.key, one.certificate))
    assert "is not the key of the certificate" in await trouble(lane, opener(files))


async def test_a_key_that_others_may_read_is_not_used(lane: Lane, tmp_path: Path):
    authority = authority_of(lane)
    files = written(tmp_path, authority.pem, authority.client("north:a", utc_ms()))
    files.key.chmod(0o644)
    assert "chmod 600" in await trouble(lane, opener(files))


async def test_a_broker_of_another_name_is_told_and_server_name_settles_it(lane: Lane, tmp_path: Path):
    authority = authority_of(lane)
    files = written(tmp_path, authority.pem, authority.client("north:named", utc_ms()))
    wrong = replace(files, server_name="elsewhere.example")
    said = await trouble(lane, opener(wrong), server_name="elsewhere.example")
    assert "not made out to elsewhere.example" in said
    assert "server_name" in said
    right = replace(files, server_name=TLS_HOST)
    assert await handshaken(lane, right, utc_ms(), lane.identity.broker_port) == "TLSv1.3"


async def test_a_broker_whose_certificate_has_expired_is_told(lane: Lane, tmp_path: Path):
    broker = Mosquitto(tmp_path / "broker")
    config = lane.rig.config
    broker.write(config)
    authority = authority_of(lane)
    old = authority.server((TLS_HOST,), utc_ms() - 20 * 365 * DAY_MS)
    (broker.folder / "server.crt").write_bytes(old.certificate)
    (broker.folder / "server.key").write_bytes(old.key)
    files = files_in(lane.folder / "gate-1")
    await broker.start()
    try:
        said = await trouble(lane, opener(files), port=broker.port)
        assert "the broker's certificate has expired" in said
        # A kiosk whose clock is before the day it was paired cannot know what has expired.
        assert await handshaken(lane, files, 0, broker.port) == "TLSv1.3"
    finally:
        await broker.stop()


async def test_the_doctor_is_told_what_the_broker_thinks_of_a_kiosks_certificate(lane: Lane, tmp_path: Path):
    own, port = files_in(lane.folder / "gate-1"), lane.identity.broker_port

    async def found(files: TlsFiles) -> str:
        return await asyncio.to_thread(probe, files, TLS_HOST, port, utc_ms(), 5.0)

    assert await found(own) == ""
    assert "not made out to other.example" in await found(replace(own, server_name="other.example"))
    foreign = BrokerAuthority.create(tmp_path, "mallory", utc_ms())
    both = written(tmp_path, authority_of(lane).pem + foreign.pem, foreign.client("north:gate-1", utc_ms()))
    assert "does not know the CA" in await found(both)


async def test_a_port_without_tls_is_told(lane: Lane):
    files = files_in(lane.folder / "gate-1")
    http_port = int(lane.rig.central.http_url.rpartition(":")[2])
    assert "no TLS is spoken" in await trouble(lane, opener(files), port=http_port)


async def test_a_kiosk_that_is_revoked_hears_and_says_nothing_from_then_on(lane: Lane):
    identity = await lane.another("gate-lost")
    call = topics.roll_call(lane.identity.site).topic
    ignored, seen = lane.rig.central.router.ignored, lane.rig.central.use_cases.kiosks.sightings

    async def called() -> bool:
        """Whether the lost kiosk heard a roll-call that another has answered by now."""
        lost.heard.clear()
        lane.rig.clock.advance(1)
        lane.rig.central.on_connect()
        await eventually(lambda: seen()[lane.identity.kiosk].seen_at_ms == lane.rig.clock.ms)
        return bool(lost.heard)

    async with lane.client("gate-lost", (call,)) as lost:
        assert await called()
        lane.rig.central.use_cases.kiosks.revoke(identity.kiosk)
        # Central's next tick writes the ACL and has Mosquitto read it.
        acl = lane.broker.folder / "acl"
        await eventually(lambda: "gate-lost" not in acl.read_text())
        async with asyncio.timeout(WAIT_S):
            while await called():
                pass
        before = sum(ignored.values())
        assert lost.connection.connected
        lost.say(lane.topic(TopicKind.REQUEST, identity.kiosk), b"still here?")
        assert not await called()
        assert sum(ignored.values()) == before


async def test_a_certificate_is_renewed_over_the_wire_when_a_third_of_its_life_is_left(lane: Lane):
    folder, host = lane.folder / "gate-1", lane.kiosk.host
    renewal = Renewal(folder, lane.uplink.link, lane.uplink.clock)
    files = files_in(folder)
    old = look_at_files(files, utc_ms())
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    assert not await renewal.look()
    life_ms = old.not_after_ms - old.not_before_ms
    later_ms = int(life_ms * (1 - LEFT)) + DAY_MS
    assert due(old, old.not_before_ms + later_ms)
    # Central's and the kiosk's clocks move on together; OpenSSL's does not.
    lane.rig.clock.advance(later_ms)
    host.passes(later_ms)
    assert await renewal.look()
    assert files.certificate.read_bytes() != certificate
    assert files.key.read_bytes() == key
    assert look_at_files(files, lane.rig.clock.ms).not_after_ms == pytest.approx(
        old.not_after_ms + later_ms, abs=2000
    )
