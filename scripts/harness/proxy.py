"""What lies between kiosks and broker: a line that can be cut, slow, or in the hands of somebody hostile.

Its verbs are faults: `cut`, `hold`, `mute`, `lose_confirmations`, `slow`, `duplicate`, `reorder`, and `heal`
for all of them; `replay` and `cross` are single acts. Copies travel at QoS 0, so that no acknowledgement
betrays them to the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from central.adapters.broker.embedded import LOOPBACK
from scripts.harness import frames

READ_BYTES = 65_536
CAPTURED_MAX = 400
"""Frames kept for replaying, of each direction."""
CAPTURE_SHARE = 0.2
HELD_S = 0.4
"""A frame that is held back for the next one to overtake goes on alone after this."""

Write = Callable[[bytes], None]


@dataclass(slots=True)
class _Way:
    """One direction of one connection."""

    writer: asyncio.StreamWriter
    down: bool
    back: Write
    due_s: float = 0.0
    held: bytes | None = None

    def write(self, frame: bytes) -> None:
        """Send on, unless the connection has ended meanwhile."""
        if not self.writer.is_closing():
            self.writer.write(frame)


@dataclass(slots=True)
class _Connection:
    """A kiosk's connection through here."""

    up: _Way
    down: _Way
    level: int = 0


