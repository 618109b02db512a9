"""A track follows one face from frame to frame; another face, or the same after a gap, is another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NewType

import msgspec

from edge.capture.sample import Face

TrackId = NewType("TrackId", int)


class TrackingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When two detections are the same person: overlap, and how long a face may be missing."""

    min_iou: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.3
    max_gap_ms: Annotated[int, msgspec.Meta(ge=0, le=2000)] = 250


@dataclass(frozen=True, slots=True)
class Track:
    """The latest sighting of one face, and for how many frames it has been followed."""

    id: TrackId
    face: Face
    first_seen_ms: int
    last_seen_ms: int
    frames: int


def follow(track: Track | None, face: Face, captured_at_ms: int, config: TrackingConfig) -> Track:
    """The track this face belongs to: the given one, or a new one with the next id.

    Only overlap and time decide, never an embedding: following somebody is not recognising them.
    """
    if track is None:
        return Track(TrackId(1), face, captured_at_ms, captured_at_ms, 1)
    gap_ms = captured_at_ms - track.last_seen_ms
    if 0 <= gap_ms <= config.max_gap_ms and track.face.box.iou(face.box) >= config.min_iou:
        return Track(track.id, face, track.first_seen_ms, captured_at_ms, track.frames + 1)
    return Track(TrackId(track.id + 1), face, captured_at_ms, captured_at_ms, 1)
