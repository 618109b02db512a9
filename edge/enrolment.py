"""Enrolment: several samples of one person, made into a template only when they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.capture.embedding import fuse, similarity
from edge.capture.sample import Probe
from edge.compare.gallery import Template, make_template
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
