"""What a controller does, whoever is on the line. Times are the simulated gate's own."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import messages
from firmware_bridge.auth import derive_keys
from firmware_bridge.frame import Heading, IgnoredBecause
from firmware_bridge.messages import Answer, Cause, Direction, GateFault, Mode, Outputs
from firmware_bridge.simulator import SimulatedGate
from tests.doubles.bridge_pair import KEYS, BareHost, nonce, passage
from tests.doubles.examples import examples

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "gate_frames.json").read_text())
BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED


def kinds(events):
    return [type(event) for event in events]


def open_times_ms(gate, way=Outputs.ENTRY_UNLOCKED):
    """How long each opening one way lasted, by the gate's own clock."""
    times, since = [], None
    for change in gate.history:
        if change.outputs & way and since is None:
            since = change.at_ms
        elif not change.outputs & way and since is not None:
            times.append(change.at_ms - since)
            since = None
    return times


def test_a_release_opens_one_way_until_the_person_is_through():
    host = BareHost()
    assert host.release(direction=Direction.ENTRY) is Answer.ACCEPTED
    assert (host.gate.mode, host.gate.unlocked) == (Mode.RELEASED, Outputs.ENTRY_UNLOCKED)
    host.gate.walk_through()
    host.run(1_000)
    assert host.gate.mode is Mode.LOCKED
    [event] = host.events()
    assert (type(event), event.passage_id, event.direction) == (messages.Passed, passage(1), Direction.ENTRY)


def test_a_release_for_exit_opens_only_the_exit():
    host = BareHost()
    host.release(direction=Direction.EXIT)
    assert host.gate.unlocked == Outputs.EXIT_UNLOCKED
    host.gate.walk_through(Direction.EXIT)
    host.run(1_000)
    assert host.events()[0].direction is Direction.EXIT


def test_a_repeated_release_does_nothing_even_when_signed_anew():
    host = BareHost()
    assert host.release(1) is Answer.ACCEPTED
    host.gate.walk_through()
    host.run(1_000)
    assert host.release(1) is Answer.ALREADY
    host.run(100)
    assert host.gate.mode is Mode.LOCKED
    assert len(open_times_ms(host.gate)) == 1


def test_a_late_release_does_nothing():
    host = BareHost()
    assert host.release(within_ms=-1) is Answer.LATE
    host.run(100)
    assert open_times_ms(host.gate) == []
    assert host.gate.mode is Mode.LOCKED


def test_a_release_held_up_on_the_line_past_its_limit_does_nothing():
    host = BareHost()
    host.gate.delay_next(1_500, Heading.TO_CONTROLLER)
    not_after_ms = host.gate.uptime_ms + 1_000
    release = messages.Release(passage(1), nonce(1), not_after_ms, 3_000, Direction.ENTRY)
    assert host.send(release) == []
    host.run(2_000)
    assert messages.ReleaseAnswer(nonce(1), Answer.LATE) in host.heard
    assert open_times_ms(host.gate) == []


def test_a_release_for_too_far_ahead_is_refused():
    host = BareHost()
    assert host.release(1, within_ms=messages.RELEASE_AHEAD_MAX_MS + 1) is Answer.TOO_FAR_AHEAD
    assert host.release(1, within_ms=messages.RELEASE_AHEAD_MAX_MS) is Answer.ACCEPTED


def test_of_two_quick_releases_the_second_waits_its_turn():
    host = BareHost()
    assert host.release(1) is Answer.ACCEPTED
    assert host.release(2) is Answer.BUSY
    host.gate.walk_through()
    host.run(1_000)
    assert host.release(2) is Answer.ACCEPTED
    host.gate.walk_through()
    host.run(1_000)
    assert [event.passage_id for event in host.events()][:1] == [passage(1)]
    host.acknowledge_all()
    assert [event.passage_id for event in host.events()] == [passage(1), passage(2)]


