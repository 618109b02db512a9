"""A release told refused never opens: searched breadth first over what a line can do with frames."""

import pickle

import pytest

from firmware_bridge.frame import DELIMITER, decode
from firmware_bridge.link import EventReported, GateLink, Handshake, ReleaseAnswered
from firmware_bridge.messages import (
    ANSWER_GRACE_MS,
    EVENTS_KEPT,
    EVENTS_RESERVED,
    RELEASE_REPEAT_MS,
    TABLE,
    Answer,
    Direction,
    Release,
)
from firmware_bridge.simulator import SimulatedGate
from tests.doubles.bridge_pair import KEYS, STEP_MS, nonce, passage

ASKED = 99
"""The release whose fate is searched."""

WITHIN_MS = 1_500
RELEASE_TYPE = next(row.code for row in TABLE if row.message is Release)


def challenge():
    return b"12345678"


class World:
    """Link and gate with two queues of frames between them, in which nothing moves but by an action."""

    def __init__(self):
        self.link = GateLink(KEYS, challenge)
        self.gate = SimulatedGate(KEYS)
        self.now_ms = 0
        self.to_gate, self.to_host = [], []
        self.told, self.opened = [], set()
        self.kept_back, self.acknowledges = [], True
        self.link.opened(0)
        self.settle()
        assert self.link.standing is Handshake.UP

    def settle(self, span_ms=50):
        """Time in which the line carries everything at once."""
        for _ in range(span_ms // STEP_MS):
            self.pass_time(STEP_MS)
            while self.to_gate or self.to_host:
                if self.to_gate:
                    self.deliver_to_gate()
                if self.to_host:
                    self.deliver_to_host()

    def ask(self, number=ASKED, within_ms=WITHIN_MS, open_ms=500):
        assert (
            self.link.release(
                passage(number),
                nonce(number),
                direction=Direction.ENTRY,
                not_after_ms=self.now_ms + within_ms,
                open_ms=open_ms,
                now_ms=self.now_ms,
            )
            is None
        )
        self.send()

    def send(self):
        self.to_gate += [
            DELIMITER + packet + DELIMITER for packet in self.link.outgoing().split(DELIMITER) if packet
        ]

    def hear(self, wire):
        self.to_host += [DELIMITER + packet + DELIMITER for packet in wire.split(DELIMITER) if packet]
        if self.gate.open_passage is not None:
            self.opened.add(self.gate.open_passage)

    def note(self, told):
        for event in told:
            if isinstance(event, ReleaseAnswered) and event.nonce == nonce(ASKED):
                self.told.append(event.answer)
            elif isinstance(event, EventReported) and self.acknowledges:
                self.link.acknowledge(event)
            elif isinstance(event, EventReported):
                self.kept_back.append(event)
        self.send()

    # --- what may happen ------------------------------------------------------------------------------

    def pass_time(self, span_ms=RELEASE_REPEAT_MS):
        self.now_ms += span_ms
        self.note(self.link.poll(self.now_ms))
        self.hear(self.gate.exchange(b"", self.now_ms))

    def pass_long(self):
        self.pass_time(ANSWER_GRACE_MS * 2 + RELEASE_REPEAT_MS)

    def deliver_to_gate(self):
        if self.to_gate:
            self.hear(self.gate.exchange(self.to_gate.pop(0), self.now_ms))

    def deliver_to_host(self):
        if self.to_host:
            self.note(self.link.receive(self.to_host.pop(0), self.now_ms))

    def drop_to_gate(self):
        del self.to_gate[:1]

    def drop_to_host(self):
        del self.to_host[:1]

    def copy_to_gate(self):
        self.to_gate[:1] *= 2

    def copy_to_host(self):
        self.to_host[:1] *= 2

    def obstacle_ends(self):
        """Fire is out, and the events are dealt with; what only takes time takes it by itself."""
        self.gate.set_fire(False)
        self.acknowledges = True
        for event in self.kept_back:
            self.link.acknowledge(event)
        self.kept_back = []
        self.send()


ACTIONS = (
    World.pass_time,
    World.pass_long,
    World.deliver_to_gate,
    World.deliver_to_host,
    World.drop_to_gate,
    World.drop_to_host,
    World.copy_to_gate,
    World.copy_to_host,
    World.obstacle_ends,
)


def busy(world):
    world.ask(1)
    world.settle(400)


def free(world):
    world.gate.set_fire(True)
    world.settle(200)


def events_full(world):
    world.acknowledges = False
    for _ in range((EVENTS_KEPT - EVENTS_RESERVED) // 2):
        world.gate.set_fire(True)
        world.settle(20)
        world.gate.set_fire(False)
        world.settle(120)


def safe(world):
    """The gate has not heard its host for long, and the host not yet noticed."""
    while not world.to_gate:
        world.pass_time(STEP_MS)
    world.to_host.clear()
    world.deliver_to_gate()
    world.pass_time(400)
    while world.to_host:
        world.deliver_to_host()
    world.pass_time(1_700)


OBSTACLES = {"BUSY": busy, "FREE": free, "EVENTS_FULL": events_full, "SAFE": safe}


def started(obstacle):
    world = World()
    OBSTACLES[obstacle](world)
    world.to_gate.clear()
    world.to_host.clear()
    world.ask()
    world.deliver_to_gate()
    return pickle.dumps(world)


def violated(world):
    refused = [answer for answer in world.told if answer not in (None, Answer.ACCEPTED)]
    return len(world.told) > 1 or (refused and passage(ASKED) in world.opened)


def search(obstacle, depth):
    """Every state within so many actions; the answers told somewhere in them."""
    first = started(obstacle)
    layer, seen, told = [(first, ())], {first}, set()
    for _ in range(depth):
        following = []
        for kept, path in layer:
            for action in ACTIONS:
                world = pickle.loads(kept)
                action(world)
                names = (*path, action.__name__)
                assert not violated(world), (names, world.told)
                told.update(world.told)
                state = pickle.dumps(world)
                if state not in seen:
                    seen.add(state)
                    following.append((state, names))
        layer = following
    return told, len(seen)


@pytest.mark.slow
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_release_told_refused_never_opens_whatever_the_line_does(obstacle):
    told, _ = search(obstacle, 5)
    assert Answer[obstacle] in told


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_release_told_refused_never_opens_however_long_the_line_does_it(obstacle):
    told, states = search(obstacle, 7)
    assert {Answer[obstacle], None} <= told
    print(f"{obstacle}: {states} states")


def asked_while_busy():
    """Refused BUSY on the way, a second copy on the line, and the gate no longer busy."""
    world = World()
    busy(world)
    world.ask()
    world.deliver_to_gate()
    world.pass_long()
    return world


def test_a_refusal_of_the_only_copy_is_told_at_once():
    world = World()
    busy(world)
    world.ask()
    world.settle(5)
    assert world.told == [Answer.BUSY]


def test_nothing_is_repeated_after_the_first_refusal():
    world = asked_while_busy()
    world.to_gate.clear()
    while world.to_host:
        world.deliver_to_host()
    sent = []
    for _ in range(WITHIN_MS // RELEASE_REPEAT_MS):
        world.pass_time()
        sent += [decode(packet.strip(DELIMITER)).type for packet in world.to_gate]
        world.to_gate.clear()
        world.gate.exchange(b"", world.now_ms)
    assert RELEASE_TYPE not in sent
    assert world.told == [None]


def test_a_later_copy_that_is_accepted_wins_over_a_refusal():
    world = asked_while_busy()
    world.settle()
    assert world.told == [Answer.ACCEPTED]
    assert passage(ASKED) in world.opened
