"""Error-rate arithmetic against closed forms and published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import OperatingPointError
from models.manifest import MaxFmr
from models.rates import find_operating_point, fpir_upper_bound, rate_upper_bound
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


def test_the_search_bound_grows_with_the_gallery_and_never_passes_one() -> None:
    assert fpir_upper_bound(1e-4, 300) == pytest.approx(0.03)
    assert fpir_upper_bound(1e-2, 10_000) == 1.0


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
