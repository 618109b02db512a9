"""The rules of a lane whose board has no mind of its own, on a clock that stands where the test puts it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware_bridge import gate as values
from firmware_bridge.drivers.lane import EVERY_WAY, READBACK_MS, RelayLane, WantedRelays
from firmware_bridge.gate import Cause, Direction, GateFault, GateInputs, GateRelease, Mode, RefusedBecause
from firmware_bridge.messages import (
    EXIT_OPEN_MS,
    HELD_OPEN_MS,
    LIFE_SAFETY_MS,
    OPEN_MAX_MS,
    OPEN_MIN_MS,
    PASSAGE_FINISH_MS,
    RELEASE_AHEAD_MAX_MS,
    TAILGATE_MS,
)
from tests.doubles.bridge_pair import nonce, passage
from tests.doubles.examples import examples

ENTRY, EXIT = frozenset({Direction.ENTRY}), frozenset({Direction.EXIT})
NONE = frozenset()
CLEAR = GateInputs()
WALK = (GateInputs(beam_a=True), GateInputs(beam_a=True, beam_b=True), GateInputs(beam_b=True), CLEAR)
FOLLOWED = (*WALK[:3], GateInputs(beam_a=True, beam_b=True), GateInputs(beam_b=True), CLEAR)
ENDS = values.Passed | values.TimedOut | values.Interrupted | values.Unobserved


class Stand:
    """A lane, a clock, and what it told."""

    def __init__(self, ways=EVERY_WAY, *, beams=True):
        self.lane = RelayLane(ways, beams=beams)
        self.now_ms = 1_000_000
        self.number = 0

    def release(self, *, within_ms=2_000, open_ms=3_000, direction=Direction.ENTRY):
        self.number += 1
        return GateRelease(
            passage(self.number), nonce(self.number), direction, self.now_ms + within_ms, open_ms
        )

    def open(self, **how):
        release = self.release(**how)
        refusal = self.lane.refusal(release, self.now_ms)
        if refusal is None:
            self.lane.begin(release, self.now_ms)
        return refusal

    def see(self, *inputs):
        return [event for seen in inputs for event in self.lane.step(seen, self.now_ms)]

    def wait(self, span_ms, inputs=CLEAR):
        self.now_ms += span_ms
        return self.see(inputs)

    @property
    def ways(self):
        return self.lane.wanted(self.now_ms).ways


@pytest.mark.parametrize(
    ("asked_ms", "open_ms"),
    [(0, OPEN_MIN_MS), (499, OPEN_MIN_MS), (500, 500), (9_999, 9_999), (65_535, OPEN_MAX_MS)],
)
def test_the_open_time_is_clamped_to_the_controllers_bounds(asked_ms, open_ms):
    stand = Stand(beams=False)
    stand.open(open_ms=asked_ms)
    assert stand.lane.wanted(stand.now_ms) == WantedRelays(ENTRY, open_ms)
    assert stand.lane.due_ms(stand.now_ms) == open_ms
    assert stand.wait(open_ms - 1) == []
    assert stand.lane.wanted(stand.now_ms) == WantedRelays(ENTRY, 1)
    assert stand.wait(1) == [values.Unobserved(passage(1))]
    assert stand.lane.wanted(stand.now_ms) == WantedRelays(NONE)


@pytest.mark.parametrize(
    ("within_ms", "refusal"),
    [
        (-1, RefusedBecause.LATE),
        (0, None),
        (RELEASE_AHEAD_MAX_MS, None),
        (RELEASE_AHEAD_MAX_MS + 1, RefusedBecause.TOO_FAR_AHEAD),
    ],
)
def test_the_time_limit_of_a_release_is_kept_to_the_millisecond(within_ms, refusal):
    assert Stand().open(within_ms=within_ms) is refusal


def test_a_nonce_opens_once_and_is_late_once_it_is_forgotten():
    stand = Stand()
    release = stand.release()
    stand.lane.begin(release, stand.now_ms)
    stand.see(*WALK)
    assert stand.lane.refusal(release, stand.now_ms) is RefusedBecause.REPEATED
    stand.wait(2_001)
    assert stand.lane.refusal(release, stand.now_ms) is RefusedBecause.LATE


def test_a_release_for_nobody_or_for_a_way_without_a_relay_is_refused():
    stand = Stand(ENTRY)
    nobody = GateRelease(passage(0), nonce(1), Direction.ENTRY, stand.now_ms, 500)
    assert stand.lane.refusal(nobody, stand.now_ms) is RefusedBecause.MALFORMED
    assert stand.open(direction=Direction.EXIT) is RefusedBecause.UNSUPPORTED


def test_a_person_between_the_beams_may_finish_but_is_not_waited_for_for_ever():
    stand = Stand()
    stand.open(open_ms=500)
    stand.see(WALK[0])
    assert stand.wait(500 + PASSAGE_FINISH_MS - 1, WALK[0]) == []
    assert stand.ways == ENTRY
    assert stand.wait(1, WALK[0]) == [values.TimedOut(passage(1))]
    assert stand.ways == NONE


def test_a_board_that_times_by_itself_is_given_time_for_a_person_to_finish_only_where_beams_see_one():
    for beams, more_ms in ((True, PASSAGE_FINISH_MS), (False, 0)):
        stand = Stand(beams=beams)
        stand.open(open_ms=1_000)
        assert stand.lane.wanted(stand.now_ms).for_ms == 1_000 + more_ms


def test_one_person_passes_and_the_gate_locks():
    stand = Stand()
    stand.open()
    assert stand.see(*WALK) == [values.Passed(passage(1), Direction.ENTRY)]
    assert stand.ways == NONE


def test_two_on_one_release_are_tailgating_together_and_right_after():
    stand = Stand()
    stand.open()
    assert stand.see(*FOLLOWED) == [
        values.Tailgated(passage(1)),
        values.Passed(passage(1), Direction.ENTRY),
    ]
    assert stand.wait(TAILGATE_MS - 1) == []
    assert stand.see(*WALK) == [values.Tailgated(passage(1))]
    stand.wait(1)
    assert stand.see(*WALK) == [values.ForcedPassage(Direction.ENTRY)]


def test_going_against_a_release_is_the_wrong_way_and_the_release_stays():
    stand = Stand()
    stand.open(direction=Direction.EXIT)
    assert stand.see(*WALK) == [values.WrongWay(passage(1))]
    assert stand.ways == EXIT


def test_without_beams_nothing_is_made_of_them():
    stand = Stand(beams=False)
    stand.open()
    assert stand.see(*WALK) == []
    assert stand.ways == ENTRY


def test_a_request_to_exit_opens_the_exit_and_whoever_goes_has_no_passage_id():
    stand = Stand()
    stand.see(GateInputs(request_to_exit=True))
    assert stand.ways == EXIT
    assert stand.wait(60_000, GateInputs(request_to_exit=True)) == []
    assert stand.see(CLEAR) == []
    assert stand.see(*(GateInputs(beam_b=w.beam_a, beam_a=w.beam_b) for w in WALK)) == [
        values.Passed(None, Direction.EXIT)
    ]
    stand.wait(EXIT_OPEN_MS - 1)
    assert stand.ways == EXIT
    stand.wait(1)
    assert stand.ways == NONE


def test_a_door_forced_and_a_door_held_open_are_each_told_once():
    stand = Stand()
    is_open = GateInputs(door_open=True)
    assert stand.see(is_open) == [values.ForcedDoor()]
    assert stand.see(is_open) == []
    assert stand.wait(HELD_OPEN_MS, is_open) == [values.HeldOpen()]
    assert stand.wait(HELD_OPEN_MS, is_open) == []
    assert stand.see(CLEAR) == []
    stand.open(open_ms=500)
    assert stand.see(is_open) == []


@pytest.mark.parametrize("wire", ["fire", "emergency"])
def test_life_safety_frees_both_ways_with_no_end_and_a_fault_does_not_hinder_it(wire):
    stand = Stand()
    stand.lane.fault = GateFault.RELAY
    stand.see(GateInputs(**{wire: True}))
    assert stand.lane.wanted(stand.now_ms) == WantedRelays(EVERY_WAY, None)
    assert stand.lane.mode is Mode.FREE
    assert stand.open() is RefusedBecause.FREE
    assert stand.wait(LIFE_SAFETY_MS) == [values.FreeEnded()]
    assert (stand.lane.mode, stand.ways) == (Mode.FAULT, NONE)


@pytest.mark.parametrize("wire", ["fire", "emergency"])
def test_a_contact_that_chatters_keeps_the_gate_free_until_it_pauses(wire):
    stand = Stand()
    stand.see(GateInputs(**{wire: True}))
    for _ in range(20):
        assert stand.wait(LIFE_SAFETY_MS // 2) == []
        assert stand.ways == EVERY_WAY
        assert stand.wait(LIFE_SAFETY_MS // 2, GateInputs(**{wire: True})) == []
    assert stand.wait(LIFE_SAFETY_MS - 1) == []
    assert stand.wait(1) == [values.FreeEnded()]


def test_a_board_that_differs_for_half_a_second_is_at_fault_and_one_that_differs_shortly_is_not():
    stand = Stand()
    stand.open(open_ms=10_000)
    assert stand.lane.read_back(NONE, stand.now_ms) == ()
    assert stand.lane.read_back(NONE, stand.now_ms + READBACK_MS - 1) == ()
    assert stand.lane.read_back(ENTRY, stand.now_ms + READBACK_MS) == ()
    assert stand.lane.read_back(NONE, stand.now_ms + READBACK_MS) == ()
    later_ms = stand.now_ms + 2 * READBACK_MS
    assert stand.lane.read_back(NONE, later_ms) == (
        values.FaultLatched(GateFault.RELAY),
        values.Interrupted(passage(1), Cause.FAULT),
    )
    assert stand.lane.read_back(ENTRY, later_ms + 10 * READBACK_MS) == ()
    assert (stand.open(), stand.ways) == (RefusedBecause.FAULT, NONE)


class AnyHour(RuleBasedStateMachine):
    """Whatever comes: every release ends exactly once, and nothing is open without a reason."""

    def __init__(self):
        super().__init__()
        self.stand = Stand()
        self.begun, self.ended = [], []
        self.exit_asked_ms = None

    def note(self, told):
        self.ended += [event.passage_id for event in told if isinstance(event, ENDS) and event.passage_id]

    @rule(direction=st.sampled_from(Direction), open_ms=st.integers(0, 20_000))
    def release(self, direction, open_ms):
        if self.stand.open(direction=direction, open_ms=open_ms) is None:
            self.begun.append(passage(self.stand.number))

    @rule(span_ms=st.integers(0, 6_000), inputs=st.builds(GateInputs, *[st.booleans()] * 6))
    def live(self, span_ms, inputs):
        self.note(self.stand.wait(span_ms, inputs))
        if inputs.request_to_exit:
            self.exit_asked_ms = self.stand.now_ms

    @rule()
    def walk(self):
        self.note(self.stand.see(*WALK))

    @rule(told=st.sampled_from([NONE, ENTRY, EXIT, EVERY_WAY]))
    def read_back(self, told):
        self.note(self.stand.lane.read_back(told, self.stand.now_ms))

    @rule()
    def lose(self):
        self.note(self.stand.lane.lost())
        self.exit_asked_ms = None

    @invariant()
    def every_release_ends_once_and_the_last_may_be_open(self):
        assert self.ended in (self.begun, self.begun[:-1])

    @invariant()
    def nothing_is_open_without_a_reason(self):
        lane = self.stand.lane
        if lane.mode is Mode.RELEASED or lane.inputs.fire or lane.inputs.emergency:
            return
        asked = self.exit_asked_ms
        # A step may come late, and the one before it may have seen the button still pressed.
        recently = asked is not None and self.stand.now_ms - asked <= EXIT_OPEN_MS + 6_000
        assert self.stand.ways <= (EXIT if recently else NONE)


TestAnyHour = AnyHour.TestCase
TestAnyHour.settings = settings(max_examples=examples(20), stateful_step_count=30, deadline=None)
