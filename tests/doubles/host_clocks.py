"""A kiosk's host: its two clocks, its NTP mark, and the memory that outlives a restart."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.adapters.central.clock import Clock

NOON = 1_795_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


@dataclass
class Host:
    """A host with two clocks, an NTP mark, and a memory that outlives a restart."""

    host: int = NOON
    monotonic: int = 5_000
    mark: int | None = None
    highest: int = 0
    kept: list[int] = field(default_factory=list)

    def highest_central_ms(self) -> int:
        return self.highest

    def keep_highest_central_ms(self, instant_ms: int) -> None:
        self.highest = instant_ms
        self.kept.append(instant_ms)

    def passes(self, ms: int) -> None:
        self.host += ms
        self.monotonic += ms

    def boot(self) -> Clock:
        return Clock(lambda: self.host, lambda: self.monotonic, lambda: self.mark, self)
