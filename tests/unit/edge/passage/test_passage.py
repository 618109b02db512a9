"""A passage, from start to settled, on a simulated clock."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.sample import FailureToAcquire, Obstacle
from edge.compare.claim import QrClaim
from edge.compare.member import KnownMember, UnknownMember
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.standing import ABSENT, StandingView
from edge.decide.verdict import (
    Age,
    Deny,
    Elsewhere,
    GateState,
    Grant,
    Lane,
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
from edge.passage.advance import RECLAIM_MS, advance
from edge.passage.display import display
from edge.passage.effects import Begin, CheckPin, FetchStanding, OpenGate, ResolveClaim, Settle
from edge.passage.observations import (
    ClaimResolved,
    ClaimSeen,
    FaceMissed,
    GateAnswered,
    Observation,
    PinJudged,
    StandingSeen,
    Surroundings,
    Tick,
)
from edge.passage.state import Phase, is_over, new_passage, wants_claim, wants_face
from tests.doubles.attempt import (
    CARD,
    CLAIM,
    FRESH,
    KIOSK,
    KNOWN,
    KNOWN_BY_NAME_ONLY,
    OTHER,
    OWN,
    PASSAGE,
    PASSED,
    RULES,
    SUBJECT,
    UNKNOWN,
    WITHDRAWN,
    Attempt,
    claimed,
    face,
    judged,
    looked_up,
    looked_up_again,
)
from tests.doubles.examples import examples
from wire.ids import ClaimId, PassageId
from wire.records import GateOutcome, IdentifiedBy, PassRecord


def test_a_member_with_a_fresh_standing_passes() -> None:
    attempt = claimed().tell(face(at_ms=7), face(at_ms=8), face(at_ms=9))
    assert attempt.passage.verdict == Grant(Lane.STANDARD, True, (Reason.TIER_STANDARD,))
    assert [type(effect) for effect in attempt.effects] == [ResolveClaim, FetchStanding, Begin, OpenGate]
    attempt.tell(PASSED)
    record = attempt.record
    assert (record.verdict, record.subject, record.gate_outcome) == ("grant", SUBJECT, GateOutcome.PASSED)
    assert record.identified_by is IdentifiedBy.FACE
    assert record.comparison.similarity == pytest.approx(1.0)


def test_the_decision_is_kept_before_the_gate_opens_on_it() -> None:
    attempt = claimed().tell(face(), face(), face())
    (begin,) = attempt.did(Begin)
    assert begin.account.gate_outcome is GateOutcome.AWAITED
    assert attempt.effects.index(begin) < attempt.effects.index(attempt.did(OpenGate)[0])


def test_a_release_expires_with_the_evidence_it_rests_on() -> None:
    attempt = claimed().tell(face(at_ms=1), face(at_ms=2), face(at_ms=3))
    (opened,) = attempt.did(OpenGate)
    assert opened.release.not_after_ms == 3 + RULES.release.ttl_ms
    assert opened.release.passage_id == bytes.fromhex("3" * 32)


def test_one_frame_too_few_decides_nothing() -> None:
    assert claimed().tell(face(), face()).passage.verdict is None


def test_a_picture_repeated_by_a_hung_camera_counts_once() -> None:
    picture = face()
    attempt = claimed().tell(picture, picture, picture, picture)
    assert attempt.passage.verdict is None
    assert attempt.tell(face(), face()).passage.phase is Phase.RELEASING


def test_frames_of_another_track_do_not_count() -> None:
    attempt = claimed().tell(face(track=1), face(track=1), face(track=2), face(track=2))
    assert attempt.passage.verdict is None
    assert attempt.tell(face(track=2)).passage.phase is Phase.RELEASING


def test_a_face_swapped_inside_one_track_does_not_agree_with_itself() -> None:
    attempt = claimed().tell(face(OWN), face(OWN), face(OTHER))
    assert attempt.passage.verdict is None
    assert attempt.passage.face.windows_compared == 0


def test_a_stranger_with_a_members_code_is_referred_after_the_attempts_and_not_named() -> None:
    attempt = claimed()
    for _ in range(RULES.confirm.attempts):
        assert attempt.passage.phase is Phase.IDENTIFYING
        attempt.tell(face(OTHER), face(OTHER), face(OTHER))
    assert attempt.passage.verdict == Refer(Elsewhere.OTHER_WAY, (Reason.NO_MATCH,))
    assert not attempt.did(OpenGate)
    record = attempt.record
    assert (record.subject, record.standing, record.identified_by) == (None, None, None)
    assert record.comparison.similarity == pytest.approx(0.0)


def test_nobody_in_front_of_the_camera_ends_as_a_failure_to_acquire() -> None:
    attempt = claimed().tell(FaceMissed(FailureToAcquire(Obstacle.NO_FACE)))
    assert display(attempt.passage).hint is Obstacle.NO_FACE
    attempt.wait(RULES.confirm.acquire_ms)
    assert attempt.passage.verdict == Refer(Elsewhere.OTHER_WAY, (Reason.FAILURE_TO_ACQUIRE,))


def test_an_assisted_member_is_stepped_up_and_passes_with_the_pin() -> None:
    view = StandingView(Age.FRESH, Tier.ASSISTED, Membership.ACTIVE, RestrictionState.NONE)
    attempt = claimed(view).tell(face(), face(), face())
    assert attempt.passage.verdict == StepUp((Reason.TIER_ASSISTED,))
    assert display(attempt.passage).prompt is Prompt.ENTER_PIN
    attempt.tell(PinEntered("1234"))
    assert attempt.did(CheckPin) == [CheckPin(PASSAGE, SUBJECT, PinEntered("1234"))]
    attempt.tell(judged(PinOutcome.RIGHT, 5))
    proven_ms = attempt.now_ms
    attempt.tell(looked_up_again(view))
    assert isinstance(attempt.passage.verdict, Grant)
    assert attempt.did(OpenGate)[0].release.not_after_ms == proven_ms + RULES.release.ttl_ms


RESTRICTED = StandingView(Age.FRESH, Tier.STANDARD, Membership.ACTIVE, RestrictionState.VERIFIED)
GONE = StandingView(Age.ABSENT, Tier.UNKNOWN, Membership.WITHDRAWN, RestrictionState.NONE)


@pytest.mark.parametrize(("view", "kind"), [(RESTRICTED, Deny), (GONE, Refer)])
@pytest.mark.parametrize("without_face", [True, False])
def test_a_standing_that_changed_while_the_pin_was_typed_is_the_one_decided_on(
    view: StandingView, kind: type, without_face: bool
) -> None:
    attempt = claimed(ABSENT)
    attempt.tell(*([OtherWayAsked()] if without_face else [face(), face(), face()]))
    attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5))
    assert not attempt.did(OpenGate)
    assert attempt.did(FetchStanding) == [
        FetchStanding(PASSAGE, SUBJECT, proven=proven) for proven in (False, True)
    ]
    attempt.tell(looked_up_again(view))
    assert isinstance(attempt.passage.verdict, kind)
    assert not attempt.did(OpenGate)


def test_a_restriction_that_comes_after_the_face_ran_out_of_time_still_holds() -> None:
    attempt = claimed(None).tell(face(), face(), face()).wait(RULES.confirm.acquire_ms)
    assert attempt.passage.verdict == StepUp((Reason.STANDING_ABSENT,))
    attempt.tell(looked_up(RESTRICTED), PinEntered("1"), judged(PinOutcome.RIGHT, 5))
    attempt.tell(looked_up_again(RESTRICTED))
    assert isinstance(attempt.passage.verdict, Deny)
    assert not attempt.did(OpenGate)


def test_a_wrong_pin_may_be_tried_again_and_the_last_one_refers_to_staff() -> None:
    attempt = claimed(ABSENT).tell(face(), face(), face(), PinEntered("0"), judged(PinOutcome.WRONG, 4))
    assert display(attempt.passage).tries_left == 4
    attempt.tell(PinEntered("1"), judged(PinOutcome.EXHAUSTED, 0))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_EXHAUSTED,))


def test_having_to_wait_does_not_say_that_no_tries_are_left() -> None:
    attempt = claimed(ABSENT).tell(face(), face(), face(), PinEntered("0"), judged(PinOutcome.WRONG, 4))
    wait = PinJudged(PASSAGE, SUBJECT, PinJudgement(PinOutcome.WAIT, retry_after_ms=20_000))
    assert display(attempt.tell(PinEntered("1"), wait).passage).tries_left == 4


def test_a_pin_is_checked_once_at_a_time() -> None:
    attempt = claimed(ABSENT).tell(face(), face(), face(), PinEntered("1"), PinEntered("2"))
    assert len(attempt.did(CheckPin)) == 1


def test_a_pin_that_nobody_asked_for_is_not_looked_at() -> None:
    assert not claimed().tell(PinEntered("1234")).did(CheckPin)


def test_a_step_up_left_alone_is_recorded_as_that() -> None:
    attempt = claimed(ABSENT).tell(face(), face(), face()).wait(RULES.confirm.pin_ms)
    assert attempt.record.verdict == "step_up"
    assert attempt.record.gate_outcome is GateOutcome.NOT_RELEASED


def test_claim_and_pin_pass_without_a_face() -> None:
    attempt = claimed().tell(OtherWayAsked(), face(OTHER), PinEntered("1234"))
    attempt.tell(judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH), PASSED)
    assert attempt.record.identified_by is IdentifiedBy.CLAIM_PIN
    assert attempt.record.comparison is None
    assert attempt.record.gate_outcome is GateOutcome.PASSED


def test_card_and_pin_is_recorded_as_that() -> None:
    attempt = Attempt().tell(OtherWayAsked())
    assert display(attempt.passage).prompt is Prompt.ENTER_CLAIM
    attempt.tell(
        ClaimSeen(CARD),
        ClaimResolved(PASSAGE, CARD, KnownMember(SUBJECT, None)),
        looked_up(FRESH),
    )
    assert display(attempt.passage).prompt is Prompt.ENTER_PIN
    attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
    attempt.tell(PASSED)
    assert attempt.record.identified_by is IdentifiedBy.CARD_PIN


def test_a_referred_person_can_go_another_way_at_once_with_the_code_still_held_up() -> None:
    attempt = claimed().wait(RULES.confirm.acquire_ms).tell(ClaimSeen(CLAIM), OtherWayAsked())
    assert is_over(attempt.passage, attempt.now_ms)
    following = Attempt(new_passage(PassageId("4" * 32), b"abcdefgh", attempt.passage))
    following.now_ms = attempt.now_ms
    assert following.tell(ClaimSeen(CLAIM)).passage.phase is Phase.IDENTIFYING
    assert not wants_face(following.passage)


def test_a_pin_that_cannot_be_checked_refers_to_staff() -> None:
    attempt = claimed(ABSENT).tell(face(), face(), face(), PinEntered("1"), judged(PinOutcome.UNAVAILABLE, 0))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_UNAVAILABLE,))


@pytest.mark.parametrize("answer", [UNKNOWN, WITHDRAWN])
def test_a_claim_that_does_not_stand_is_referred_without_a_face_being_compared(answer: Observation) -> None:
    attempt = Attempt().tell(ClaimSeen(CLAIM), answer)
    assert isinstance(attempt.passage.verdict, Refer)
    assert attempt.record.comparison is None
    assert attempt.record.subject is None


def test_an_emergency_ends_recognition_and_frees_the_way() -> None:
    attempt = claimed().tell(face(), face(), Surroundings(emergency=True))
    assert attempt.passage.verdict == Refer(Elsewhere.FREE_GATE, (Reason.EMERGENCY,))
    assert not wants_face(attempt.passage)
    assert not wants_claim(attempt.passage)


def test_a_gate_fault_refers_whoever_comes() -> None:
    attempt = Attempt().tell(Surroundings(gate=GateState.FAULT), ClaimSeen(CLAIM))
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.GATE_FAULT,))
    assert not attempt.did(ResolveClaim)


def test_a_gate_that_never_says_how_it_ended_is_recorded_as_unknown() -> None:
    attempt = claimed().tell(face(), face(), face())
    attempt.wait(RULES.release.open_ms + RULES.release.ttl_ms + 5_000)
    assert attempt.record.gate_outcome is GateOutcome.UNKNOWN


@pytest.mark.parametrize("linger_ms", [0, 2_500])
def test_a_stranger_who_shows_one_code_after_another_makes_a_record_a_second_and_no_more(
    linger_ms: int,
) -> None:
    rules = replace(RULES, release=ReleaseConfig(linger_ms=linger_ms))
    passage, records, start_ms = new_passage(PASSAGE, b"12345678"), 0, 100_000
    for now_ms in range(start_ms, start_ms + 10_000, 33):
        if is_over(passage, now_ms):
            passage = new_passage(PassageId(f"{now_ms:032x}"), b"12345678", passage)
        claim = QrClaim(ClaimId(f"{now_ms:032x}"))
        nobodys = ClaimResolved(passage.passage_id, claim, UnknownMember())
        for told in (ClaimSeen(claim), nobodys):
            passage, effects = advance(passage, told, now_ms, rules)
            records += sum(isinstance(effect, Settle) for effect in effects)
    assert 5 <= records <= 10


def test_the_next_member_need_not_wait_for_the_one_before_to_leave_the_screen() -> None:
    attempt = claimed().tell(face(), face(), face(), PASSED)
    attempt.tell(ClaimSeen(QrClaim(ClaimId("9" * 32))))
    assert is_over(attempt.passage, attempt.now_ms)


def test_no_face_is_wanted_before_a_claim() -> None:
    assert not wants_face(Attempt().passage)
    assert wants_face(Attempt().tell(ClaimSeen(CLAIM)).passage)


def test_faces_that_were_not_wanted_change_nothing() -> None:
    attempt = Attempt().tell(face(), face(), face())
    assert attempt.passage.face.window.probes == ()


def test_the_template_goes_with_the_passage() -> None:
    attempt = claimed().tell(face(), face(), face())
    assert attempt.passage.member.template is not None
    assert attempt.tell(PASSED).passage.member.template is None


def test_a_code_held_up_all_the_while_is_one_claim() -> None:
    attempt = claimed().wait(RULES.confirm.acquire_ms).tell(ClaimSeen(CLAIM))
    following = Attempt(new_passage(PassageId("4" * 32), b"abcdefgh", attempt.passage))
    following.now_ms = attempt.now_ms
    assert following.tell(ClaimSeen(CLAIM)).passage.phase is Phase.WAITING
    following.now_ms += RECLAIM_MS
    assert following.tell(ClaimSeen(CLAIM)).passage.phase is Phase.IDENTIFYING


def test_a_code_held_up_through_a_slow_identification_is_still_the_same_claim() -> None:
    attempt = claimed().wait(RULES.confirm.acquire_ms)
    following = Attempt(new_passage(PassageId("4" * 32), b"abcdefgh", attempt.passage))
    following.now_ms = attempt.now_ms + RECLAIM_MS - 100
    assert following.tell(ClaimSeen(CLAIM)).passage.phase is Phase.WAITING


def test_somebody_who_says_not_me_leaves_no_record() -> None:
    attempt = claimed().tell(NotMe())
    assert (attempt.passage.phase, attempt.did(Settle)) == (Phase.SETTLED, [])


def test_help_is_shown_at_once() -> None:
    assert display(claimed().tell(HelpAsked()).passage).prompt is Prompt.STAFF


def test_a_withdrawn_standing_is_referred_to_staff() -> None:
    gone = StandingView(Age.ABSENT, Tier.UNKNOWN, Membership.WITHDRAWN, RestrictionState.NONE)
    attempt = claimed(gone).tell(face(), face(), face())
    assert attempt.passage.verdict == Refer(Elsewhere.STAFF, (Reason.WITHDRAWN,))


VIEWS = st.builds(
    StandingView,
    st.sampled_from(Age),
    st.sampled_from(Tier),
    st.sampled_from(Membership),
    st.sampled_from([RestrictionState.NONE, RestrictionState.EXPIRED, RestrictionState.UNVERIFIED]),
)
OBSERVATIONS = st.one_of(
    st.builds(Surroundings, st.sampled_from(GateState), st.booleans(), st.booleans()),
    st.sampled_from(
        [
            ClaimSeen(CLAIM),
            KNOWN,
            KNOWN_BY_NAME_ONLY,
        ]
    ),
    st.sampled_from(
        [
            WITHDRAWN,
            UNKNOWN,
            OtherWayAsked(),
            NotMe(),
            HelpAsked(),
            Tick(),
        ]
    ),
    st.builds(StandingSeen, st.just(PASSAGE), st.just(SUBJECT), st.booleans(), VIEWS),
    st.sampled_from([face(), face(), face(), face(OTHER), face(track=2), PinEntered("1")]),
    st.builds(
        PinJudged,
        st.just(PASSAGE),
        st.just(SUBJECT),
        st.builds(PinJudgement, st.sampled_from(PinOutcome), st.integers(0, 5)),
    ),
    st.builds(
        GateAnswered,
        st.just(PASSAGE),
        st.sampled_from(GateOutcome),
    ),
)


@settings(max_examples=examples(400))
@given(st.lists(st.tuples(OBSERVATIONS, st.integers(0, 4_000)), max_size=25))
def test_whatever_happens_in_whatever_order_a_passage_opens_once_and_is_recorded_once(story) -> None:
    attempt = Attempt()
    for observation, later_ms in story:
        attempt.now_ms += later_ms
        attempt.tell(observation)
        assert display(attempt.passage)
    assert len(attempt.did(OpenGate)) <= 1
    assert len(attempt.did(Settle)) <= 1
    for opened in attempt.did(OpenGate):
        assert opened.release.passage_id == bytes.fromhex(attempt.passage.passage_id)
    for settle in attempt.did(Settle):
        record = pass_record(settle.account, KIOSK, Stamp(1_000_000, True))
        again = msgspec.json.decode(msgspec.json.encode(record), type=PassRecord)
        assert again == record
        assert decide(circumstances_of(again)) == settle.account.verdict
        assert not isinstance(settle.account.verdict, Deny)
