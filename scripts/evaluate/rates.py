"""Rates from counted comparisons: at a threshold, with bounds, and how they move when people are drawn again.

Two bounds stand beside each rate. Clopper-Pearson counts different images, not comparisons, since those that
share an image are not independent. The bootstrap draws people with replacement, as everything of one person
hangs together; it moves the threshold as well.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.rates import CONFIDENCE, rate_bounds, rate_upper_bound
from scripts.evaluate.people import Crowd
from scripts.evaluate.scores import LAST_STEP, Comparisons, Counts, Indices, Searches, threshold_of

FMR_KEYS: Final = ("1e-2", "1e-3", "1e-4", "1e-5")
ALWAYS_TOLD: Final = 3
"""So many of the rates are told of any set; the rest only where a false match is to be expected."""
LOW_N: Final = 30
"""A rate resting on fewer errors is flagged."""

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Non-mated and mated comparisons at or above each step; index LAST_STEP + 1 is above every one."""

    false_matches: Counts
    true_matches: Counts

    @classmethod
    def of(cls, found: Comparisons) -> Curve:
        """Counted from the top."""
        mated = np.bincount(found.mated_step, minlength=LAST_STEP + 1)
        return cls(_from_top(found.non_mated), _from_top(mated))

    def step_at(self, max_fmr: float) -> int:
        """The lowest step from which on at most this share of non-mated comparisons lies."""
        return int(np.argmax(self.false_matches <= max_fmr * self.false_matches[0]))

    def rates(self) -> tuple[Floats, Floats]:
        """FMR and FNMR at each step; needs at least one comparison of each kind."""
        return (
            self.false_matches / self.false_matches[0],
            1 - self.true_matches / self.true_matches[0],
        )

    def eer(self) -> float | None:
        """The rate at which both errors are equal, or nearest to it; None without comparisons."""
        if not self.false_matches[0] or not self.true_matches[0]:
            return None
        fmr, fnmr = self.rates()
        crossing = int(np.argmax(fmr <= fnmr))
        return float(fmr[crossing] + fnmr[crossing]) / 2


