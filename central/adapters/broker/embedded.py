"""The embedded broker: iotcore (rumqttd) in a child process, MQTT 5 on loopback; it dies with its parent."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from pathlib import Path

from iotcore import Broker

from central.service.kiosks import BrokerAddress
from wire.topics import PACKET_MAX_BYTES

LOOPBACK = "127.0.0.1"
START_S = 10.0
STARTS_MAX = 3
"""Another program may take the free port between our finding it and the broker's binding it."""
CONNECTIONS_MAX = 10_010
INFLIGHT_MAX = 100
PORT_FIRST = 10_000
"""Most ports that programs are known by are lower."""
PORT_TRIES_MAX = 100
CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_OF_CLIENTS = 32_768
"""The lowest ephemeral port of Linux, unless configured otherwise."""

_SETTINGS = """\
id = 0
[router]
id = 0
max_connections = {connections}
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "stile"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = {inflight}
dynamic_filters = true
"""


def free_port() -> int:
    """A TCP port of loopback that nobody uses at this moment, nor gets while its broker is down.

    The kernel gives none of these to clients. One of theirs could even be connected to itself, by a client
    that tries again and again where nobody listens.
    """
    lowest = _lowest_of_clients()
    for _ in range(PORT_TRIES_MAX):
        port = PORT_FIRST + secrets.randbelow(lowest - PORT_FIRST) if lowest > PORT_FIRST else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            found: int = probe.getsockname()[1]
            return found
    raise OSError(f"no free port of {LOOPBACK} in {PORT_TRIES_MAX} tries: give one in the configuration")


def _lowest_of_clients() -> int:
    """Where the ports begin that the kernel gives to clients."""
    try:
        return int(CLIENT_PORTS.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return LOWEST_OF_CLIENTS


class EmbeddedBroker:
    """A broker for one machine. `start` and `stop` block for tens of milliseconds: call them off the loop."""

    def __init__(self, port: int = 0) -> None:
        self._wanted_port = port
        self._broker: Broker | None = None
        self.port = port

    @property
    def address(self) -> BrokerAddress:
        """Where it listens, once started."""
        return BrokerAddress(LOOPBACK, self.port)

    def start(self) -> BrokerAddress:
        """Start the child and wait until it accepts connections; OSError when its port is taken."""
        if self._broker is not None:
            return self.address
        for attempt in range(1, STARTS_MAX + 1):
            self.port = self._wanted_port or free_port()
            try:
                self._broker = self._started(self.port)
                break
            except (OSError, RuntimeError):
                if self._wanted_port or attempt == STARTS_MAX:
                    raise
        return self.address

    def _started(self, port: int) -> Broker:
        with tempfile.TemporaryDirectory(prefix="stile-broker-") as folder:
            settings = Path(folder) / "broker.toml"
            settings.write_text(
                _SETTINGS.format(
                    host=LOOPBACK,
                    port=port,
                    connections=CONNECTIONS_MAX,
                    payload=PACKET_MAX_BYTES,
                    inflight=INFLIGHT_MAX,
                )
            )
            return Broker(config_path=str(settings)).start(timeout=START_S)

    def stop(self) -> None:
        """Stop the child and free its port; nothing happens when it is not running."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.stop()

    def revive(self) -> bool:
        """Start the child again on its port, should it have died; whether that was so."""
        if self._broker is None or self._broker.is_running:
            return False
        self.restart()
        return True

    def kill(self) -> None:
        """Kill the child with SIGKILL: a fault for tests and the harness."""
        process = None if self._broker is None else self._broker._process
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop and start again on the same port: what clients see when a broker is upgraded."""
        self._wanted_port = self.port
        self.stop()
        self.start()
