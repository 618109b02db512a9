"""Templates that are as alike as a test wants, and operating points for them."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from edge.capture.sample import Probe
from edge.compare.gallery import Template
from models.manifest import OperatingPoint
from wire.ids import SubjectId

RECIPE = "a" * 64
SEED = 20
POINT = OperatingPoint(
    recipe_digest=RECIPE, images_per_template=1, frames_per_probe=1, max_fmr="1e-4", threshold=0.9,
    false_matches=100, non_mated=1_000_000, true_matches=1, mated=1, clash_margin=0.02, test_set="made up",
)  # fmt: skip
POINTS = {
    1: POINT,
    3: msgspec.structs.replace(POINT, images_per_template=3, threshold=0.91),
}
"""For templates of one image and of three; two of three clash from .91 * .91 / .9 = .9201 on."""
TWIN, OTHER_TWIN, COUSIN = (SubjectId(each) for each in ("twin", "other twin", "cousin"))


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def at(similarity: float, to: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """A unit vector of that similarity to `to`, off in the direction of `towards`."""
    aside = unit(towards - (towards @ to) * to)
    return unit(similarity * to + math.sqrt(1 - similarity**2) * aside)


def strangers(count: int, dimensions: int = 128) -> list[Template]:
    drawn = np.random.default_rng(SEED).standard_normal((count, dimensions), np.float32)
    return [Template(SubjectId(f"m{row}"), unit(vector), RECIPE, 1) for row, vector in enumerate(drawn)]


def probe(vector: np.ndarray) -> Probe:
    return Probe((vector,), (1.0,), RECIPE, 1)
