"""Probe against template (one to one), or against the gallery (one to many), at an operating point."""

from __future__ import annotations

from dataclasses import dataclass

from edge.capture.embedding import similarity
from edge.capture.sample import Probe
from edge.compare.gallery import Gallery, Template, require_recipe
from models.manifest import Manifest, MaxFmr, OperatingPoint, RecipeDigest
from models.rates import find_operating_point
from wire.ids import SubjectId


@dataclass(frozen=True, slots=True)
class Match:
    """The subject's template is alike enough; `margin` is the lead over the next subject, where known."""

    subject: SubjectId
    similarity: float
    margin: float | None


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Nobody is alike enough; it names no subject, as a record of it must not."""

    similarity: float | None
    margin: float | None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Alike enough, but another subject is as alike or nearly: relatives, or a template mixed up.

    `margin` is None where the only other one is not in this gallery now.
    """

    similarity: float
    margin: float | None


Comparison = Match | NoMatch | Ambiguous


def verify(
    probe: Probe, template: Template, point: OperatingPoint, gallery: Gallery | None = None
) -> Comparison:
    """One to one: is the probe of the claimed subject? A gallery adds the check for a rival.

    Raises `TemplateError` across recipes. Without a gallery no other member's template is touched.
    """
    require_recipe(template.recipe_digest, probe.recipe_digest, f"the template of {template.subject}")
    alike = similarity(probe.vector, template.vector)
    margin = None if gallery is None else margin_over_others(probe, template.subject, alike, gallery)
    return _judge(template.subject, alike, margin, point)


def search(
    probe: Probe,
    gallery: Gallery,
    point: OperatingPoint,
    claim_needed: frozenset[SubjectId] = frozenset(),
) -> Comparison:
    """One to many: the most alike subject, if alike enough and clearly ahead of the next one.

    Subjects in `claim_needed`, who have relatives here, compete but are never named: they claim first.
    """
    require_recipe(gallery.recipe_digest, probe.recipe_digest, "the gallery")
    found = gallery.nearest(probe.vector, 2)
    if not found:
        return NoMatch(None, None)
    best = found[0]
    margin = best.similarity - found[1].similarity if len(found) > 1 else None
    judged = _judge(best.subject, best.similarity, margin, point)
    if isinstance(judged, Match) and best.subject in claim_needed:
        return Ambiguous(judged.similarity, judged.margin)
    return judged


def margin_over_others(probe: Probe, subject: SubjectId, alike: float, gallery: Gallery) -> float | None:
    """`alike` less the greatest similarity of any other subject; None if there is no other."""
    require_recipe(gallery.recipe_digest, probe.recipe_digest, "the gallery")
    others = [each for each in gallery.nearest(probe.vector, 2) if each.subject != subject]
    return alike - others[0].similarity if others else None


def _judge(subject: SubjectId, alike: float, margin: float | None, point: OperatingPoint) -> Comparison:
    if alike < point.threshold:
        return NoMatch(alike, margin)
    if margin is not None and margin < point.clash_margin:
        return Ambiguous(alike, margin)
    return Match(subject, alike, margin)


def choose_point(
    manifest: Manifest, recipe: RecipeDigest, images: int, frames: int, max_fmr: MaxFmr
) -> OperatingPoint:
    """The point measured for this template and probe, or else the strictest one measured at the same rate.

    Raises `OperatingPointError` when nothing was measured at that rate for this recipe.
    """
    measured = [p for p in manifest.operating_points if (p.recipe_digest, p.max_fmr) == (recipe, max_fmr)]
    exact = [p for p in measured if (p.images_per_template, p.frames_per_probe) == (images, frames)]
    if not measured:
        # It names what was measured, and raises.
        return find_operating_point(manifest, recipe, images, frames, max_fmr)
    # Averaging raises mated and non-mated similarities alike: a point for more images is the stricter one.
    return max(exact or measured, key=lambda point: point.threshold)
