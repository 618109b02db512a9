"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings

TIMES = 5
"""So many times as many in scripts/test --long, which has the profile `fresh`."""


def examples(number: int) -> int:
    """`number` in scripts/test, more where there is time."""
    return number * TIMES if settings.get_current_profile_name() == "fresh" else number
