"""A simulated gate on a real pseudo-terminal, in a thread of its own, paced by the monotonic clock."""

from __future__ import annotations

import os
import selectors
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.simulator.device import TICK_MS, SimulatedGate
from firmware_bridge.simulator.terminal import new_terminal

READ_MAX = 4_096

_Found = TypeVar("_Found")


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class ServedGate:
    """Serves one SimulatedGate; `path` is a stable name for its port, as /dev/serial/by-id would be.

    Use as a context manager. All access to the gate goes through `do`, which takes the lock.
    """

    def __init__(self, gate: SimulatedGate, path: Path | None = None) -> None:
        self._gate = gate
        self._started_ms = _monotonic_ms() - gate.now_ms
        self._folder = tempfile.TemporaryDirectory(prefix="stile-gate-") if path is None else None
        self.path = path or Path(self._folder.name if self._folder else "") / "port"
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated gate", daemon=True)
        self._terminal: tuple[int, int] | None = None
        self.failure: BaseException | None = None

    def __enter__(self) -> ServedGate:
        """Open the port and start serving; raises PortUnavailableError if the path is taken."""
        self._plug()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving and take the port away."""
        self._stop.set()
        self._thread.join()
        self._unplug()
        if self._folder is not None:
            self._folder.cleanup()

    def do(self, verb: Callable[[SimulatedGate], _Found]) -> _Found:
        """Apply a verb: `served.do(SimulatedGate.walk_through)`; returns what it returns."""
        with self._lock:
            return verb(self._gate)

    def _plug(self) -> None:
        if self.path.exists():
            raise PortUnavailableError(str(self.path), "is there already; name a path that is free")
        self._terminal = new_terminal()
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._terminal[1]))

    def _unplug(self) -> None:
        if self._terminal is not None:
            self.path.unlink(missing_ok=True)
            # Both ends: a host that still holds the port sees it hang up, as with a cable pulled.
            for end in self._terminal:
                os.close(end)
            self._terminal = None

    def _serve(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                while not self._stop.is_set():
                    self._turn(selector)
        except (OSError, PortUnavailableError) as error:
            self.failure = error
            raise

    def _turn(self, selector: selectors.DefaultSelector) -> None:
        master = self._terminal[0] if self._terminal else None
        if master is None:
            self._stop.wait(TICK_MS / 1_000)
        else:
            key = selector.register(master, selectors.EVENT_READ)
            selector.select(TICK_MS / 1_000)
            selector.unregister(key.fileobj)
        received = _read(master) if master is not None else b""
        with self._lock:
            outgoing = self._gate.exchange(received, _monotonic_ms() - self._started_ms)
            plugged = self._gate.plugged
        if master is not None and outgoing:
            # Nobody reading: a UART would lose the bytes too.
            with suppress(BlockingIOError):
                os.write(master, outgoing)
        if plugged and self._terminal is None:
            self._plug()
        elif not plugged:
            self._unplug()


def _read(master: int) -> bytes:
    try:
        return os.read(master, READ_MAX)
    except BlockingIOError:
        return b""
