"""One kiosk, two lives: the will of the earlier one hides the later one from nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from edge.adapters.central.pairing import load_identity
from tests.doubles.central_rig import Rig
from tests.doubles.kiosk_rig import Kiosk, Watcher, filled, forge
from tests.doubles.waiting import WAIT_S, eventually
from wire import topics
from wire.codec import Decoded, decode
from wire.fleet import KioskState, Presence
from wire.ids import BootId, KioskId
from wire.topics import TopicKind
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication

EARLIER = BootId("e" * 32)
KIOSK = KioskId("gate-1")


@contextlib.asynccontextmanager
async def earlier_life(rig: Rig, kiosk: Kiosk) -> AsyncIterator[asyncio.Event]:
    """A connection that an earlier life of this kiosk left open; tells when the broker has ended it."""
    identity = load_identity(kiosk.folder, os.urandom)
    address = topics.kiosk_topic(TopicKind.STATE, identity.site, identity.kiosk)
    ready = KioskState(identity.kiosk, Presence.READY, EARLIER, rig.clock.ms, True, "0.1.0", None, None)
    lost = msgspec.structs.replace(ready, presence=Presence.LOST)

    def said(state: KioskState) -> Publication:
        return Publication(address.topic, forge(address, state, identity.signer), 1, retained=True)

    ended = asyncio.Event()
    connection = Connection(
        Endpoint(
            rig.central.broker.host, rig.central.broker.port, f"stile-kiosk-{identity.site}-{identity.kiosk}"
        ),
        (("elsewhere", 0),),
        Callbacks(lambda: said(lost), lambda: None, ended.set, lambda *_: None),
        random.Random(1),
    )
    life = asyncio.create_task(connection.run())

    async def ends_with_the_connection() -> None:
        await ended.wait()
        life.cancel()

    watching = asyncio.create_task(ends_with_the_connection())
    try:
        await eventually(lambda: connection.connected)
        assert connection.publish(said(ready))
        yield ended
    finally:
        watching.cancel()
        life.cancel()
        await asyncio.gather(life, watching, return_exceptions=True)


async def holds(rig: Rig, own: BootId) -> None:
    """Central and whoever comes to the broker now know the later life, and that it is ready."""
    wanted = (Presence.READY, own)
    async with asyncio.timeout(WAIT_S):
        while True:
            seen = rig.central.use_cases.kiosks.sightings()[KIOSK]
            stored = await stored_state(rig, KIOSK)
            if (seen.presence, seen.boot_id) == wanted == (stored.presence, stored.boot_id):
                return
            await asyncio.sleep(0.05)


async def test_a_will_sent_when_the_later_life_takes_the_name_over_hides_nothing(rig: Rig, kiosk: Kiosk):
    sightings = rig.central.use_cases.kiosks.sightings
    watcher = Watcher()
    async with watcher.watching(rig), earlier_life(rig, kiosk) as ended:
        await eventually(lambda: sightings().get("gate-1"))
        assert sightings()["gate-1"].boot_id == EARLIER
        async with kiosk.running() as uplink:
            await eventually(ended.is_set, "the broker gives the name to the later life")
            await filled(uplink)
            kiosk.host.presence = Presence.READY
            own = uplink.about.boot_id
            await watcher.state(lambda state: state.presence is Presence.LOST)
            since = len(watcher.states)
            await eventually(lambda: Presence.READY in {state.presence for state in watcher.states[since:]})
            await holds(rig, own)


async def test_a_will_of_its_own_that_comes_after_the_birth_is_corrected_within_seconds(
    rig: Rig, kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "edge.adapters.central.reporter.STATE_CONFIRM_S", 5.0
    )  # a busy machine is slow to send the will
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await filled(uplink)
        kiosk.host.presence = Presence.READY
        await watcher.state(lambda state: state.presence is Presence.READY)
        identity = load_identity(kiosk.folder, os.urandom)
        address = topics.kiosk_topic(TopicKind.STATE, identity.site, identity.kiosk)
        lost = forge(address, uplink.reporter.state(Presence.LOST), identity.signer)
        assert rig.central.link.publish(address, lost)
        await watcher.state(lambda state: state.presence is Presence.LOST)
        await holds(rig, uplink.about.boot_id)


async def stored_state(rig: Rig, kiosk: KioskId) -> KioskState:
    """What lies at the broker for a third party that comes only now."""
    address = topics.kiosk_topic(TopicKind.STATE, rig.central.use_cases.context.site, kiosk)
    heard: list[bytes] = []
    farewell = Publication("elsewhere", b"", 0, retained=False)
    connection = Connection(
        Endpoint(rig.central.broker.host, rig.central.broker.port, "third-party"),
        ((address.topic, 1),),
        Callbacks(
            lambda: farewell,
            lambda: None,
            lambda: None,
            lambda _, payload, kept: kept and heard.append(payload),
        ),
        random.Random(1),
    )
    life = asyncio.create_task(connection.run())
    try:
        await eventually(lambda: heard)
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
    decoded = decode(address, heard[0])
    assert isinstance(decoded, Decoded)
    assert isinstance(decoded.message, KioskState)
    return decoded.message
