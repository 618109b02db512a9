"""Which frames of an idle kiosk are worth a look: those in which something moves, and a few of the others."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.capture.sample import Frame, Image

LOOK_EVERY_MS = 200
"""A frame is looked at this often though nothing moves, so nobody waits longer for want of motion."""
AWAKE_MS = 1000
"""Every frame is looked at for this long after something moved: longer than a hand pauses with a code."""
SAMPLE_STEP_PX = 4
"""Every fourth pixel each way is 6 % of the frame: with the rest of this, 50 us on one x86-64 core."""
BLOCK_SAMPLES = 8
"""Samples along a block's side: 64 of them, so a sensor's noise of 2.5 grey levels is .3 in their mean."""
MOVED_GREY_LEVELS = 3.0
"""Change of a block that counts as motion: ten times that noise. A code held up changes some by 50."""

Blocks = npt.NDArray[np.float32]
"""Mean grey level of each block, rows by columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Stillness:
    """The picture at the last look, when that was, and until when every frame is looked at."""

    blocks: Blocks
    looked_ms: int
    awake_until_ms: int

    def looked_at(self, frame: Frame) -> bool:
        """Whether it was this frame that is to be looked at."""
        return self.looked_ms == frame.captured_at_ms


def consider(before: Stillness | None, frame: Frame) -> Stillness:
    """What is known after one more frame, whose `looked_at` says whether to look at it; times are frames'.

    Frames come in the order of their times; the first one is looked at.
    """
    now_ms, blocks = frame.captured_at_ms, blocks_of(frame.image)
    if before is None or before.blocks.shape != blocks.shape:
        return Stillness(blocks, now_ms, now_ms + AWAKE_MS)
    if _largest_change(before.blocks, blocks) >= MOVED_GREY_LEVELS:
        return Stillness(blocks, now_ms, now_ms + AWAKE_MS)
    if now_ms < before.awake_until_ms or now_ms - before.looked_ms >= LOOK_EVERY_MS:
        return Stillness(blocks, now_ms, before.awake_until_ms)
    return before


def blocks_of(image: Image) -> Blocks:
    """The green channel, which is most of what is seen, in blocks of 32 x 32 pixels; at least one block."""
    sampled = image[::SAMPLE_STEP_PX, ::SAMPLE_STEP_PX, 1].astype(np.float32)
    size = (max(1, sampled.shape[1] // BLOCK_SAMPLES), max(1, sampled.shape[0] // BLOCK_SAMPLES))
    return np.asarray(cv2.resize(sampled, size, interpolation=cv2.INTER_AREA), np.float32).reshape(size[::-1])


def _largest_change(before: Blocks, now: Blocks) -> float:
    """Grey levels, beyond what a lamp or the camera's own exposure does to all of the picture alike."""
    gain = float(now.mean()) / max(float(before.mean()), 1.0)
    return float(np.abs(now - gain * before).max())
