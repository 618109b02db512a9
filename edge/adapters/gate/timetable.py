"""Holds the gate free at the times of the week in the configuration, one release after the other."""

from __future__ import annotations

import asyncio
import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from edge.enact.schedule import ScheduleConfig, held_free, parse_times
from edge.passage.observations import StaffReleases
from wire.fleet import OrderOutcome
from wire.ids import PassageId

OPENED_BY: Final = "timetable"
"""Whose word stands in the record of who passed meanwhile."""

LOOK_S: Final = 0.25
"""How soon after one person the gate opens for the next; a refused look costs nothing."""

ORDER_MS: Final = 2_000
"""How long an order holds; the gate's own limits count from then."""


class Lane(Protocol):
    """What the timetable may do with the lane; a lane that staff closed stays closed."""

    @property
    def lane_closed(self) -> bool:
        """Whether staff closed it."""

    def release(self, order: StaffReleases, told: Told) -> None:
        """Let somebody through, or say why not."""


class Told(Protocol):
    """Told once what became of an order."""

    def __call__(self, outcome: OrderOutcome, passage: PassageId | None, /) -> None:
        """The order's outcome, and the passage it opened the gate for."""


class Clock(Protocol):
    """The kiosk's: its UTC is None while it is not sure."""

    def now_ms(self) -> int | None:
        """UTC milliseconds."""

    def uptime_ms(self) -> int:
        """Monotonic milliseconds."""


class Timetable:
    """Gives orders to one lane; a fire, a fault or a passage under way refuses them there."""

    def __init__(self, config: ScheduleConfig, lane: Lane, clock: Clock) -> None:
        self._spans = parse_times(config.times)
        self._zone = zone_of(config.zone)
        self._direction = config.direction
        self._lane, self._clock = lane, clock

    async def run(self) -> None:
        """Look, and order, until cancelled."""
        while True:
            if self.holds():
                until_ms = self._clock.uptime_ms() + ORDER_MS
                self._lane.release(StaffReleases(OPENED_BY, self._direction, until_ms), _unheard)
            await asyncio.sleep(LOOK_S)

    def holds(self) -> bool:
        """Whether the gate is held free now: by a sure clock only, and in no lane that staff closed."""
        now_ms = self._clock.now_ms()
        if now_ms is None or self._lane.lane_closed:
            return False
        local = datetime.datetime.fromtimestamp(now_ms / 1_000, self._zone)
        return held_free(self._spans, (local.weekday(), local.hour * 60 + local.minute))


def zone_of(name: str) -> datetime.tzinfo:
    """A time zone by its IANA name; raises ValueError for one this machine does not know."""
    if name == "UTC":
        return datetime.UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone of this machine, as Europe/Berlin is one") from error


def _unheard(outcome: OrderOutcome, passage: PassageId | None, /) -> None:
    """The next look is the answer to a refusal, and a passage has its record."""
