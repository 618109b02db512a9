"""Whether central's own clock may be believed: it must not leap against the monotonic clock beside it."""

from __future__ import annotations

LEAP_MS = 30_000
"""Between two looks; NTP slews half a millisecond a second, so this was set."""


class ClockWatch:
    """Looks at both clocks, milliseconds. After a leap nothing is to be signed until it is undone."""

    def __init__(self, utc_ms: int, monotonic_ms: int) -> None:
        self._ahead_ms = utc_ms - monotonic_ms
        self.leapt_ms = 0
        """How far the clock leapt; 0 while it may be believed."""

    def look(self, utc_ms: int, monotonic_ms: int) -> bool:
        """Whether the clock may be believed now; follows what is slewed, and not what leapt."""
        ahead_ms = utc_ms - monotonic_ms
        leapt_ms = ahead_ms - self._ahead_ms
        if abs(leapt_ms) > LEAP_MS:
            self.leapt_ms = leapt_ms
            return False
        self._ahead_ms, self.leapt_ms = ahead_ms, 0
        return True
