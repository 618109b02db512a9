"""Running brokers for tests, in processes of their own, on free ports of loopback, stopped by who opens them.

`configure` makes a central's configuration use it; `restart`, `kill_one` are its faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from central.adapters.broker.embedded import LOOPBACK, EmbeddedBroker, free_port
from central.adapters.broker.files import Listener, write_broker
from central.app import load_config
from tests.doubles.central_rig import fix_ports
from tests.doubles.waiting import WAIT_S
from wire.environment import utc_ms
from wire.topics import LARGEST_MESSAGE_BYTES

STARTS_MAX = 3
"""Another program may take a free port between our finding it and a node's binding it."""
BOTH = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
TLS_HOST = "localhost"


class RunningBroker(Protocol):
    """A broker of some make."""

    versions: tuple[MQTTProtocolVersion, ...]

    def configure(self, config: Path) -> None:
        """Make a central's configuration use it."""
        ...

    async def start(self) -> None:
        """Start it, and wait until it takes clients."""
        ...

    async def stop(self) -> None:
        """Stop it, whatever state it is in."""
        ...

    async def restart(self) -> None:
        """Stop and start it where it was: what clients see when a broker is upgraded."""
        ...


async def answers(host: str, port: int) -> None:
    """Wait, bounded, until somebody listens."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def _end(process: subprocess.Popen[bytes] | None, number: int = signal.SIGTERM) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(number)
        process.wait(WAIT_S)


@dataclass
class Embedded:
    """The broker that pip installs, as central starts it."""

    versions: tuple[MQTTProtocolVersion, ...] = BOTH[:1]
    broker: EmbeddedBroker = field(default_factory=EmbeddedBroker)

    def configure(self, config: Path) -> None:
        fix_ports(config, self.broker.port, 0)

    async def start(self) -> None:
        await asyncio.to_thread(self.broker.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.broker.stop)

    async def restart(self) -> None:
        await asyncio.to_thread(self.broker.restart)


def mosquitto_program() -> str:
    """Debian's Mosquitto; skips the test where it is not."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        pytest.skip("needs Debian's mosquitto")
    return found


@dataclass
class Mosquitto:
    """Debian's Mosquitto with the files that `stile central broker-config` writes: TLS and ACL."""

    folder: Path
    versions: tuple[MQTTProtocolVersion, ...] = BOTH
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def write(self, config: Path, hosts: Sequence[str] = (TLS_HOST, LOOPBACK), now_ms: int = 0) -> None:
        """Write its files for a central; a running one reads them again."""
        from central.app import open_use_cases

        loaded = load_config(config)
        with open_use_cases(loaded) as use_cases:
            operator, site, kiosks = (
                use_cases.context.operator,
                use_cases.context.site,
                use_cases.kiosks.all(),
            )
        listener = Listener(tuple(hosts), self.port, LOOPBACK)
        write_broker(
            loaded.keys_path,
            self.folder,
            operator=operator,
            site=site,
            listener=listener,
            kiosks=kiosks,
            now_ms=now_ms or utc_ms(),
        )

    def configure(self, config: Path) -> None:
        self.write(config)
        fix_ports(config, self.port, 0)
        lines = f"""host = "{TLS_HOST}"
ca_file = "keys/broker-ca.crt"
certificate_file = "keys/broker-central.crt"
key_file = "keys/broker-central.key"
access_dir = "{self.folder}"
"""
        plain = 'embedded = false\nhost = "127.0.0.1"\n'
        text = config.read_text()
        assert plain in text
        config.write_text(text.replace(plain, f"embedded = false\n{lines}", 1))

    def launch(self) -> None:
        """Begin to start it."""
        program = mosquitto_program()
        with (self.folder / "log").open("ab") as sink:
            self.process = subprocess.Popen([program, "-c", str(self.folder / "mosquitto.conf")], stderr=sink)

    async def start(self) -> None:
        self.launch()
        await answers(LOOPBACK, self.port)

    async def stop(self) -> None:
        await asyncio.to_thread(_end, self.process)

    async def restart(self) -> None:
        await self.stop()
        await self.start()


NATS_CONF = """\
server_name: node-{number}
listen: 127.0.0.1:{client}
http: 127.0.0.1:{monitor}
max_payload: {payload}
jetstream {{ store_dir: "{store}", max_file_store: 256MB, max_memory_store: 64MB }}
mqtt {{ listen: "127.0.0.1:{mqtt}", max_ack_pending: 1000 }}
cluster {{ name: stile, listen: 127.0.0.1:{route}, routes: [{routes}] }}
"""


