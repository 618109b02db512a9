"""A whole kiosk that asks for the PIN when a member enters again without having left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.decide.passback import PassbackConfig
from tests.doubles.lane import CONFIRM, Lane, open_lane, staged
from wire.records import GateOutcome


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    async with open_lane(tmp_path, staged(passback=PassbackConfig(mode="second_factor"))) as lane:
        yield lane


async def test_who_enters_twice_is_asked_for_the_pin_and_who_turned_back_is_not(lane: Lane) -> None:
    lane.person.walks = False
    with lane.impatient(acquire_ms=CONFIRM.acquire_ms):
        turned_back = await lane.passes("amber")
    assert (turned_back.verdict, turned_back.gate_outcome) == ("grant", GateOutcome.TIMED_OUT)
    lane.person.walks = True
    first = await lane.passes("amber")
    assert (first.verdict, first.circumstances.passback) == ("grant", "clear")
    assert first.gate_outcome is GateOutcome.PASSED
    again = await lane.passes("amber", pin=True)
    assert (again.verdict, again.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert again.circumstances.passback == "second_factor"
    assert {"second_factor_good", "entered_before"} <= set(again.reasons)
    stored = (await lane.records())[again.passage]
    assert stored == again
