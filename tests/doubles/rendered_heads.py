"""The cast's portraits as heads that turn."""

from __future__ import annotations

from functools import cache

import numpy as np

from scripts.evaluate.attacks.rendered_head import RenderedHead
from scripts.people.cast import Cast, rendition
from tests.doubles.capture_people import pipeline

SEED = 11


@cache
def rendered(file: str) -> RenderedHead:
    return RenderedHead(pipeline(), rendition(Cast().portrait(file), np.random.default_rng(SEED)))
