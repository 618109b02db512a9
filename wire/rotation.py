"""The site's secret rotation of templates: it hinders linking a person's templates across sites.

It is orthogonal, so similarities are the same on both sides of it; about as many known pairs as there are
dimensions would undo it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_CONTEXT = b"stile template rotation v1"
_BYTES_PER_DRAW = 8
ROTATIONS_KEPT = 16
"""Matrices kept: key versions of one site times sizes of template; 64 KB each at 128 dimensions."""


@lru_cache(maxsize=ROTATIONS_KEPT)
def rotation(seed: bytes, dimensions: int) -> npt.NDArray[np.float32]:
    """The orthogonal float32 matrix (dimensions x dimensions) of a seed, the same on every machine to 1e-6.

    Q of the QR decomposition of normal deviates, its signs fixed (Mezzadri 2007: uniform among rotations).
    """
    count = dimensions * dimensions
    stream = hashlib.shake_256(_CONTEXT + seed).digest(2 * count * _BYTES_PER_DRAW)
    draws = (np.frombuffer(stream, "<u8").astype(np.float64) + 0.5) / 2.0**64
    radius, angle = np.sqrt(-2 * np.log(draws[:count])), 2 * np.pi * draws[count:]
    q, r = np.linalg.qr((radius * np.cos(angle)).reshape(dimensions, dimensions))
    turned = np.ascontiguousarray(q * np.sign(np.diag(r)), dtype=np.float32)
    turned.setflags(write=False)
    return turned
