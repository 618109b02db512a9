"""Scheduled opening: the times of the week at which a gate is held free for everybody.

Held free is one release after the other: each is clamped by the controller, ends by its own clock when the
host is gone, and counts one person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
TIMES_MAX = 32
"""Four a day and some for holidays; a longer list is a mistake."""

_TIME = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<from_h>\d{2}):(?P<from_m>[0-5]\d)-(?P<to_h>\d{2}):(?P<to_m>[0-5]\d)"
)


class ScheduleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `schedule`: when the gate is held free, in which zone, and which way."""

    times: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=TIMES_MAX)] = ()
    zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    direction: Literal["entry", "exit"] = "entry"


class TimesError(ValueError):
    """A time that cannot be read; the message says how one is written."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no time of the week: write them as mon-fri 07:00-09:30, sat 08:00-12:00 or "
            "22:00-02:00, from 00:00 to 24:00"
        )
        self.text = text


@dataclass(frozen=True, slots=True)
class Span:
    """From one minute of the week (Monday 00:00 is 0) for so many; it may run over Sunday's end."""

    from_min: int
    minutes: int

    def holds(self, week_min: int) -> bool:
        """Whether this minute of the week is in it."""
        return (week_min - self.from_min) % (7 * DAY_MINUTES) < self.minutes


def parse_times(texts: Iterable[str]) -> tuple[Span, ...]:
    """The spans of a week; raises TimesError."""
    return tuple(span for text in texts for span in _spans(text))


def held_free(spans: Iterable[Span], local: tuple[int, int] | None) -> bool:
    """Whether the gate is held free at (weekday from Monday 0, minute of the day), both of the gate's zone.

    None is a clock that is not sure: then it never is.
    """
    if local is None:
        return False
    weekday, minute = local
    return any(span.holds(weekday * DAY_MINUTES + minute) for span in spans)


def _spans(text: str) -> list[Span]:
    found = _TIME.fullmatch(text.strip().lower())
    if found is None:
        raise TimesError(text)
    begin = int(found["from_h"]) * 60 + int(found["from_m"])
    end = int(found["to_h"]) * 60 + int(found["to_m"])
    if begin >= DAY_MINUTES or end > DAY_MINUTES or begin == end:
        raise TimesError(text)
    minutes = (end - begin) % DAY_MINUTES or DAY_MINUTES
    return [Span(day * DAY_MINUTES + begin, minutes) for day in _days(text, found["first"], found["last"])]


def _days(text: str, first: str | None, last: str | None) -> list[int]:
    if first is None:
        return list(range(7))
    if first not in DAYS or (last is not None and last not in DAYS):
        raise TimesError(text)
    begin = DAYS.index(first)
    count = 1 if last is None else (DAYS.index(last) - begin) % 7 + 1
    return [(begin + number) % 7 for number in range(count)]