@dataclass
class Proxy:
    """Listens on a port of its own and goes to the broker; `tampered` counts what was done to frames."""

    host: str
    broker_port: int
    dice: random.Random
    port: int = 0
    tampered: Counter[str] = field(default_factory=Counter)
    _server: asyncio.Server | None = None
    _passing: set[asyncio.Task[None]] = field(default_factory=set)
    _connections: list[_Connection] = field(default_factory=list)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _refusing: bool = False
    _losing: bool = False
    _slow_s: tuple[float, float] | None = None
    _duplicate: float = 0.0
    _reorder: float = 0.0
    _captured: deque[tuple[bool, bytes, int]] = field(default_factory=lambda: deque(maxlen=CAPTURED_MAX))

    async def open(self) -> None:
        """Begin to listen."""
        self._open.set()
        self._server = await asyncio.start_server(self._accepted, LOOPBACK, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    # --- faults

    def cut(self) -> None:
        """Half of the connections end, and none is let in; on the others nothing passes any more."""
        self._open.clear()
        self._refusing = True
        for connection in self.dice.sample(self._connections, len(self._connections) // 2):
            for way in (connection.up, connection.down):
                way.writer.transport.abort()

    def hold(self) -> None:
        """Half open: every connection stays, new ones are accepted, and nothing passes on any."""
        self._open.clear()

    def mute(self) -> None:
        """Every connection ends; new ones are accepted, and nobody answers them."""
        self._open.clear()
        for connection in self._connections:
            for way in (connection.up, connection.down):
                way.writer.transport.abort()

    def lose_confirmations(self) -> None:
        """The broker's PUBACKs to kiosks are lost, and all else passes."""
        self._losing = True

    def slow(self, least_s: float, most_s: float) -> None:
        """Every frame takes so long from now on; frames stay in their order."""
        self._slow_s = (least_s, most_s)

    def duplicate(self, share: float) -> None:
        """So many of the published frames arrive twice."""
        self._duplicate = share

    def reorder(self, share: float) -> None:
        """So many of the published frames are overtaken by the next one."""
        self._reorder = share

    def heal(self) -> None:
        """All is well again; what was held back goes on."""
        self._slow_s, self._duplicate, self._reorder = None, 0.0, 0.0
        self._refusing = self._losing = False
        self._open.set()

    # --- a hostile broker

    def replay(self, count: int) -> None:
        """Say to somebody what was said once: heads, changes, replies, receipts, batches of records."""
        for down, frame, level in self.dice.choices(self._captured, k=count) if self._captured else ():
            if (connection := self._somebody(level)) is None:
                return
            retained = down and self.dice.random() < 0.3
            way = connection.down if down else connection.up
            way.write(frames.unacknowledged(frame, retained=retained))
            self.tampered["replayed"] += 1

    def cross(self, topics: dict[str, str]) -> None:
        """Say on one topic what was said on another: `topics` from, to."""
        for down, frame, level in list(self._captured):
            to = topics.get(frames.published(frame).topic) if down else None
            if to is not None and (connection := self._somebody(level)) is not None:
                connection.down.write(frames.unacknowledged(frame, to))
                self.tampered["crossed"] += 1

    def _somebody(self, level: int) -> _Connection | None:
        speaking = [each for each in self._connections if each.level == level]
        return self.dice.choice(speaking) if speaking else None

    # --- the line itself

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self._refusing:
                writer.transport.abort()
                return
            try:
                to_reader, to_writer = await asyncio.open_connection(self.host, self.broker_port)
            except OSError:
                writer.transport.abort()  # as if the broker itself had refused
                return
            await self._both_ways(reader, writer, to_reader, to_writer)

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_reader: asyncio.StreamReader,
        to_writer: asyncio.StreamWriter,
    ) -> None:
        up = _Way(to_writer, False, writer.write)
        down = _Way(writer, True, to_writer.write)
        connection = _Connection(up, down)
        self._connections.append(connection)
        ways = [
            asyncio.create_task(self._pipe(reader, connection, up)),
            asyncio.create_task(self._pipe(to_reader, connection, down)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.remove(connection)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            to_writer.close()

    async def _pipe(self, source: asyncio.StreamReader, connection: _Connection, way: _Way) -> None:
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while chunk := await source.read(READ_BYTES):
                buffer += chunk
                for frame in frames.take_frames(buffer):
                    await self._open.wait()
                    if frames.packet_type(frame) == frames.CONNECT:
                        connection.level = frames.protocol_level(frame)
                    for sent in self._tampered(frame, connection, way):
                        self._send(way, sent)
                await way.writer.drain()

    def _tampered(self, frame: bytes, connection: _Connection, way: _Way) -> list[bytes]:
        """What goes on in a frame's place, now."""
        if self._losing and way.down and frames.packet_type(frame) == frames.PUBACK:
            self.tampered["unconfirmed"] += 1
            return []
        if frames.packet_type(frame) != frames.PUBLISH:
            return [frame]
        if self.dice.random() < CAPTURE_SHARE:
            self._captured.append((way.down, frame, connection.level))
        sent = [frame]
        if self.dice.random() < self._duplicate:
            self.tampered["duplicated"] += 1
            sent.append(frames.unacknowledged(frame))
        if not self._reorder:
            return sent
        if way.down:
            # A broker wants its acknowledgements in order; the kiosk would give them in the order it hears.
            sent = [self._acknowledged(each, way) for each in sent]
        if way.held is None and self.dice.random() < self._reorder:
            self.tampered["reordered"] += 1
            way.held = b"".join(sent)
            asyncio.get_running_loop().call_later(HELD_S, self._release, way)
            return []
        before, way.held = way.held, None
        return [*sent, before] if before is not None else sent

    @staticmethod
    def _acknowledged(frame: bytes, way: _Way) -> bytes:
        said = frames.published(frame)
        if not said.qos:
            return frame
        with contextlib.suppress(RuntimeError):  # the other way is closing
            way.back(frames.acknowledgement(said.packet_id))
        return frames.unacknowledged(frame, retained=said.retained)

    def _release(self, way: _Way) -> None:
        before, way.held = way.held, None
        if before is not None:
            way.write(before)

    def _send(self, way: _Way, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._slow_s is not None:
            way.due_s = max(way.due_s, now_s + self.dice.uniform(*self._slow_s))
        if way.due_s <= now_s:
            way.write(frame)
        else:
            loop.call_at(way.due_s, way.write, frame)
