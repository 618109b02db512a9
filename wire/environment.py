"""Where a program's time, entropy and hashing come from; tests give their own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

TIMESYNC_MARKER = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches this file whenever it has set the clock from a server."""


def utc_ms() -> int:
    """The host's clock, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds since boot, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def timesync_marker(path: Path = TIMESYNC_MARKER) -> int | None:
    """When systemd-timesyncd last set the clock, as an opaque number; None when it has not since boot."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


class Hasher(Protocol):
    """Hashes PINs slowly."""

    def hash(self, password: str | bytes, /) -> str:
        """A verifier, with a salt of its own."""
        ...

    def verify(self, verifier: str | bytes, password: str | bytes, /) -> bool:
        """True, or an exception of argon2's that says why not."""
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """Clocks in milliseconds, random bytes for secrets, dice for waits; without `hasher`, argon2id."""

    utc_ms: Callable[[], int] = utc_ms
    monotonic_ms: Callable[[], int] = monotonic_ms
    ntp: Callable[[], int | None] = timesync_marker
    random_bytes: Callable[[int], bytes] = os.urandom
    dice: random.Random = field(default_factory=random.SystemRandom)
    hasher: Hasher | None = None
