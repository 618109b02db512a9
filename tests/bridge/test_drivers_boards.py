"""What only one driver does: its lines, its refusals, and what somebody on its line can and cannot do."""

import pytest

from firmware_bridge import gate as values
from firmware_bridge.drivers.gpio import GpioBoard, open_gpio_gate
from firmware_bridge.drivers.keyfile import read_hex_key
from firmware_bridge.drivers.lcus import frame
from firmware_bridge.drivers.osdp import KEY_SIZE
from firmware_bridge.drivers.wiring import GpioWiring
from firmware_bridge.errors import GateKeyError
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
from firmware_bridge.simulator.boards.gpio import FakeChip
from tests.doubles.bridge_pair import passage
from tests.doubles.driver_rigs import ENDS, GPIO_RELAYS, OPEN_MS, SCBK, GpioRig, rig
from tests.doubles.waiting import eventually


def test_four_bytes_switch_a_channel():
    assert frame(1, True) == bytes.fromhex("a00101a2")
    assert frame(1, False) == bytes.fromhex("a00100a1")
    assert frame(2, True) == bytes.fromhex("a00201a3")


@pytest.mark.parametrize("name", ["modbus", "osdp"])
async def test_a_board_that_refuses_a_command_is_a_state_with_advice(name, tmp_path):
    wrong = {"modbus": {"exit_coil": 99}, "osdp": {"exit_output": 7}}[name]
    async with rig(name, tmp_path, **wrong) as lane:
        state = await eventually(lambda: (found := lane.gate.state()).trouble and found)
        assert state.link is LinkStatus.MISMATCHED
        assert "refuses" in state.trouble
        assert await lane.open(1) == ReleaseRefused(RefusedBecause.LINK_DOWN)
        assert lane.unlocked() == frozenset()


@pytest.mark.parametrize("key", [None, bytes(16)])
async def test_a_reader_without_the_key_is_refused_and_told_nothing(key, tmp_path, monkeypatch):
    monkeypatch.setattr("firmware_bridge.drivers.osdp.SECURE_WITHIN_S", 0.5)
    async with rig("osdp", tmp_path, key=key) as lane:
        state = await eventually(lambda: (found := lane.gate.state()).trouble and found)
        assert state.link is LinkStatus.MISMATCHED
        assert "makes no secure channel" in state.trouble
        assert await lane.open(1) == ReleaseRefused(RefusedBecause.LINK_DOWN)
        assert lane.device.commands == []


