"""A gallery enrolled from folders, and the kiosk's comparison and decision for one frame against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track as with_bar

from edge.capture.pipeline import Acquisition, Pipeline
from edge.capture.recording import Shown
from edge.capture.sample import FailureToAcquire, Probe
from edge.compare.gallery import Gallery, Template, make_template
from edge.compare.search import (
    Ambiguous,
    Comparison,
    Match,
    NoMatch,
    choose_point,
    margin_over_others,
    search,
    verify,
)
from edge.decide.verdict import (
    Age,
    Circumstances,
    GateState,
    Grant,
    Identification,
    Liveness,
    Membership,
    Payment,
    RestrictionState,
    SecondFactor,
    Tier,
    Verdict,
    decide,
)
from edge.errors import FixtureError
from edge.modes.common import open_recording
from models.manifest import MaxFmr, OperatingPoint
from scripts.replay.tally import Ending
from wire.ids import SubjectId

FRAMES_PER_PROBE = 1
"""Each frame is decided by itself here; a kiosk asks several of one track to agree."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The gallery made on the fly, and who could not be enrolled."""

    gallery: Gallery
    images: int
    failed: tuple[str, ...]


def enrol(
    pipeline: Pipeline, folder: Path, border_fraction: float, images_each: int, *, bar: bool = False
) -> Enrolled:
    """A template for each FOLDER/<person>, of their first `images_each` images that can be acquired (0: all).

    Raises `FixtureError` when nobody can be enrolled.
    """
    if not folder.is_dir():
        raise FixtureError(f"{folder}: no such folder; give one that holds <person>/*.jpg")
    people = sorted(person for person in folder.iterdir() if person.is_dir())
    templates: list[Template] = []
    failed: list[str] = []
    for person in with_bar(people, "enrolling", console=Console(stderr=True), disable=not bar):
        probes = _enrolment_probes(pipeline, person, border_fraction, images_each)
        if probes:
            templates.append(make_template(SubjectId(person.name), probes))
        else:
            failed.append(person.name)
    if not templates:
        why = f"no face could be acquired of {', '.join(failed[:5])}" if failed else "no <person>/ is in it"
        raise FixtureError(
            f"{folder}: the gallery is empty, {why}; give FOLDER/<person>/*.jpg of clear faces"
        )
    gallery = Gallery.of(pipeline.recipe_digest, templates)
    return Enrolled(gallery, sum(template.images for template in templates), tuple(failed))


def _enrolment_probes(
    pipeline: Pipeline, person: Path, border_fraction: float, images_each: int
) -> list[Probe]:
    probes: list[Probe] = []
    try:
        recording = open_recording(person, border_fraction)
    except FixtureError:
        return probes
    for played in recording:
        if images_each and len(probes) == images_each:
            break
        probe = pipeline.acquire(played.frame).probe if isinstance(played, Shown) else None
        if isinstance(probe, Probe):
            probes.append(probe)
    return probes


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame's comparison and verdict. `margin` is for the reader: one to one decides without it."""

    ending: Ending
    comparison: Comparison | None
    margin: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judge:
    """What every frame is compared with: the gallery, and the operating point for each size of template."""

    gallery: Gallery
    points: dict[int, OperatingPoint]

    @classmethod
    def at(cls, pipeline: Pipeline, gallery: Gallery, max_fmr: MaxFmr) -> Judge:
        """Raises `OperatingPointError` when the pack was not measured at that rate."""
        sizes = {template.images for template in gallery.templates}
        manifest, recipe = pipeline.manifest, pipeline.recipe_digest
        return cls(
            gallery,
            {size: choose_point(manifest, recipe, size, FRAMES_PER_PROBE, max_fmr) for size in sizes},
        )

    @property
    def strictest(self) -> OperatingPoint:
        """For one to many, where templates of every size compete."""
        return max(self.points.values(), key=lambda point: point.threshold)

    def rule(self, acquired: Acquisition, claim: str | None) -> Judged:
        """The kiosk's own comparison and decision: one to one with a claim, else one to many."""
        probe = acquired.probe
        if isinstance(probe, FailureToAcquire):
            verdict = decide(_fresh_standard(Identification.FAILURE_TO_ACQUIRE))
            return Judged(Ending.FAILED_TO_ACQUIRE, None, None, verdict)
        found, margin = self._compare(probe, claim)
        verdict = decide(_fresh_standard(_identification(found)))
        ending = Ending.ACCEPTED if isinstance(verdict, Grant) else Ending.REFUSED
        return Judged(ending, found, margin, verdict)

    def _compare(self, probe: Probe, claim: str | None) -> tuple[Comparison, float | None]:
        if claim is None:
            found = search(probe, self.gallery, self.strictest)
            return found, found.margin
        template = self.gallery.template(SubjectId(claim))
        if template is None:  # the claim names nobody here
            return NoMatch(None, None), None
        found = verify(probe, template, self.points[template.images])
        alike = 0.0 if found.similarity is None else found.similarity
        return found, margin_over_others(probe, template.subject, alike, self.gallery)


def _identification(found: Comparison) -> Identification:
    match found:
        case Match():
            return Identification.MATCH
        case NoMatch():
            return Identification.NO_MATCH
        case Ambiguous():
            return Identification.AMBIGUOUS


def _fresh_standard(identification: Identification) -> Circumstances:
    """Nothing in the way but the face: an open gate, a fresh standing of the standard tier."""
    return Circumstances(
        emergency=False,
        gate=GateState.READY,
        membership=Membership.ACTIVE,
        identification=identification,
        liveness=Liveness.NOT_ASKED,
        restriction=RestrictionState.NONE,
        age=Age.FRESH,
        tier=Tier.STANDARD,
        second_factor=SecondFactor.NOT_GIVEN,
        payment=Payment.NONE,
        central_answers=True,
    )
