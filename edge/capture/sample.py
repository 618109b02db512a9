"""The values that flow from the camera to the comparison: frozen, with units in their names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x 3, RGB."""
Points: TypeAlias = npt.NDArray[np.float32]
"""N x 2, pixels of the frame, x to the right, y down."""
Vector: TypeAlias = npt.NDArray[np.float32]
"""One dimension, unit length."""
Tensor: TypeAlias = npt.NDArray[np.float32]


class Inference(Protocol):
    """One network of the pack, loaded and warm."""

    def infer(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the order in which the pack's manifest lists them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and when it was taken; `captured_at_ms` is monotonic, or virtual in a replay."""

    image: Image
    captured_at_ms: int
    source: str


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels of the frame; it may reach beyond the edge."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True)
class Face:
    """One detection. Keypoints begin with image-left eye, image-right eye, nose tip, by any detector."""

    box: Box
    score: float
    keypoints: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class AlignedFace:
    """A face warped upright onto one recipe's template: side x side x 3, RGB."""

    image: Image
    recipe: str


class Obstacle(StrEnum):
    """Why no probe could be made of a frame; closed."""

    NO_FACE = "no_face"
    OUTSIDE_ZONE = "outside_zone"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_CONTRAST = "low_contrast"
    BLURRED = "blurred"
    TURNED = "turned"


HINTS: dict[Obstacle, str] = {
    Obstacle.NO_FACE: "look at the camera",
    Obstacle.OUTSIDE_ZONE: "stand in front of the kiosk",
    Obstacle.SEVERAL_FACES: "one person at a time",
    Obstacle.TOO_SMALL: "come closer",
    Obstacle.TOO_DARK: "more light on the face",
    Obstacle.TOO_BRIGHT: "less light on the face",
    Obstacle.LOW_CONTRAST: "step out of the glare",
    Obstacle.BLURRED: "hold still",
    Obstacle.TURNED: "face the camera",
}


@dataclass(frozen=True, slots=True)
class FailureToAcquire:
    """No probe from this frame, and the one thing the person can do about it."""

    reason: Obstacle

    @property
    def hint(self) -> str:
        """A short instruction for the screen."""
        return HINTS[self.reason]


@dataclass(frozen=True, slots=True)
class Quality:
    """Components from 0 (at the floor) to 1 (good), the measurements behind them, and one hint or none."""

    size: float
    exposure: float
    sharpness: float
    pose: float
    eye_span_px: float
    luminance: float
    yaw: float
    hint: str | None

    @property
    def lowest(self) -> float:
        """The component that limits this sample."""
        return min(self.size, self.exposure, self.sharpness, self.pose)


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The query of one pass: a unit part per embedder, weights summing to 1, comparable only within a recipe.

    `vector` is concat(sqrt(weight_i) * part_i), so that a dot product of two vectors is sum weight_i cos_i.
    """

    parts: tuple[Vector, ...]
    weights: tuple[float, ...]
    recipe_digest: str
    frames: int

    @property
    def vector(self) -> Vector:
        """Unit length, the parts' dimensions together."""
        return np.concatenate(
            [
                np.sqrt(np.float32(weight)) * part
                for weight, part in zip(self.weights, self.parts, strict=True)
            ]
        )
