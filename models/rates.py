"""Error-rate arithmetic: finding an operating point, and bounds on rates from counts. Pure."""

from __future__ import annotations

import math
from typing import Final

from models.errors import OperatingPointError
from models.manifest import Manifest, MaxFmr, OperatingPoint, RecipeDigest

CONFIDENCE: Final = 0.95
"""One-sided confidence of the upper bounds a kiosk computes with."""

BISECTION_STEPS: Final = 200
"""Halvings of the unit interval: far past the resolution of a float near zero."""

NEGLIGIBLE: Final = -40.0
"""Log of a term, relative to the largest, below which it cannot change a float sum."""


def find_operating_point(
    manifest: Manifest, recipe: RecipeDigest, images_per_template: int, frames_per_probe: int, max_fmr: MaxFmr
) -> OperatingPoint:
    """The point measured for exactly this recipe, template and probe; raises `OperatingPointError`."""
    own = [point for point in manifest.operating_points if point.recipe_digest == recipe]
    for point in own:
        if (point.images_per_template, point.frames_per_probe, point.max_fmr) == (
            images_per_template,
            frames_per_probe,
            max_fmr,
        ):
            return point
    raise OperatingPointError(
        manifest.name,
        f"{images_per_template} images a template, {frames_per_probe} frames a probe, max FMR {max_fmr}",
        tuple(f"{p.images_per_template} images, {p.frames_per_probe} frames, {p.max_fmr}" for p in own),
    )


def rate_upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Clopper-Pearson one-sided upper bound of a rate from `events` in independent `trials`.

    Comparisons that share images are not independent: the bound is then too low, so say so beside it.
    """
    if not 0 <= events <= trials or trials < 1:
        raise ValueError(f"{events} events of {trials} trials: give 0 <= events <= trials and trials >= 1")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):  # no float lies between
            break
        if _binomial_at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _binomial_at_most(events: int, trials: int, rate: float) -> float:
    """P(X <= events) for X ~ Binomial(trials, rate), for a rate at or above events / trials."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    log_rate, log_rest = math.log(rate), math.log1p(-rate)

    def log_term(k: int) -> float:
        choose = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        return choose + k * log_rate + (trials - k) * log_rest

    # Terms fall from k = events downwards, since events / trials <= rate.
    largest = log_term(events)
    total = 0.0
    for k in range(events, -1, -1):
        below = log_term(k) - largest
        if below < NEGLIGIBLE:
            break
        total += math.exp(below)
    return min(1.0, math.exp(largest) * total)


def rate_bounds(events: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper-Pearson two-sided interval of a rate; the same caution as for `rate_upper_bound`."""
    one_sided = (1 + confidence) / 2
    return (
        1.0 - rate_upper_bound(trials - events, trials, one_sided),
        rate_upper_bound(events, trials, one_sided),
    )


def fmr_upper_bound(point: OperatingPoint) -> float:
    """The most the FMR is at a point: the bound from its counts, and never below the `max_fmr` it promises.

    The counts alone are of comparisons that share people, and so look better than they are.
    """
    return max(rate_upper_bound(point.false_matches, point.non_mated), float(point.max_fmr))


def fpir_upper_bound(point: OperatingPoint, subjects: int) -> float:
    """The most a search among `subjects` falsely identifies: the FMR's upper bound times the gallery."""
    return min(1.0, fmr_upper_bound(point) * subjects)