@pytest.mark.parametrize("open_ms", [0, 1, 499, 500, 501, 3_000, 9_999, 10_000, 10_001, 65_535])
def test_the_open_time_is_clamped_by_the_controller(open_ms):
    host = BareHost()
    assert host.release(open_ms=open_ms) is Answer.ACCEPTED
    host.run(11_000)
    clamped_ms = min(max(open_ms, messages.OPEN_MIN_MS), messages.OPEN_MAX_MS)
    [lasted_ms] = open_times_ms(host.gate)
    assert clamped_ms - 5 <= lasted_ms <= clamped_ms + 5
    assert kinds(host.events()) == [messages.TimedOut]
    assert host.events()[0].passage_id == passage(1)


def test_a_person_between_the_beams_may_finish_after_the_open_time():
    host = BareHost()
    host.release(open_ms=500)
    host.run(250)
    host.gate.walk_through()
    host.run(2_000)
    assert kinds(host.events()) == [messages.Passed]


def test_a_person_who_stays_between_the_beams_is_not_waited_for_for_ever():
    host = BareHost()
    host.release(open_ms=500)
    host.run(300)
    host.gate.walk_through()
    host.run(200)
    host.gate._walks.clear()
    host.run(5_000)
    [lasted_ms] = open_times_ms(host.gate)
    assert lasted_ms <= 500 + messages.PASSAGE_FINISH_MS + 5
    assert messages.TimedOut in kinds(host.events())


def test_host_silence_brings_the_safe_state_after_two_seconds_and_not_before():
    host = BareHost()
    host.beats = False
    host.run(messages.HOST_SILENCE_MS - 10)
    assert host.gate.mode is Mode.LOCKED
    host.run(15)
    assert host.gate.mode is Mode.SAFE
    assert host.release() is Answer.SAFE
    host.beat()
    assert host.gate.mode is Mode.LOCKED


@pytest.mark.parametrize(("fail_open", "unlocked"), [(True, BOTH), (False, Outputs(0))])
def test_the_jumper_and_not_the_host_says_what_the_safe_state_is(fail_open, unlocked):
    host = BareHost(fail_open=fail_open)
    host.run(50)
    assert host.gate.unlocked == Outputs(0)
    host.beats = False
    host.run(2_500)
    assert (host.gate.mode, host.gate.unlocked) == (Mode.SAFE, unlocked)


def test_host_silence_ends_a_release_that_nobody_took():
    host = BareHost()
    host.run(5)
    host.beats = False
    host.release(open_ms=10_000)
    host.run(2_600)
    assert (host.gate.mode, host.gate.unlocked) == (Mode.SAFE, Outputs(0))
    [event] = host.events()
    assert (type(event), event.cause) == (messages.Interrupted, Cause.HOST_SILENT)


def in_locked(host):
    host.run(500)


def in_released(host):
    host.run(500)
    host.release(open_ms=10_000)


def in_safe(host):
    host.beats = False
    host.run(3_000)


def in_fault(host):
    host.gate.open_enclosure()
    host.run(500)
    assert host.gate.mode is Mode.FAULT


SITUATIONS = [in_locked, in_released, in_safe, in_fault]


@pytest.mark.parametrize("button", ["fire", "emergency"])
@pytest.mark.parametrize("fail_open", [False, True])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_fire_and_emergency_free_the_gate_in_100_ms_with_the_host_dead(situation, fail_open, button):
    host = BareHost(fail_open=fail_open)
    situation(host)
    host.beats = False
    gate = host.gate
    pressed_ms = gate.uptime_ms
    if button == "fire":
        gate.set_fire(True)
    else:
        gate.press_emergency()
    gate.advance(gate.now_ms + messages.LIFE_SAFETY_MS)
    assert (gate.mode, gate.unlocked) == (Mode.FREE, BOTH)
    freed_ms = next(
        (
            change.at_ms
            for change in gate.history
            if change.at_ms >= pressed_ms and change.outputs & BOTH == BOTH
        ),
        pressed_ms,
    )
    assert freed_ms - pressed_ms <= messages.LIFE_SAFETY_MS
    gate.advance(gate.now_ms + 10_000)
    assert gate.unlocked == BOTH
    gate.set_fire(False)
    gate.reset_emergency()
    gate.advance(gate.now_ms + 100)
    assert gate.mode in (Mode.SAFE, Mode.FAULT)


