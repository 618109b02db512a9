"""A passage at a kiosk whose pack has passive detection: a suspicion asks for the PIN, and does no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.tracking import TrackId
from edge.confirm.liveness import ConfirmConfig, Window, gather, looks_recaptured
from edge.confirm.pin import PinOutcome
from edge.decide.verdict import Grant, Identification, Liveness, Reason, Refer, StepUp
from edge.enact.display import NotMe, PinEntered
from edge.enact.release import ReleaseConfig
from edge.passage.effects import CheckPin, OpenGate, Settle
from edge.passage.observations import ClaimSeen
from edge.passage.state import Phase, Rules
from scripts.cli.central.explain import lines, replays
from tests.doubles.attempt import (
    CLAIM,
    FRESH,
    KNOWN,
    OTHER,
    OWN,
    POINT,
    Attempt,
    face,
    judged,
    looked_up,
    looked_up_again,
)

PASSIVE = Rules(ConfirmConfig(), ReleaseConfig(), {3: POINT}, live_min=0.5)
CHALLENGING = Rules(ConfirmConfig(challenge="always"), ReleaseConfig(), {3: POINT}, 0.8, live_min=0.5)


def presented(*lives: float | None, rules: Rules = PASSIVE, vector=OWN, view=FRESH) -> Attempt:
    """Frames of a face, each with how live it was taken to be."""
    attempt = Attempt(rules=rules)
    attempt.tell(ClaimSeen(CLAIM), KNOWN)
    if view is not None:
        attempt.tell(looked_up(view))
    return attempt.tell(*(replace(face(vector), live=live) for live in lives))


def test_frames_that_look_live_pass_and_claim_no_more_liveness_than_before() -> None:
    attempt = presented(0.9, 0.4, 0.9)
    assert isinstance(attempt.passage.verdict, Grant)
    assert attempt.passage.liveness is Liveness.NOT_ASKED


def test_frames_that_look_recaptured_ask_for_the_pin_and_are_no_attack() -> None:
    attempt = presented(0.1, 0.2, 0.3)
    assert attempt.passage.verdict == StepUp((Reason.LIVENESS_UNDETERMINED,))
    assert attempt.passage.circumstances.liveness is Liveness.UNDETERMINED
    assert attempt.passage.circumstances.identification is Identification.MATCH
    assert not attempt.did(OpenGate)
    attempt.tell(PinEntered("1234"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
    assert attempt.did(CheckPin)
    assert isinstance(attempt.passage.verdict, Grant)


def test_a_suspicion_does_not_wait_for_a_standing_that_has_not_come() -> None:
    assert presented(0.1, 0.1, 0.1, view=None).passage.phase is Phase.SECOND_FACTOR


def test_a_frame_without_a_score_is_not_taken_for_a_person() -> None:
    assert isinstance(presented(0.9, None, 0.9).passage.verdict, StepUp)
    assert isinstance(presented(None, None, None).passage.verdict, StepUp)


def test_without_passive_detection_no_score_is_looked_at() -> None:
    off = replace(PASSIVE, live_min=None)
    assert isinstance(presented(0.0, 0.0, 0.0, rules=off).passage.verdict, Grant)
    assert isinstance(presented(None, None, None, rules=off).passage.verdict, Grant)


def test_who_looks_recaptured_is_not_challenged_and_who_looks_live_is() -> None:
    assert presented(0.1, 0.1, 0.1, rules=CHALLENGING).passage.phase is Phase.SECOND_FACTOR
    assert presented(0.9, 0.9, 0.9, rules=CHALLENGING).passage.phase is Phase.CHALLENGING


@pytest.mark.parametrize("live", [0.0, 1.0])
def test_a_face_that_does_not_match_is_referred_however_live_it_looks(live: float) -> None:
    attempt = presented(*[live] * 9, vector=OTHER)
    assert isinstance(attempt.passage.verdict, Refer)
    assert attempt.passage.verdict.reasons == (Reason.NO_MATCH,)
    assert attempt.passage.circumstances.liveness is Liveness.NOT_ASKED
    assert attempt.did(Settle)


def test_only_the_frames_that_agree_are_scored() -> None:
    before = [replace(face(OTHER), live=0.0) for _ in range(2)]
    attempt = Attempt(rules=PASSIVE)
    attempt.tell(ClaimSeen(CLAIM), KNOWN, looked_up(FRESH))
    attempt.tell(*before, *(replace(face(), live=0.6) for _ in range(3)))
    assert isinstance(attempt.passage.verdict, Grant)
    assert attempt.passage.face.live == pytest.approx(0.6)


def test_another_track_takes_its_own_scores_with_it() -> None:
    window = gather(gather(Window(), TrackId(1), face().probe, 3, 0.1), TrackId(2), face().probe, 3, 0.9)
    assert window.lives == (0.9,)
    assert window.live == pytest.approx(0.9)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_floor_is_where_a_suspicion_ends(live: float, floor: float) -> None:
    assert looks_recaptured(live, floor) == (live < floor)
    assert looks_recaptured(None, floor)
    assert not looks_recaptured(live, None)


def test_the_record_says_what_was_scored_and_what_was_asked_for() -> None:
    attempt = presented(0.1, 0.2, 0.3)
    attempt.tell(NotMe())
    compared = attempt.record.comparison
    assert compared is not None
    assert (compared.live, compared.live_min) == (pytest.approx(0.2), 0.5)
    assert attempt.record.circumstances.liveness == "undetermined"
    assert replays(attempt.record)
    told = "\n".join(lines(attempt.record, "now"))
    assert "live score 0.20, at least 0.50 asked for" in told