def _from_top(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate((np.cumsum(counts[::-1])[::-1], [0]))


@dataclass(frozen=True, slots=True)
class Point:
    """What was counted at one threshold, and what it rests on."""

    key: str
    step: int
    false_matches: int
    non_mated: int
    true_matches: int
    mated: int
    missed_images: int
    mated_images: int
    confused_people: int
    """Different pairs of people behind the false matches."""

    @property
    def threshold(self) -> float:
        """The least similarity of a match."""
        return threshold_of(self.step)

    @property
    def tmr(self) -> float:
        """True match rate."""
        return self.true_matches / self.mated

    @property
    def clopper_pearson(self) -> Interval:
        """Of the TMR, from as many trials as there are images."""
        return rate_interval(self.tmr, self.mated_images)

    @property
    def low_n(self) -> bool:
        """Fewer than 30 images missed, or pairs of people confused."""
        return min(self.missed_images, self.confused_people) < LOW_N


def rate_interval(rate: float, trials: int) -> Interval:
    """Clopper-Pearson interval of a rate that was counted over repeats of `trials` different trials."""
    return rate_bounds(round(rate * trials), trials)


def points_of(found: Comparisons) -> dict[str, Point]:
    """A point for each rate that the set can show; none without mated or non-mated comparisons."""
    curve = Curve.of(found)
    if not found.non_mated_total or not len(found.mated_step):
        return {}
    told = [
        key
        for number, key in enumerate(FMR_KEYS)
        if number < ALWAYS_TOLD or float(key) * found.non_mated_total >= 1
    ]
    return {key: point_at(found, curve, key, curve.step_at(float(key))) for key in told}


def point_at(found: Comparisons, curve: Curve, key: str, step: int) -> Point:
    """Everything counted at a step of the tail."""
    falsely = found.tail_step >= step
    one, other = found.tail_one[falsely], found.tail_other[falsely]
    pairs = np.minimum(one, other) * len(found.probes) + np.maximum(one, other)
    missed = found.mated_image[found.mated_step < step]
    return Point(
        key,
        step,
        int(curve.false_matches[step]),
        found.non_mated_total,
        int(curve.true_matches[step]),
        len(found.mated_step),
        len(np.unique(missed)),
        len(np.unique(found.mated_image)),
        len(np.unique(pairs)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """The same rates with people drawn again: one row a replicate.

    `fmr` at each of `steps`, the only ones at which it changes, ascending; `tmr` at each asked rate.
    """

    steps: Indices
    fmr: Floats
    tmr: dict[str, Floats]
    eer: Floats

    def fmr_upper(self) -> Floats:
        """One-sided upper bound of the FMR at each of `steps`."""
        return np.asarray(np.quantile(self.fmr, CONFIDENCE, axis=0))


def percentiles(rates: Floats) -> Interval:
    """The two-sided bootstrap interval."""
    low, high = np.quantile(rates, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def draw_people(crowd: Crowd, replicates: int, seed: int) -> Counts:
    """How often each person is drawn: replicates x people; members and strangers each among themselves."""
    generator = np.random.default_rng((seed, replicates))
    drawn = np.zeros((replicates, len(crowd.people)), np.int64)
    for group in (crowd.member, ~crowd.member):
        size = int(group.sum())
        if size:
            drawn[:, group] = generator.multinomial(size, np.full(size, 1 / size), replicates)
    return drawn


def resample(found: Comparisons, drawn: Counts, keys: tuple[str, ...]) -> Resampled:
    """Each replicate weighs a comparison by how often its two people were drawn."""
    scores, score = np.unique(found.tail_step, return_inverse=True)
    # Just above a score, one false match less: between two scores nothing changes.
    steps = np.concatenate(([found.tail_from], scores + 1))
    reached = np.searchsorted(steps, found.mated_step, side="right")
    fmr = np.zeros((len(drawn), len(steps)))
    tmr = {key: np.zeros(len(drawn)) for key in keys}
    eer = np.zeros(len(drawn))
    for row, times in enumerate(drawn):
        weights = (times[found.tail_one] * times[found.tail_other]).astype(np.float64)
        fmr[row] = _from_top(np.bincount(score, weights, minlength=len(scores))) / _total(found, times)
        own = times[found.mated_person].astype(np.float64)
        matched = _from_top(np.bincount(reached, own, minlength=len(steps) + 1))[1:-1] / max(own.sum(), 1)
        for key in keys:
            tmr[key][row] = matched[int(np.argmax(fmr[row] <= float(key)))]
        crossing = int(np.argmax(fmr[row] <= 1 - matched))
        eer[row] = (fmr[row][crossing] + 1 - matched[crossing]) / 2
    return Resampled(steps, fmr, tmr, eer)


def _total(found: Comparisons, times: Indices | Counts) -> float:
    """How many comparisons of different people there are in a replicate, the alike and the others."""
    references, probes = found.references * times, found.probes * times
    total = float(references.sum()) * float(probes.sum()) - float((references * probes).sum())
    # A replicate may draw one person only, who is then compared with nobody else.
    return max(total / 2 if found.unordered else total, 1.0)


def promised_step(found: Comparisons, again: Resampled, max_fmr: float) -> int | None:
    """The lowest step at which both upper bounds of the FMR keep to `max_fmr`; None if none does."""
    false_matches, drawn_upper = Curve.of(found).false_matches, again.fmr_upper()

    def keeps(number: int) -> bool:
        if drawn_upper[number] > max_fmr:
            return False
        return rate_upper_bound(int(false_matches[again.steps[number]]), found.non_mated_total) <= max_fmr

    # Both bounds fall as the threshold rises.
    lowest = bisect_left(range(len(again.steps)), True, key=keeps)
    return int(again.steps[lowest]) if lowest < len(again.steps) else None


@dataclass(frozen=True, slots=True)
class SearchPoint:
    """FNIR of open-set searches at the threshold where at most `fpir` of non-mated probes find somebody."""

    fpir: float
    step: int
    fnir: float
    missed_images: int
    mated_images: int
    confused_images: int
    clopper_pearson: Interval
    bootstrap: Interval

    @property
    def threshold(self) -> float:
        """The least similarity of an identification."""
        return threshold_of(self.step)

    @property
    def low_n(self) -> bool:
        """Fewer than 30 images missed, or falsely identified."""
        return min(self.missed_images, self.confused_images) < LOW_N


def rank1(found: Searches) -> float | None:
    """Share of mated probes whose own template is the most alike; None without a mated probe."""
    return float((found.mated_step >= 0).mean()) if len(found.mated_step) else None


def search_point(found: Searches, fpir: float, drawn: Counts) -> SearchPoint | None:
    """At one rate; the bootstrap draws those who are searched for, galleries stay. None without probes."""
    if not len(found.mated_step) or not len(found.other_step):
        return None
    scores, score = np.unique(found.other_step, return_inverse=True)
    steps = np.concatenate(([0], scores + 1))

    def step_at(weights: Floats) -> int:
        above = _from_top(np.bincount(score, weights, minlength=len(scores)))
        return int(steps[int(np.argmax(above <= fpir * above[0]))])

    step = step_at(np.ones(len(score)))
    missed = found.mated_step < step
    images = len(np.unique(found.mated_image))
    fnir = float(missed.mean())
    again = np.zeros(len(drawn))
    for row, times in enumerate(drawn):
        own = times[found.mated_person]
        reached = step_at(times[found.other_person].astype(np.float64))
        again[row] = own[found.mated_step < reached].sum() / max(own.sum(), 1)
    return SearchPoint(
        fpir,
        step,
        fnir,
        len(np.unique(found.mated_image[missed])),
        images,
        len(np.unique(found.other_image[found.other_step >= step])),
        rate_interval(fnir, images),
        percentiles(again),
    )
