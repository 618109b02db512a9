"""A whole kiosk whose pack takes everybody for a recapture: the PIN is asked for, and nobody is accused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.config import PackSection
from tests.doubles import pack_standins as standins
from tests.doubles.lane import FACES, Lane, open_lane, staged
from wire.records import GateOutcome


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    pack = standins.pack_with_passive_networks(tmp_path / "pack", live=0.2)
    async with open_lane(tmp_path, staged(pack=PackSection(str(pack.root)))) as lane:
        yield lane


async def test_a_member_who_looks_recaptured_passes_with_the_pin_and_the_record_says_why(lane: Lane) -> None:
    lane.person.pin = lane.member("birch").pin
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert (record.circumstances.liveness, record.circumstances.second_factor) == ("undetermined", "good")
    assert record.comparison is not None
    assert record.comparison.live == pytest.approx(0.2, abs=1e-3)
    assert record.comparison.live_min == 0.5
