"""Property tests are the same each time, and more of them are tried where there is time."""

from __future__ import annotations

from hypothesis import settings

from tests.doubles.examples import TIMES, examples


def test_the_fixed_profile_tries_the_same_examples_each_time() -> None:
    assert settings.get_profile("fixed").derandomize
    assert not settings.get_profile("fresh").derandomize


def test_the_fresh_profile_tries_more_examples() -> None:
    before = settings.get_current_profile_name()
    try:
        settings.load_profile("fresh")
        assert examples(10) == 10 * TIMES
        settings.load_profile("fixed")
        assert examples(10) == 10
    finally:
        settings.load_profile(before)
