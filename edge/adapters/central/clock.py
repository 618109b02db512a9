"""What time it is, as far as a kiosk without a clock of its own may claim to know.

Sure only once NTP has set the host's clock, or central has told the time in a message that cannot be an old
one (a reply to our own nonce); from then on the monotonic clock counts. A head that lay at the broker, or
was held back there, proves only that it is not earlier than that. If host and monotonic clock part, nothing
is sure until central or NTP is heard again. Where they disagree central's first word of a boot is right: NTP
signs nothing. Later words may move the clock far only if they persist and the host's clock does not
contradict them: a central whose own clock was wrong for a moment must not make its kiosks wrong for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

STEP_MAX_MS = 30_000
"""Further apart than this, the host's clock was set and did not drift: NTP slews .5 ms a second."""
AGREES_WITHIN_MS = 5_000
"""A clock this close to central's is not set anew, so that delays on the way do not make it jump."""

LEAP_MS = 60_000
"""Further from what central said before, its word is a leap."""
PERSISTS_MS = 30_000
"""A leap is believed when central says the same again at least so long after."""

Milliseconds = Callable[[], int]


class HighestTime(Protocol):
    """Where the highest verified central time survives a restart."""

    def highest_central_ms(self) -> int:
        """UTC milliseconds; 0 before the first."""
        ...

    def keep_highest_central_ms(self, instant_ms: int) -> None:
        """Keep a higher one."""
        ...


@dataclass(frozen=True, slots=True)
class _Anchor:
    """One instant on three clocks: true UTC, the host's UTC, and monotonic; milliseconds."""

    utc_ms: int
    host_ms: int
    monotonic_ms: int


class Clock:
    """The kiosk's UTC. `monotonic_ms` counts suspended time too (CLOCK_BOOTTIME); `ntp` is an opaque mark."""

    def __init__(
        self,
        host_ms: Milliseconds,
        monotonic_ms: Milliseconds,
        ntp: Callable[[], int | None],
        highest: HighestTime,
    ) -> None:
        self._host_ms, self._monotonic_ms, self._ntp, self._highest = host_ms, monotonic_ms, ntp, highest
        self._boot_monotonic_ms = monotonic_ms()
        self._anchor: _Anchor | None = None
        self._spent_mark: int | None = None
        self._floor: tuple[int, int] | None = (
            None  # a verified central time of this boot, and when it was heard
        )
        self._told: tuple[int, int] | None = None
        """Central's last believed time of this boot, and when it was heard."""
        self._leap: tuple[int, int] | None = None
        """How far central's last word, not believed yet, is ahead of the monotonic clock; when it came."""
        self.stepped = False

    @property
    def far_from_host(self) -> bool:
        """Whether central and the host's clock are far apart, or central contradicts what it said before."""
        now = self.now_ms()
        return self._leap is not None or (now is not None and abs(now - self._host_ms()) > LEAP_MS)

    def forget_highest(self) -> None:
        """Central began a new epoch: what it said of the time before binds no more."""
        self._highest.keep_highest_central_ms(0)
        self._told = self._floor = self._leap = None

    def now_ms(self) -> int | None:
        """UTC milliseconds; None while unsure."""
        host, monotonic = self._host_ms(), self._monotonic_ms()
        if self._anchor is not None:
            elapsed = monotonic - self._anchor.monotonic_ms
            if abs(host - self._anchor.host_ms - elapsed) <= STEP_MAX_MS:
                return self._anchor.utc_ms + elapsed
            self._anchor, self.stepped = None, True
        mark = self._ntp()
        if (
            mark is None
            or mark == self._spent_mark
            or host < self._highest.highest_central_ms() - STEP_MAX_MS
        ):
            return None
        return self._set(host, host, monotonic)

    @property
    def sure(self) -> bool:
        """Whether `now_ms` knows."""
        return self.now_ms() is not None

    def estimate_ms(self) -> int:
        """The best guess at UTC; for time limits of questions and for showing, never for judging an age."""
        now = self.now_ms()
        if now is not None:
            return now
        if self._floor is not None:
            return self._floor[0] + self._monotonic_ms() - self._floor[1]
        return max(self._host_ms(), self._highest.highest_central_ms())

    def uptime_ms(self) -> int:
        """Milliseconds since this program started."""
        return self._monotonic_ms() - self._boot_monotonic_ms

    def witness(self, central_ms: int, *, live: bool) -> None:
        """Hear a verified central time; `live` if the message cannot have been made long before."""
        now = self.now_ms()
        host, monotonic = self._host_ms(), self._monotonic_ms()
        if self._leaps(central_ms, host, monotonic, live=live):
            return
        highest = self._highest.highest_central_ms()
        if central_ms > highest:
            self._highest.keep_highest_central_ms(central_ms)
        if self._floor is None or central_ms > self._floor[0] + monotonic - self._floor[1]:
            self._floor = (central_ms, monotonic)
        if not live or central_ms < highest - STEP_MAX_MS:
            return
        self._told, self._leap = (central_ms, monotonic), None
        if now is None or central_ms > now + AGREES_WITHIN_MS or central_ms < now - STEP_MAX_MS:
            self._set(central_ms, host, monotonic)

    def _leaps(self, central_ms: int, host_ms: int, monotonic_ms: int, *, live: bool) -> bool:
        """Whether central contradicts what it said this boot, and is not to be believed, or not yet."""
        if self._told is None:
            return False
        expected_ms = self._told[0] + monotonic_ms - self._told[1]
        if central_ms - expected_ms <= LEAP_MS and (expected_ms - central_ms <= LEAP_MS or not live):
            return False
        if not live:
            return True
        ahead_ms = central_ms - monotonic_ms
        if self._leap is None or abs(self._leap[0] - ahead_ms) > AGREES_WITHIN_MS:
            self._leap = (ahead_ms, monotonic_ms)
        mark = self._ntp()
        contradicted = mark is not None and abs(host_ms - expected_ms) <= LEAP_MS
        return contradicted or monotonic_ms - self._leap[1] < PERSISTS_MS

    def _set(self, utc_ms: int, host_ms: int, monotonic_ms: int) -> int:
        self._anchor, self.stepped = _Anchor(utc_ms, host_ms, monotonic_ms), False
        self._spent_mark = self._ntp()  # after a step, only a new synchronisation counts
        return utc_ms
