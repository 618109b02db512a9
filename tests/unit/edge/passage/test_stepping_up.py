"""The second factor that only the tier asks for: any will do, and nobody needs one. On a simulated clock."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import product

import pytest

from edge.capture.sample import FailureToAcquire, Obstacle
from edge.confirm.pin import PinOutcome
from edge.decide.verdict import Age, Elsewhere, Grant, Lane, Reason, Refer, SecondFactor, StepUp, Tier
from edge.enact.display import OtherWayAsked, PinEntered, Prompt
from edge.passage.display import display
from edge.passage.effects import FetchStanding, OpenGate, TakeCharge
from edge.passage.observations import ClaimSeen, FaceMissed, Surroundings
from edge.passage.state import Phase, Rules, new_passage, wants_gestures
from tests.doubles import paying
from tests.doubles.attempt import (
    CLAIM,
    FRESH,
    KNOWN,
    OTHER,
    OWN,
    PASSAGE,
    PASSED,
    RULES,
    face,
    judged,
    looked_up,
    looked_up_again,
)
from tests.doubles.gesturing import ALWAYS, NONCE, Gesturing

ASSISTED = replace(FRESH, tier=Tier.ASSISTED)
GATE, PAYS = replace(RULES, turned_likeness=0.8), replace(paying.PAYS, turned_likeness=0.8)


def matched(view=ASSISTED, rules: Rules = GATE, around=None) -> Gesturing:
    """A claim and the face that it is of, at a kiosk that asks for no challenge."""
    attempt = copy(Gesturing(rules))
    attempt.passage, attempt.effects = new_passage(PASSAGE, NONCE), []
    attempt.tell(around or Surroundings(central_answers=True), ClaimSeen(CLAIM), KNOWN, looked_up(view))
    return attempt.tell(face(), face(), face())


def asked_for_gestures() -> Gesturing:
    attempt = matched().tell(OtherWayAsked())
    assert (attempt.passage.phase, wants_gestures(attempt.passage)) == (Phase.CHALLENGING, True)
    return attempt


def gesture(attempt: Gesturing, vector=OWN) -> Gesturing:
    """Do whatever is asked for."""
    attempt.rest(vector)
    for _ in range(3):
        challenge = attempt.passage.challenge
        if challenge is not None and challenge.asked is not None:
            attempt.do(challenge.asked, vector)
    return attempt


def test_who_has_no_pin_does_two_gestures_and_passes_with_credit() -> None:
    attempt = asked_for_gestures()
    assert display(attempt.passage).prompt is Prompt.LOOK_HERE
    attempt.rest()
    assert len(attempt.passage.challenge.prompts) == 2
    assert not attempt.did(OpenGate)
    gesture(attempt)
    assert attempt.did(FetchStanding)[-1].proven
    attempt.tell(looked_up_again(ASSISTED))
    assert attempt.passage.verdict == Grant(Lane.STANDARD, True, (Reason.TIER_ASSISTED,))
    assert attempt.tell(PASSED).record.circumstances.second_factor == "gestures"


def test_who_has_neither_passes_the_standard_lane_without_credit_and_the_record_says_so() -> None:
    attempt = asked_for_gestures().tell(OtherWayAsked())
    assert attempt.passage.verdict == Grant(
        Lane.STANDARD, False, (Reason.NO_SECOND_FACTOR, Reason.TIER_ASSISTED)
    )
    (opened,) = attempt.did(OpenGate)
    assert opened.release.not_after_ms == attempt.now_ms + RULES.release.ttl_ms
    record = attempt.tell(PASSED).record
    assert (record.reasons[0], record.circumstances.second_factor) == ("no_second_factor", "none")


@pytest.mark.parametrize("outcome", [PinOutcome.EXHAUSTED, PinOutcome.UNAVAILABLE])
def test_a_pin_that_is_locked_or_cannot_be_checked_leads_to_gestures_and_not_to_staff(
    outcome: PinOutcome,
) -> None:
    attempt = matched().tell(PinEntered("1"), judged(outcome, 0))
    assert attempt.passage.phase is Phase.CHALLENGING
    gesture(attempt).tell(looked_up_again(ASSISTED))
    assert isinstance(attempt.passage.verdict, Grant)
    attempt = matched().tell(PinEntered("1"), judged(outcome, 0), OtherWayAsked())
    assert (attempt.passage.verdict.credit, attempt.passage.second_factor) == (
        False,
        SecondFactor[outcome.name],
    )


def test_gestures_that_nobody_does_open_no_gate_and_the_pin_is_asked_for_again() -> None:
    for attempt in (asked_for_gestures(), asked_for_gestures().rest()):
        attempt.tell(FaceMissed(FailureToAcquire(Obstacle.NO_FACE)))
        attempt.wait(RULES.confirm.challenge_ms)
        assert (attempt.passage.phase, display(attempt.passage).prompt) == (
            Phase.SECOND_FACTOR,
            Prompt.ENTER_PIN,
        )
        attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(ASSISTED))
        assert attempt.passage.verdict.credit
    left = asked_for_gestures().wait(RULES.confirm.challenge_ms).wait(RULES.confirm.pin_ms)
    assert (left.record.verdict, left.did(OpenGate)) == ("step_up", [])


def test_somebody_elses_gestures_are_an_attack() -> None:
    attempt = gesture(asked_for_gestures(), OTHER)
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.ATTACK,))


def test_a_challenge_that_was_met_is_not_asked_for_a_second_time() -> None:
    attempt = gesture(Gesturing(ALWAYS, view=ASSISTED))
    assert attempt.passage.verdict == Grant(Lane.STANDARD, True, (Reason.TIER_ASSISTED,))
    one = replace(ALWAYS, confirm=type(ALWAYS.confirm)(challenge="always", prompts=1))
    attempt = gesture(Gesturing(one, view=ASSISTED))
    assert attempt.passage.verdict == StepUp((Reason.TIER_ASSISTED,))


def test_no_other_way_is_offered_beside_a_pin_that_more_than_the_tier_asks_for() -> None:
    attempt = matched(replace(ASSISTED, age=Age.ABSENT))
    assert attempt.passage.verdict == StepUp((Reason.STANDING_ABSENT,))
    before = attempt.passage
    assert attempt.tell(OtherWayAsked()).passage is before


def test_while_a_pin_is_being_checked_another_way_has_to_wait() -> None:
    attempt = matched().tell(PinEntered("1"))
    before = attempt.passage
    assert attempt.tell(OtherWayAsked()).passage is before
    attempt.tell(judged(PinOutcome.RIGHT, 5), OtherWayAsked(), looked_up_again(ASSISTED))
    assert attempt.passage.second_factor is SecondFactor.GOOD


@dataclass(frozen=True)
class Member:
    """What a member holds: a PIN as it would be judged, and whether they can do gestures."""

    pin: PinOutcome
    gestures: bool


MEMBERS = [
    Member(pin, gestures)
    for pin in (PinOutcome.RIGHT, PinOutcome.EXHAUSTED, PinOutcome.UNAVAILABLE)
    for gestures in (False, True)
]


def ends(attempt: Gesturing, member: Member, view, depth: int = 4) -> Iterator[str]:
    """Every end that the member's own actions lead to."""
    passage = attempt.passage
    if passage.phase in {Phase.RELEASING, Phase.AGREEING}:
        yield "passes"
        return
    if passage.phase is Phase.SETTLED or not depth:
        yield "other payment" if getattr(passage.verdict, "to", "") is Elsewhere.OTHER_PAYMENT else "staff"
        return
    other = copy(attempt)
    other.effects = []
    yield from ends(other.tell(OtherWayAsked()), member, view, depth - 1)
    following = copy(attempt)
    following.effects = []
    if passage.phase is Phase.SECOND_FACTOR:
        answers = passage.surroundings.central_answers
        following.tell(PinEntered("1"), judged(member.pin if answers else PinOutcome.UNAVAILABLE, 0))
    elif member.gestures:
        gesture(following)
    else:
        following.wait(RULES.confirm.challenge_ms)
    if following.did(FetchStanding):
        following.tell(looked_up_again(view))
    yield from ends(following, member, view, depth - 1)


