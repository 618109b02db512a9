"""The example scorecard, and events that count on it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import central.app
from central.rules.scorecard import (
    DAY_MS,
    Event,
    EventKind,
    EventOutcome,
    Scorecard,
    parse_scorecard,
)
from wire.ids import OperatorId, Purpose, SubjectId

METRO, RIDE, ADA = OperatorId("metro"), Purpose("ride"), SubjectId("a" * 32)
NOW_MS = 2_000_000_000_000
EXAMPLE = Path(central.app.__file__).parent / "scorecard.example.toml"


def tree(**changes: Any) -> dict[str, Any]:
    read = tomllib.loads(EXAMPLE.read_text())
    return {**read, "operator": "metro", "purpose": "ride", **changes}


def card(**changes: Any) -> Scorecard:
    return parse_scorecard(tree(**changes), "test.toml", METRO, RIDE)


def event(number: int = 1, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "event_id": f"e{number}",
        "subject": ADA,
        "purpose": RIDE,
        "kind": EventKind.FARE,
        "outcome": EventOutcome.KEPT,
        "at_ms": NOW_MS,
    }
    return Event(**{**fields, **changes})


events_drawn = st.lists(
    st.builds(
        event,
        st.integers(0, 10**6),
        kind=st.sampled_from(EventKind),
        outcome=st.sampled_from(EventOutcome),
        at_ms=st.integers(NOW_MS - 400 * DAY_MS, NOW_MS),
    ),
    max_size=30,
)
