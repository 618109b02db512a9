"""The one way to keep work going: an end that nobody asked for is logged, told, and tried again.

Tasks and threads of kiosk, central, bridge and harness run under it, so that an exception of a class that
nobody listed never ends a part in silence.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NoReturn

RETRY_FIRST_S = 0.2
RETRY_LAST_S = 15.0
"""Between two tries, doubling from the first to the last."""
WELL_AFTER_S = 30.0
"""Work that has gone on for so long is well again: it is told no more, and the next wait is the first."""

log = logging.getLogger(__name__)


class EndedError(Exception):
    """Work that is to go on for ever came to its end."""


class Supervisor:
    """Keeps named work going, and knows which of it has failed of late. Any thread may ask."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._failing: dict[str, float | None] = {}
        self.faults: Counter[str] = Counter()
        """Ends that nobody asked for, by name, since the start."""

    def failing(self) -> tuple[str, ...]:
        """The work that waits for its next try, or has not gone on for long enough since."""
        now_s = self._monotonic_s()
        with self._lock:
            for name, began_s in tuple(self._failing.items()):
                if began_s is not None and now_s - began_s >= WELL_AFTER_S:
                    del self._failing[name]
            return tuple(sorted(self._failing))

    async def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> NoReturn:
        """Run again and again, until cancelled."""
        retry_s = RETRY_FIRST_S
        while True:
            began_s = self._begin(name)
            try:
                await run()
                raise EndedError("it came to its end")
            except Exception:
                log.exception("%s failed, and starts again", name)
                self._fail(name)
            retry_s = RETRY_FIRST_S if self._monotonic_s() - began_s >= WELL_AFTER_S else retry_s
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_LAST_S)

    def keep_thread(self, name: str, run: Callable[[], None], closing: threading.Event) -> None:
        """The same for a thread's work, until `closing` is set; returns once it has ended."""
        retry_s = RETRY_FIRST_S
        while not closing.is_set():
            began_s = self._begin(name)
            try:
                run()
                if closing.is_set():
                    return
                raise EndedError("it came to its end")
            except Exception:
                log.exception("%s failed, and starts again", name)
                self._fail(name)
            retry_s = RETRY_FIRST_S if self._monotonic_s() - began_s >= WELL_AFTER_S else retry_s
            closing.wait(retry_s)
            retry_s = min(2 * retry_s, RETRY_LAST_S)

    async def once(self, name: str, work: Awaitable[None]) -> bool:
        """Work that ends by itself; whether it did. A fault in it is logged, and told like any other."""
        try:
            await work
        except Exception:
            log.exception("%s failed", name)
            self.note(name)
            return False
        return True

    def note(self, name: str) -> None:
        """Tell a fault, logged already, in work that does not go on for ever."""
        self._fail(name)
        self._begin(name)

    def _begin(self, name: str) -> float:
        now_s = self._monotonic_s()
        with self._lock:
            if name in self._failing:
                self._failing[name] = now_s
        return now_s

    def _fail(self, name: str) -> None:
        with self._lock:
            self._failing[name] = None
            self.faults[name] += 1
