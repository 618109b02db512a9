"""The gate goes away, or the building burns, while people pass: real serial port, real broker, real faces."""

from __future__ import annotations

import pytest

from edge.compare.claim import qr_text
from edge.enact.display import Prompt
from edge.passage.state import Phase
from firmware_bridge.gate import LinkStatus
from firmware_bridge.simulator.device import SimulatedGate
from tests.doubles.kiosk_rig import Watcher
from tests.doubles.lane import FACES, Lane
from tests.doubles.waiting import eventually
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_members_pass_by_face(lane: Lane):
    record = await lane.passes("amber")
    assert (record.verdict, record.identified_by, record.gate_outcome) == (
        "grant",
        "face",
        GateOutcome.PASSED,
    )
    assert record.subject == lane.member("amber").subject


async def test_an_unplugged_gate_refers_says_so_everywhere_and_serves_again_once_plugged(lane: Lane):
    async with Watcher().watching(lane.stage) as watcher:
        lane.gate(SimulatedGate.unplug)
        await eventually(lambda: Prompt.GATE_FAULT in lane.prompts, "the screen says it before anybody comes")
        assert "gate" in lane.degraded
        told = await watcher.state(lambda state: "gate_no_port" in state.notes)
        assert told.kiosk == "turnstile-1"

        embedded = lane.kiosk.embedded_frames
        await lane.claims("amber")
        record = await lane.settled()
        assert (record.verdict, record.refer_to, record.reasons) == ("refer", "staff", ("gate_fault",))
        assert record.gate_outcome is GateOutcome.NOT_RELEASED
        assert record.subject is None
        assert lane.kiosk.embedded_frames == embedded

        watcher.states.clear()
        lane.gate(SimulatedGate.plug)
        await eventually(lambda: lane.gate_is(LinkStatus.UP), "the gate is back")
        await eventually(lambda: "gate" not in lane.degraded, "the screen is content")
        await watcher.state(lambda state: not any(note.startswith("gate_") for note in state.notes))
    record = await lane.passes("birch")
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)


async def test_a_gate_unplugged_while_open_is_recorded_as_interrupted_once(lane: Lane):
    lane.person.walks = False
    await lane.claims("amber")
    lane.floor.person(FACES["amber"])
    await eventually(lambda: lane.gate(lambda gate: gate.open_passage), "the gate opens")
    lane.gate(SimulatedGate.unplug)
    await eventually(lambda: lane.gate(lambda gate: gate.open_passage) is None, "the gate misses its host")
    assert lane.kiosk.passage.phase is Phase.RELEASING
    lane.gate(SimulatedGate.plug)
    record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.INTERRUPTED)
    assert (await lane.records())[record.passage] == record
    lane.person.walks = True
    again = await lane.passes("birch")
    assert again.gate_outcome is GateOutcome.PASSED


@pytest.mark.long
async def test_a_gate_that_stays_away_while_open_is_recorded_as_unknown_and_its_late_word_changes_nothing(
    lane: Lane,
):
    lane.person.walks = False
    await lane.claims("amber")
    lane.floor.person(FACES["amber"])
    await eventually(lambda: lane.gate(lambda gate: gate.open_passage), "the gate opens")
    lane.gate(SimulatedGate.unplug)
    record = await lane.settled()
    assert record.gate_outcome is GateOutcome.UNKNOWN
    lane.gate(SimulatedGate.plug)
    await eventually(lambda: lane.gate_is(LinkStatus.UP), "the gate is back")
    await eventually(
        lambda: lane.gate(lambda gate: gate.controller.transport.events_waiting) == 0,
        "it has told all",
    )
    assert (await lane.records())[record.passage] == record


async def test_a_fire_during_identification_frees_the_gate_and_ends_recognition(lane: Lane):
    await lane.claims("amber")
    await eventually(lambda: lane.kiosk.passage.phase is Phase.IDENTIFYING, "the kiosk looks")
    await eventually(lambda: lane.kiosk.embedded_frames, "the kiosk has looked at frames")
    lane.gate(lambda gate: gate.set_fire(True))
    record = await lane.settled()
    assert (record.verdict, record.refer_to, record.reasons) == ("refer", "free_gate", ("emergency",))
    assert record.subject is None
    assert lane.prompts[-1] is Prompt.GATE_FREE
    assert lane.gate(lambda gate: gate.mode.name) == "FREE"

    embedded, painted = lane.kiosk.embedded_frames, lane.floor.painted
    lane.floor.person_with_code(FACES["amber"], qr_text(lane.member("amber").claim))
    await eventually(lambda: lane.floor.painted > painted + 20, "somebody stands there with a code")
    assert lane.kiosk.embedded_frames == embedded
    assert lane.prompts[-1] is Prompt.GATE_FREE
    assert lane.kiosk.is_waiting

    lane.floor.nobody()
    lane.gate(lambda gate: gate.set_fire(False))
    await eventually(lambda: lane.prompts[-1] is Prompt.SHOW_CLAIM, "the fire is over")
    record = await lane.passes("birch")
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)


async def test_a_fire_while_the_gate_is_open_is_recorded_as_an_interrupted_passage(lane: Lane):
    lane.person.walks = False
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await eventually(lambda: lane.gate(lambda gate: gate.open_passage), "the gate opens")
    lane.gate(lambda gate: gate.set_fire(True))
    record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.INTERRUPTED)
    await eventually(lambda: lane.prompts[-1] is Prompt.GATE_FREE, "the screen says that the gate is free")