def test_no_message_masks_or_delays_fire():
    host = BareHost()
    host.gate.set_fire(True)
    for number in range(100):
        host.release(number + 1)
        host.put(b"\xff" * 200)
        host.now_ms += 1
        host.beat()
    assert host.gate.unlocked == BOTH
    assert host.release(500) is Answer.FREE
    assert messages.FireReleased in kinds(host.events())


def test_fire_ends_an_open_release_and_a_passage_then_has_no_passage_id():
    host = BareHost()
    host.release(1)
    host.gate.set_fire(True)
    host.run(100)
    host.gate.walk_through()
    host.run(1_000)
    host.gate.set_fire(False)
    host.run(100)
    host.acknowledge_all()
    fire, interrupted, passed, ended = host.events()
    assert (type(fire), type(ended)) == (messages.FireReleased, messages.FreeEnded)
    assert (interrupted.passage_id, interrupted.cause) == (passage(1), Cause.FIRE)
    assert (type(passed), passed.passage_id) == (messages.Passed, None)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_request_to_exit_frees_the_exit_with_the_host_dead(situation):
    host = BareHost()
    situation(host)
    host.beats = False
    pressed_ms = host.gate.uptime_ms
    host.gate.request_exit()
    host.run(100)
    assert host.gate.unlocked & Outputs.EXIT_UNLOCKED
    assert host.gate.uptime_ms - pressed_ms <= messages.LIFE_SAFETY_MS
    host.gate.walk_through(Direction.EXIT)
    host.run(1_000)
    host.acknowledge_all()
    passed = [event for event in host.events() if isinstance(event, messages.Passed)]
    assert [(event.passage_id, event.direction) for event in passed] == [(None, Direction.EXIT)]
    host.run(messages.EXIT_OPEN_MS)
    assert not host.gate.unlocked & Outputs.EXIT_UNLOCKED


def test_a_second_person_on_one_release_is_tailgating_and_counts_once():
    host = BareHost()
    host.release(1)
    host.gate.tailgate()
    host.run(2_000)
    host.acknowledge_all()
    assert [(type(event), event.passage_id) for event in host.events()] == [
        (messages.Tailgated, passage(1)),
        (messages.Passed, passage(1)),
    ]


def test_pushing_through_right_after_a_passage_is_tailgating():
    host = BareHost()
    host.release(1)
    host.gate.walk_through()
    host.run(650)
    host.gate.force()
    host.run(1_000)
    host.acknowledge_all()
    assert kinds(host.events()) == [messages.Passed, messages.Tailgated]
    assert host.events()[1].passage_id == passage(1)


def test_stepping_back_out_is_no_passage():
    host = BareHost()
    host.release(open_ms=3_000)
    host.gate.walk_back()
    host.run(4_000)
    assert kinds(host.events()) == [messages.TimedOut]


def test_nobody_gets_through_a_locked_gate_by_walking():
    host = BareHost()
    host.gate.walk_through()
    host.run(1_000)
    assert host.events() == []


def test_forcing_a_locked_gate_is_reported_once():
    host = BareHost()
    host.gate.force()
    host.run(1_000)
    host.acknowledge_all()
    assert kinds(host.events()) == [messages.ForcedDoor]


def test_going_against_an_open_release_is_reported_and_the_release_stays():
    host = BareHost()
    host.release(1)
    host.gate.force(Direction.EXIT)
    host.run(1_000)
    assert host.gate.mode is Mode.RELEASED
    host.gate.walk_through()
    host.run(1_000)
    host.acknowledge_all()
    assert kinds(host.events()) == [messages.WrongWay, messages.Passed]


def test_a_door_left_open_is_reported_once_and_again_only_after_it_closed():
    host = BareHost()
    for number in (1, 2):
        host.release(number)
        host.gate.hold_open()
        host.gate.walk_through()
        host.run(messages.HELD_OPEN_MS + 10_000)
        host.gate.let_close()
        host.run(100)
        host.acknowledge_all()
    assert kinds(host.events()) == [messages.Passed, messages.HeldOpen] * 2


