"""Images into the numbers a network was trained on, as the pack's manifest says."""

from __future__ import annotations

import numpy as np

from edge.capture.sample import Image, Tensor
from models.manifest import Preprocessing

FACE_GRID_PX = 1 / 4
POINT_GRID_PX = 1 / 16
"""Where a face and its points are taken to be, in pixels of the frame. Networks differ between processors by
less than a hundredth of a pixel; a chip cut elsewhere by as little has other pixels, and another vector."""


def to_tensor(images: tuple[Image, ...], preprocessing: Preprocessing) -> Tensor:
    """A batch of equally sized RGB images as float32, value * scale + offset, in the declared layout."""
    batch = np.stack(images)
    if preprocessing.channels == "BGR":
        batch = batch[..., ::-1]
    if preprocessing.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    tensor = np.ascontiguousarray(batch, dtype=np.float32)
    # In place: these are the largest arrays of a pass, and a kiosk has little memory bandwidth.
    tensor *= np.float32(preprocessing.scale)
    tensor += np.float32(preprocessing.offset)
    return tensor


def to_grid(points: Tensor, step_px: float) -> Tensor:
    """Coordinates at the nearest multiples of `step_px`, a power of two, so that they are exact."""
    return np.asarray(np.round(points / np.float32(step_px)) * np.float32(step_px), np.float32)
