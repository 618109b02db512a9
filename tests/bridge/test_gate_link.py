"""The host's link against a simulated gate on a line that fails, on one simulated clock."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from firmware_bridge import frame, messages
from firmware_bridge.auth import derive_keys, seal
from firmware_bridge.errors import MessageBoundError
from firmware_bridge.frame import FrameReader, Heading, IgnoredBecause, LineFrame
from firmware_bridge.link import (
    Down,
    EventReported,
    GateLink,
    Handshake,
    LocalRefusal,
    ReleaseAnswered,
    Trouble,
    Up,
)
from firmware_bridge.messages import Answer, Cause, Mode, Outputs
from firmware_bridge.simulator import SimulatedGate
from tests.doubles.bridge_pair import KEYS, STEP_MS, Pair, nonce, passage, reports
from tests.doubles.examples import examples


def up(**options):
    pair = Pair(**options)
    told = pair.run(100)
    assert told == [Up(1, rebooted=False)]
    assert pair.gate.mode is Mode.LOCKED
    return pair


def test_greeting_brings_the_link_up_and_the_gate_out_of_its_safe_state():
    pair = Pair()
    assert pair.gate.mode is Mode.SAFE
    assert pair.run(100) == [Up(1, rebooted=False)]
    assert pair.gate.mode is Mode.LOCKED


def test_a_release_is_answered_and_its_passage_carries_its_id():
    pair = up()
    assert pair.release(7) is None
    assert pair.run(50) == [ReleaseAnswered(nonce(7), Answer.ACCEPTED)]
    pair.gate.walk_through()
    [passed] = reports(pair.run(2_000))
    assert (type(passed), passed.passage_id) == (messages.Passed, passage(7))
    assert pair.gate.controller.transport.events_waiting == 0


def test_a_release_answered_but_not_heard_is_repeated_and_obeyed_once():
    pair = up()
    pair.gate.drop_next(2)
    pair.release(1)
    pair.gate.walk_through()
    told = pair.run(3_000)
    assert [event for event in told if isinstance(event, ReleaseAnswered)] == [
        ReleaseAnswered(nonce(1), Answer.ACCEPTED)
    ]
    assert [type(event) for event in reports(told)] == [messages.Passed]
    assert sum(bool(change.outputs & Outputs.ENTRY_UNLOCKED) for change in pair.gate.history) == 1


def test_a_release_lost_on_the_way_is_sent_again():
    pair = up()
    pair.gate.drop_next(2, Heading.TO_CONTROLLER)
    pair.release(1)
    assert ReleaseAnswered(nonce(1), Answer.ACCEPTED) in pair.run(400)


def test_a_release_that_reaches_nobody_is_unanswered_and_never_sent_after_its_limit():
    pair = up()
    pair.gate.drop_next(1_000, Heading.TO_CONTROLLER)
    pair.release(1, within_ms=1_000)
    pair.run(1_000)
    pair.to_gate.clear()
    assert ReleaseAnswered(nonce(1), None) in pair.run(500)
    late = FrameReader().feed(b"".join(pair.to_gate))
    assert 0x03 not in [found.type for found in late]
    pair.gate.to_controller._drop = 0
    pair.run(5_000)
    assert pair.gate.mode is Mode.LOCKED
    assert not any(change.outputs & Outputs.ENTRY_UNLOCKED for change in pair.gate.history)


def test_a_nonce_used_before_is_refused_by_the_gate():
    pair = up()
    pair.release(1, open_ms=500)
    pair.run(1_000)
    pair.release(1)
    assert pair.run(50) == [ReleaseAnswered(nonce(1), Answer.ALREADY)]


def test_the_host_refuses_what_it_need_not_send():
    pair = Pair()
    assert pair.release() is LocalRefusal.LINK_DOWN
    pair.run(100)
    assert pair.release(within_ms=-1) is LocalRefusal.LATE
    assert pair.release(1) is None
    assert pair.release(1) is LocalRefusal.BUSY
    with pytest.raises(MessageBoundError, match="nonce"):
        pair.link.release(
            passage(1),
            b"short",
            direction=messages.Direction.ENTRY,
            not_after_ms=pair.now_ms + 100,
            open_ms=500,
            now_ms=pair.now_ms,
        )


def test_without_an_answered_heartbeat_the_clock_is_unsure_and_nothing_is_sent():
    pair = Pair()
    pair.gate.delay_next(5)
    while pair.link.standing is not Handshake.UP:
        pair.run(STEP_MS)
    pair.link._sample = None
    assert pair.release() is LocalRefusal.CLOCK_UNSURE


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(Heading), st.integers(0, 450), st.integers(1, 120)), min_size=1, max_size=12
    )
)
def test_the_host_never_takes_the_controllers_clock_for_later_than_it_is(delays):
    pair = up()
    for heading, delay_ms, wait in delays:
        pair.gate.delay_next(delay_ms, heading)
        for _ in range(wait):
            pair.run(STEP_MS)
            believed_ms = pair.link.uptime_ms(pair.now_ms)
            assert believed_ms is None or believed_ms <= pair.gate.uptime_ms


def test_two_seconds_without_an_answer_is_a_lost_link_with_advice():
    pair = up()
    pair.gate.unplug()
    told = pair.run(3_000)
    assert told == [Down(Trouble.SILENT)]
    assert "cable" in pair.link.trouble
    assert pair.gate.mode is Mode.SAFE


def test_a_wire_broken_one_way_is_noticed_though_the_gate_is_heard():
    pair = up()
    pair.gate.drop_next(10_000, Heading.TO_CONTROLLER)
    assert Down(Trouble.SILENT) in pair.run(3_000)
    pair.run(2_500)
    assert pair.link.trouble is Trouble.DEAF


def test_unplug_in_the_middle_and_replug_tells_the_passage_once_and_keeps_no_release():
    pair = up()
    pair.release(1)
    pair.run(50)
    pair.gate.walk_through()
    pair.run(300)
    pair.gate.unplug()
    told = list(pair.link.closed("unplugged"))
    assert pair.release(2) is LocalRefusal.LINK_DOWN
    pair.run_dead(1_000)
    pair.gate.plug()
    pair.link.opened(pair.now_ms)
    told += pair.run(3_000)
    assert [event for event in told if isinstance(event, Down)] == [Down("unplugged")]
    assert [(type(event), event.passage_id) for event in reports(told)] == [(messages.Passed, passage(1))]
    assert pair.gate.mode is Mode.LOCKED


def test_a_release_waiting_when_the_cable_is_pulled_is_unanswered_and_not_sent_again():
    pair = up()
    pair.gate.unplug()
    pair.release(1, within_ms=9_000)
    pair.run(50)
    assert pair.link.closed("unplugged") == (ReleaseAnswered(nonce(1), None), Down("unplugged"))
    pair.gate.plug()
    pair.link.opened(pair.now_ms)
    pair.run(3_000)
    assert pair.gate.mode is Mode.LOCKED
    assert not any(change.outputs & Outputs.ENTRY_UNLOCKED for change in pair.gate.history)


def test_an_event_not_yet_dealt_with_comes_again_to_the_next_process():
    pair = up(acknowledge=False)
    pair.gate.force()
    told = pair.run(3_000)
    assert len(reports(told)) == 1
    pair.connect()
    again = pair.run(1_000)
    assert reports(again) == reports(told)
    pair.link.acknowledge(next(event for event in again if isinstance(event, EventReported)))
    pair.run(100)
    pair.connect()
    assert reports(pair.run(1_000)) == []


def test_an_acknowledgement_given_while_the_link_was_down_is_not_lost():
    pair = up(acknowledge=False)
    pair.gate.force()
    [event] = [found for found in pair.run(2_000) if isinstance(found, EventReported)]
    pair.link.closed("unplugged")
    pair.link.acknowledge(event)
    pair.link.opened(pair.now_ms)
    assert reports(pair.run(1_000)) == []
    assert pair.gate.controller.transport.events_waiting == 0


def test_an_acknowledgement_of_an_earlier_boot_takes_no_event_of_this_one():
    pair = up(acknowledge=False)
    pair.gate.force()
    [old] = [found for found in pair.run(2_000) if isinstance(found, EventReported)]
    pair.gate.reboot()
    pair.run(1_000)
    pair.gate.force()
    told = reports(pair.run(1_000))
    pair.link.acknowledge(old)
    pair.run(500)
    assert [type(event) for event in told] == [messages.ForcedDoor]
    assert pair.gate.controller.transport.events_waiting == 1


def test_a_restart_of_the_controller_is_told_and_ends_the_open_release():
    pair = up()
    pair.release(1)
    pair.run(100)
    pair.gate.reboot()
    told = pair.run(1_000)
    assert [type(event) for event in told] == [Down, EventReported, Up]
    [event] = reports(told)
    assert (event.passage_id, event.cause) == (passage(1), Cause.REBOOT)
    assert told[-1] == Up(2, rebooted=True)
    assert pair.gate.mode is Mode.LOCKED


def test_a_whole_recorded_session_played_to_a_restarted_gate_opens_nothing():
    pair = up()
    pair.release(1, within_ms=9_000)
    pair.run(50)
    recorded = b"".join(pair.to_gate)
    pair.gate.reboot()
    pair.gate.exchange(recorded, pair.now_ms + 5)
    assert pair.gate.mode is Mode.SAFE
    assert pair.gate.controller.transport.ignored[IgnoredBecause.BOOT] >= 2


def test_a_whole_recorded_session_played_to_the_host_tells_it_nothing():
    pair = up()
    pair.release(1)
    pair.run(50)
    pair.gate.walk_through()
    assert reports(pair.run(1_000))
    recorded = b"".join(pair.to_host)
    pair.link.closed("unplugged")
    pair.link.opened(pair.now_ms)
    assert pair.link.receive(recorded, pair.now_ms) == ()
    assert pair.link.standing is Handshake.GREETING
    pair.run(1_000)
    before = pair.link.ignored.total()
    assert pair.link.receive(recorded, pair.now_ms) == ()
    assert pair.link.ignored.total() > before
    assert pair.link.standing is Handshake.UP


def test_a_second_host_process_goes_on_where_the_first_one_stopped():
    pair = up()
    pair.run(3_000)
    pair.connect()
    assert pair.run(500) == [Up(1, rebooted=False)]
    pair.release(1)
    assert ReleaseAnswered(nonce(1), Answer.ACCEPTED) in pair.run(100)
    assert pair.gate.controller.transport.ignored == {}


def test_of_two_hosts_on_one_line_one_holds_the_gate_and_the_other_says_what_is_wrong():
    gate = SimulatedGate(KEYS)
    hosts = [GateLink(KEYS, lambda number=number: bytes([number]) * 8) for number in (1, 2)]
    for host in hosts:
        host.opened(0)
    for now_ms in range(STEP_MS, 10_000, STEP_MS):
        for host in hosts:
            host.poll(now_ms)
        heard = gate.exchange(b"".join(host.outgoing() for host in hosts), now_ms)
        for host in hosts:
            host.receive(heard, now_ms)
    assert [host.standing is Handshake.UP for host in hosts] == [True, False]
    assert hosts[1].trouble is Trouble.DEAF
    assert "no other program" in hosts[1].trouble
    ask = {"direction": messages.Direction.ENTRY, "not_after_ms": 12_000, "open_ms": 3_000, "now_ms": 10_000}
    assert hosts[1].release(passage(1), nonce(1), **ask) is LocalRefusal.LINK_DOWN


class Troubled:
    """Something on the line that is not a gate to be talked to."""

    def run(self, span_ms, reply):
        link = GateLink(KEYS, lambda: b"12345678")
        link.opened(0)
        for now_ms in range(STEP_MS, span_ms, STEP_MS):
            link.poll(now_ms)
            heard = reply(link.outgoing(), now_ms)
            assert link.receive(heard, now_ms) == ()
        assert link.standing is Handshake.GREETING
        return link


def test_silence_is_named():
    assert Troubled().run(3_000, lambda sent, now: b"").trouble is Trouble.SILENT


def test_a_modem_is_named():
    link = Troubled().run(3_000, lambda sent, now: b"\r\nERROR\r\n" if sent else b"")
    assert link.trouble is Trouble.NOT_A_GATE
    assert "modem" in link.trouble


def test_an_echoing_line_is_not_taken_for_a_gate():
    link = Troubled().run(3_000, lambda sent, now: sent)
    assert link.trouble is Trouble.NOT_A_GATE
    assert link.ignored[IgnoredBecause.DIRECTION] > 0


def test_another_key_is_named_and_the_gate_stays_safe():
    gate = SimulatedGate(derive_keys(bytes(range(32)), "another gate"))
    link = Troubled().run(3_000, gate.exchange)
    assert link.trouble is Trouble.OTHER_KEY
    assert "gate key" in link.trouble
    assert gate.mode is Mode.SAFE
    assert gate.controller.transport.ignored[IgnoredBecause.MAC] > 0


def test_firmware_of_another_release_is_named_and_the_gate_stays_safe():
    gate = SimulatedGate(KEYS, protocol_hash=b"another!")
    link = Troubled().run(3_000, gate.exchange)
    assert link.trouble is Trouble.OTHER_TABLE
    assert "flash" in link.trouble
    assert gate.mode is Mode.SAFE


def test_another_protocol_version_is_named(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(frame, "PROTOCOL_VERSION", 2)
        packet = frame.encode(seal(LineFrame(Heading.TO_HOST, 1, 1, 0x82, b""), KEYS))
    link = Troubled().run(3_000, lambda sent, now: packet if now % 500 == 0 else b"")
    assert link.trouble is Trouble.OTHER_VERSION
    assert "version 1" in link.trouble


def test_garbage_at_boot_does_not_keep_the_link_from_coming_up():
    pair = Pair()
    pair.gate.to_host.garble(bytes(range(256)) * 3 + b"Arduino bootloader\r\n", 0)
    assert Up(1, rebooted=False) in pair.run(1_000)


class FaultyLine(RuleBasedStateMachine):
    """Any faults on the line, in any order: what must hold however bad it is."""

    @initialize()
    def connect(self):
        self.pair = Pair()
        self.numbers = 0
        self.told = []
        self.limits = {}
        self.run_on(40)

    def run_on(self, steps):
        for _ in range(steps):
            told = self.pair.run(STEP_MS)
            self.told += told

    @rule(within_ms=st.integers(50, 3_000), open_ms=st.integers(0, 4_000))
    def release(self, within_ms, open_ms):
        self.numbers += 1
        self.limits[passage(self.numbers)] = self.pair.now_ms + within_ms
        self.pair.release(self.numbers, within_ms=within_ms, open_ms=open_ms)
        self.run_on(20)

    @rule(steps=st.integers(1, 300))
    def wait(self, steps):
        self.run_on(steps)

    @rule()
    def walk(self):
        self.pair.gate.walk_through()
        self.run_on(150)

    @rule(count=st.integers(1, 6), heading=st.sampled_from(Heading))
    def drop(self, count, heading):
        self.pair.gate.drop_next(count, heading)

    @rule(count=st.integers(1, 6), heading=st.sampled_from(Heading))
    def corrupt(self, count, heading):
        self.pair.gate.corrupt_next(count, heading)

    @rule(count=st.integers(1, 6), heading=st.sampled_from(Heading))
    def duplicate(self, count, heading):
        self.pair.gate.duplicate_next(count, heading)

    @rule(delay_ms=st.integers(1, 4_000), heading=st.sampled_from(Heading))
    def delay(self, delay_ms, heading):
        self.pair.gate.delay_next(delay_ms, heading)

    @rule(heading=st.sampled_from(Heading))
    def reorder(self, heading):
        self.pair.gate.reorder_next(heading)

    @rule(garbage=st.binary(min_size=1, max_size=100), heading=st.sampled_from(Heading))
    def garble(self, garbage, heading):
        line = self.pair.gate.to_host if heading is Heading.TO_HOST else self.pair.gate.to_controller
        line.garble(garbage, self.pair.now_ms)

    @rule(away_ms=st.integers(1, 3_000))
    def replug(self, away_ms):
        self.pair.gate.unplug()
        self.told += self.pair.link.closed("unplugged")
        self.pair.run_dead(away_ms)
        self.pair.gate.plug()
        self.pair.link.opened(self.pair.now_ms)

    @invariant()
    def each_release_opens_at_most_once_and_never_late(self):
        if not hasattr(self, "pair"):
            return
        opened = [found for found, _ in self.pair.openings]
        assert len(opened) == len(set(opened))
        for found, at_ms in self.pair.openings:
            assert at_ms <= self.limits[found]

    @invariant()
    def no_passage_ends_twice(self):
        ends = [
            event.passage_id
            for event in reports(getattr(self, "told", []))
            if isinstance(event, messages.Passed | messages.TimedOut | messages.Interrupted)
            and event.passage_id is not None
        ]
        assert len(ends) == len(set(ends))
        assert set(ends) <= set(self.limits)

    def teardown(self):
        if not hasattr(self, "pair"):
            return
        lines = (self.pair.gate.to_host, self.pair.gate.to_controller)
        for line in lines:
            line._drop = line._corrupt = line._duplicate = 0
        self.run_on(4_000)
        assert self.pair.link.standing is Handshake.UP
        assert self.pair.gate.controller.transport.events_waiting == 0
        ended = {event.passage_id for event in reports(self.told) if hasattr(event, "passage_id")}
        answered = {
            event.nonce
            for event in self.told
            if isinstance(event, ReleaseAnswered) and event.answer is Answer.ACCEPTED
        }
        for number in range(1, self.numbers + 1):
            if nonce(number) in answered:
                assert passage(number) in ended


FaultyLine.TestCase.settings = settings(max_examples=examples(15), stateful_step_count=15, deadline=None)
TestFaultyLine = FaultyLine.TestCase
