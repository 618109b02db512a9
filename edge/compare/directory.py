"""A gallery that may be searched by face alone, within a bound on false identifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.capture.sample import Probe
from edge.compare.bound import SearchBound, Survey, bound_search, survey
from edge.compare.gallery import Gallery, Template
from edge.compare.search import Comparison, Match, NoMatch, search
from models.manifest import OperatingPoint
from models.rates import fmr_upper_bound
from wire.ids import SubjectId


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to; the template is there only with a `Match`, and is the one that matched."""

    comparison: Comparison
    template: Template | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """A gallery and what was found out about it: the bound it runs at, and who must claim first."""

    gallery: Gallery
    point: OperatingPoint
    bound: SearchBound
    claim_needed: frozenset[SubjectId]
    max_fpir: float

    @property
    def refusal(self) -> str:
        """Why nobody may be searched for in it; empty when they may."""
        return self.bound.refusal(self.max_fpir)

    def search(self, probe: Probe) -> Found:
        """One to many; a gallery past its bound names nobody. Raises `TemplateError` across recipes."""
        if self.refusal:
            return Found(NoMatch(None, None))
        comparison = search(probe, self.gallery, self.point, self.claim_needed)
        named = self.gallery.template(comparison.subject) if isinstance(comparison, Match) else None
        return Found(comparison, named)


def oversized_directory(
    recipe_digest: str, subjects: int, points: Mapping[int, OperatingPoint], attempts: int, max_fpir: float
) -> Directory:
    """An empty one in the place of a gallery that by its size alone nobody may be searched for in."""
    bound = bound_search(_worst(points), Survey(subjects, 0, 0, frozenset()), attempts)
    return Directory(Gallery.of(recipe_digest, ()), strictest(points), bound, frozenset(), max_fpir)


def _worst(points: Mapping[int, OperatingPoint]) -> OperatingPoint:
    """No size of template does worse at the strictest threshold than at its own: this bound holds for all."""
    return max(points.values(), key=fmr_upper_bound)


def strictest(points: Mapping[int, OperatingPoint]) -> OperatingPoint:
    """The point of a search, where templates of every size compete. `points`: images a template -> point."""
    return max(points.values(), key=lambda point: point.threshold)


def open_directory(
    gallery: Gallery, points: Mapping[int, OperatingPoint], attempts: int, max_fpir: float
) -> Directory:
    """Survey a gallery, `points` as for `clash_threshold`, unless its size alone is past the bound.

    Time is that of `survey` for as many subjects as `max_fpir` allows.
    """
    point = strictest(points)
    worst = _worst(points)
    by_size = bound_search(worst, Survey(len(gallery), 0, 0, frozenset()), attempts)
    if by_size.refusal(max_fpir):
        # Its own pairs could only make it worse.
        return Directory(gallery, point, by_size, frozenset(), max_fpir)
    found = survey(gallery, points)
    bound = bound_search(worst, found, attempts)
    return Directory(gallery, point, bound, found.claim_needed, max_fpir)
