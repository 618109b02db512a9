"""A head of points that turns: meshes as the landmark network gives them, without a picture or a network."""

from __future__ import annotations

import numpy as np

from edge.capture.alignment import MESH_POINTS
from edge.capture.pose import NOSE, RIM
from edge.capture.sample import Points

SPAN_PX = 60.0
"""Distance of the outer eye corners at rest."""
CENTRE_PX = (320.0, 240.0)

_WIDE = 0.85
_PLACED = {
    33: (-0.5, -0.3), 263: (0.5, -0.3), 133: (-0.2, -0.3), 362: (0.2, -0.3), 168: (0.0, -0.3),
    234: (-_WIDE, -0.1), 454: (_WIDE, -0.1), 127: (-_WIDE, -0.3), 356: (_WIDE, -0.3), 10: (0.0, -1.0),
    116: (-0.6, 0.0), 345: (0.6, 0.0), 50: (-0.5, 0.1), 280: (0.5, 0.1), 117: (-0.5, -0.1), 346: (0.5, -0.1),
}  # fmt: skip


def _shape() -> np.ndarray:
    """468 x 3 in eye spans: a bowl-shaped face, temples behind the eyes, and a nose that stands out of it."""
    dice = np.random.default_rng(7)
    angle, radius = dice.uniform(0, 2 * np.pi, MESH_POINTS), np.sqrt(dice.uniform(0, 1, MESH_POINTS))
    flat = np.column_stack((_WIDE * radius * np.cos(angle), radius * np.sin(angle)))
    for number, index in enumerate(RIM):
        around = -np.pi + np.pi * number / (len(RIM) - 1)
        flat[index] = _PLACED.get(index, (_WIDE * np.cos(around), 0.95 * np.sin(around)))
    flat[list(NOSE)] = dice.uniform(-0.05, 0.05, (len(NOSE), 2)) + np.array((0.0, 0.1))
    depth = 0.25 * (flat**2).sum(axis=1)
    depth[list(NOSE)] = -0.45
    return np.column_stack((flat, depth))


SHAPE = _shape()


def head(left: float = 0.0, up: float = 0.0, *, jitter: int | None = None) -> Points:
    """The mesh of the head turned to its own left and up, degrees; `jitter` seeds .3 pixels of noise."""
    yaw, pitch = np.radians((-left, -up))
    about_y = np.array(((np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))))
    about_x = np.array(((1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))))
    return _seen((SHAPE @ (about_x @ about_y).T)[:, :2], jitter)


def picture(left: float = 0.0, up: float = 0.0, *, jitter: int | None = None) -> Points:
    """The mesh of a photograph of the head, tilted so, from a camera ten faces away."""
    yaw, pitch = np.radians((-left, -up))
    flat, far = SHAPE[:, :2], 10.0
    nearer = 1 + (flat[:, 0] * np.sin(yaw) + flat[:, 1] * np.sin(pitch)) / far
    return _seen(flat * (np.cos(yaw), np.cos(pitch)) / nearer[:, None], jitter)


def _seen(spans: np.ndarray, jitter: int | None) -> Points:
    noise = 0.0 if jitter is None else np.random.default_rng(jitter).normal(0, 0.3, spans.shape)
    return np.asarray(spans * SPAN_PX + CENTRE_PX + noise, np.float32)
