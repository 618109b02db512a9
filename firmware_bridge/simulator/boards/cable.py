"""A serial cable of two pseudo-terminals that can be pulled, listened to and spoken into."""

from __future__ import annotations

import os
import selectors
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from firmware_bridge.simulator.terminal import new_terminal

READ_MAX = 4_096
TURN_S = 0.02


class Cable:
    """Carries bytes between `path`, the host's end, and `device_path`; use as a context manager.

    `path` is a stable name, as /dev/serial/by-id has, and is gone while the cable is out.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stile-cable-")
        self.path = Path(self._folder.name) / "port"
        self.to_device = bytearray()
        self._device = new_terminal()
        self._host: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)

    @property
    def device_path(self) -> str:
        """The device's end, which stays open while the cable is out."""
        return os.ttyname(self._device[1])

    def __enter__(self) -> Cable:
        """Plug in and carry."""
        self.plug()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the cable away."""
        self._stop.set()
        self._thread.join()
        self.unplug()
        for end in self._device:
            os.close(end)
        self._folder.cleanup()

    def plug(self) -> None:
        """The cable is in: a new terminal under the old name."""
        with self._lock:
            self._host = new_terminal()
            self.path.symlink_to(os.ttyname(self._host[1]))

    def unplug(self) -> None:
        """The cable is out: whoever holds the host's end sees it hang up."""
        with self._lock:
            if self._host is not None:
                self.path.unlink()
                for end in self._host:
                    os.close(end)
                self._host = None

    def replay(self, recorded: bytes) -> None:
        """Somebody on the line says again what the host once said."""
        with self._lock:
            os.write(self._device[0], recorded)

    def _carry(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                ends = [self._device[0]] if self._host is None else [self._device[0], self._host[0]]
                moved = self._move(ends)
            if not moved:
                self._wait(ends)

    def _wait(self, ends: list[int]) -> None:
        with selectors.DefaultSelector() as selector, suppress(OSError, ValueError, KeyError):
            for end in ends:
                selector.register(end, selectors.EVENT_READ)
            selector.select(TURN_S)

    def _move(self, ends: list[int]) -> bool:
        moved = False
        for end in ends:
            with suppress(BlockingIOError):
                received = os.read(end, READ_MAX)
                moved = moved or bool(received)
                if end != self._device[0]:
                    self.to_device += received
                    os.write(self._device[0], received)
                elif self._host is not None:
                    os.write(self._host[0], received)
        return moved
