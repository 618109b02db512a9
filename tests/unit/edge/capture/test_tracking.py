"""Tracking: overlap and time decide who is followed."""

from edge.capture.sample import Box, Face
from edge.capture.tracking import TrackingConfig, follow

CONFIG = TrackingConfig()


def at(left: float) -> Face:
    return Face(Box(left, 0, left + 100, 120), 0.9, ())


def test_a_face_that_moves_a_little_keeps_its_track() -> None:
    track = follow(None, at(0), 0, CONFIG)
    for number in range(1, 10):
        track = follow(track, at(number * 15), number * 33, CONFIG)
    assert (track.id, track.frames, track.first_seen_ms, track.last_seen_ms) == (1, 10, 0, 297)


def test_another_face_in_the_next_frame_is_another_track() -> None:
    track = follow(follow(None, at(0), 0, CONFIG), at(300), 33, CONFIG)
    assert (track.id, track.frames, track.first_seen_ms) == (2, 1, 33)


def test_the_same_place_after_a_gap_is_another_track() -> None:
    track = follow(None, at(0), 0, CONFIG)
    assert follow(track, at(0), CONFIG.max_gap_ms, CONFIG).id == 1
    assert follow(track, at(0), CONFIG.max_gap_ms + 1, CONFIG).id == 2


def test_a_frame_from_before_begins_another_track() -> None:
    assert follow(follow(None, at(0), 100, CONFIG), at(0), 50, CONFIG).id == 2