@dataclass
class Relay:
    """What a load balancer in front of a cluster does: each connection goes to a node that answers.

    To the first that does, or with `spread` in turn.
    """

    ports: tuple[int, ...]
    spread: bool = False
    port: int = 0
    _server: asyncio.Server | None = None
    _turn: int = 0
    _piping: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._piping:
            task.cancel()
        await asyncio.gather(*self._piping, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._piping.add(task)
        task.add_done_callback(self._piping.discard)
        self._turn += self.spread
        try:
            for step in range(len(self.ports)):
                with contextlib.suppress(OSError):
                    port = self.ports[(self._turn + step) % len(self.ports)]
                    to_reader, to_writer = await asyncio.open_connection(LOOPBACK, port)
                    await self._both_ways(reader, writer, to_reader, to_writer)
                    return
        finally:
            writer.close()

    @staticmethod
    async def _both_ways(
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_reader: asyncio.StreamReader,
        to_writer: asyncio.StreamWriter,
    ) -> None:
        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while chunk := await source.read(65_536):
                    sink.write(chunk)
                    await sink.drain()

        ways = [asyncio.create_task(pipe(reader, to_writer)), asyncio.create_task(pipe(to_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_writer.close()


class NodeEndedError(Exception):
    """A node ended while it was waited for; its log says why."""


@dataclass
class NatsCluster:
    """Three nodes of NATS with JetStream, MQTT 3.1.1, behind a relay."""

    folder: Path
    nodes: int = 3
    spread: bool = False
    versions: tuple[MQTTProtocolVersion, ...] = BOTH[1:]
    processes: list[subprocess.Popen[bytes] | None] = field(default_factory=list)
    relay: Relay = field(default_factory=lambda: Relay(()))
    _monitors: list[int] = field(default_factory=list)

    def configure(self, config: Path) -> None:
        fix_ports(config, self.relay.port, 0)

    async def start(self) -> None:
        for attempt in range(1, STARTS_MAX + 1):
            await self._launch()
            try:
                await self.healthy()
            except NodeEndedError:
                if attempt == STARTS_MAX:
                    raise
                await self.stop()
            else:
                return

    async def _launch(self) -> None:
        ports = [free_port() for _ in range(4 * self.nodes)]
        client, monitor, mqtt, route = (ports[each::4] for each in range(4))
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in route)
        for each in range(self.nodes):
            text = NATS_CONF.format(
                number=each + 1,
                client=client[each],
                monitor=monitor[each],
                payload=LARGEST_MESSAGE_BYTES + 4096,
                store=self.folder / f"store-{each}",
                mqtt=mqtt[each],
                route=route[each],
                routes=routes,
            )
            (self.folder / f"node-{each}.conf").write_text(text)
        self._monitors, self.processes = monitor, [None] * self.nodes
        self.relay = Relay(tuple(mqtt), self.spread)
        await self.relay.open()
        for each in range(self.nodes):
            self.start_one(each)

    def start_one(self, node: int) -> None:
        """Start a node that does not run."""
        program = Path(sys.executable).parent / "nats-server"
        with (self.folder / f"log-{node}").open("ab") as sink:
            arguments = [str(program), "-c", str(self.folder / f"node-{node}.conf")]
            self.processes[node] = subprocess.Popen(arguments, stderr=sink)

    def kill_one(self, node: int) -> None:
        """SIGKILL a node."""
        _end(self.processes[node], signal.SIGKILL)

    async def healthy(self) -> None:
        """Wait, bounded, until every node has JetStream and is up to date; NodeEndedError if one ended."""
        async with asyncio.timeout(WAIT_S), httpx.AsyncClient(trust_env=False) as client:
            for port, process in zip(self._monitors, self.processes, strict=True):
                while True:
                    if process is None or process.poll() is not None:
                        raise NodeEndedError(port)
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200:
                            break
                    await asyncio.sleep(0.05)

    async def stop(self) -> None:
        await self.relay.close()
        for process in self.processes:
            await asyncio.to_thread(_end, process, signal.SIGKILL)

    async def restart(self) -> None:
        """The node that the relay sends everybody to; meanwhile they go to the next."""
        await asyncio.to_thread(_end, self.processes[0])
        self.start_one(0)
        await self.healthy()


@contextlib.asynccontextmanager
async def running_broker(make: str, folder: Path, config: Path) -> AsyncIterator[RunningBroker]:
    """A broker of a make (`embedded`, `mosquitto`, `nats`), and a central's configuration made to use it."""
    broker: Embedded | Mosquitto | NatsCluster
    if make == "mosquitto":
        broker = Mosquitto(folder)
        broker.configure(config)
    else:
        broker = Embedded() if make == "embedded" else NatsCluster(folder)
    try:
        await broker.start()
        if not isinstance(broker, Mosquitto):
            broker.configure(config)
        yield broker
    finally:
        await broker.stop()
