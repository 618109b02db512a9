"""Enrolment: several samples of one person, made into a template only when they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.capture.embedding import fuse, similarity
from edge.capture.sample import Probe
from edge.compare.bound import clash_threshold
from edge.compare.gallery import Candidate, Gallery, Template, make_template, require_recipe
from models.manifest import OperatingPoint
from wire.ids import SubjectId


class EnrolmentObstacle(StrEnum):
    """Why no template was made; each is put right by taking the samples again."""

    TOO_FEW_SAMPLES = "too_few_samples"
    SAMPLES_DISAGREE = "samples_disagree"  # two people, or a sample that shows the person badly


@dataclass(frozen=True, slots=True)
class FailureToEnrol:
    """No template, and why (ISO/IEC 19795-1)."""

    reason: EnrolmentObstacle


def enrol(
    subject: SubjectId, samples: Sequence[Probe], least: int, point: OperatingPoint
) -> Template | FailureToEnrol:
    """A template of at least `least` samples that each match the others' fusion at `point`'s threshold."""
    if len(samples) < max(least, 1):
        return FailureToEnrol(EnrolmentObstacle.TOO_FEW_SAMPLES)
    for position, sample in enumerate(samples):
        others = [*samples[:position], *samples[position + 1 :]]
        if others and similarity(sample.vector, fuse(others).vector) < point.threshold:
            return FailureToEnrol(EnrolmentObstacle.SAMPLES_DISAGREE)
    return make_template(subject, samples)


def enrol_agreeing(
    subject: SubjectId, samples: Sequence[Probe], least: int, points: Mapping[int, OperatingPoint]
) -> Template | FailureToEnrol:
    """As `enrol`, leaving out samples unlike the others as long as `least` are left.

    `points`: images a template -> operating point, for every number below that of the samples.
    """
    kept = list(samples)
    while True:
        made = enrol(subject, kept, least, points[max(len(kept) - 1, 1)])
        if not isinstance(made, FailureToEnrol) or len(kept) <= least:
            return made
        odd = min(range(len(kept)), key=lambda at: _likeness(kept, at))
        del kept[odd]


def _likeness(samples: Sequence[Probe], at: int) -> float:
    others = [*samples[:at], *samples[at + 1 :]]
    return similarity(samples[at].vector, fuse(others).vector)


@dataclass(frozen=True, slots=True)
class ClashCheck:
    """Who of the gallery a new template is too much like to be told apart by face alone, most alike first."""

    subject: SubjectId
    rivals: tuple[Candidate, ...]

    @property
    def claim_needed(self) -> frozenset[SubjectId]:
        """Subjects who are to claim who they are, wherever others are searched for; empty without a clash."""
        return (
            frozenset((self.subject, *(rival.subject for rival in self.rivals)))
            if self.rivals
            else frozenset()
        )


def check_clashes(template: Template, gallery: Gallery, points: Mapping[int, OperatingPoint]) -> ClashCheck:
    """Relatives, or the same person enrolled twice: others of whom a probe would probably match.

    `points` as for `clash_threshold`. Raises `TemplateError` across recipes. An older template of the same
    subject is no rival.
    """
    require_recipe(gallery.recipe_digest, template.recipe_digest, "the gallery")
    limits = {images: clash_threshold(points, template.images, images) for images in points}
    near = gallery.alike(template.vector, min(limits.values()))
    others = [(each, gallery.template(each.subject)) for each in near if each.subject != template.subject]
    return ClashCheck(
        template.subject,
        tuple(each for each, theirs in others if theirs and each.similarity >= limits[theirs.images]),
    )
