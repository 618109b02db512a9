"""An OSDP reader with outputs: libosdp's own peripheral device, with timers of its own."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Any

import osdp
import serial

from firmware_bridge.simulator.boards.cable import READ_MAX, Cable

TURN_S = 0.005
TIMER_UNIT_S = 0.1
PERMANENT_OFF, PERMANENT_ON, TEMPORARY_ON = 1, 2, 5
OUTPUTS = 2
REFUSED = -1


class OsdpDevice:
    """One reader at the device's end of a cable; use as a context manager. `key` None: it has none."""

    def __init__(self, cable: Cable, key: bytes | None, *, address: int = 101) -> None:
        self._ends_s: dict[int, float] = {}
        self._port = serial.Serial(cable.device_path, timeout=0)
        flags = [] if key is None else [osdp.LibFlag.EnforceSecure]
        reader = osdp.PDInfo(address, _Line(self._port), scbk=key, flags=flags, name="reader")
        can = osdp.PDCapabilities(
            [(osdp.Capability.OutputControl, 2, OUTPUTS), (osdp.Capability.CommunicationSecurity, 1, 1)]
        )
        self._device: Any = osdp.PeripheralDevice(
            reader, can, log_level=osdp.LogLevel.Emergency, command_handler=self._obey
        )
        self.commands: list[tuple[int, int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="osdp reader", daemon=True)

    def __enter__(self) -> OsdpDevice:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering."""
        self._stop.set()
        self._thread.join()
        self._port.close()

    @property
    def on(self) -> frozenset[int]:
        """The outputs that are on, by the reader's own clock."""
        now_s = time.monotonic()
        return frozenset(output for output, end_s in dict(self._ends_s).items() if end_s > now_s)

    def _serve(self) -> None:
        while not self._stop.wait(TURN_S):
            self._device.ctx.refresh()

    def _obey(self, command: dict[str, int]) -> tuple[int, None]:
        if command["command"] != osdp.Command.Output or command["output_no"] >= OUTPUTS:
            return REFUSED, None
        output, code, tenths = command["output_no"], command["control_code"], command["timer_count"]
        self.commands.append((output, code, tenths))
        match code:
            case int() if code == PERMANENT_OFF:
                self._ends_s.pop(output, None)
            case int() if code == PERMANENT_ON:
                self._ends_s[output] = float("inf")
            case int() if code == TEMPORARY_ON:
                self._ends_s[output] = time.monotonic() + tenths * TIMER_UNIT_S
            case _:
                return REFUSED, None
        return 0, None


class _Line(osdp.Channel):  # type: ignore[misc]
    def __init__(self, port: serial.Serial) -> None:
        super().__init__()
        self._port = port

    def read(self, max_bytes: int) -> bytes:
        try:
            return os.read(self._port.fileno(), min(max_bytes, READ_MAX))
        except BlockingIOError:
            return b""

    def write(self, buf: bytes) -> int:
        return os.write(self._port.fileno(), bytes(buf))

    def flush(self) -> None:
        self._port.reset_input_buffer()
