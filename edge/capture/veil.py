"""A picture in which nobody can be recognised, but for one face."""

from __future__ import annotations

import cv2
import numpy as np

from edge.capture.sample import Box, Image

COARSE_PX = 10
"""The longer side of what is left of a picture. A face that fills nearly all of its height is then six of
these high, an ordinary bystander's two: measured on portraits, the detector finds nothing up to 16, and
embeddings of what is left are no more alike to the person than those of strangers' photographs."""
SOFT_STEPS = 4
"""Each coarse pixel is spread over so many before it is enlarged, so that no edge of it is left."""
SOFT_SIGMA = 2.0
"""The blur over those, in their own pixels: half a coarse one."""
RIM_FRACTION = 0.12
"""The outer part of the face's ellipse in which it fades into the veil, of its radius; inwards only."""
SIDE_MIN_PX = 32
"""A smaller picture than this is nothing to look at."""


def veiled(image: Image, face: Box | None, width_px: int) -> Image:
    """`image` at most `width_px` wide, unrecognisable but for the ellipse in `face`, in pixels of `image`."""
    height, width = image.shape[:2]
    scale = min(1.0, width_px / width)
    size = (max(SIDE_MIN_PX, round(width * scale)), max(SIDE_MIN_PX, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    veil = _veil(small)
    if face is None:
        return veil
    return _uncovered(small, veil, face, size[0] / width, size[1] / height)


def _veil(image: Image) -> Image:
    height, width = image.shape[:2]
    most = max(height, width)
    coarse = (max(1, width * COARSE_PX // most), max(1, height * COARSE_PX // most))
    left = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)
    spread = (coarse[0] * SOFT_STEPS, coarse[1] * SOFT_STEPS)
    soft = cv2.GaussianBlur(cv2.resize(left, spread, interpolation=cv2.INTER_LINEAR), (0, 0), SOFT_SIGMA)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _uncovered(image: Image, veil: Image, face: Box, across: float, down: float) -> Image:
    """The veil with the ellipse of one face taken out of it; only the pixels around it are worked on."""
    height, width = image.shape[:2]
    centre_x, centre_y = face.centre
    centre_x, centre_y = centre_x * across, centre_y * down
    radius_x, radius_y = max(1.0, face.width * across / 2), max(1.0, face.height * down / 2)
    left, right = (int(np.clip(centre_x + side * (radius_x + 1), 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(centre_y + side * (radius_y + 1), 0, height)) for side in (-1, 1))
    if left >= right or top >= bottom:
        return veil
    x = (np.arange(left, right, dtype=np.float32) - centre_x) / radius_x
    y = (np.arange(top, bottom, dtype=np.float32) - centre_y) / radius_y
    distance = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    clear = np.clip((1.0 - distance) / RIM_FRACTION, 0.0, 1.0)[:, :, None]
    window = np.s_[top:bottom, left:right]
    veil[window] = np.rint(veil[window] + clear * (image[window].astype(np.float32) - veil[window]))
    return veil
