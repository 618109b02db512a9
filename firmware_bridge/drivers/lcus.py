"""USB relay boards of four bytes a command (LCUS and its kin): they obey, and say nothing.

`A0 channel state sum`: the sum is of the first three bytes and stops no forger. The board neither answers nor
can be asked; it keeps a relay as it is for as long as it has power. All this driver knows is that the bytes
went out, and that the port is still there.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.lane import RelayLane, WantedRelays
from firmware_bridge.drivers.line import SerialLine
from firmware_bridge.drivers.relay import Reading, RelayGate
from firmware_bridge.drivers.wiring import LcusWiring
from firmware_bridge.errors import PortUnavailableError

BAUD = 9_600
START = 0xA0

POLL_MS = 50
"""Whether the port is still there; nothing else can be asked."""


def frame(channel: int, on: bool) -> bytes:
    """The four bytes that switch one channel."""
    return bytes((START, channel, on, (START + channel + on) & 0xFF))


class LcusBoard:
    """One board on one serial port."""

    def __init__(self, wiring: LcusWiring) -> None:
        self.channels = wiring.relays
        self._path = wiring.port
        self._line: SerialLine | None = None

    async def connect(self) -> None:
        """Open the port; nothing tells whether a board is behind it."""
        self.close()
        self._line = SerialLine(self._path, BAUD)

    async def command(self, wanted: WantedRelays) -> None:
        """Every channel, each time: a command that was lost is made good by the next."""
        for way, channel in self.channels.items():
            sent = frame(channel, way in wanted.ways)
            if self._opened().write(sent) != len(sent):
                raise PortUnavailableError(self._path, "it does not read; check the cable and the board")

    async def poll(self) -> Reading:
        """Nothing is known but that the port is there; what a board should say is not listened to."""
        self._opened().read()
        return Reading()

    def close(self) -> None:
        """Give the port back."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> SerialLine:
        if self._line is None:
            raise PortUnavailableError(self._path, "closed")
        return self._line


def open_lcus_gate(wiring: LcusWiring, *, clock_ms: Callable[[], int]) -> RelayGate:
    """A gate on a four-byte relay board, inside a running loop; returns at once."""
    board = LcusBoard(wiring)
    lane = RelayLane(frozenset(board.channels), beams=False)
    return RelayGate(board, lane, capabilities_of("lcus"), clock_ms=clock_ms, poll_ms=POLL_MS)
