"""Error-rate arithmetic against closed forms and published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import OperatingPointError
from models.manifest import MaxFmr, OperatingPoint
from models.rates import (
    find_operating_point,
    fmr_upper_bound,
    fpir_upper_bound,
    rate_bounds,
    rate_upper_bound,
)
from models.registry import open_pack


@pytest.mark.parametrize("trials", [1, 30, 3000, 1_000_000])
def test_no_event_at_all_has_the_closed_form_bound(trials: int) -> None:
    assert rate_upper_bound(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials), rel=1e-9)


@pytest.mark.parametrize(
    ("events", "trials", "bound"),
    [
        (1, 10, 0.3941633),  # beta quantile .95 (events + 1, trials - events), from published tables
        (5, 100, 0.1022534),
        (9, 10, 0.9948838),
        (10, 10, 1.0),
    ],
)
def test_the_bound_is_clopper_and_pearsons(events: int, trials: int, bound: float) -> None:
    assert rate_upper_bound(events, trials) == pytest.approx(bound, abs=2e-6)


@given(trials=st.integers(1, 400), share=st.floats(0, 1))
def test_seeing_so_few_events_is_as_unlikely_at_the_bound_as_the_confidence_says(
    trials: int, share: float
) -> None:
    events = int(share * (trials - 1))
    bound = rate_upper_bound(events, trials)
    seen = math.fsum(math.comb(trials, k) * bound**k * (1 - bound) ** (trials - k) for k in range(events + 1))
    assert seen == pytest.approx(0.05, rel=1e-6)


def test_a_million_comparisons_are_bounded_without_losing_precision() -> None:
    # For rare events Clopper-Pearson meets the Poisson bound: chi-square .95 of 2 * (86 + 1), halved: 102.91.
    assert rate_upper_bound(86, 868_768) * 868_768 == pytest.approx(102.9, abs=0.1)


@pytest.mark.parametrize(("events", "trials"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_are_refused(events: int, trials: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        rate_upper_bound(events, trials)


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),
        (10, 10, 0.025 ** (1 / 10), 1.0),
        (4, 20, 0.0573340, 0.4366140),  # beta quantiles .025 (4, 17) and .975 (5, 16), from published tables
        (15, 100, 0.0864544, 0.2353074),
    ],
)
def test_the_two_sided_interval_is_clopper_and_pearsons(
    events: int, trials: int, low: float, high: float
) -> None:
    assert rate_bounds(events, trials) == pytest.approx((low, high), abs=2e-6)


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_holds_the_rate_and_is_that_of_the_complement_mirrored(
    trials: int, share: float
) -> None:
    events = int(share * trials)
    low, high = rate_bounds(events, trials)
    assert 0 <= low <= events / trials <= high <= 1
    assert rate_bounds(trials - events, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def _point(false_matches: int, non_mated: int) -> OperatingPoint:
    return OperatingPoint(
        recipe_digest="0" * 64, images_per_template=1, frames_per_probe=1, max_fmr="1e-4", threshold=0.9,
        false_matches=false_matches, non_mated=non_mated, true_matches=1, mated=1, clash_margin=0.0,
        test_set="made up",
    )  # fmt: skip


def test_the_bound_on_the_fmr_is_of_the_counts_and_never_below_what_the_point_promises() -> None:
    assert fmr_upper_bound(_point(0, 1000)) == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert fmr_upper_bound(_point(50, 10_000_000)) == 1e-4


def test_the_search_bound_is_the_fmrs_times_the_gallery_and_never_passes_one() -> None:
    assert fpir_upper_bound(_point(50, 10_000_000), 300) == pytest.approx(0.03)
    assert fpir_upper_bound(_point(9, 10_000), 10) == pytest.approx(10 * rate_upper_bound(9, 10_000))
    assert fpir_upper_bound(_point(3, 100_000), 10**9) == 1.0


def test_the_default_packs_points_keep_to_their_rate_at_its_upper_bound() -> None:
    pack = open_pack()
    own = [point for point in pack.manifest.operating_points if point.recipe_digest == pack.recipe_digest]
    assert own
    assert [
        point
        for point in own
        if rate_upper_bound(point.false_matches, point.non_mated) > float(point.max_fmr)
    ] == []


def test_the_default_pack_has_a_point_for_each_template_size_and_rate() -> None:
    pack = open_pack()
    thresholds = [
        [
            find_operating_point(pack.manifest, pack.recipe_digest, images, 1, MaxFmr(rate)).threshold
            for rate in ("1e-2", "1e-3", "1e-4", "1e-5")
        ]
        for images in (1, 2, 3)
    ]
    for row in thresholds:
        assert row == sorted(row)


def test_what_was_not_measured_is_refused_by_a_message_that_lists_what_was() -> None:
    pack = open_pack()
    with pytest.raises(OperatingPointError, match="3 images, 1 frames, 1e-4"):
        find_operating_point(pack.manifest, pack.recipe_digest, 7, 1, MaxFmr("1e-4"))
