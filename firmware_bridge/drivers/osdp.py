"""A reader's relay over OSDP, with libosdp: this host is the control panel, and insists on a secure channel.

OSDP 2.2, OUT command: control code 5 switches an output on for a while and then back by itself, so an opening
ends at the reader, whatever becomes of this host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import osdp

from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.keyfile import read_hex_key
from firmware_bridge.drivers.lane import RelayLane, WantedRelays
from firmware_bridge.drivers.line import SerialLine
from firmware_bridge.drivers.relay import Reading, RelayGate
from firmware_bridge.drivers.wiring import OsdpWiring
from firmware_bridge.errors import BoardError, PortUnavailableError

KEY_SIZE: Final = 16
"""Bytes of a secure channel base key (SCBK)."""

REFRESH_S: Final = 0.005
"""How often libosdp looks at its line."""

POLL_MS: Final = 20

SECURE_WITHIN_S: Final = 2.0
"""A reader with the key has a secure channel after .1 s."""

ANSWER_S: Final = 1.0
"""A command is answered after 50 ms; libosdp itself repeats it for .6 s."""

PERMANENT_OFF: Final = 1
TEMPORARY_ON: Final = 5
TIMER_UNIT_MS: Final = 100


class OsdpBoard:
    """One reader on one serial line."""

    def __init__(self, wiring: OsdpWiring, key: bytes) -> None:
        self.outputs = wiring.relays
        self._wiring, self._key = wiring, key
        self._line: _Channel | None = None
        self._panel: Any = None
        self._answered: dict[int, bool] = {}

    async def connect(self) -> None:
        """Open the port and wait for the secure channel; without one, no command is ever sent."""
        self.close()
        self._line = line = _Channel(self._wiring)
        reader = osdp.PDInfo(
            self._wiring.address, line, scbk=self._key, flags=[osdp.LibFlag.EnforceSecure], name="gate"
        )
        self._panel = osdp.ControlPanel([reader], log_level=osdp.LogLevel.Emergency)
        self._panel.set_command_completion_handler(self._completed)
        if not await self._until(self._is_secure, SECURE_WITHIN_S):
            if line.heard:
                why = "it answers, but makes no secure channel: give it the key of gate.osdp.key_file"
                raise BoardError(self._wiring.port, why)
            why = "nothing answers; check its power, its address and its baud rate"
            raise BoardError(self._wiring.port, why)

    async def command(self, wanted: WantedRelays) -> None:
        """Every output: on for a time that the reader keeps, or off."""
        for way, output in self.outputs.items():
            code, tenths = PERMANENT_OFF, 0
            if way in wanted.ways:
                assert wanted.for_ms is not None  # no inputs, so nothing holds an output on
                code, tenths = TEMPORARY_ON, -(-wanted.for_ms // TIMER_UNIT_MS)
            await self._submit(output, code, tenths)

    async def poll(self) -> Reading:
        """Nothing but whether the secure channel stands."""
        self._refresh()
        if not self._is_secure():
            raise BoardError(self._wiring.port, "the secure channel broke; it is made anew")
        return Reading()

    def close(self) -> None:
        """Give the port back."""
        line, self._line, self._panel = self._line, None, None
        if line is not None:
            line.close()

    async def _submit(self, output: int, code: int, tenths: int) -> None:
        self._answered.clear()
        command = {
            "command": osdp.Command.Output,
            "output_no": output,
            "control_code": code,
            "timer_count": tenths,
        }
        if self._panel is None or not self._panel.ctx.submit_command(0, command):
            raise BoardError(self._wiring.port, "it takes no command now")
        if not await self._until(lambda: output in self._answered, ANSWER_S):
            raise BoardError(self._wiring.port, "a command was not answered")
        if not self._answered[output]:
            raise BoardError(self._wiring.port, f"it refuses output {output}; see how many outputs it has")

    def _completed(self, _: int, command: Mapping[str, int], status: int) -> None:
        if command["command"] == osdp.Command.Output:
            self._answered[command["output_no"]] = status == osdp.CompletionStatus.Ok

    def _is_secure(self) -> bool:
        return self._panel is not None and bool(self._panel.ctx.sc_status() & 1)

    def _refresh(self) -> None:
        if self._panel is None or self._line is None:
            raise PortUnavailableError(self._wiring.port, "closed")
        self._panel.ctx.refresh()
        # libosdp swallows what its channel raises.
        if self._line.error is not None:
            raise self._line.error

    async def _until(self, holds: Callable[[], bool], within_s: float) -> bool:
        end_s = time.monotonic() + within_s
        while not holds():
            if time.monotonic() >= end_s:
                return False
            self._refresh()
            await asyncio.sleep(REFRESH_S)
        return True


class _Channel(osdp.Channel):  # type: ignore[misc]
    """libosdp's view of the serial port; never waits, keeps what went wrong."""

    def __init__(self, wiring: OsdpWiring) -> None:
        super().__init__()
        self.heard = False
        self.error: PortUnavailableError | None = None
        self._line = SerialLine(wiring.port, wiring.baud)

    def read(self, max_bytes: int) -> bytes:
        """What is there, up to `max_bytes`."""
        try:
            received = self._line.read(max_bytes)
        except PortUnavailableError as error:
            self.error = error
            return b""
        self.heard = self.heard or bool(received)
        return received

    def write(self, buf: bytes) -> int:
        """Send; how much went out."""
        try:
            return self._line.write(bytes(buf))
        except PortUnavailableError as error:
            self.error = error
            return 0

    def flush(self) -> None:
        """Drop what has not been read."""
        self._line.forget()

    def close(self) -> None:
        """Give the port back."""
        self._line.close()


def open_osdp_gate(wiring: OsdpWiring, *, clock_ms: Callable[[], int]) -> RelayGate:
    """A gate on an OSDP reader, inside a running loop; raises GateKeyError, else returns at once."""
    board = OsdpBoard(wiring, read_hex_key(Path(wiring.key_file), KEY_SIZE))
    lane = RelayLane(frozenset(board.outputs), beams=False)
    return RelayGate(board, lane, capabilities_of("osdp"), clock_ms=clock_ms, poll_ms=POLL_MS)
