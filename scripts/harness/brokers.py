"""The brokers a run may use, each in a process of its own that dies with the run: start, kill, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from central.adapters.broker.embedded import LOOPBACK, EmbeddedBroker, free_port
from scripts.harness.children import LAUNCHER
from scripts.harness.errors import ChildError, PlanError

START_S = 15.0
LOOK_S = 0.05
MQTT_PORT = 1883
_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_connections -1
max_queued_messages 0
log_dest stderr
log_type error
"""


class Broker(Protocol):
    """A broker somewhere."""

    host: str
    port: int

    async def start(self) -> None:
        """Start it, or start it again where it was; returns once it takes connections."""
        ...

    async def kill(self) -> None:
        """SIGKILL; raises `PlanError` for a broker that is not ours to kill."""
        ...

    async def stop(self) -> None:
        """Stop it, whatever state it is in."""
        ...


@dataclass
class Embedded:
    """The broker that pip installs."""

    host: str = LOOPBACK
    port: int = 0
    _broker: EmbeddedBroker = field(default_factory=EmbeddedBroker)

    async def start(self) -> None:
        """Start it, or start it again on its port."""
        if self.port:
            await asyncio.to_thread(self._broker.revive)
        else:
            self.port = (await asyncio.to_thread(self._broker.start)).port

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self._broker.kill)

    async def stop(self) -> None:
        """Stop it."""
        await asyncio.to_thread(self._broker.stop)


@dataclass
class Mosquitto:
    """Debian's Mosquitto 2 on loopback, without TLS: what lies between it and the kiosks must read frames."""

    folder: Path
    host: str = LOOPBACK
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, or start it again on its port."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise PlanError("--broker mosquitto: it is not installed (sudo apt install mosquitto)")
        self.port = self.port or free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(_MOSQUITTO.format(port=self.port))
        with (self.folder / "mosquitto.log").open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it starts in a millisecond
                [sys.executable, "-I", "-c", LAUNCHER, str(os.getpid()), program, "-c", str(config)],
                stderr=sink,
                start_new_session=True,
            )
        await answers(self.host, self.port)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)


@dataclass
class Elsewhere:
    """A broker that runs already, at mqtt://HOST:PORT, without TLS; it is left as it is."""

    host: str
    port: int

    async def start(self) -> None:
        """Wait until it answers."""
        await answers(self.host, self.port)

    async def kill(self) -> None:
        """Nobody's to kill here."""
        raise PlanError("--faults broker-kill: a broker elsewhere is not ours to kill; leave this fault out")

    async def stop(self) -> None:
        """Leave it as it is."""


def broker_of(named: str, folder: Path) -> Broker:
    """The broker that `--broker` names; raises `PlanError`."""
    if named == "embedded":
        return Embedded()
    if named == "mosquitto":
        return Mosquitto(folder)
    url = urlsplit(named)
    with contextlib.suppress(ValueError):  # a port that is no number
        if url.scheme == "mqtt" and url.hostname:
            return Elsewhere(url.hostname, url.port or MQTT_PORT)
    raise PlanError(f"--broker {named}: give embedded, mosquitto, or mqtt://HOST:PORT")


async def answers(host: str, port: int) -> None:
    """Wait until somebody listens there; raises `ChildError` when nobody does in time."""
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(LOOK_S)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise ChildError(f"no broker answers at {host}:{port} within {START_S:g} s") from None