@pytest.mark.parametrize("name", ["osdp"])
async def test_what_was_recorded_on_the_line_opens_nothing_at_a_reader_with_a_secure_channel(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        recorded = await _opened_once(lane)
        switched = [command for command in lane.device.commands if command[1] != 1]
        assert len(switched) == 1
        lane.cable.replay(recorded)
        # Whatever that broke is made anew, and only then is it certain that all of it was read.
        await lane.until_event(values.LinkLost)
        await lane.until_event(values.LinkUp)
        assert [command for command in lane.device.commands if command[1] != 1] == switched
        assert lane.unlocked() == frozenset()


@pytest.mark.parametrize("name", ["modbus", "lcus"])
async def test_what_was_recorded_on_a_line_without_keys_does_open(name, tmp_path):
    async with rig(name, tmp_path) as lane:
        await lane.next()
        recorded = await _opened_once(lane)
        command = {"modbus": bytes.fromhex("01050000ff008c3a"), "lcus": bytes.fromhex("a00101a2")}[name]
        assert command in recorded
        lane.unplug()
        await lane.until_event(values.LinkLost)
        lane.cable.replay(command)
        await lane.until_unlocked(Direction.ENTRY)


async def test_what_somebody_else_left_on_is_off_before_the_gate_counts_as_up(tmp_path):
    async with rig("lcus", tmp_path) as lane:
        await lane.next()
        lane.unplug()
        await lane.until_event(values.LinkLost)
        lane.cable.replay(frame(1, True))
        await lane.until_unlocked(Direction.ENTRY)
        lane.plug()
        await lane.until_event(values.LinkUp)
        await lane.until_unlocked()


async def _opened_once(lane):
    """What went over the line while a release opened."""
    lane.cable.to_device.clear()
    assert await lane.open(1) == Accepted()
    await lane.until_unlocked(Direction.ENTRY)
    recorded = bytes(lane.cable.to_device)
    lane.pass_time(OPEN_MS)
    assert isinstance(await lane.next(), ENDS)
    await lane.until_unlocked()
    return recorded


async def test_a_modbus_relay_that_does_not_follow_is_a_latched_fault(tmp_path):
    async with rig("modbus", tmp_path) as lane:
        await lane.next()
        lane.device.stuck = True
        assert await lane.open(1, open_ms=10_000) == Accepted()
        commands = lane.device.commands
        await eventually(lambda: lane.gate.state().entry_unlocked is False)
        lane.pass_time(OPEN_MS)
        assert await lane.next() == values.FaultLatched(GateFault.RELAY)
        assert await lane.next() == values.Interrupted(passage(1), Cause.FAULT)
        state = await eventually(lambda: (found := lane.gate.state()).mode is Mode.FAULT and found)
        assert state.fault is GateFault.RELAY
        lane.device.stuck = False
        assert await lane.open(2) == ReleaseRefused(RefusedBecause.FAULT)
        await eventually(lambda: lane.device.commands > commands)
        assert lane.unlocked() == frozenset()


async def test_a_modbus_unit_that_is_silent_is_a_state_with_advice(tmp_path):
    async with rig("modbus", tmp_path, unit=9) as lane:
        state = await eventually(lambda: (found := lane.gate.state()).trouble and found)
        assert state.link is LinkStatus.MISMATCHED
        assert "unit 9 does not answer" in state.trouble


async def test_a_flash_without_a_board_that_has_it_is_refused_by_the_board(tmp_path):
    async with rig("modbus", tmp_path, flash_address=512) as lane:
        await lane.next()
        assert await lane.open(1) == values.Unanswered()
        assert await lane.next() == values.Interrupted(passage(1), Cause.HOST_SILENT)
        lost = await lane.next()
        assert "refuses (exception 2)" in lost.why


async def test_a_request_to_exit_opens_the_exit_while_the_host_runs(tmp_path):
    async with rig("gpio", tmp_path) as lane:
        await lane.next()
        await lane.set("request_to_exit", True)
        await lane.until_unlocked(Direction.EXIT)
        await lane.set("request_to_exit", False)
        await lane.seen("request_to_exit", False)
        lane.pass_time(5_000)
        await lane.until_unlocked()


async def test_relays_that_are_active_low_rest_high_from_the_first_moment(tmp_path):
    async with rig("gpio", tmp_path, relays_active_low=True) as lane:
        await lane.next()
        levels = lane.chip.levels
        assert [levels[line] for line in GPIO_RELAYS.values()] == [True, True]
        assert await lane.open(1) == Accepted()
        assert [levels[line] for line in GPIO_RELAYS.values()] == [False, True]


@pytest.mark.parametrize("wire", ["fire", "emergency"])
async def test_a_chattering_contact_counts_at_its_second_look_and_a_pulse_does_not(wire):
    chip = FakeChip()
    chip.set_level(5, True)
    board = GpioBoard(GpioWiring(entry_line=4, **{f"{wire}_line": 5}), chip.request_lines)
    await board.connect()

    async def look(active):
        chip.set_level(5, not active)
        return getattr((await board.poll()).inputs, wire)

    assert [await look(active) for active in (True, *[False] * 10, True)] == [False] * 12
    assert [await look(active) for active in (False, True, False, True, True)] == [
        False,
        True,
        False,
        True,
        True,
    ]


async def test_lines_that_another_program_holds_are_a_state_with_advice():
    chip = FakeChip()
    first = GpioRig(chip)
    await first.next()
    second = open_gpio_gate(GpioWiring(entry_line=4), clock_ms=first.clock, request_lines=chip.request_lines)
    state = await eventually(lambda: (found := second.state()).trouble and found)
    assert "gpioinfo says who holds its lines" in state.trouble
    assert first.gate.state().link is LinkStatus.UP
    await second.close()
    await first.end()


async def test_a_release_for_a_way_without_a_relay_is_refused():
    chip = FakeChip()
    lane = GpioRig(chip)
    await lane.end()
    gate = open_gpio_gate(GpioWiring(entry_line=4), clock_ms=lane.clock, request_lines=chip.request_lines)
    await eventually(lambda: gate.state().link is LinkStatus.UP)
    refused = await gate.release(lane.release(1, direction=Direction.EXIT))
    assert refused == ReleaseRefused(RefusedBecause.UNSUPPORTED)
    await gate.close()


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("00ff", 0o600, "2 bytes long"),
        ("not hex", 0o600, "not hexadecimal"),
        (SCBK.hex(), 0o644, "open to other users"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_bad_key_file_of_a_reader_is_an_error_with_advice(tmp_path, text, mode, says):
    path = tmp_path / "scbk"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(GateKeyError, match=says):
        read_hex_key(path, KEY_SIZE)


def test_a_good_key_file_of_a_reader_is_read(tmp_path):
    path = tmp_path / "scbk"
    path.write_text(SCBK.hex() + "\n")
    path.chmod(0o600)
    assert read_hex_key(path, KEY_SIZE) == SCBK
