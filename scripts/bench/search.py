"""How fast a gallery of a given size is searched, and whether it names whom all the floats would name.

Templates are random unit vectors in one corner of the sphere, where a network puts faces; half of the probes
are members', half strangers'.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.capture.sample import Probe, Tensor
from edge.compare.gallery import Gallery
from edge.compare.search import search
from models.manifest import OperatingPoint
from wire.ids import SubjectId

SEED = 20
CORNER = 2.0
"""Length of what all faces share, in units of what is each one's own: non-mated similarities are about .8."""
UNLIKE = 0.3
"""Length of what a member's probe differs by, in units of what is their own."""
PROBES = 200
SECONDS_MAX = 0.7
"""Of measuring one gallery; at least `LAPS_MIN` searches all the same."""
LAPS_MIN = 10
CHECKED = 40
"""Probes whose answer is compared with that of all the floats."""
ROWS_AT_ONCE = 65_536

ORDINARY = ((100_000, 128), (100_000, 384))
LONG = ((1_000_000, 128), (1_000_000, 384))
"""Subjects and dimensions; the last needs 3 GB."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What searching one gallery took, beside the same with numpy in float32; one thread."""

    subjects: int
    dimensions: int
    laps_ms: list[float]
    float_laps_ms: list[float]
    build_s: float
    same_top: int
    checked: int

    def as_json(self) -> dict[str, float]:
        """The keys of the report."""
        p50_ms, p95_ms = np.percentile(self.laps_ms, (50, 95))
        return {
            "subjects": self.subjects,
            "dimensions": self.dimensions,
            "p50_ms": round(float(p50_ms), 3),
            "p95_ms": round(float(p95_ms), 3),
            "min_ms": round(min(self.laps_ms), 3),
            "float_min_ms": round(min(self.float_laps_ms), 3),
            "repeats": len(self.laps_ms),
            "top1_as_float": self.same_top / self.checked,
            "build_s": round(self.build_s, 3),
        }


def measure_search(subjects: int, dimensions: int, recipe_digest: str, point: OperatingPoint) -> Searched:
    """Search a made-up gallery again and again."""
    generator = np.random.default_rng(SEED)
    shared = np.float32(CORNER) * generator.standard_normal(dimensions, np.float32)
    matrix = np.empty((subjects, dimensions), np.float32)
    for at in range(0, subjects, ROWS_AT_ONCE):
        rows = matrix[at : at + ROWS_AT_ONCE]
        generator.standard_normal(out=rows, dtype=np.float32)
        rows += shared
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mated = matrix[generator.integers(0, subjects, PROBES // 2)]
    own = np.linalg.norm(mated - matrix[: 10 * PROBES].mean(axis=0), axis=1, keepdims=True)
    noise = generator.standard_normal(mated.shape, np.float32) * (UNLIKE / dimensions**0.5)
    strangers = generator.standard_normal((PROBES // 2, dimensions), np.float32) + shared
    vectors = np.stack([mated + own * noise, strangers], axis=1).reshape(-1, dimensions)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    started_s = time.perf_counter()
    names = [SubjectId(f"{row:032x}") for row in range(subjects)]
    gallery = Gallery.of_rows(recipe_digest, names, [1] * subjects, matrix)
    build_s = time.perf_counter() - started_s
    probes = [Probe((vector,), (1.0,), recipe_digest, 1) for vector in vectors]
    laps_ms = _laps_ms(lambda number: search(probes[number], gallery, point))
    float_laps_ms = _laps_ms(lambda number: _by_floats(matrix, probes[number]))
    same = sum(
        gallery.nearest(probe.vector, 1)[0].subject == names[_by_floats(matrix, probe)]
        for probe in probes[:CHECKED]
    )
    return Searched(subjects, dimensions, laps_ms, float_laps_ms, build_s, same, CHECKED)


def _by_floats(matrix: Tensor, probe: Probe) -> int:
    return int(np.einsum("nd,d->n", matrix, probe.vector).argmax())


def _laps_ms(measured: Callable[[int], object]) -> list[float]:
    laps_ms: list[float] = []
    deadline_s = time.perf_counter() + SECONDS_MAX
    while len(laps_ms) < PROBES and (len(laps_ms) < LAPS_MIN or time.perf_counter() < deadline_s):
        started_s = time.perf_counter()
        measured(len(laps_ms))
        laps_ms.append((time.perf_counter() - started_s) * 1000)
    return laps_ms
