"""A broker that does as its script says: what a client needs of MQTT 5, and faults as attributes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from scripts.harness import frames

CONNACK, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0x90, 0xD0, 0xE0
RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 0x21, 0x27
"""Properties of a CONNACK (MQTT 5, 3.2.2.3)."""


@dataclass
class ScriptedBroker:
    """Speaks MQTT 5. `confirms` says of each publication whether it gets its PUBACK at once."""

    properties: bytes = b""
    """Of its CONNACK."""
    confirms: Callable[[bytes], bool] = lambda _: True
    reason: int = 0
    """Of each PUBACK."""
    port: int = 0
    connects: int = 0
    heard: list[bytes] = field(default_factory=list)
    """The payloads that came."""
    held: list[bytes] = field(default_factory=list)
    """Numbers of publications that were not confirmed."""
    most_held: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedBroker]:
        """Listen on a free port while the context lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in set(self._writers):
                writer.transport.abort()

    def disconnect(self, reason: int) -> None:
        """End every connection, and say why."""
        for writer in self._writers:
            writer.write(_packet(DISCONNECT, bytes([reason, 0])))
            writer.close()

    def confirm_held(self) -> None:
        """Confirm what was held back."""
        for number in self.held:
            self._confirm(number)
        self.held.clear()

    def _confirm(self, number: bytes) -> None:
        for writer in self._writers:
            writer.write(_packet(PUBACK, number + bytes([self.reason, 0])))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.held.clear()
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                buffer += chunk
                for frame in frames.take_frames(buffer):
                    self._answer(frame, writer)
        self._writers.discard(writer)
        writer.close()

    def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        match frames.packet_type(frame):
            case frames.CONNECT:
                self.connects += 1
                properties = bytes([len(self.properties)]) + self.properties
                writer.write(_packet(CONNACK, bytes([0, 0]) + properties))
            case 8:  # SUBSCRIBE
                body = frame[2:]
                writer.write(_packet(SUBACK, body[:2] + bytes([0, 1])))
            case 12:  # PINGREQ
                writer.write(_packet(PINGRESP, b""))
            case frames.PUBLISH:
                said = frames.published(frame)
                payload = said.rest[1:]  # its properties have no length
                self.heard.append(payload)
                if not said.packet_id:
                    return
                if self.confirms(payload):
                    self._confirm(said.packet_id)
                else:
                    self.held.append(said.packet_id)
                    self.most_held = max(self.most_held, len(self.held))
            case _:
                pass


def number(name: int, value: int, size: int) -> bytes:
    """A property that is a number of so many bytes."""
    return bytes([name]) + value.to_bytes(size)


def _packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind, len(body)]) + body
