"""Whether a camera still sees: pictures that stay black or never change are no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.capture.sample import Frame

BLACK_LUMINANCE = 8.0
"""Mean grey level of a covered sensor: its noise, below the black level of video (16)."""
BLACK_AFTER_MS = 1000
FROZEN_AFTER_MS = 2000
"""A live sensor's noise never repeats for two frames; a hung driver repeats one for ever."""
SAMPLE_STEP_PX = 8
"""Every eighth pixel each way: 1.6 % of the frame, enough to see noise in."""


class CameraHealth(StrEnum):
    """What a camera's pictures are worth."""

    OK = "ok"
    UNPLUGGED = "unplugged"
    STALLED = "stalled"
    FROZEN = "frozen"
    BLACK = "black"


@dataclass(frozen=True, slots=True)
class Watch:
    """The last picture's sample, and since when it has been the same, and since when black."""

    sample: bytes
    last_ms: int
    same_since_ms: int
    black_since_ms: int | None

    @property
    def health(self) -> CameraHealth:
        """Black comes first: a covered sensor may also repeat itself."""
        if self.black_since_ms is not None and self.last_ms - self.black_since_ms >= BLACK_AFTER_MS:
            return CameraHealth.BLACK
        if self.last_ms - self.same_since_ms >= FROZEN_AFTER_MS:
            return CameraHealth.FROZEN
        return CameraHealth.OK


def watch(before: Watch | None, frame: Frame) -> Watch:
    """What is known after one more frame; times are those of the frames."""
    sampled = frame.image[::SAMPLE_STEP_PX, ::SAMPLE_STEP_PX]
    sample, now_ms = sampled.tobytes(), frame.captured_at_ms
    black_since_ms = None
    if float(sampled.mean()) < BLACK_LUMINANCE:
        black_since_ms = before.black_since_ms if before and before.black_since_ms is not None else now_ms
    same_since_ms = before.same_since_ms if before and before.sample == sample else now_ms
    return Watch(sample, now_ms, same_since_ms, black_since_ms)
