"""Counting how presentations ended, over all and split into mated and non-mated claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How one presentation ended for the person in front of the kiosk."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED_TO_ACQUIRE = "failed_to_acquire"


@dataclass(slots=True)
class Tally:
    """Counts of one replay; a presentation whose person is unknown is in `everyone` only."""

    everyone: Counter[Ending] = field(default_factory=Counter)
    mated: Counter[Ending] = field(default_factory=Counter)
    non_mated: Counter[Ending] = field(default_factory=Counter)
    misidentified: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)
    flaws: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    unclaimed: int = 0

    def count(self, ending: Ending, *, mated: bool | None) -> None:
        """One presentation; `mated`: is it the claimed person's own face, None if not known."""
        self.everyone[ending] += 1
        if mated is not None:
            (self.mated if mated else self.non_mated)[ending] += 1

    def counts(self) -> dict[str, object]:
        """The counts with every key present, ready for JSON."""
        return {
            **_filled(self.everyone),
            "mated": _filled(self.mated),
            "non_mated": _filled(self.non_mated),
            "misidentified": self.misidentified,
            "unclaimed": self.unclaimed,
            "spoilt": sum(self.flaws.values()),
            "obstacles": dict(sorted(self.obstacles.items())),
            "flaws": dict(sorted(self.flaws.items())),
            "notes": dict(sorted(self.notes.items())),
        }


def _filled(counter: Counter[Ending]) -> dict[str, int]:
    return {"presented": counter.total(), **{ending.value: counter[ending] for ending in Ending}}
