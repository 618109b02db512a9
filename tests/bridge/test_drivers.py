"""One set of scenarios for every driver of the Gate Protocol, each against a device that works."""

import pytest

from firmware_bridge import gate as values
from firmware_bridge.gate import (
    Accepted,
    Cause,
    Direction,
    GateFault,
    LinkStatus,
    Mode,
    RefusedBecause,
    ReleaseRefused,
)
from tests.doubles.bridge_pair import passage
from tests.doubles.driver_rigs import ENDS, OPEN_MS, rig
from tests.doubles.waiting import eventually

ALL = ["own", "modbus", "modbus-flash", "osdp", "lcus", "gpio"]
TELL_PASSAGES = ["own", "modbus", "gpio"]
CLOSE_ALONE = ["own", "modbus-flash", "osdp"]
WITHOUT_INPUTS = ["modbus-bare", "osdp", "lcus"]
EVERY_WAY = (Direction.ENTRY, Direction.EXIT)


@pytest.fixture(autouse=True)
def _soon_tried_again(monkeypatch):
    monkeypatch.setattr("firmware_bridge.drivers.relay.RETRY_FIRST_S", 0.02)


def every(names):
    return pytest.mark.parametrize("name", names)


@every(ALL)
async def test_a_release_opens_one_way_and_closes_by_itself(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        assert isinstance(await lane.next(), values.LinkUp)
        assert lane.unlocked() == frozenset()
        for number, direction in enumerate(EVERY_WAY, 1):
            assert await lane.open(number, direction=direction) == Accepted()
            await lane.until_unlocked(direction)
            lane.pass_time(OPEN_MS)
            ended = values.TimedOut if name in TELL_PASSAGES else values.Unobserved
            assert await lane.next() == ended(passage(number))
            await lane.until_unlocked()


@every(ALL)
async def test_a_second_release_while_open_is_refused_and_opens_nothing(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1) == Accepted()
        busy = await lane.open(2, direction=Direction.EXIT)
        assert busy == ReleaseRefused(RefusedBecause.BUSY)
        await lane.until_unlocked(Direction.ENTRY)
        lane.pass_time(OPEN_MS)
        assert isinstance(await lane.next(), ENDS)
        await lane.until_unlocked()
        assert await lane.open(2, direction=Direction.EXIT) == Accepted()
        await lane.until_unlocked(Direction.EXIT)


@every(ALL)
async def test_a_late_or_a_repeated_release_does_nothing(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        late = await lane.open(1, within_ms=-1)
        assert late == ReleaseRefused(RefusedBecause.LATE)
        release = lane.release(2)
        assert await lane.gate.release(release) == Accepted()
        lane.pass_time(OPEN_MS)
        assert isinstance(await lane.next(), ENDS)
        await lane.until_unlocked()
        assert await lane.gate.release(release) == ReleaseRefused(RefusedBecause.REPEATED)
        assert lane.unlocked() == frozenset()


@every(ALL)
async def test_a_link_lost_while_open_ends_the_release_untold_and_once(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1, open_ms=1_000) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)
        lane.unplug()
        seen = await lane.until_event(values.LinkLost)
        lane.plug()
        await eventually(lambda: lane.gate.state().link is LinkStatus.UP)
        if not any(isinstance(event, ENDS) for event in seen):
            seen += await lane.until_event(ENDS)
        await eventually(lambda: lane.gate.state().mode is Mode.LOCKED)
        await lane.until_unlocked()
        assert await lane.open(2) == Accepted()
        lane.pass_time(OPEN_MS)
        seen += await lane.until_event(ENDS)
        ended = [event for event in seen if isinstance(event, ENDS)]
        assert ended[0] in (
            values.Interrupted(passage(1), Cause.HOST_SILENT),
            values.TimedOut(passage(1)),
        )
        assert [event.passage_id for event in ended] == [passage(1), passage(2)]


@every(CLOSE_ALONE)
async def test_the_gate_ends_an_opening_by_its_own_clock_when_the_host_is_gone(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)
        lane.unplug()
        await lane.until_event(values.LinkLost)
        await lane.until_unlocked()


@every([name for name in ALL if name not in CLOSE_ALONE])
async def test_what_these_boards_cannot_a_relay_stays_on_until_the_host_is_back(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)
        lane.unplug()
        await lane.until_event(values.LinkLost)
        lane.pass_time(2 * OPEN_MS)
        await eventually(lambda: "not there" in str(lane.gate.state().trouble))
        assert lane.unlocked() == frozenset({Direction.ENTRY})
        lane.plug()
        await lane.until_event(values.LinkUp)
        await lane.until_unlocked()


@every(ALL)
async def test_unplug_and_replug_needs_no_restart_and_state_tells_it(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        assert await lane.next() == values.LinkUp(1)
        state = await eventually(lambda: (found := lane.gate.state()).mode is Mode.LOCKED and found)
        assert (state.link, state.trouble, state.fault) == (LinkStatus.UP, None, GateFault.NONE)
        assert (state.entry_unlocked, state.exit_unlocked) == (False, False)
        lane.unplug()
        lost = await lane.next()
        assert "gone while in use" in lost.why
        state = await eventually(lambda: "not there" in str((found := lane.gate.state()).trouble) and found)
        assert state.link is LinkStatus.NO_PORT
        assert (state.mode, state.fault, state.inputs, state.entry_unlocked) == (None, None, None, None)
        assert await lane.open(1) == ReleaseRefused(RefusedBecause.LINK_DOWN)
        lane.plug()
        assert isinstance(await lane.next(), values.LinkUp)
        assert await lane.open(2) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)


@every([name for name in ALL if name not in WITHOUT_INPUTS])
@pytest.mark.parametrize(
    ("wire", "told"), [("emergency", values.EmergencyReleased()), ("fire", values.FireReleased())]
)
async def test_emergency_and_fire_free_the_gate_and_end_the_release(name, wire, told, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1, open_ms=10_000) == Accepted()
        await lane.set(wire, True)
        assert await lane.next() == told
        assert await lane.next() == values.Interrupted(passage(1), Cause[wire.upper()])
        await lane.until_unlocked(*EVERY_WAY)
        state = await eventually(lambda: (found := lane.gate.state()).mode is Mode.FREE and found)
        assert getattr(state.inputs, wire)
        assert await lane.open(2) == ReleaseRefused(RefusedBecause.FREE)
        await lane.set(wire, False)
        assert await lane.next() == values.FreeEnded()
        await lane.until_unlocked()


@every(WITHOUT_INPUTS)
async def test_a_gate_without_inputs_says_that_it_has_none(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert lane.gate.state().inputs is None
        assert not lane.gate.state().capabilities.life_safety_in_firmware
        assert not lane.gate.state().capabilities.reports_passage


@every(TELL_PASSAGES)
async def test_a_passage_is_told_and_closes_the_gate(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert lane.gate.state().capabilities.reports_passage
        assert await lane.open(1, open_ms=10_000) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)
        await lane.walk()
        assert await lane.next() == values.Passed(passage(1), Direction.ENTRY)
        await lane.until_unlocked()


@every([name for name in ALL if name != "own"])  # its controller goes to its safe state by itself
async def test_closing_the_gate_locks_it_and_ends_its_events(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        assert await lane.open(1, open_ms=10_000) == Accepted()
        await lane.until_unlocked(Direction.ENTRY)
        await lane.gate.close()
        await lane.until_unlocked()
        assert lane.gate.state().link is LinkStatus.NO_PORT
        assert not [event async for event in lane.rest() if isinstance(event, values.LinkUp)]