def test_the_first_fault_is_latched_until_the_next_boot():
    host = BareHost()
    host.gate.open_enclosure()
    host.run(100)
    host.gate.close_enclosure()
    host.gate.fail_relay()
    host.gate.set_fire(True)
    host.run(200)
    host.gate.set_fire(False)
    host.run(200)
    assert (host.gate.mode, host.gate.fault) == (Mode.FAULT, GateFault.TAMPER)
    assert host.release() is Answer.FAULT
    host.acknowledge_all()
    assert [event.fault for event in host.events() if isinstance(event, messages.FaultLatched)] == [
        GateFault.TAMPER
    ]
    host.gate.repair_relay()
    host.gate.reboot()
    host.counter = 0
    host.beat()
    host.run(10)
    assert (host.gate.mode, host.gate.fault) == (Mode.LOCKED, GateFault.NONE)


def test_a_relay_that_does_not_follow_is_a_fault_and_ends_the_release():
    host = BareHost()
    host.gate.fail_relay()
    host.release(1)
    host.run(200)
    assert (host.gate.mode, host.gate.fault) == (Mode.FAULT, GateFault.RELAY)
    host.acknowledge_all()
    assert kinds(host.events()) == [messages.FaultLatched, messages.Interrupted]


def test_a_replayed_frame_is_ignored_and_counted():
    host = BareHost()
    wire = host.sealed(messages.Heartbeat(5))
    assert host.put(wire)
    for _ in range(3):
        assert host.put(wire) == []
    assert host.gate.controller.transport.ignored == {IgnoredBecause.COUNTER: 3}


def test_a_frame_of_another_boot_is_ignored_and_counted():
    host = BareHost()
    not_after_ms = host.gate.uptime_ms + 9_000
    wire = host.sealed(messages.Release(passage(1), nonce(1), not_after_ms, 3_000, Direction.ENTRY))
    host.gate.reboot()
    host.counter = 0
    host.beat()
    assert host.put(wire) == []
    assert host.gate.mode is Mode.LOCKED
    assert host.gate.controller.transport.ignored == {IgnoredBecause.BOOT: 1}


def test_reordered_frames_lose_the_one_that_comes_late():
    host = BareHost()
    host.gate.reorder_next(Heading.TO_CONTROLLER)
    host.send(messages.Heartbeat(10))
    host.send(messages.Heartbeat(11))
    tokens = [message.token for message in host.heard if isinstance(message, messages.Status)]
    assert 11 in tokens
    assert 10 not in tokens
    assert host.gate.controller.transport.ignored == {IgnoredBecause.COUNTER: 1}


@pytest.mark.parametrize("row", VECTORS["ignored"], ids=lambda row: row["what"])
def test_every_bad_packet_of_the_vectors_is_counted_under_its_reason(row):
    keys = derive_keys(bytes.fromhex(VECTORS["gate_key"]), VECTORS["gate_id"])
    gate = SimulatedGate(keys, first_boot_id=row["boot_id"])
    gate.exchange(b"\0" + bytes.fromhex(row["packet"]) + b"\0", 50)
    assert gate.controller.transport.ignored == {IgnoredBecause(row["because"]): 1}
    assert gate.mode is Mode.SAFE


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_any_one_bit_wrong_makes_a_release_do_nothing(data):
    host = BareHost()
    not_after_ms = host.gate.uptime_ms + 2_000
    release = messages.Release(passage(1), nonce(1), not_after_ms, 3_000, Direction.ENTRY)
    wire = bytearray(host.sealed(release))
    bit = data.draw(st.integers(8, 8 * (len(wire) - 1) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    assert host.put(bytes(wire)) == []
    assert host.gate.mode is Mode.LOCKED
    assert sum(host.gate.controller.transport.ignored.values()) >= 1


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=120), max_size=20))
def test_garbage_on_the_line_never_opens_and_never_stops_the_gate(pieces):
    host = BareHost()
    for garbage in pieces:
        assert host.put(garbage) == []
    host.put(b"\0")
    assert host.gate.mode is Mode.LOCKED
    assert host.release() is Answer.ACCEPTED


