"""Who stands before the kiosk while nobody has claimed anything: followed, and not recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.capture.tracking import TrackId

LEFT_MS: Final = 1_000
"""The zone must be empty this long before a face may begin again: less is a flicker."""


@dataclass(frozen=True, slots=True)
class Approach:
    """Since when one track has faced the kiosk, and whether whoever is there has had their passage.

    Nobody tells faces apart before an interaction, so `served` holds until the zone has been seen empty.
    """

    served: bool = False
    empty_since_ms: int | None = None
    track: TrackId | None = None
    facing_since_ms: int | None = None

    def nobody(self, captured_ms: int) -> Approach:
        """The zone was seen empty."""
        since_ms = captured_ms if self.empty_since_ms is None else self.empty_since_ms
        return Approach(self.served and captured_ms - since_ms < LEFT_MS, since_ms)

    def somebody(self, facing: TrackId | None, captured_ms: int) -> Approach:
        """Somebody is in the zone; who looks elsewhere (None) wants nothing of the kiosk."""
        if self.served or facing is None:
            return Approach(self.served)
        since_ms = self.facing_since_ms if facing == self.track else None
        return Approach(track=facing, facing_since_ms=captured_ms if since_ms is None else since_ms)

    def begins(self, captured_ms: int, start_ms: int) -> bool:
        """Whether the face has stood there long enough to be asking for something."""
        since_ms = self.facing_since_ms
        return since_ms is not None and captured_ms - since_ms >= start_ms

    def after_passage(self) -> Approach:
        """Whoever is there has had their passage."""
        return Approach(served=True)


NOBODY: Final = Approach()
