"""Whether a face is good enough to compare, and if not, the one thing to do about it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import cv2
import msgspec
import numpy as np

from edge.capture.sample import HINTS, AlignedFace, FailureToAcquire, Obstacle, Points, Quality

Luminance: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=255.0)]

EYE_OUTER_LEFT, EYE_OUTER_RIGHT = 33, 263
CHEEK_LEFT, CHEEK_RIGHT, NOSE = 234, 454, 4
"""Mesh points, left and right as seen in the image."""
SHARPNESS_SIDE_PX = 75
"""Sharpness is measured at one size, so that it means the same for every chip."""
HINT_BELOW = 0.35
"""A component below this earns its hint although the sample is acquired."""


class QualityConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The floor of each measurement, and where it counts as good."""

    min_presence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.5
    min_eye_span_px: Annotated[float, msgspec.Meta(ge=8.0, le=400.0)] = 24.0
    good_eye_span_px: Annotated[float, msgspec.Meta(ge=8.0, le=800.0)] = 60.0
    min_luminance: Luminance = 32.0
    max_luminance: Luminance = 232.0
    good_luminance_from: Luminance = 80.0
    good_luminance_to: Luminance = 190.0
    min_contrast: Annotated[float, msgspec.Meta(ge=0.0, le=128.0)] = 10.0
    min_sharpness: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.04
    good_sharpness: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.15
    max_yaw: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.6
    good_yaw: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.2


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
    points: Points, presence: float, chip: AlignedFace, config: QualityConfig
) -> Quality | FailureToAcquire:
    """The quality of one face, or the first floor it is under. `points`: mesh, pixels of the frame."""
    if presence < config.min_presence:
        return FailureToAcquire(Obstacle.NO_FACE)
    eye_span_px = float(np.linalg.norm(points[EYE_OUTER_RIGHT] - points[EYE_OUTER_LEFT]))
    yaw, grey, sharpness = yaw_of(points), _grey(chip), sharpness_of(chip)
    luminance, contrast = float(grey.mean()), float(grey.std())
    floors = (
        (eye_span_px < config.min_eye_span_px, Obstacle.TOO_SMALL),
        (abs(yaw) > config.max_yaw, Obstacle.TURNED),
        (luminance < config.min_luminance, Obstacle.TOO_DARK),
        (luminance > config.max_luminance, Obstacle.TOO_BRIGHT),
        (contrast < config.min_contrast, Obstacle.LOW_CONTRAST),
        (sharpness < config.min_sharpness, Obstacle.BLURRED),
    )
    for under, reason in floors:
        if under:
            return FailureToAcquire(reason)
    darkness = _ramp(luminance, config.min_luminance, config.good_luminance_from)
    glare = _ramp(-luminance, -config.max_luminance, -config.good_luminance_to)
    components = {
        Obstacle.TOO_SMALL: _ramp(eye_span_px, config.min_eye_span_px, config.good_eye_span_px),
        Obstacle.TOO_DARK: darkness,
        Obstacle.TOO_BRIGHT: glare,
        Obstacle.BLURRED: _ramp(sharpness, config.min_sharpness, config.good_sharpness),
        Obstacle.TURNED: _ramp(-abs(yaw), -config.max_yaw, -config.good_yaw),
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
