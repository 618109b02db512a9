"""USB relay boards of four bytes a command (LCUS and its kin): they obey, and say nothing.

`A0 channel state sum`: the sum is of the first three bytes and stops no forger. The board neither answers nor
can be asked; it keeps a relay as it is for as long as it has power. All this driver knows is that the bytes
went out, and that the port is still there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import serial

from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.lane import Lane, Wanted
from firmware_bridge.drivers.relay import Reading, RelayGate
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.gate import Direction
from firmware_bridge.port import READ_MAX, advice

BAUD = 9_600
START = 0xA0

# Whether the port is still there; nothing else can be asked.
POLL_MS = 50


@dataclass(frozen=True, slots=True)
class LcusWiring:
    """Where the board is, and which channel (from 1) opens which way; None: no relay for that way."""

    port: str
    entry_channel: int | None = 1
    exit_channel: int | None = None


def frame(channel: int, on: bool) -> bytes:
    """The four bytes that switch one channel."""
    return bytes((START, channel, on, (START + channel + on) & 0xFF))


class LcusBoard:
    """One board on one serial port."""

    def __init__(self, wiring: LcusWiring) -> None:
        channels = {Direction.ENTRY: wiring.entry_channel, Direction.EXIT: wiring.exit_channel}
        self.channels = {way: channel for way, channel in channels.items() if channel is not None}
        self._path = wiring.port
        self._port: serial.Serial | None = None

    async def connect(self) -> None:
        """Open the port; nothing tells whether a board is behind it."""
        self.close()
        port = serial.Serial()
        port.port, port.baudrate, port.timeout, port.write_timeout = self._path, BAUD, 0, 0
        port.exclusive = True
        try:
            port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortUnavailableError(self._path, advice(error)) from error
        self._port = port

    async def command(self, wanted: Wanted) -> None:
        """Every channel, so that a lost byte does not leave one as it was for longer than a command."""
        for way, channel in self.channels.items():
            self._write(frame(channel, way in wanted.ways))

    async def poll(self) -> Reading:
        """Nothing is known but that the port is there."""
        try:
            # A board that does speak is not listened to; at its end a port that hung up reads as empty.
            if os.read(self._opened().fileno(), READ_MAX):
                return Reading()
        except BlockingIOError:
            return Reading()
        except OSError as error:
            raise self._gone(error.strerror or "unreadable") from error
        raise self._gone("hung up")

    def close(self) -> None:
        """Give the port back."""
        port, self._port = self._port, None
        if port is not None:
            with suppress(OSError, serial.SerialException):
                port.close()

    def _write(self, sent: bytes) -> None:
        try:
            written = os.write(self._opened().fileno(), sent)
        except OSError as error:
            raise self._gone(error.strerror or "unwritable") from error
        if written != len(sent):
            raise self._gone("the other side does not read")

    def _opened(self) -> serial.Serial:
        if self._port is None:
            raise self._gone("closed")
        return self._port

    def _gone(self, why: str) -> PortUnavailableError:
        return PortUnavailableError(self._path, f"gone while in use ({why}); plug it in again")


def open_lcus_gate(wiring: LcusWiring, *, clock_ms: Callable[[], int]) -> RelayGate:
    """A gate on a four-byte relay board, inside a running loop; returns at once."""
    board = LcusBoard(wiring)
    lane = Lane(frozenset(board.channels), beams=False)
    return RelayGate(board, lane, capabilities_of("lcus"), clock_ms=clock_ms, poll_ms=POLL_MS)
