"""Rates of an evaluation against score sets whose answers are counted by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge.capture.sample import Probe
from scripts.evaluate.people import Crowd, Person
from scripts.evaluate.points import points_toml, promised_points
from scripts.evaluate.rates import (
    Curve,
    Resampled,
    draw_people,
    percentiles,
    points_of,
    promised_step,
    rank1,
    rate_interval,
    resample,
    search_point,
)
from scripts.evaluate.scores import (
    LAST_STEP,
    MAX_TEMPLATES_EACH,
    Comparisons,
    Searches,
    choose_templates,
    compare_images,
    compare_templates,
    search_templates,
    step_of,
    threshold_of,
)

RECIPE = "0" * 64
SEED = 7


def crowd(angles: dict[str, list[float]], strangers: dict[str, list[float]] | None = None) -> Crowd:
    """People as directions in the plane, in degrees: two images are as alike as the cosine between them."""
    everybody = [(name, True, a) for name, a in angles.items()]
    everybody += [(name, False, a) for name, a in (strangers or {}).items()]
    vectors = np.array(
        [(np.cos(np.radians(d)), np.sin(np.radians(d))) for _, _, each in everybody for d in each],
        np.float32,
    )
    return Crowd(
        tuple(Person(name, Path(name), member) for name, member, _ in everybody),
        tuple(Probe((vector,), (1.0,), RECIPE, 1) for vector in vectors),
        vectors,
        np.repeat(np.arange(len(everybody)), [len(each) for _, _, each in everybody]),
        (),
        (),
        Counter(),
    )


def comparisons(non_mated: list[float], mated: list[float], people: int = 4) -> Comparisons:
    """Given scores: the i-th non-mated one is of people i and i + 1, the i-th mated one of image i."""
    steps, own = step_of(non_mated), step_of(mated)
    one = np.arange(len(steps)) % people
    return Comparisons(
        np.bincount(steps, minlength=LAST_STEP + 1),
        *(own, np.arange(len(own)), np.arange(len(own)) % people),
        *(0, steps, one, (one + 1) % people),
        *(np.ones(people, np.int64), np.ones(people, np.int64)),
        unordered=True,
    )


def test_a_threshold_has_five_decimals_and_is_reached_by_what_equals_it() -> None:
    assert threshold_of(int(step_of(0.94123))) in (0.94122, 0.94123)
    assert [threshold_of(int(step)) for step in step_of([-1.0, 0.0, 0.5, 1.0, 1.0000001])] == [
        *(-1.0, 0.0, 0.5, 1.0, 1.0)
    ]
    assert step_of(0.5 - 1e-7) < step_of(0.5)


def test_the_threshold_at_a_rate_lets_that_share_of_non_mated_comparisons_pass_and_no_more() -> None:
    scores = np.arange(1000) / 1000  # .000 to .999
    found = comparisons([*scores], [0.9905, 0.98, 0.5])
    curve = Curve.of(found)
    at = curve.step_at(1e-2)
    assert curve.false_matches[at] == 10
    assert curve.false_matches[at - 1] == 11
    # The eleventh of them is .989: just above it the first mated score passes, and the second does not.
    assert 0.989 <= threshold_of(at) <= 0.98901
    assert curve.true_matches[at] == 1


def test_the_rates_told_are_those_counted_by_hand() -> None:
    found = comparisons([*(np.arange(1000) / 1000)], [0.9905, 0.98, 0.5, 0.9999])
    points = points_of(found)
    assert list(points) == ["1e-2", "1e-3", "1e-4"]  # at 1e-5 not one false match is to be expected
    assert {key: point.tmr for key, point in points.items()} == {"1e-2": 0.5, "1e-3": 0.25, "1e-4": 0.25}
    assert [(p.false_matches, p.true_matches, p.missed_images) for p in points.values()] == [
        *((10, 2, 2), (1, 1, 3), (0, 1, 3))
    ]
    assert all(point.low_n for point in points.values())


def test_a_rate_on_thirty_images_missed_and_thirty_pairs_of_people_is_not_flagged() -> None:
    def flagged(misses: int) -> bool:
        found = comparisons([*(np.arange(5000) / 5000)], [0.2] * misses + [1.0] * 10, people=5000)
        return points_of(found)["1e-2"].low_n

    assert flagged(29)
    assert not flagged(30)


def test_false_matches_of_the_same_two_people_count_once_for_the_flag() -> None:
    found = comparisons([*(np.arange(5000) / 5000)], [0.2] * 40 + [1.0] * 10, people=2)
    point = points_of(found)["1e-2"]
    assert (point.false_matches, point.confused_people, point.low_n) == (50, 1, True)


@pytest.mark.parametrize(
    ("non_mated", "mated", "eer"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9], 0.0),
        ([0.1, 0.2, 0.3, 0.6], [0.5, 0.7, 0.8, 0.9], 0.25),
        ([0.1, 0.6, 0.7, 0.8], [0.2, 0.3, 0.4, 0.9], 0.75),
    ],
)
def test_the_eer_is_where_both_errors_meet(non_mated: list[float], mated: list[float], eer: float) -> None:
    assert Curve.of(comparisons(non_mated, mated)).eer() == pytest.approx(eer)


def test_without_comparisons_there_is_no_rate() -> None:
    assert Curve.of(comparisons([0.1], [])).eer() is None
    assert points_of(comparisons([0.1], [])) == {}
    assert points_of(comparisons([], [0.9])) == {}


def test_the_interval_counts_images_not_comparisons() -> None:
    low, high = rate_interval(0.5, 10)
    assert (low, high) == pytest.approx((0.1870860, 0.8129140), abs=2e-6)  # published: 5 of 10


def test_each_pair_of_images_is_compared_once() -> None:
    found = compare_images(crowd({"ada": [0, 10], "bob": [90, 100, 110]}, {"eve": [200]}))
    assert len(found.mated_step) == 1 + 3
    assert found.non_mated_total == 2 * 3 + 2 * 1 + 3 * 1
    assert int(found.non_mated.sum()) == found.non_mated_total


def test_strangers_are_compared_with_others_only() -> None:
    found = compare_images(crowd({"ada": [0, 10]}, {"eve": [200, 210]}))
    assert [threshold_of(int(step)) for step in found.mated_step] == [pytest.approx(0.98480, abs=1e-5)]
    assert found.non_mated_total == 4


def test_a_template_meets_its_subjects_other_images_and_everybody_elses() -> None:
    people = crowd({"ada": [0, 10, 20], "bob": [90, 100]}, {"eve": [200]})
    templates = choose_templates(people, 2, SEED)
    assert [list(each) for each in templates.images] == [[0, 1], [0, 2], [1, 2]]
    np.testing.assert_allclose(np.degrees(np.arctan2(*templates.vectors[0][::-1])), 5, atol=1e-4)
    found = compare_templates(people, templates)
    cosines = np.cos(np.radians([15, 0, 15]))
    assert [threshold_of(int(step)) for step in found.mated_step] == pytest.approx(cosines, abs=2e-5)
    assert list(found.mated_image) == [2, 1, 0]
    assert found.non_mated_total == 3 * 3


def test_of_many_images_a_seeded_sample_of_templates_is_taken() -> None:
    people = crowd({"ada": [float(each) for each in range(12)]})
    once, again, other = (choose_templates(people, 3, seed).images for seed in (SEED, SEED, SEED + 1))
    assert len(once) == MAX_TEMPLATES_EACH == len({tuple(each) for each in once})
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_the_tail_holds_every_comparison_from_its_first_step_on() -> None:
    generator = np.random.default_rng(SEED)
    people = crowd({f"p{each}": [*generator.uniform(0, 360, 4)] for each in range(40)})
    found = compare_images(people)
    assert len(found.tail_step) == found.non_mated[found.tail_from :].sum()
    assert len(found.tail_step) >= 0.03 * found.non_mated_total
    assert found.tail_step.min() >= found.tail_from
    assert (found.tail_one != found.tail_other).all()


def test_drawing_everybody_once_repeats_the_measured_rates() -> None:
    generator = np.random.default_rng(SEED)
    people = crowd(
        {f"p{each}": [*(each * 9 + generator.normal(0, 3, 4))] for each in range(40)},
        {f"s{each}": [generator.uniform(0, 360)] for each in range(30)},
    )
    for found in (compare_images(people), compare_templates(people, choose_templates(people, 2, SEED))):
        points = points_of(found)
        again = resample(found, np.ones((1, len(people.people)), np.int64), tuple(points))
        assert {key: again.tmr[key][0] for key in points} == pytest.approx(
            {key: point.tmr for key, point in points.items()}
        )
        curve = Curve.of(found)
        measured = curve.false_matches[again.steps] / found.non_mated_total
        np.testing.assert_allclose(again.fmr[0], measured, atol=1e-12)


def test_two_people_drawn_twice_are_compared_four_times_and_never_with_themselves() -> None:
    found = compare_images(crowd({"ada": [0, 40], "bob": [10], "cy": [50]}))
    # ada-bob 10 and 30 degrees, ada-cy 50 and 10, bob-cy 40: of 5 the two at 10 degrees are the most alike.
    again = resample(found, np.array([[2, 2, 1]]), ())
    above = float(again.fmr[0][np.searchsorted(again.steps, step_of(np.cos(np.radians(11))))])
    assert above == pytest.approx((4 + 2) / (2 * 4 + 2 * 2 + 1 * 2))


def test_people_are_drawn_among_their_own_kind_and_the_same_for_the_same_seed() -> None:
    people = crowd({"ada": [0], "bob": [1]}, {"eve": [2], "fay": [3], "gus": [4]})
    drawn = draw_people(people, 50, SEED)
    assert {(int(row[:2].sum()), int(row[2:].sum())) for row in drawn} == {(2, 3)}
    np.testing.assert_array_equal(drawn, draw_people(people, 50, SEED))
    assert not np.array_equal(drawn, draw_people(people, 50, SEED + 1))


def test_the_bootstrap_interval_is_of_percentiles() -> None:
    assert percentiles(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))


def test_a_promised_threshold_keeps_to_its_rate_by_both_bounds_and_the_one_below_does_not() -> None:
    found = comparisons([*(np.arange(10_000) / 10_000)], [0.999, 1.0], people=200)
    curve = Curve.of(found)
    steps = np.concatenate(([0], np.unique(found.tail_step) + 1))
    fmr = curve.false_matches[steps] / found.non_mated_total

    def promised(factor: float) -> int:
        again = Resampled(steps, np.stack([fmr * factor] * 3), {}, np.zeros(3))
        step = promised_step(found, again, 1e-2)
        assert step is not None
        return int(curve.false_matches[step])

    # As Poisson counts (half the .95 quantile of chi-square): 83 of 10,000 have the bound .00996, 84 .01007.
    assert promised(1.0) == 83
    assert promised(2.0) == 50
    nothing = Resampled(steps, np.full((3, len(steps)), 0.5), {}, np.zeros(3))
    assert promised_step(found, nothing, 1e-2) is None


def test_what_too_few_comparisons_can_promise_is_left_out_and_the_rest_reads_back_as_a_manifests_tables() -> (
    None
):
    import msgspec

    from models.manifest import OperatingPoint, RecipeDigest

    found = comparisons([*(np.arange(10_000) / 10_000)], [0.999, 1.0], people=200)
    steps = np.concatenate(([0], np.unique(found.tail_step) + 1))
    again = Resampled(
        steps, (Curve.of(found).false_matches[steps] / found.non_mated_total)[None], {}, np.zeros(1)
    )
    points = promised_points(found, again, 3, RecipeDigest(RECIPE), 'made "up" set')
    assert [(p.max_fmr, p.images_per_template) for p in points] == [("1e-2", 3), ("1e-3", 3)]
    tables = msgspec.toml.decode(points_toml(points), type=dict[str, list[OperatingPoint]])
    assert tables == {"operating_points": points}


def searched(own: list[float], others: list[float]) -> Searches:
    mated, other = step_of(own), step_of(others)
    mated = np.where(np.array(own) < 0, -1, mated)
    return Searches(
        *(3, 5, 1),
        *(mated, np.arange(len(own)), np.arange(len(own)) % 5),
        *(other, np.arange(len(others)), np.arange(len(others)) % 5),
    )


def test_the_fnir_counts_probes_below_the_threshold_and_those_somebody_else_is_more_alike_to() -> None:
    found = searched([0.9, 0.8, 0.6, -1.0], [*(np.arange(100) / 200), 0.7])
    # At most 1 of 101 non-mated probes: all but the .7 stay below.
    point = search_point(found, 0.01, np.ones((2, 5), np.int64))
    assert point is not None
    assert (threshold_of(point.step), point.fnir) == (pytest.approx(0.49501), 0.25)
    assert (point.missed_images, point.mated_images, point.confused_images) == (1, 4, 1)
    assert point.bootstrap == (0.25, 0.25)
    assert rank1(found) == 0.75
    stricter = search_point(found, 0.003, np.ones((2, 5), np.int64))
    assert stricter is not None
    assert (stricter.fnir, stricter.confused_images) == (0.5, 0)


def test_a_members_own_template_is_out_of_the_way_when_their_probe_is_a_non_mated_one() -> None:
    people = crowd({"ada": [0, 2], "bob": [90, 92]}, {"eve": [45]})
    found = search_templates(people, 1, 1, SEED)
    assert (found.subjects, found.draws) == (2, 1)
    assert [threshold_of(int(step)) for step in found.mated_step] == pytest.approx(
        np.cos(np.radians([2, 2])), abs=2e-5
    )
    # ada at 2 degrees against bob's template at 90, bob at 92 against ada's at 0, eve against both.
    alike = np.cos(np.radians([88, 92, 45]))
    assert [threshold_of(int(step)) for step in found.other_step] == pytest.approx(alike, abs=2e-5)


def test_a_probe_that_another_subject_is_more_alike_to_is_no_rank_one() -> None:
    found = search_templates(crowd({"ada": [0, 80], "bob": [90, 92]}), 1, 1, SEED)
    assert list(found.mated_step >= 0) == [False, True]
    assert rank1(found) == 0.5


def test_members_with_too_few_images_are_searched_for_as_strangers_are() -> None:
    people = crowd({"ada": [0, 1, 2], "bob": [90, 91, 92], "cy": [200]})
    found = search_templates(people, 2, 1, SEED)
    assert found.subjects == 2
    assert sorted(found.mated_person) == [0, 1]
    assert sorted(found.other_person) == [0, 1, 2]


def test_a_gallery_of_one_is_no_search() -> None:
    found = search_templates(crowd({"ada": [0, 1, 2]}), 2, 3, SEED)
    assert search_point(found, 0.01, np.ones((1, 1), np.int64)) is None
    assert rank1(found) is None
