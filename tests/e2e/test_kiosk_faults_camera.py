"""The camera is pulled out, covered or hangs while a member stands there."""

from __future__ import annotations

import pytest

from edge.adapters.camera.clip import ClipDevice
from edge.enact.display import OtherWayAsked, Prompt
from edge.passage.state import Phase
from tests.doubles.kiosk_rig import Watcher
from tests.doubles.lane import FACES, Lane
from tests.doubles.waiting import eventually
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (ClipDevice.unplug, "camera_unplugged"),
        (ClipDevice.cover, "camera_black"),
        pytest.param(ClipDevice.freeze, "camera_frozen", marks=pytest.mark.long),
    ],
)
async def test_a_camera_that_fails_in_a_passage_is_named_and_members_still_pass(lane: Lane, fault, note: str):
    async with Watcher().watching(lane.stage) as watcher:
        with lane.impatient():
            await lane.claims("amber")
            fault(lane.stage.camera)
            record = await lane.settled()
        assert (record.verdict, record.refer_to) == ("refer", "other_way")
        assert record.reasons == ("failure_to_acquire",)
        assert (record.subject, record.comparison) == (None, None)
        assert Prompt.OTHER_WAY in lane.prompts
        await eventually(lambda: "camera" in lane.degraded, "the screen says it")
        await watcher.state(lambda state: note in state.notes)

        # No code can be read either: the claim comes by the keypad or a hand scanner.
        lane.person.pin = lane.member("birch").pin
        lane.stage.screen.press(OtherWayAsked())
        await lane.enters_claim("birch")
        record = await lane.settled()
        assert (record.verdict, record.identified_by) == ("grant", "claim+pin")
        assert record.gate_outcome is GateOutcome.PASSED

        watcher.states.clear()
        lane.stage.camera.plug()
        lane.stage.camera.recover()
        await eventually(lambda: "camera" not in lane.degraded, "the screen is content")
        await watcher.state(lambda state: not any(each.startswith("camera_") for each in state.notes))
    record = await lane.passes("birch")
    assert (record.verdict, record.identified_by) == ("grant", "face")


async def test_a_picture_that_hangs_is_no_agreement_of_several_frames(lane: Lane):
    """One good frame repeated by a hung driver must not count as three that agree."""
    await lane.may_claim(lane.member("birch"))
    lane.floor.person(FACES["birch"])
    await lane.seen()
    lane.stage.camera.freeze()
    with lane.impatient():
        await lane.enters_claim("birch")
        await eventually(lambda: lane.kiosk.passage.phase is Phase.IDENTIFYING, "a claim was made")
        record = await lane.settled()
    assert (record.verdict, record.reasons) == ("refer", ("failure_to_acquire",))
    assert lane.embedded
