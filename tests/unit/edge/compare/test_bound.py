"""One to many within its bound: what it rests on, when it refuses, and who must claim first."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from edge.compare.bound import FmrSource, Survey, bound_search, clash_threshold, survey
from edge.compare.gallery import Gallery, Template
from edge.compare.search import Ambiguous, Match, NoMatch, search
from edge.enrolling.template import check_clashes
from edge.errors import TemplateError
from models.rates import rate_upper_bound
from tests.doubles.likenesses import (
    COUSIN,
    OTHER_TWIN,
    POINT,
    POINTS,
    RECIPE,
    TWIN,
    at,
    probe,
    strangers,
    unit,
)
from wire.ids import SubjectId

PACK_FMR = rate_upper_bound(100, 1_000_000)


def family(count: int) -> Gallery:
    """Twins, a cousin who is just not too alike one of them, and unrelated members."""
    others = strangers(count + 2)
    twin, aside = others[-1].vector, others[-2].vector
    related = [
        Template(TWIN, twin, RECIPE, 1),
        Template(OTHER_TWIN, at(0.95, twin, aside), RECIPE, 1),
        Template(COUSIN, at(0.89, twin, -aside), RECIPE, 1),
    ]
    return Gallery.of(RECIPE, [*others[:count], *related])


def test_every_pair_of_a_gallery_is_compared_once() -> None:
    gallery = family(1_200)
    found = survey(gallery, POINTS)
    alikes = gallery.matrix @ gallery.matrix.T
    above = [(one, two) for one, two in np.argwhere(alikes >= POINT.threshold) if one < two]
    assert (found.subjects, found.pairs) == (1_203, 1_203 * 1_202 // 2)
    assert found.false_matches == len(above) == found.kindred == 1


def test_relatives_need_a_claim_and_nobody_else() -> None:
    assert survey(family(1_200), POINTS).claim_needed == {TWIN, OTHER_TWIN}


def test_templates_of_more_images_must_be_more_alike_to_clash() -> None:
    def pair(similarity: float, one: int, other: int) -> tuple[Template, Template]:
        base, aside = (each.vector for each in strangers(2))
        return (
            Template(TWIN, base, RECIPE, one),
            Template(OTHER_TWIN, at(similarity, base, aside), RECIPE, other),
        )

    for one, other, limit in ((1, 1, 0.9), (1, 3, 0.91), (3, 1, 0.91), (3, 3, 0.91 * 0.91 / 0.9)):
        assert clash_threshold(POINTS, one, other) == pytest.approx(limit)
        for similarity, clashes in ((limit + 1e-4, True), (limit - 1e-4, False)):
            templates = pair(similarity, one, other)
            assert survey(Gallery.of(RECIPE, templates), POINTS).false_matches == int(clashes)
            checked = check_clashes(templates[0], Gallery.of(RECIPE, templates[1:]), POINTS)
            assert bool(checked.rivals) == clashes


def test_the_largest_family_is_told_from_the_other_pairs() -> None:
    base, *asides, lone, aside = (template.vector for template in strangers(6))
    siblings = [
        at(0.97, base, towards) for towards in asides
    ]  # each like the eldest, two of three also each other
    templates = [base, *siblings, lone, at(0.95, lone, aside)]
    rows = [Template(SubjectId(f"p{n}"), vector, RECIPE, 1) for n, vector in enumerate(templates)]
    found = survey(Gallery.of(RECIPE, rows), POINTS)
    within = np.triu(np.array(templates[:4]) @ np.array(templates[:4]).T >= POINT.threshold, 1).sum()
    assert found.kindred == within >= 3
    assert found.false_matches == found.kindred + 1


def test_pairs_within_the_one_family_are_no_evidence_against_the_pack() -> None:
    assert bound_search(POINT, Survey(12, 66, 6, frozenset(), 6), 1).source is FmrSource.PACK
    assert bound_search(POINT, Survey(12, 66, 6, frozenset(), 5), 1).source is FmrSource.GALLERY


def test_a_gallery_that_changed_is_surveyed_as_it_is_now() -> None:
    found = survey(family(600).changed((), [OTHER_TWIN]), POINTS)
    assert (found.false_matches, found.claim_needed) == (0, frozenset())


def test_nobody_and_one_member_have_no_pairs() -> None:
    assert survey(Gallery.of(RECIPE, []), POINTS) == Survey(0, 0, 0, frozenset())
    assert survey(Gallery.of(RECIPE, strangers(1)), POINTS) == Survey(1, 0, 0, frozenset())
    assert bound_search(POINT, Survey(0, 0, 0, frozenset()), 3).refusal(0.01) == ""


def test_the_bound_is_upper_fmr_times_attempts_times_gallery() -> None:
    bound = bound_search(POINT, Survey(20, 190, 0, frozenset()), 3)
    assert bound.source is FmrSource.PACK
    assert bound.fmr_upper == PACK_FMR > 1e-4
    assert bound.fpir == pytest.approx(PACK_FMR * 3 * 20)
    assert bound_search(POINT, Survey(10**6, 10**9, 0, frozenset()), 3).fpir == 1.0


def test_a_pack_that_measured_few_false_matches_is_held_to_its_promise() -> None:
    lucky = msgspec.structs.replace(POINT, false_matches=0)
    assert bound_search(lucky, Survey(20, 190, 0, frozenset()), 1).fmr_upper == 1e-4


def test_a_gallery_that_contradicts_the_pack_is_believed() -> None:
    # 1 % of the pairs match: families, or a population the pack's test set did not have.
    bound = bound_search(POINT, Survey(100, 4_950, 50, frozenset()), 1)
    assert bound.source is FmrSource.GALLERY
    assert bound.fmr_upper == rate_upper_bound(50, 4_950) > 0.01


@pytest.mark.parametrize(("pairs", "false_matches"), [(45, 0), (4_950, 0), (19_900, 2), (499_500, 50)])
def test_a_gallery_that_does_not_contradict_the_pack_changes_nothing(pairs: int, false_matches: int) -> None:
    bound = bound_search(POINT, Survey(10, pairs, false_matches, frozenset()), 1)
    assert (bound.source, bound.fmr_upper) == (FmrSource.PACK, PACK_FMR)


def test_more_false_matches_never_make_the_bound_smaller() -> None:
    bounds = [
        bound_search(POINT, Survey(100, 4_950, n, frozenset()), 1).fmr_upper
        for n in (0, 1, 2, 3, 10, 100, 1_000, 4_950)
    ]
    assert bounds == sorted(bounds)


def test_the_largest_gallery_allowed_is_allowed_and_one_more_is_not() -> None:
    most = bound_search(POINT, Survey(0, 0, 0, frozenset()), 3).most_subjects(0.01)
    assert most == math.floor(0.01 / (3 * PACK_FMR))
    allowed, refused = (bound_search(POINT, Survey(n, 1, 0, frozenset()), 3) for n in (most, most + 1))
    assert allowed.refusal(0.01) == ""
    assert refused.refusal(0.01) != ""


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
@pytest.mark.parametrize("max_fpir", [0.1, 0.05, 0.01, 0.003, 1e-4, 1e-7])
@pytest.mark.parametrize("max_fmr", ["1e-2", "1e-3", "1e-4", "1e-5"])
def test_the_largest_gallery_told_is_the_largest_accepted(
    max_fmr: str, max_fpir: float, attempts: int
) -> None:
    point = msgspec.structs.replace(POINT, max_fmr=max_fmr, false_matches=0, non_mated=10**9)
    most = bound_search(point, Survey(0, 0, 0, frozenset()), attempts).most_subjects(max_fpir)
    for subjects, allowed in ((most, True), (most + 1, False)):
        bound = bound_search(point, Survey(subjects, 1, 0, frozenset()), attempts)
        assert (bound.refusal(max_fpir) == "") is allowed


def test_the_refusal_says_how_large_a_gallery_may_be_and_what_helps() -> None:
    said = bound_search(POINT, Survey(392, 76_636, 4, frozenset()), 3).refusal(0.01)
    assert said == (
        "one to many among 392 members could name somebody else for 0.139 of the people who are not enrolled "
        "(by the pack's test set FMR at most 0.000118; 3 attempts a passage); the largest gallery allowed is "
        "28 members: choose a stricter match.max_fmr or fewer confirm.attempts, or set search.mode = "
        '"one_to_one"'
    )


def test_the_refusal_names_the_gallery_where_that_is_what_it_rests_on() -> None:
    said = bound_search(POINT, Survey(100, 4_950, 50, frozenset()), 1).refusal(0.01)
    assert "by this gallery's own pairs FMR at most 0.0" in said
    assert "the largest gallery allowed is 0 members" in said


def test_a_search_never_names_who_needs_a_claim_however_clear_the_lead() -> None:
    gallery = family(50)
    needing = survey(gallery, POINTS).claim_needed
    twin, member = gallery.template(TWIN), gallery.template(SubjectId("m0"))
    assert twin is not None
    assert member is not None
    assert isinstance(search(probe(twin.vector), gallery, POINT), Match)
    assert isinstance(search(probe(twin.vector), gallery, POINT, needing), Ambiguous)
    assert isinstance(search(probe(member.vector), gallery, POINT, needing), Match)
    alone = Gallery.of(RECIPE, [twin])
    assert search(probe(twin.vector), alone, POINT, needing) == Ambiguous(pytest.approx(1.0), None)


def test_a_stranger_near_someone_who_needs_a_claim_is_still_no_one() -> None:
    gallery = family(50)
    outsider = probe(unit(np.random.default_rng(3).standard_normal(128).astype(np.float32)))
    assert isinstance(search(outsider, gallery, POINT, frozenset({TWIN})), NoMatch)


def test_enrolling_a_relative_marks_both() -> None:
    gallery = family(50)
    twin = gallery.template(TWIN)
    assert twin is not None
    rest = gallery.changed((), [TWIN])
    checked = check_clashes(twin, rest, POINTS)
    assert [rival.subject for rival in checked.rivals] == [OTHER_TWIN]
    assert checked.claim_needed == {TWIN, OTHER_TWIN}


def test_enrolling_someone_unlike_all_marks_nobody() -> None:
    gallery = family(50)
    member = gallery.template(SubjectId("m0"))
    assert member is not None
    assert check_clashes(member, gallery, POINTS).claim_needed == frozenset()


def test_enrolling_again_does_not_clash_with_oneself() -> None:
    gallery = Gallery.of(RECIPE, strangers(5))
    again = gallery.templates[2]
    assert check_clashes(again, gallery, POINTS).rivals == ()


def test_clashes_across_recipes_are_refused() -> None:
    other = Template(TWIN, strangers(1)[0].vector, "b" * 64, 1)
    with pytest.raises(TemplateError, match="recipe"):
        check_clashes(other, Gallery.of(RECIPE, strangers(3)), POINTS)
