"""Images into the numbers a network was trained on, as the pack's manifest says."""

from __future__ import annotations

import numpy as np

from edge.capture.sample import Image, Tensor
from models.manifest import Preprocessing


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
