"""Operating points from an evaluation: thresholds that keep to their rate at its upper bound, for a pack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import msgspec

from models.manifest import OperatingPoint, RecipeDigest
from scripts.evaluate.rates import FMR_KEYS, Curve, Resampled, promised_step
from scripts.evaluate.scores import Comparisons, threshold_of

FRAMES_PER_PROBE: Final = 1
"""Each image of an evaluation is a frame by itself."""
CLASH_MARGIN: Final = 0.0125
"""The least lead over the next subject. As in the packs so far; an evaluation does not choose it."""


def promised_points(
    found: Comparisons, again: Resampled, images: int, recipe: RecipeDigest, test_set: str
) -> list[OperatingPoint]:
    """A point for each rate that the set can promise, for templates of `images` images."""
    curve = Curve.of(found)
    points: list[OperatingPoint] = []
    for key in FMR_KEYS:
        step = promised_step(found, again, float(key))
        if step is None:
            continue
        points.append(
            OperatingPoint(
                recipe_digest=recipe,
                images_per_template=images,
                frames_per_probe=FRAMES_PER_PROBE,
                max_fmr=key,
                threshold=threshold_of(step),
                false_matches=int(curve.false_matches[step]),
                non_mated=found.non_mated_total,
                true_matches=int(curve.true_matches[step]),
                mated=len(found.mated_step),
                clash_margin=CLASH_MARGIN,
                test_set=test_set,
            )
        )
    return points


def points_toml(points: Iterable[OperatingPoint]) -> str:
    """The points as the tables of a pack's manifest; JSON strings and numbers are TOML as well."""
    tables = [
        "\n".join(
            ("[[operating_points]]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items()))
        )
        for fields in map(msgspec.structs.asdict, points)
    ]
    return "\n\n".join(tables) + "\n"
