"""Templates as signed bytes: which rows can be among the most alike, for a quarter of the memory's traffic.

A row is centre + step * code + error. The greatest error is kept, so that a look at the codes leaves out no
row that a look at the floats would have chosen: what it leaves is then ranked by the floats themselves.
Products of codes are sums of integers, the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import simsimd

from edge.capture.sample import Tensor, Vector

Rows = npt.NDArray[np.intp]
"""Row numbers."""
Products = npt.NDArray[np.float32]
"""Whole numbers, at most `PRODUCT_MAX`; minus infinity for a row that does not count."""

CODE_MAX: Final = 127
"""Codes are symmetric, -127 to 127."""
PRODUCT_MAX: Final = 2.0**24
"""Whole numbers up to here are float32 without rounding."""
DIMENSIONS_MAX: Final = int(PRODUCT_MAX) // CODE_MAX**2
"""1,040: past it a product of two codes may be above `PRODUCT_MAX`."""
CHUNK_ROWS: Final = 65_536
"""Rows coded at a time, so that coding needs little memory beside the rows."""
FLOAT_SLACK: Final = 1e-5
"""Added to the bound for the rounding of float32 sums over a few hundred dimensions (below 1e-6 each)."""
LEAST_STEP: Final = 1e-12
"""Of a code, where all rows are equal and there is no distance from the centre to code."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The coded rows of one matrix; its arrays cannot be written."""

    values: npt.NDArray[np.int8]
    centre: Vector
    step: float
    longest: float
    """Greatest length of a coded row, that is of step * code."""
    error: float
    """Greatest length of what coding left out of a row."""

    @classmethod
    def of(cls, matrix: Tensor) -> Codes:
        """N x D float32, N at least 1 and D at most `DIMENSIONS_MAX`."""
        # Faces lie in one corner of the sphere: codes of the distance from their centre err half as much.
        centre = np.asarray(matrix.mean(axis=0, dtype=np.float64), np.float32)
        parts = range(0, len(matrix), CHUNK_ROWS)
        furthest = max(float(np.abs(matrix[at : at + CHUNK_ROWS] - centre).max()) for at in parts)
        step = max(furthest / CODE_MAX, LEAST_STEP)
        values = np.empty(matrix.shape, np.int8)
        longest = error = 0.0
        for at in parts:
            away = matrix[at : at + CHUNK_ROWS] - centre
            coded = np.rint(away / step)
            values[at : at + CHUNK_ROWS] = coded
            coded *= step
            longest = max(longest, _longest(coded))
            error = max(error, _longest(away - coded))
        values.setflags(write=False)
        centre.setflags(write=False)
        return cls(values, centre, step, longest, error)

    def contenders(self, vector: Vector, count: int, gone: Rows) -> Rows:
        """Rows among which the `count` most alike are for certain; those in `gone` do not count."""
        products, _, slack = self._products(vector, gone)
        place = max(len(products) - count, 0)
        return _rows_from(products, float(np.partition(products, place)[place]) - slack)

    def alike(self, vector: Vector, floor: float, gone: Rows) -> Rows:
        """Rows among which are for certain all whose similarity is `floor` or more, but for those `gone`."""
        products, unit, slack = self._products(vector, gone)
        return _rows_from(products, (floor - float(self.centre @ vector)) / unit - slack / 2)

    def _products(self, vector: Vector, gone: Rows) -> tuple[Products, float, float]:
        """Code products with the vector, the similarity one of them is worth, and twice their error."""
        step = max(float(np.abs(vector).max()) / CODE_MAX, LEAST_STEP)
        coded = np.rint(vector / step).astype(np.int8)
        left_out = float(np.linalg.norm(vector - coded * np.float32(step)))
        found = simsimd.cdist(self.values, coded[None], "dot", out_dtype="float32")
        products = np.asarray(found).reshape(-1)
        products[gone] = -np.inf
        # Cauchy and Schwarz: what the product of the codes lacks is <coded row, left out> + <error, vector>.
        bound = self.longest * left_out + self.error * float(np.linalg.norm(vector)) + FLOAT_SLACK
        unit = self.step * step
        return products, unit, 2 * bound / unit


def _rows_from(products: Products, least: float) -> Rows:
    """Rows of products of at least `least`, but never one that does not count."""
    return np.flatnonzero(products >= max(np.floor(least), -PRODUCT_MAX))


def _longest(rows: Tensor) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max()))
