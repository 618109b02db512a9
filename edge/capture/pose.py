"""How a head has moved since its own neutral frames, from the mesh alone: plane and parallax.

An affine map is fitted to the points around the eyes and the rim of the face. What it leaves over of the
nose, which stands out of that plane, is parallax: about .6 eye spans times the sine of the turn. A picture
of a face, moved or tilted, is foreshortened like a head and has almost no parallax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.capture.quality import EYE_OUTER_LEFT, EYE_OUTER_RIGHT
from edge.capture.sample import Points

RIM = (
    *(10, 109, 338, 67, 297, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454),
    *(116, 345, 117, 346, 50, 280, 33, 133, 362, 263, 168),
)
"""Mesh points of brow, temples, cheekbones and eye corners: none that a mouth, a jaw or a lid moves."""
NOSE = (1, 4, 5, 195, 197, 2, 98, 327, 19, 94)
"""Mesh points of the nose below its bridge."""
LEAST_SLANT = 0.05
"""Foreshortening that means nothing: the sine of 3 degrees, below the mesh's own jitter."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Parallax of the nose in eye spans, and how much narrower the face became in one direction.

    `across`: positive towards the image's right, where the member's own left is. `down`: positive downwards.
    `foreshortening`: ratio of the affine map's singular values, 1 for none.
    """

    across: float
    down: float
    foreshortening: float

    @property
    def parallax(self) -> float:
        """Its length, eye spans."""
        return float(np.hypot(self.across, self.down))

    @property
    def relief(self) -> float:
        """Parallax over the sine of the slant that the foreshortening means: small for a picture."""
        slant = np.sqrt(max(0.0, 1.0 - self.foreshortening**-2))
        return self.parallax / max(float(slant), LEAST_SLANT)


def pose_against(neutral: Points, points: Points) -> Pose:
    """The pose of `points` (468 x 2, pixels) seen from the same head's `neutral` ones; any scale and roll."""
    before, after = neutral.astype(np.float64), points.astype(np.float64)
    rim, nose = list(RIM), list(NOSE)
    fitted, *_ = np.linalg.lstsq(_homogeneous(before[rim]), after[rim], rcond=None)
    linear = fitted[:2].T
    stretch = np.linalg.svd(linear, compute_uv=False)
    if stretch[1] < 1e-6:
        return Pose(0.0, 0.0, 1e6)
    moved = (after[nose] - _homogeneous(before[nose]) @ fitted).mean(axis=0)
    eyes = before[EYE_OUTER_RIGHT] - before[EYE_OUTER_LEFT]
    span = max(float(np.linalg.norm(eyes)), 1e-6)
    across = eyes / span
    # Back into the neutral frame, where a pixel is as long in every direction.
    parallax = np.linalg.solve(linear, moved) / span
    down = np.array((-across[1], across[0]))
    return Pose(float(parallax @ across), float(parallax @ down), float(stretch[0] / stretch[1]))


def mean_points(frames: Sequence[Points]) -> Points:
    """The mean of several meshes of a face that keeps still."""
    return np.asarray(np.mean(np.stack(frames), axis=0), np.float32)


def _homogeneous(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray:
    return np.column_stack((points, np.ones(len(points))))
