"""Central, a broker of some make and one real kiosk's side of the wire, for what they ask of each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.enums import MQTTProtocolVersion

from edge.adapters.central.clock import Clock as KioskClock
from edge.adapters.central.link import Link
from edge.adapters.central.pairing import Identity, load_identity
from edge.adapters.central.tls import files_in, open_context
from edge.adapters.central.uplink import Uplink
from tests.doubles.brokers import RunningBroker, running_broker
from tests.doubles.central_rig import Clock, Rig, new_config, running
from tests.doubles.kiosk_rig import Host, Kiosk, filled, paired
from tests.doubles.waiting import WAIT_S, eventually
from tests.doubles.wire_samples import pass_record
from wire.environment import utc_ms
from wire.ids import KioskId, PassageId, RecordId
from wire.tls import TlsFiles
from wire.topics import TopicKind, kiosk_topic, roll_call
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication

Heard = tuple[str, bytes, bool]
AGAIN_S = 1.0
"""How long a roll-call is waited for before it is called again."""


@dataclass
class Client:
    """Anybody at the broker: what was heard, and a connection to publish with, right or wrong."""

    connection: Connection
    heard: list[Heard] = field(default_factory=list)

    def say(self, topic: str, payload: bytes, qos: int = 1, *, retained: bool = False) -> bool:
        """Publish; whether the bytes left."""
        return self.connection.publish(Publication(topic, payload, qos, retained))

    def say_whatever_its_size(self, topic: str, payload: bytes) -> None:
        """Publish as a client would that does not heed what the broker bears."""
        client = self.connection._client
        assert client is not None
        client.publish(topic, payload, 1)

    def topics(self) -> set[str]:
        """Every topic something was heard on."""
        return {topic for topic, _, _ in self.heard}


@dataclass
class Lane:
    """The parts, and how to add further kiosks and clients."""

    make: str
    broker: RunningBroker
    rig: Rig
    kiosk: Kiosk
    uplink: Uplink
    folder: Path
    _number: int = 0

    @property
    def identity(self) -> Identity:
        """Whose the kiosk's side is."""
        return self.uplink.identity

    def topic(self, kind: TopicKind, kiosk: KioskId | None = None) -> str:
        """One of a kiosk's topics, the lane's own kiosk's by default."""
        return kiosk_topic(kind, self.identity.site, kiosk or self.identity.kiosk).topic

    async def another(self, name: str) -> Identity:
        """Pair one more kiosk; its files are in `folder / name`."""
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        await paired(self.rig, folder, name)
        await self._let_in(name)
        return load_identity(folder, os.urandom)

    async def _let_in(self, name: str) -> None:
        """Wait until the broker lets a new kiosk hear: Mosquitto reads its ACL again when it gets to it."""
        call = roll_call(self.identity.site).topic
        async with self.client(name, (call,)) as newcomer:
            async with asyncio.timeout(WAIT_S):
                while not newcomer.heard:
                    self.rig.central.on_connect()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN_S):
                            await eventually(lambda: newcomer.heard)
            await newcomer.connection.close()  # with a goodbye, so that its will is heard nowhere

    def endpoint(
        self,
        client_id: str,
        tls: TlsFiles | None,
        version: MQTTProtocolVersion | None = None,
    ) -> Endpoint:
        """Where the broker is, for somebody with these files."""
        host, port = self.identity.broker_host, self.identity.broker_port
        context = None if tls is None else lambda: open_context(tls, utc_ms())
        return Endpoint(host, port, client_id, context, None, version or self.broker.versions[0])

    @contextlib.asynccontextmanager
    async def client(
        self,
        name: str,
        topics: tuple[str, ...],
        version: MQTTProtocolVersion | None = None,
        *,
        ready: bool = True,
        client_id: str | None = None,
    ) -> AsyncIterator[Client]:
        """A client with a paired kiosk's certificate and topics of its own choice; leaves without goodbye."""
        will = Publication(self.topic(TopicKind.STATE, KioskId(name)), b"will", 1, retained=False)
        heard: list[Heard] = []
        connection = Connection(
            self.endpoint(client_id or f"client-{name}", files_in(self.folder / name), version),
            tuple((topic, 1) for topic in topics),
            Callbacks(lambda: will, lambda: None, lambda: None, lambda *said: heard.append(said)),
            random.Random(1),
        )
        life = asyncio.create_task(connection.run())
        try:
            if ready:
                await eventually(lambda: connection.connected)
            yield Client(connection, heard)
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    def link(self, identity: Identity) -> Link:
        """A further kiosk's end of the wire, without the rest of a kiosk."""
        host = Host(clock_ms=self.rig.clock.ms)
        clock = KioskClock(lambda: host.clock_ms, lambda: host.monotonic_ms, lambda: None, self.uplink.cache)
        name = str(identity.kiosk)
        endpoint = self.endpoint(f"link-{name}", files_in(self.folder / name))
        return Link(identity, endpoint, clock, random.Random(2), os.urandom)

    async def records(self, count: int) -> list[PassageId]:
        """Let that many people pass; their passages."""
        passages = []
        for _ in range(count):
            self._number += 1
            token = f"{self._number:032x}"
            passages.append(PassageId(token))
            record = pass_record(self.identity.kiosk, 1, record_id=RecordId(token), passage=PassageId(token))
            await self.uplink.outbox.settle(record)
        return passages

    def at_central(self, passages: list[PassageId]) -> list[int]:
        """How many records central holds of each."""
        return [len(self.rig.central.use_cases.records.of_passage(each)) for each in passages]

    async def calm(self) -> None:
        """Everybody is connected, and every record is at central."""
        central = self.rig.central.link
        await eventually(lambda: central.connected.is_set() and self.uplink.link.connected)
        await eventually(lambda: self.uplink.outbox.backlog.waiting == 0)
        await filled(self.uplink)


@contextlib.asynccontextmanager
async def open_lane(make: str, folder: Path) -> AsyncIterator[Lane]:
    """Everything running and calm; stopped at the end."""
    clock = Clock(utc_ms())  # certificates are judged by the real clock
    config = new_config(folder / "central", clock)
    async with contextlib.AsyncExitStack() as stack:
        (folder / "broker").mkdir()
        broker = await stack.enter_async_context(running_broker(make, folder / "broker", config))
        rig = await stack.enter_async_context(running(config, clock))
        await eventually(rig.central.link.connected.is_set)
        home = folder / "gate-1"
        home.mkdir(mode=0o700)
        kiosk = await paired(rig, home)
        kiosk.host.clock_ms = clock.ms
        uplink = await stack.enter_async_context(kiosk.running())
        lane = Lane(make, broker, rig, kiosk, uplink, folder)
        await lane.calm()
        yield lane