def test_the_set_of_nonces_forgets_only_what_would_be_late():
    host = BareHost()
    for number in range(1, messages.NONCES_KEPT + 1):
        assert host.release(number, within_ms=10_000, open_ms=500) is Answer.ACCEPTED
        host.gate.set_fire(True)
        host.run(15)
        host.gate.set_fire(False)
        host.run(120)
        host.acknowledge_all()
    assert host.release(1_000) is Answer.NONCES_FULL
    assert host.release(1) is Answer.ALREADY
    host.run(9_500)
    assert host.release(1_000) is Answer.ACCEPTED


def test_no_release_is_taken_while_its_end_might_find_no_place():
    host = BareHost()
    for _ in range(10):
        host.gate.set_fire(True)
        host.run(50)
        host.gate.set_fire(False)
        host.run(150)
    kept = messages.EVENTS_KEPT - messages.EVENTS_RESERVED
    assert host.gate.controller.transport.events_waiting == kept
    assert host.gate.controller.transport.events_dropped == 20 - kept
    assert host.release() is Answer.EVENTS_FULL
    host.acknowledge_all()
    assert host.release() is Answer.ACCEPTED


def test_the_end_of_a_release_has_a_place_however_many_people_leave_by_request():
    host = BareHost()
    for number in range(1, 14):
        host.gate.request_exit()
        host.run(50)
        host.gate.walk_through(Direction.EXIT)
        host.run(700)
        assert host.gate.controller.transport.events_waiting == number
    assert host.release(1, open_ms=10_000) is Answer.ACCEPTED
    for _ in range(4):
        host.gate.request_exit()
        host.run(50)
        host.gate.walk_through(Direction.EXIT)
        host.run(700)
    host.gate.walk_through()
    host.run(1_000)
    host.acknowledge_all()
    assert host.events()[-1].passage_id == passage(1)
    assert host.gate.controller.transport.events_dropped == 3


def test_an_event_is_repeated_until_it_is_acknowledged():
    host = BareHost()
    host.gate.force()
    host.run(2_000)
    assert kinds(host.events()) == [messages.ForcedDoor]
    repeats = [message for message in host.heard if isinstance(message, messages.Numbered)]
    assert 8 <= len(repeats) <= 11
    host.acknowledge_all()
    assert not any(isinstance(message, messages.Numbered) for message in host.run(1_000))


def test_a_release_works_across_the_wrap_of_uptime():
    host = BareHost(gate=SimulatedGate(KEYS, first_uptime_ms=(1 << 32) - 1_000))
    assert host.release(1, within_ms=3_000, open_ms=2_000) is Answer.ACCEPTED
    host.run(1_800)
    assert host.gate.mode is Mode.RELEASED
    assert host.gate.uptime_ms < 1_000
    assert host.release(1) is Answer.ALREADY
    host.run(300)
    assert kinds(host.events()) == [messages.TimedOut]
    assert host.release(2, within_ms=-1) is Answer.LATE


VERBS = {
    "walk": lambda host: host.gate.walk_through(),
    "walk back": lambda host: host.gate.walk_back(),
    "tailgate": lambda host: host.gate.tailgate(),
    "force": lambda host: host.gate.force(),
    "force out": lambda host: host.gate.force(Direction.EXIT),
    "exit": lambda host: host.gate.request_exit(),
    "fire": lambda host: host.gate.set_fire(True),
    "fire over": lambda host: host.gate.set_fire(False),
    "silence": lambda host: setattr(host, "beats", False),
    "beats": lambda host: setattr(host, "beats", True),
    "acknowledge": lambda host: host.acknowledge_all(),
}


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*VERBS, "release"]), st.integers(1, 160)), max_size=25))
def test_every_accepted_release_ends_exactly_once_whatever_happens(script):
    host, accepted = BareHost(), []
    for number, (verb, wait) in enumerate(script, 1):
        if verb == "release":
            if host.release(number) is Answer.ACCEPTED:
                accepted.append(passage(number))
        else:
            VERBS[verb](host)
        host.run(wait * 5)
    host.gate.set_fire(False)
    host.beats = True
    host.run(15_000)
    host.acknowledge_all()
    ends = (messages.Passed, messages.TimedOut, messages.Interrupted)
    ended = [event.passage_id for event in host.events() if isinstance(event, ends)]
    assert [found for found in ended if found is not None] == accepted
