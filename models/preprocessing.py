"""From pictures to a network's input, as its manifest says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.manifest import Preprocessing


def to_input(images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """RGB pictures (n, rows, columns, 3), 0..255 -> float32 in the declared order, scale and layout."""
    ordered = images[..., ::-1] if preprocessing.channels == "BGR" else images
    if preprocessing.layout == "NCHW":
        ordered = ordered.transpose(0, 3, 1, 2)
    values = ordered.astype(np.float32) * np.float32(preprocessing.scale) + np.float32(preprocessing.offset)
    return np.ascontiguousarray(values)
