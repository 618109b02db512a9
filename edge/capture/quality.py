"""Whether a face is good enough to compare, and if not, the one thing to do about it."""

from __future__ import annotations

import cv2
import numpy as np

from edge.capture.sample import HINTS, AlignedFace, FailureToAcquire, Obstacle, Points, Quality
from models.manifest import QualityFloors

EYE_OUTER_LEFT, EYE_OUTER_RIGHT = 33, 263
CHEEK_LEFT, CHEEK_RIGHT, NOSE = 234, 454, 4
"""Mesh points, left and right as seen in the image."""
SHARPNESS_SIDE_PX = 75
"""Sharpness is measured at one size, so that it means the same for every chip."""
HINT_BELOW = 0.35
"""A component below this earns its hint although the sample is acquired."""


def yaw_of(points: Points) -> float:
    """Turn of the head from the mesh: 0 is frontal, about .5 is a profile, positive to the image's right."""
    across = points[CHEEK_RIGHT] - points[CHEEK_LEFT]
    along = float((points[NOSE] - points[CHEEK_LEFT]) @ across) / max(float(across @ across), 1e-6)
    return along - 0.5


def sharpness_of(chip: AlignedFace) -> float:
    """Energy of the Laplacian over the variance of the grey levels: independent of light and contrast."""
    grey = _grey(chip)
    variance = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()) / max(variance, 1.0)


def _grey(chip: AlignedFace) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    small = cv2.resize(chip.image, (SHARPNESS_SIDE_PX, SHARPNESS_SIDE_PX), interpolation=cv2.INTER_AREA)
    inner = slice(SHARPNESS_SIDE_PX // 6, -SHARPNESS_SIDE_PX // 6)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[inner, inner], np.float32)


def assess(
    points: Points, presence: float, chip: AlignedFace, floors: QualityFloors
) -> Quality | FailureToAcquire:
    """The quality of one face, or the first floor it is under. `points`: mesh, pixels of the frame."""
    if presence < floors.min_presence:
        return FailureToAcquire(Obstacle.NO_FACE)
    eye_span_px = float(np.linalg.norm(points[EYE_OUTER_RIGHT] - points[EYE_OUTER_LEFT]))
    yaw, grey, sharpness = yaw_of(points), _grey(chip), sharpness_of(chip)
    luminance, contrast = float(grey.mean()), float(grey.std())
    refusals = (
        (eye_span_px < floors.min_eye_span_px, Obstacle.TOO_SMALL),
        (abs(yaw) > floors.max_yaw, Obstacle.TURNED),
        (luminance < floors.min_luminance, Obstacle.TOO_DARK),
        (luminance > floors.max_luminance, Obstacle.TOO_BRIGHT),
        (contrast < floors.min_contrast, Obstacle.LOW_CONTRAST),
        (sharpness < floors.min_sharpness, Obstacle.BLURRED),
    )
    for under, reason in refusals:
        if under:
            return FailureToAcquire(reason)
    darkness = _ramp(luminance, floors.min_luminance, floors.good_luminance_from)
    glare = _ramp(-luminance, -floors.max_luminance, -floors.good_luminance_to)
    components = {
        Obstacle.TOO_SMALL: _ramp(eye_span_px, floors.min_eye_span_px, floors.good_eye_span_px),
        Obstacle.TOO_DARK: darkness,
        Obstacle.TOO_BRIGHT: glare,
        Obstacle.BLURRED: _ramp(sharpness, floors.min_sharpness, floors.good_sharpness),
        Obstacle.TURNED: _ramp(-abs(yaw), -floors.max_yaw, -floors.good_yaw),
    }
    worst = min(components, key=components.__getitem__)
    return Quality(
        size=components[Obstacle.TOO_SMALL],
        exposure=min(darkness, glare),
        sharpness=components[Obstacle.BLURRED],
        pose=components[Obstacle.TURNED],
        eye_span_px=eye_span_px,
        luminance=luminance,
        yaw=yaw,
        hint=HINTS[worst] if components[worst] < HINT_BELOW else None,
    )


def _ramp(measured: float, floor: float, good: float) -> float:
    """0 at the floor, 1 from `good` on, straight between."""
    return float(np.clip((measured - floor) / max(good - floor, 1e-6), 0.0, 1.0))
