"""The disk takes no more records while members come."""

from __future__ import annotations

import pytest

from edge.decide.verdict import GateState
from edge.enact.display import Prompt
from edge.passage.state import Phase
from tests.doubles.full_disk import fill_disk, free_disk
from tests.doubles.lane import FACES, Lane
from tests.doubles.waiting import eventually
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_nobody_passes_on_a_decision_that_cannot_be_kept_and_nothing_is_lost(lane: Lane):
    fill_disk(lane.uplink.outbox._database)
    try:
        # Members pass until the pages that are there are full; then one stands before a gate that stays shut.
        for _ in range(40):
            await lane.claims("birch")
            lane.floor.person(FACES["birch"])
            await eventually(
                lambda: not lane.stage.reports.empty() or lane.kiosk._settling.unwritten,
                "a record is kept or waits",
            )
            if lane.kiosk._settling.unwritten:
                break
            await lane.settled()
        assert lane.kiosk._settling.unwritten
        lane.floor.nobody()
        assert not lane.gate(lambda gate: gate.unlocked)
        await eventually(
            lambda: lane.kiosk.passage.surroundings.gate is GateState.FAULT, "the lane is out of service"
        )
        await eventually(lambda: Prompt.GATE_FAULT in lane.prompts, "the screen sends people to another gate")
    finally:
        free_disk(lane.uplink.outbox._database)
    record = await lane.settled()
    assert record.gate_outcome in {GateOutcome.REFUSED, GateOutcome.PASSED}
    await eventually(
        lambda: lane.kiosk.passage.surroundings.gate is GateState.READY, "the lane is in service again"
    )
    while not lane.stage.reports.empty():
        await lane.settled()
    assert lane.kiosk.is_waiting or lane.kiosk.passage.phase is Phase.SETTLED
    passed = await lane.passes("amber")
    assert (passed.verdict, passed.gate_outcome) == ("grant", GateOutcome.PASSED)
