"""How often one to many would name somebody who is not enrolled, at most, and when that is too often."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edge.compare.gallery import Gallery
from models.manifest import OperatingPoint
from models.rates import fmr_upper_bound, rate_upper_bound
from wire.ids import SubjectId

PAIR_ROWS: Final = 512
"""Rows compared with all later ones at a time: a few MB for some thousands of subjects."""
KINDRED_MAX: Final = 10_000
"""False matches among which a family is looked for; more are no family's doing."""


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `search`: whether members claim who they are, or may also be searched for by face alone.

    `max_fpir`: the most passages of people who are not enrolled that may end in naming somebody, by the
    bound computed for the gallery; past it nobody is searched for. With the strictest `match.max_fmr` and one
    attempt that is a gallery of 10,000 at most, so every pair of it can be compared in about a second.
    `start_ms`: how long a face must be in the zone and face the kiosk until an interaction begins.
    """

    mode: Literal["one_to_one", "one_to_many"] = "one_to_one"
    max_fpir: Annotated[float, Meta(gt=0.0, le=0.1)] = 0.01
    start_ms: Annotated[int, Meta(ge=200, le=10_000)] = 1_000


class FmrSource(StrEnum):
    """Whose comparisons a bound on the false match rate rests on."""

    PACK = "pack"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True)
class Survey:
    """A gallery compared with itself: its pairs of different subjects, and which of them are too alike."""

    subjects: int
    pairs: int
    false_matches: int
    """Pairs of whom one would probably match the other's template."""
    claim_needed: frozenset[SubjectId]
    """The subjects of these pairs, relatives above all: a search must not name them."""
    kindred: int = 0
    """How many of the false matches lie within one group of people alike, the largest: twins who enrolled,
    or somebody who did so twice. They say nothing of strangers, and a second such group does."""


@dataclass(frozen=True, slots=True)
class SearchBound:
    """The upper bound of the FMR that counts, and what it makes of a search in a gallery."""

    fmr_upper: float
    source: FmrSource
    attempts: int
    subjects: int

    @property
    def fpir(self) -> float:
        """The most passages of people who are not enrolled that end in naming somebody, 0 to 1."""
        return self._fpir_of(self.subjects)

    def most_subjects(self, max_fpir: float) -> int:
        """The largest gallery that stays within `max_fpir` by this FMR."""
        about = math.floor(max_fpir / (self.fmr_upper * self.attempts))
        # The quotient may be off by a rounding; what counts is what `refusal` compares.
        return max(most for most in range(max(about - 1, 0), about + 2) if self._fpir_of(most) <= max_fpir)

    def _fpir_of(self, subjects: int) -> float:
        return min(1.0, self.fmr_upper * self.attempts * subjects)

    def refusal(self, max_fpir: float) -> str:
        """Why one to many is not to be started, and what would help; empty when it may."""
        if self.fpir <= max_fpir:
            return ""
        told = "by this gallery's own pairs" if self.source is FmrSource.GALLERY else "by the pack's test set"
        return (
            f"one to many among {self.subjects} members could name somebody else for {self.fpir:.3g} of the "
            f"people who are not enrolled ({told} FMR at most {self.fmr_upper:.3g}; {self.attempts} attempts "
            f"a passage); the largest gallery allowed is {self.most_subjects(max_fpir)} members: choose a "
            'stricter match.max_fmr or fewer confirm.attempts, or set search.mode = "one_to_one"'
        )


def clash_threshold(points: Mapping[int, OperatingPoint], images: int, other_images: int) -> float:
    """From what similarity two templates are too alike: where a single probe of one would match the other.

    `points`: images a template -> point of one frame a probe, at the rate in use; has 1 and both numbers.
    Averaging images takes away what is particular to each, so two templates are more alike than a probe is to
    either, by the factor that the pack's own thresholds show between templates of one image and of several.
    """
    return points[images].threshold * points[other_images].threshold / points[1].threshold


def survey(gallery: Gallery, points: Mapping[int, OperatingPoint]) -> Survey:
    """Compare every template with every other, `points` as for `clash_threshold`.

    Time grows with the square, about a second for 10,000 subjects.
    """
    subjects = gallery.subjects
    count = len(subjects)
    limits = np.array([points[images].threshold for images in gallery.images], np.float32)
    matrix = gallery.matrix / limits[:, None] if count else gallery.matrix
    false_matches, clashing, alike_pairs = 0, set[int](), list[tuple[int, int]]()
    for at in range(0, count, PAIR_ROWS):
        block = matrix[at : at + PAIR_ROWS]
        alikes = block @ matrix[at:].T
        alikes[np.tril_indices(len(block), 0, alikes.shape[1])] = -np.inf  # each pair once, and nobody's own
        found = np.argwhere(alikes >= 1 / points[1].threshold)
        false_matches += len(found)
        clashing.update((found + at).ravel().tolist())
        if false_matches <= KINDRED_MAX:
            alike_pairs.extend((int(one) + at, int(other) + at) for one, other in found)
    needing = frozenset(subjects[row] for row in clashing)
    kindred = _largest_family(alike_pairs) if false_matches <= KINDRED_MAX else 0
    return Survey(count, count * (count - 1) // 2, false_matches, needing, kindred)


def _largest_family(pairs: list[tuple[int, int]]) -> int:
    """Of the groups that these pairs connect, how many pairs the one with the most of them has."""
    family: dict[int, int] = {}

    def head(row: int) -> int:
        while (above := family.setdefault(row, row)) != row:
            family[row] = row = family[above]
        return row

    for one, other in pairs:
        family[head(one)] = head(other)
    sizes = Counter(head(one) for one, _ in pairs)
    return max(sizes.values(), default=0)


def bound_search(point: OperatingPoint, found: Survey, attempts: int) -> SearchBound:
    """The bound by the pack's comparisons, or by the gallery's own where these show that it does worse.

    A handful of pairs can prove no small rate: 45 without a false match still allow 6 %. So the gallery's own
    upper bound counts once its lower bound contradicts the pack; one family is left out of both, since a
    search never names its members, and a gallery of twelve with twins in it would else serve nobody. Pairs
    share people, so both of these bounds are somewhat too narrow.
    """
    by_pack = fmr_upper_bound(point)
    false_matches = found.false_matches - found.kindred
    if false_matches:
        least = 1 - rate_upper_bound(found.pairs - false_matches, found.pairs)
        by_gallery = rate_upper_bound(false_matches, found.pairs)
        if least > by_pack:
            return SearchBound(by_gallery, FmrSource.GALLERY, attempts, found.subjects)
    return SearchBound(by_pack, FmrSource.PACK, attempts, found.subjects)
