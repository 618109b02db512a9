"""A four-byte USB relay board: obeys, never answers, and keeps its relays whatever becomes of the host."""

from __future__ import annotations

import os
import selectors
import threading
from types import TracebackType

import serial

from firmware_bridge.simulator.boards.cable import READ_MAX, TURN_S, Cable

START = 0xA0
FRAME_SIZE = 4


class LcusDevice:
    """One board at the device's end of a cable; use as a context manager."""

    def __init__(self, cable: Cable) -> None:
        self.on: frozenset[int] = frozenset()
        self.commands = 0
        self._port = serial.Serial(cable.device_path, timeout=0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lcus board", daemon=True)
        self._received = bytearray()

    def __enter__(self) -> LcusDevice:
        """Begin to obey."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop obeying."""
        self._stop.set()
        self._thread.join()
        self._port.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._port.fileno(), selectors.EVENT_READ)
            while not self._stop.is_set():
                if selector.select(TURN_S):
                    self._take(os.read(self._port.fileno(), READ_MAX))

    def _take(self, received: bytes) -> None:
        self._received += received
        while len(self._received) >= FRAME_SIZE:
            start, channel, on, total = self._received[:FRAME_SIZE]
            if start != START or (start + channel + on) & 0xFF != total:
                del self._received[0]
                continue
            del self._received[:FRAME_SIZE]
            self.commands += 1
            self.on = self.on | {channel} if on else self.on - {channel}
