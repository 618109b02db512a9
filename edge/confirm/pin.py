"""What became of a PIN, wherever it was judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PinOutcome(StrEnum):
    """What became of a PIN."""

    RIGHT = "right"
    WRONG = "wrong"
    EXHAUSTED = "exhausted"  # no tries left: staff
    WAIT = "wait"  # too soon after a wrong one
    UNAVAILABLE = "unavailable"  # central does not answer and no offline verifier is configured


@dataclass(frozen=True, slots=True)
class PinJudgement:
    """The outcome, and what is left to the member; `tries_left` None where central was not asked."""

    outcome: PinOutcome
    tries_left: int | None = None
    retry_after_ms: int = 0
