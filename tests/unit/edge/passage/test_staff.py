"""Staff let somebody through, and close a lane: the passage's side of it, on a simulated clock."""

from __future__ import annotations

import pytest

from edge.decide.verdict import Elsewhere, GateState, Grant, Lane, Reason, Refer, decide
from edge.enact.display import Prompt
from edge.enact.record import circumstances_of
from edge.passage.display import display
from edge.passage.effects import OpenGate
from edge.passage.observations import ClaimSeen, StaffReleases, Surroundings
from edge.passage.state import Phase
from firmware_bridge.gate import Direction, GateRelease
from tests.doubles.attempt import CLAIM, PASSED, RULES, Attempt, claimed
from wire.records import GateOutcome, IdentifiedBy

CLOSED = Surroundings(gate=GateState.CLOSED)
FAR_MS = 10_000_000


def order(direction: str = "exit", not_after_ms: int = FAR_MS) -> StaffReleases:
    return StaffReleases("ada", direction, not_after_ms)  # type: ignore[arg-type]


def released(attempt: Attempt) -> GateRelease:
    (opened,) = attempt.did(OpenGate)
    return opened.release


def test_staff_release_goes_through_the_table_the_record_and_the_gate_as_a_members_passage_does():
    attempt = Attempt().tell(order())
    assert attempt.passage.verdict == Grant(Lane.STANDARD, False, (Reason.STAFF_RELEASE,))
    assert attempt.passage.phase is Phase.RELEASING
    assert released(attempt).direction is Direction.EXIT
    attempt.tell(PASSED)
    record = attempt.record
    assert (record.identified_by, record.staff, record.subject) == (IdentifiedBy.STAFF, "ada", None)
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert (record.standing, record.comparison) == (None, None)
    assert decide(circumstances_of(record)) == attempt.passage.verdict


@pytest.mark.parametrize("direction", ["entry", "exit"])
def test_staff_say_which_way_the_gate_opens(direction: str):
    assert released(Attempt().tell(order(direction))).direction is Direction[direction.upper()]


def test_what_staff_released_expires_with_their_order_and_with_its_own_limit():
    attempt = Attempt()
    soon_ms = attempt.now_ms + 700
    assert released(attempt.tell(order(not_after_ms=soon_ms))).not_after_ms == soon_ms
    attempt = Attempt()
    limit_ms = attempt.now_ms + 10 + RULES.release.ttl_ms
    assert released(attempt.tell(order())).not_after_ms == limit_ms


@pytest.mark.parametrize(
    ("around", "verdict"),
    [
        (Surroundings(emergency=True), Refer(Elsewhere.FREE_GATE, (Reason.EMERGENCY,))),
        (Surroundings(gate=GateState.FAULT), Refer(Elsewhere.STAFF, (Reason.GATE_FAULT,))),
    ],
)
def test_emergency_and_gate_fault_go_before_staff(around: Surroundings, verdict: Refer):
    assert Attempt().tell(around, order()).passage.verdict == verdict


def test_a_release_changes_nothing_while_somebody_is_in_a_passage():
    attempt = claimed()
    before = attempt.passage
    assert attempt.tell(order()).passage == before


def test_a_closed_lane_says_so_and_refers_whoever_comes():
    attempt = Attempt().tell(CLOSED)
    assert display(attempt.passage).prompt is Prompt.LANE_CLOSED
    attempt.tell(ClaimSeen(CLAIM))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.LANE_CLOSED,))
    assert display(attempt.passage).prompt is Prompt.LANE_CLOSED


def test_who_is_being_recognised_when_the_lane_closes_is_referred():
    attempt = claimed().tell(CLOSED)
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.LANE_CLOSED,))


def test_whom_staff_let_through_a_closed_lane_passes_and_a_gate_that_is_open_stays_theirs():
    attempt = Attempt().tell(CLOSED, order())
    assert attempt.passage.phase is Phase.RELEASING
    assert display(attempt.passage).prompt is Prompt.WELCOME
    attempt.tell(CLOSED)
    assert attempt.passage.phase is Phase.RELEASING


def test_an_emergency_in_a_closed_lane_shows_the_free_gate():
    attempt = Attempt().tell(Surroundings(gate=GateState.CLOSED, emergency=True))
    assert display(attempt.passage).prompt is Prompt.GATE_FREE
