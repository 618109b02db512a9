"""Comparing: one to one, one to many, at an operating point, within one recipe."""

import msgspec
import numpy as np
import pytest

from edge.capture.sample import Probe
from edge.compare.gallery import Gallery, Template, make_template
from edge.compare.search import Ambiguous, Match, NoMatch, choose_point, search, verify
from edge.errors import TemplateError
from models.errors import OperatingPointError
from models.manifest import MaxFmr, OperatingPoint, RecipeDigest
from models.registry import open_pack
from wire.ids import SubjectId

RECIPE, OTHER_RECIPE = "a" * 64, "b" * 64
ADA, BEA, CLEO = SubjectId("ada"), SubjectId("bea"), SubjectId("cleo")
POINT = OperatingPoint(
    recipe_digest=RECIPE, images_per_template=1, frames_per_probe=1, max_fmr="1e-4", threshold=0.9,
    false_matches=3, non_mated=100_000, true_matches=1, mated=1, clash_margin=0.02, test_set="made up",
)  # fmt: skip


def probe(angle: float, recipe: str = RECIPE) -> Probe:
    """A direction in the plane: the similarity of two is the cosine of the angle between them."""
    return Probe((np.array((np.cos(angle), np.sin(angle)), np.float32),), (1.0,), recipe, 1)


def template(subject: SubjectId, angle: float, recipe: str = RECIPE) -> Template:
    return make_template(subject, [probe(angle, recipe)])


GALLERY = Gallery.of(RECIPE, [template(ADA, 0.0), template(BEA, 1.0), template(CLEO, 1.1)])


def test_a_probe_at_the_threshold_matches_and_just_below_it_does_not() -> None:
    limit = float(np.arccos(POINT.threshold))
    matched = verify(probe(limit - 1e-3), template(ADA, 0.0), POINT)
    assert isinstance(matched, Match)
    assert matched.subject == ADA
    assert isinstance(verify(probe(limit + 1e-3), template(ADA, 0.0), POINT), NoMatch)


def test_one_to_one_looks_at_no_other_member() -> None:
    matched = verify(probe(1.05), template(BEA, 1.0), POINT)
    assert isinstance(matched, Match)
    assert matched.margin is None


def test_a_rival_as_alike_makes_a_match_ambiguous() -> None:
    found = verify(probe(1.05), template(BEA, 1.0), POINT, GALLERY)
    assert isinstance(found, Ambiguous)
    assert abs(found.margin) < POINT.clash_margin


def test_a_search_names_the_most_alike_member_and_the_lead() -> None:
    found = search(probe(0.1), GALLERY, POINT)
    assert isinstance(found, Match)
    assert found.subject == ADA
    assert found.margin == pytest.approx(np.cos(0.1) - np.cos(0.9), abs=1e-6)


def test_a_search_between_two_members_names_neither() -> None:
    assert isinstance(search(probe(1.05), GALLERY, POINT), Ambiguous)


def test_a_search_without_anyone_alike_names_no_one() -> None:
    found = search(probe(3.0), GALLERY, POINT)
    assert isinstance(found, NoMatch)
    assert not hasattr(found, "subject")


def test_a_search_in_an_empty_gallery_finds_no_one() -> None:
    assert search(probe(0.0), Gallery.of(RECIPE, []), POINT) == NoMatch(None, None)


def test_a_search_among_one_has_no_margin_to_tell() -> None:
    found = search(probe(0.0), Gallery.of(RECIPE, [template(ADA, 0.0)]), POINT)
    assert isinstance(found, Match)
    assert found.margin is None


def test_recipes_never_meet() -> None:
    with pytest.raises(TemplateError, match="enrol again with this pack"):
        verify(probe(0.0, OTHER_RECIPE), template(ADA, 0.0), POINT)
    with pytest.raises(TemplateError, match="the gallery was made with recipe"):
        search(probe(0.0, OTHER_RECIPE), GALLERY, POINT)
    with pytest.raises(TemplateError, match="the template of bea"):
        Gallery.of(RECIPE, [template(ADA, 0.0), template(BEA, 0.0, OTHER_RECIPE)])


def test_a_subject_has_one_template_in_a_gallery() -> None:
    with pytest.raises(TemplateError, match="two templates"):
        Gallery.of(RECIPE, [template(ADA, 0.0), template(ADA, 0.1)])


def test_a_gallery_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        GALLERY.matrix[0, 0] = 1.0


def test_a_template_of_several_images_lies_between_them() -> None:
    made = make_template(ADA, [probe(0.2), probe(0.4)])
    assert made.images == 2
    np.testing.assert_allclose(made.vector, probe(0.3).vector, rtol=1e-6)


def test_the_point_measured_for_the_template_is_chosen_or_else_the_strictest() -> None:
    pack = open_pack()
    points = {
        images: choose_point(pack.manifest, pack.recipe_digest, images, 1, MaxFmr("1e-4"))
        for images in (1, 3, 50)
    }
    assert points[1].images_per_template == 1
    assert points[3].images_per_template == 3
    measured = [p.threshold for p in pack.manifest.operating_points if p.max_fmr == "1e-4"]
    assert points[50].threshold == max(measured)


def test_a_rate_or_recipe_that_was_not_measured_is_refused() -> None:
    pack = open_pack()
    with pytest.raises(OperatingPointError, match="1e-9"):
        choose_point(pack.manifest, pack.recipe_digest, 1, 1, MaxFmr("1e-9"))
    with pytest.raises(OperatingPointError):
        choose_point(pack.manifest, RecipeDigest(OTHER_RECIPE), 1, 1, MaxFmr("1e-4"))


def test_a_stricter_point_never_matches_more() -> None:
    strict = msgspec.structs.replace(POINT, threshold=0.99)
    for angle in np.linspace(0, 3, 50):
        if isinstance(search(probe(float(angle)), GALLERY, strict), Match):
            assert not isinstance(search(probe(float(angle)), GALLERY, POINT), NoMatch)