@pytest.mark.parametrize("central", [True, False])
@pytest.mark.parametrize("age", Age)
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_tier_and_limit_alone_decide_nobodys_way(member: Member, age: Age, central: bool) -> None:
    at_gate = set()
    for tier in Tier:
        view = replace(FRESH, tier=tier, age=age)
        attempt = matched(view, GATE, Surroundings(central_answers=central))
        at_gate.add("passes" in set(ends(attempt, member, view)))
    assert len(at_gate) == 1
    served, by_tier = set(), {}
    for tier, limit, offline in product(Tier, [5_000, 0], [1_000, 0]):
        view = replace(paying.view(age, limit=limit, offline=offline), tier=tier)
        around = Surroundings(central_answers=central, pays=True, due=paying.DUE)
        found = set(ends(matched(view, PAYS, around), member, view))
        served.add(bool(found & {"passes", "other payment"}))
        by_tier.setdefault((limit, offline), set()).add("passes" in found)
    assert len(served) == 1
    if member.gestures or (member.pin is PinOutcome.RIGHT and central):
        # Who holds a factor may pay as much in every tier; within the allowance, whatever the limit.
        assert all(len(found) == 1 for found in by_tier.values())
        assert by_tier[0, 1_000] == by_tier[5_000, 1_000]


def test_who_is_assisted_pays_within_the_allowance_with_a_limit_of_nothing_and_central_silent() -> None:
    view = replace(paying.view(limit=0), tier=Tier.ASSISTED)
    attempt = matched(view, PAYS, Surroundings(pays=True, due=paying.DUE)).tell(OtherWayAsked())
    gesture(attempt).tell(looked_up_again(view))
    assert attempt.passage.phase is Phase.AGREEING
    assert not attempt.did(TakeCharge)
