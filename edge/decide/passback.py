"""Anti-passback: a member who went in here a moment ago and did not come out is not let in again unasked.

It is soft by design: a kiosk's memory may be wrong (it was restarted, somebody left by request to exit, by
another gate, over the barrier), so nobody is ever denied for it, and nobody is ever kept from leaving.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.decide.verdict import Passback
from wire.ids import SubjectId
from wire.records import GateOutcome

SUBJECTS_MAX = 20_000
"""Members remembered, some 100 bytes each: all who use one lane in a day. Then the oldest is forgotten."""

WENT_THROUGH = frozenset({GateOutcome.PASSED, GateOutcome.TAILGATED})
"""What proves that somebody went through; what the gate did not see is held against nobody."""

Way = Literal["entry", "exit"]


class PassbackConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `passback`: what a second entry without an exit leads to, and for how long."""

    mode: Literal["off", "note", "second_factor", "staff"] = "off"
    within_s: Annotated[int, Meta(ge=1, le=86_400)] = 300


_ASKS = MappingProxyType(
    {
        "off": Passback.CLEAR,
        "note": Passback.NOTED,
        "second_factor": Passback.SECOND_FACTOR,
        "staff": Passback.STAFF,
    }
)


@dataclass(frozen=True, slots=True)
class LastPassed:
    """Which way a member last went through here, and when (monotonic milliseconds)."""

    way: Way
    at_ms: int


def judge(last: LastPassed | None, way: Way, now_ms: int, config: PassbackConfig) -> Passback:
    """What to ask of a member who wants to go this way now; leaving asks nothing."""
    went_in = last is not None and last.way == "entry"
    if way == "exit" or not went_in or last is None or now_ms - last.at_ms >= config.within_s * 1_000:
        return Passback.CLEAR
    return _ASKS[config.mode]


class Whereabouts:
    """Which way each member last went through this lane; kept in memory, and a restart forgets."""

    def __init__(self, config: PassbackConfig) -> None:
        """Keeps nothing while `mode` is `off`."""
        self._config = config
        self._last: dict[SubjectId, LastPassed] = {}

    def note(self, subject: SubjectId, way: Way, outcome: GateOutcome, now_ms: int) -> None:
        """A passage of this member is over; only one that somebody went through counts."""
        if self._config.mode == "off" or outcome not in WENT_THROUGH:
            return
        self._last.pop(subject, None)
        self._last[subject] = LastPassed(way, now_ms)
        self._forget(now_ms)

    def judge(self, subject: SubjectId, way: Way, now_ms: int) -> Passback:
        """What to ask of this member now."""
        return judge(self._last.get(subject), way, now_ms, self._config)

    def __len__(self) -> int:
        """How many members are remembered."""
        return len(self._last)

    def _forget(self, now_ms: int) -> None:
        kept_ms = self._config.within_s * 1_000
        while self._last:
            oldest = next(iter(self._last))
            if len(self._last) <= SUBJECTS_MAX and now_ms - self._last[oldest].at_ms < kept_ms:
                return
            del self._last[oldest]
