"""Templates as signed bytes: which rows can be among the most alike, for a quarter of the memory's traffic.

A row is centre + step * code + error, each row with its own step, so that one odd template spoils no other.
How large an error can be is kept, so that a look at the codes leaves out no row that a look at the floats
would have chosen: what it leaves is then ranked by the floats themselves.
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
LEAST_STEP: Final = 1e-9
"""Of a code, where a row is the centre itself."""
LOWEST: Final = -1e6
"""Below every bound of unit vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The coded rows of one matrix; its arrays cannot be written."""

    values: npt.NDArray[np.int8]
    steps: Vector
    """Of each row: what a code of 1 stands for."""
    centre: Vector
    longest: float
    """Greatest length of a row of codes."""
    error: float
    """Greatest length of what coding left out of a row, in its steps."""

    @classmethod
    def of(cls, matrix: Tensor) -> Codes:
        """N x D float32, N at least 1 and D at most `DIMENSIONS_MAX`."""
        # Faces lie in one corner of the sphere: codes of the distance from their centre err half as much.
        centre = np.asarray(matrix.mean(axis=0, dtype=np.float64), np.float32)
        values, steps = np.empty(matrix.shape, np.int8), np.empty(len(matrix), np.float32)
        longest = error = 0.0
        for at in range(0, len(matrix), CHUNK_ROWS):
            away = matrix[at : at + CHUNK_ROWS] - centre
            step = np.maximum(np.abs(away).max(axis=1) / CODE_MAX, LEAST_STEP)
            away /= step[:, None]
            coded = np.rint(away)
            values[at : at + CHUNK_ROWS], steps[at : at + CHUNK_ROWS] = coded, step
            longest = max(longest, _longest(coded))
            error = max(error, _longest(away - coded))
        for array in (values, steps, centre):
            array.setflags(write=False)
        return cls(values, steps, centre, longest, error)

    def contenders(self, vector: Vector, count: int, gone: Rows) -> Rows:
        """Rows among which the `count` most alike are for certain; those in `gone` do not count."""
        most, width = self._bounds(vector, gone)
        least = most - width
        place = max(len(least) - count, 0)
        return _rows_from(most, float(np.partition(least, place)[place]) - 2 * FLOAT_SLACK)

    def alike(self, vector: Vector, floor: float, gone: Rows) -> Rows:
        """Rows among which are for certain all whose similarity is `floor` or more, but for those `gone`."""
        most, _ = self._bounds(vector, gone)
        return _rows_from(most, floor - float(self.centre @ vector) - FLOAT_SLACK)

    def _bounds(self, vector: Vector, gone: Rows) -> tuple[Vector, Vector]:
        """Of each row: the most its product with the vector, less the centre's, can be; and the width.

        The least it can be is the most less the width. Minus infinity for rows that do not count.
        """
        step = max(float(np.abs(vector).max()) / CODE_MAX, LEAST_STEP)
        coded = np.rint(vector / step).astype(np.int8)
        left_out = float(np.linalg.norm(vector - coded * np.float32(step)))
        found = simsimd.cdist(self.values, coded[None], "dot", out_dtype="float32")
        products = np.asarray(found).reshape(-1)
        # Cauchy and Schwarz: what the product of the codes lacks is <coded row, left out> + <error, vector>.
        bound = self.longest * left_out + self.error * float(np.linalg.norm(vector))
        most = (products * np.float32(step) + np.float32(bound)) * self.steps
        most[gone] = -np.inf
        return most, np.float32(2 * bound) * self.steps


def _rows_from(most: Vector, least: float) -> Rows:
    """Rows that may reach `least`, but never one that does not count."""
    return np.flatnonzero(most >= max(least, LOWEST))


def _longest(rows: Tensor) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max()))
