"""A passage with a challenge in it, on a simulated clock."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.sample import FailureToAcquire, Obstacle, Probe
from edge.capture.tracking import TrackId
from edge.confirm.challenge import Gesture, Sighting, draw
from edge.confirm.liveness import ConfirmConfig
from edge.confirm.pin import PinOutcome
from edge.decide.standing import StandingView
from edge.decide.verdict import (
    Age,
    Elsewhere,
    GateState,
    Grant,
    Membership,
    Reason,
    Refer,
    RestrictionState,
    StepUp,
    Tier,
    decide,
)
from edge.enact.display import HelpAsked, NotMe, OtherWayAsked, PinEntered, Prompt
from edge.enact.record import Stamp, circumstances_of, pass_record
from edge.enact.release import ReleaseConfig
from edge.passage.display import display
from edge.passage.effects import CheckPin, OpenGate, Settle
from edge.passage.observations import (
    ClaimSeen,
    FaceMissed,
    FaceMoved,
    Surroundings,
    Tick,
)
from edge.passage.state import Passage, Phase, Rules, new_passage, wants_face, wants_gestures
from tests.doubles.attempt import (
    CLAIM,
    FRESH,
    KIOSK,
    KNOWN,
    OTHER,
    OWN,
    PASSAGE,
    PASSED,
    POINT,
    RECIPE,
    SUBJECT,
    Attempt,
    face,
    judged,
    looked_up,
    looked_up_again,
)
from tests.doubles.examples import examples
from tests.doubles.gesturing import ALWAYS, NONCE, Gesturing
from tests.doubles.turning_head import head, picture

ON_REUSE = Rules(ConfirmConfig(challenge="on_claim_reuse"), ReleaseConfig(), {3: POINT}, 0.8)
PROMPTS = draw(NONCE, ALWAYS.confirm.prompts)
SHOWN = {
    Gesture.TURN_LEFT: Prompt.TURN_LEFT,
    Gesture.TURN_RIGHT: Prompt.TURN_RIGHT,
    Gesture.LOOK_UP: Prompt.LOOK_UP,
    Gesture.NOD: Prompt.NOD,
}


def challenged(**how) -> Gesturing:
    attempt = Gesturing(**how)
    assert attempt.passage.phase is Phase.CHALLENGING
    return attempt.rest()


def done(attempt: Gesturing) -> Gesturing:
    for gesture in PROMPTS:
        attempt.do(gesture)
    return attempt


def test_a_member_who_does_what_is_asked_passes_and_the_record_says_bona_fide() -> None:
    attempt = done(challenged())
    assert isinstance(attempt.passage.verdict, Grant)
    attempt.tell(PASSED)
    assert attempt.record.circumstances.liveness == "bona_fide"
    assert attempt.embedded == len(PROMPTS) + 2


def test_the_screen_asks_for_one_gesture_after_the_other() -> None:
    attempt = Gesturing()
    assert display(attempt.passage).prompt is Prompt.LOOK_HERE
    attempt.rest()
    for gesture in PROMPTS:
        assert display(attempt.passage).prompt is SHOWN[gesture]
        attempt.do(gesture)
    assert display(attempt.passage).prompt is Prompt.WELCOME


def test_a_hint_stands_beside_the_gesture_but_never_against_it() -> None:
    attempt = challenged()
    attempt.tell(FaceMissed(FailureToAcquire(Obstacle.SEVERAL_FACES)))
    assert display(attempt.passage).hint is Obstacle.SEVERAL_FACES
    attempt.tell(FaceMissed(FailureToAcquire(Obstacle.TURNED)))
    assert display(attempt.passage).hint is None


def test_the_release_expires_with_the_last_frame_of_the_challenge() -> None:
    attempt = done(challenged())
    (opened,) = attempt.did(OpenGate)
    assert opened.release.not_after_ms == attempt.passage.evidence_ms + ALWAYS.release.ttl_ms
    assert attempt.passage.decided_ms - attempt.passage.evidence_ms <= 40


def test_no_gate_opens_while_the_challenge_is_under_way() -> None:
    attempt = challenged()
    assert not attempt.did(OpenGate)
    assert not wants_face(attempt.passage)
    assert wants_gestures(attempt.passage)


def test_a_stranger_is_not_challenged() -> None:
    attempt = Attempt(rules=ALWAYS).tell(ClaimSeen(CLAIM), KNOWN)
    attempt.tell(*(face(OTHER) for _ in range(9)))
    assert attempt.passage.challenge is None
    assert isinstance(attempt.passage.verdict, Refer)


def test_a_picture_tilted_about_is_an_attack_and_is_referred_to_staff_with_a_record() -> None:
    attempt = challenged()
    for _ in range(4):
        attempt.see(picture(left=50))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.ATTACK,))
    assert attempt.record.circumstances.liveness == "attack"
    assert not attempt.did(OpenGate)


def test_another_face_in_mid_challenge_is_an_attack() -> None:
    attempt = challenged().do(PROMPTS[0]).do(PROMPTS[1], OTHER)
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.ATTACK,))
    assert not attempt.did(OpenGate)


def test_who_does_nothing_is_asked_for_the_pin_and_passes_with_it() -> None:
    attempt = challenged().wait(ALWAYS.confirm.prompt_ms)
    assert attempt.passage.verdict == StepUp((Reason.LIVENESS_UNDETERMINED,))
    assert display(attempt.passage).prompt is Prompt.ENTER_PIN
    attempt.tell(PinEntered("1234"))
    assert attempt.did(CheckPin) == [CheckPin(PASSAGE, SUBJECT, PinEntered("1234"))]
    attempt.tell(judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH), PASSED)
    assert attempt.record.circumstances.liveness == "undetermined"
    assert attempt.record.circumstances.second_factor == "good"


def test_another_way_is_there_at_any_moment_of_a_challenge_and_asks_for_the_pin() -> None:
    for prepared in (Gesturing(), challenged(), challenged().do(PROMPTS[0])):
        prepared.tell(OtherWayAsked())
        assert prepared.passage.verdict == StepUp((Reason.LIVENESS_UNDETERMINED,))
        prepared.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
        assert isinstance(prepared.passage.verdict, Grant)


def test_another_way_in_a_challenge_is_no_way_around_a_wrong_pin() -> None:
    attempt = challenged().tell(OtherWayAsked(), PinEntered("0"), judged(PinOutcome.EXHAUSTED, 0))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_EXHAUSTED,))
    assert not attempt.did(OpenGate)


def test_who_is_bona_fide_before_the_standing_came_waits_for_it() -> None:
    attempt = done(challenged(view=None))
    assert attempt.passage.verdict is None
    assert not wants_face(attempt.passage)
    attempt.tell(looked_up(FRESH))
    assert isinstance(attempt.passage.verdict, Grant)


def test_a_standing_that_comes_during_the_challenge_is_decided_on_after_it() -> None:
    attempt = challenged(view=None)
    gone = StandingView(Age.ABSENT, Tier.UNKNOWN, Membership.WITHDRAWN, RestrictionState.NONE)
    attempt.tell(looked_up(gone))
    assert attempt.passage.phase is Phase.CHALLENGING
    assert done(attempt).passage.verdict == Refer(Elsewhere.STAFF, (Reason.WITHDRAWN,))


@pytest.mark.parametrize("found", [Surroundings(emergency=True), Surroundings(gate=GateState.FAULT)])
def test_an_emergency_or_a_fault_ends_a_challenge(found: Surroundings) -> None:
    attempt = challenged().tell(found)
    assert isinstance(attempt.passage.verdict, Refer)
    assert not wants_gestures(attempt.passage)


def test_not_me_and_help_end_a_challenge() -> None:
    assert not challenged().tell(NotMe()).did(Settle)
    assert display(challenged().tell(HelpAsked()).passage).prompt is Prompt.STAFF


def test_template_and_matched_probe_go_with_the_passage() -> None:
    for attempt in (
        challenged().tell(NotMe()),
        done(challenged()).tell(PASSED),
    ):
        assert (attempt.passage.member.template, attempt.passage.challenge) == (None, None)


def test_on_claim_reuse_challenges_whoever_was_here_before_and_nobody_else() -> None:
    assert Gesturing(ON_REUSE, used_before=True).passage.phase is Phase.CHALLENGING
    assert isinstance(Gesturing(ON_REUSE, used_before=False).passage.verdict, Grant)


def test_who_let_too_many_challenges_go_by_is_asked_for_the_pin_without_another() -> None:
    attempt = Attempt(new_passage(PASSAGE, NONCE), ALWAYS)
    attempt.tell(ClaimSeen(CLAIM), replace(KNOWN, tries_exhausted=True))
    attempt.tell(looked_up(FRESH), face(), face(), face())
    assert attempt.passage.verdict == StepUp((Reason.LIVENESS_UNDETERMINED,))
    attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
    assert isinstance(attempt.passage.verdict, Grant)


def test_another_passage_is_asked_for_other_gestures() -> None:
    drawn = set()
    for number in range(64):
        passage = new_passage(PASSAGE, number.to_bytes(8))
        attempt = Attempt(passage, ALWAYS).tell(ClaimSeen(CLAIM))
        attempt.tell(KNOWN, face(), face(), face())
        drawn.add(attempt.passage.challenge.prompts)
    assert len(drawn) == 12


def moved(points: np.ndarray, vector: np.ndarray | None) -> FaceMoved:
    probe = None if vector is None else Probe((vector,), (1.0,), RECIPE, 1)
    return FaceMoved(Sighting(TrackId(1), points, 0, probe))


def taken_at(told: FaceMoved, at_ms: int) -> FaceMoved:
    return FaceMoved(replace(told.sighting, captured_ms=at_ms))


MOVES = st.builds(
    moved,
    st.sampled_from(
        [
            head(),
            head(12),
            head(26),
            head(-12),
            head(-26),
            head(0, 10),
            head(0, 26),
            head(0, -10),
            head(0, -26),
        ]
    ),
    st.sampled_from([None, OWN, OWN, OTHER]),
)
TOLD = st.one_of(
    MOVES,
    MOVES,
    st.sampled_from([OtherWayAsked(), HelpAsked(), Tick(), looked_up(FRESH), PinEntered("1")]),
    st.sampled_from([judged(PinOutcome.RIGHT, 5), judged(PinOutcome.WRONG, 4), Surroundings()]),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(TOLD, st.integers(0, 400), st.integers(1, 3)), max_size=60))
def test_whatever_happens_in_a_challenge_the_gate_opens_only_for_gestures_or_a_pin(story) -> None:
    attempt = Gesturing()
    for told, later_ms, times in story:
        for _ in range(times):
            attempt.now_ms += later_ms
            attempt.tell(taken_at(told, attempt.now_ms) if isinstance(told, FaceMoved) else told)
            assert display(attempt.passage)
    assert len(attempt.did(OpenGate)) <= 1
    if attempt.did(OpenGate):
        known = attempt.passage.circumstances
        assert known.liveness == "bona_fide" or known.second_factor == "good"
    for settle in attempt.did(Settle):
        record = pass_record(settle.account, KIOSK, Stamp(1_000_000, True))
        assert decide(circumstances_of(record)) == settle.account.verdict
        assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


def test_a_passage_without_a_challenge_ignores_gestures() -> None:
    attempt = Attempt()
    before: Passage = attempt.passage
    assert attempt.tell(moved(head(), OWN)).passage is before
