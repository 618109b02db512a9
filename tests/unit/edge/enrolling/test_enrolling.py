"""An enrolment and a withdrawal, from the first touch to the last, on a simulated clock."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.sample import FailureToAcquire, Obstacle
from edge.compare.claim import QrClaim, parse_qr, qr_text
from edge.compare.gallery import Gallery, Template
from edge.compare.member import UnknownMember, WithdrawnMember
from edge.decide.verdict import Reason
from edge.enact.display import (
    QR_ROWS_MAX,
    AgeAnswered,
    AgreeByChosen,
    ConsentAnswered,
    EnrolBegun,
    EnrolNote,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    PinEntered,
    Prompt,
    SamplesAgain,
    WithdrawConfirmed,
)
from edge.enact.enrolling import EnrolAnswer, EnrolConfig, WithdrawAnswer, WithdrawJudgement
from edge.enrolling.advance import LOOKED_AT_MS, READ_AGAIN_MS
from edge.enrolling.display import display
from edge.enrolling.effects import CheckClashes, ResolveClaim, Send, Settle, Undo, Withdraw
from edge.enrolling.observations import (
    Answered,
    ClaimFound,
    ClaimRead,
    ClashesFound,
    FaceFound,
    Observation,
    SampleMissed,
    WithdrawalJudged,
)
from edge.enrolling.state import (
    Enrolment,
    Step,
    wants_code,
    wants_face,
    wants_sample,
)
from edge.enrolling.template import check_clashes
from tests.doubles.enrolment_visit import (
    ANSWERS,
    AT,
    BEGUN,
    CHOSEN,
    CLAIM,
    CODE,
    CONFIG,
    ELDER,
    LAST,
    PIN,
    RECIPE,
    REPORTS,
    RULES,
    SUBJECT,
    TOUCHES,
    Visit,
    disagreeing,
    probe,
    sampled,
    withdrawing,
)
from tests.doubles.examples import examples
from wire.ids import SubjectId
from wire.values import AgreeBy


def left_of(enrolment: Enrolment) -> set[str]:
    """What is still known of the person."""
    fresh = Enrolment(enrolment.subject, enrolment.claim_id)
    named = {field.name for field in fields(Enrolment)} - {"step", "deadline_ms", "language", "reasons"}
    return {name for name in named if getattr(enrolment, name) != getattr(fresh, name)}


def test_every_step_is_reached_by_what_the_tests_tell() -> None:
    assert AT.keys() == set(Step) - {Step.OVER}
    assert {step: begin().step for step, begin in AT.items()} == {step: step for step in AT}


@pytest.mark.parametrize("step", AT)
def test_not_me_always_ends_it_and_nothing_is_left(step: Step) -> None:
    visit = AT[step]().tell(NotMe())
    assert visit.step is Step.OVER
    assert left_of(visit.enrolment) == set()


@pytest.mark.parametrize("step", AT)
def test_help_is_always_one_touch_away_and_nothing_is_left(step: Step) -> None:
    visit = AT[step]().tell(HelpAsked())
    assert visit.step is Step.STAFF
    assert left_of(visit.enrolment) == set()


@pytest.mark.parametrize("step", AT)
def test_whoever_walks_away_leaves_nothing(step: Step) -> None:
    visit = AT[step]()
    if step in ANSWERS:
        visit.tell(ANSWERS[step][0])
    for _ in range(3):
        visit.wait(CONFIG.consent_ms)
    assert visit.step is (Step.WELCOME if step is Step.WELCOME else Step.OVER)
    assert left_of(visit.enrolment) == set()


@pytest.mark.parametrize("step", ANSWERS)
def test_whatever_the_answer_is_it_leads_on(step: Step) -> None:
    for answer in ANSWERS[step]:
        visit = AT[step]()
        assert visit.wait(CONFIG.consent_ms).step is step  # the answer always comes
        assert visit.tell(answer).step is not step


@pytest.mark.parametrize("step", AT)
def test_every_touch_and_report_in_every_step_leads_to_a_step_that_can_be_shown(step: Step) -> None:
    for observation in (*TOUCHES, *REPORTS):
        visit = AT[step]()
        before = visit.enrolment
        visit.tell(observation)
        shown = display(visit.enrolment, RULES)
        assert shown.prompt in Prompt
        if isinstance(observation, Finished):
            assert (visit.step is Step.OVER) == (step in LAST)
        elif visit.step is step:
            kept = {name for name in left_of(visit.enrolment) if name not in {"note", "obstacle"}}
            assert kept <= left_of(before) | {"samples", "track", "sampled_ms"}


MAY_HOLD = {
    "samples": {Step.SAMPLES},
    "template": {Step.CHECKING, Step.AGREE_BY, Step.PIN, Step.PIN_AGAIN},
    "pin": {Step.PIN_AGAIN, Step.WITHDRAW_CONFIRM},
    "leaving": {Step.WITHDRAW_PIN, Step.WITHDRAW_CONFIRM, Step.WITHDRAWING},
}


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.sampled_from((*BEGUN, *TOUCHES, *REPORTS)), max_size=40), st.data())
def test_whatever_happens_secrets_and_samples_live_only_as_long_as_they_are_needed(
    observations: list[Observation], data: st.DataObject
) -> None:
    visit = AT[data.draw(st.sampled_from(list(AT)))]()
    for observation in observations:
        if visit.step is Step.OVER:
            break
        visit.now_ms += data.draw(st.integers(0, 2_000))
        visit.tell(observation)
        for name, steps in MAY_HOLD.items():
            assert not getattr(visit.enrolment, name) or visit.step in steps, name
        shown = display(visit.enrolment, RULES)
        assert bool(shown.qr_rows) == (visit.step is Step.DONE)
        assert repr(PIN) not in repr(visit.enrolment)
    sent = [each for each in visit.effects if isinstance(each, Send)]
    ended = [each for each in visit.effects if isinstance(each, Settle | Undo)]
    assert len(sent) <= 1
    assert (not sent and not ended) or bool(ended) == (visit.step is not Step.SENDING)


def test_a_willing_person_enrols_by_these_touches() -> None:
    visit = sampled()
    template = visit.enrolment.template
    visit.tell(*CHOSEN, PinEntered(PIN), PinEntered(PIN))
    assert isinstance(visit.last, Send)
    application = visit.last.application
    assert (application.subject, application.claim_id, application.pin) == (SUBJECT, CLAIM, PIN)
    assert application.template is template
    assert isinstance(template, Template)
    assert (template.subject, template.images) == (SUBJECT, 3)
    assert (application.consent_version, application.consent_language) == ("2026-11", "de")
    assert application.consented_ms == 1_000
    assert application.agree_by is AgreeBy.NOD
    visit.tell(Answered(SUBJECT, EnrolAnswer.ENROLLED))
    assert visit.last == Settle(SUBJECT)
    shown = display(visit.enrolment, RULES)
    assert (shown.prompt, shown.card_name) == (Prompt.ENROL_DONE, "Metro")
    assert 0 < len(shown.qr_rows) <= QR_ROWS_MAX
    assert {len(row) for row in shown.qr_rows} == {len(shown.qr_rows)}


def test_the_code_that_is_shown_is_the_claim_that_was_sent() -> None:
    zxingcpp = pytest.importorskip("zxingcpp")
    rows = display(AT[Step.DONE]().enrolment, RULES).qr_rows
    modules = np.array([[0 if dark == "1" else 255 for dark in row] for row in rows], np.uint8)
    (read,) = zxingcpp.read_barcodes(np.kron(modules, np.ones((4, 4), np.uint8)))
    assert read.text == qr_text(CLAIM)
    assert parse_qr(read.text) == QrClaim(CLAIM)


def test_no_face_is_wanted_before_consent_and_age_and_none_after_the_samples() -> None:
    assert [step for step, begin in AT.items() if wants_face(begin().enrolment)] == [Step.SAMPLES]
    assert [step for step, begin in AT.items() if wants_code(begin().enrolment)] == [Step.WITHDRAW_CLAIM]


def test_who_is_under_age_or_does_not_consent_leaves_nothing() -> None:
    young = Visit().tell(*BEGUN[:2], AgeAnswered(False))
    assert display(young.enrolment, RULES).prompt is Prompt.ENROL_UNDER_AGE
    assert left_of(young.enrolment) == set()
    assert Visit().tell(BEGUN[0], ConsentAnswered(False)).step is Step.OVER
    assert young.effects == []


def test_the_consent_is_read_in_any_language_there_is_a_text_in_and_no_other() -> None:
    visit = Visit().tell(EnrolBegun("xx"))
    assert visit.step is Step.WELCOME
    visit.tell(EnrolBegun("de"))
    shown = display(visit.enrolment, RULES).enrolment
    assert (shown.consent_text, shown.consent_version) == ("Einverstanden?", "2026-11")
    assert shown.languages == ("de", "en")
    visit.tell(EnrolBegun("en"))
    assert display(visit.enrolment, RULES).enrolment.consent_text == "Agree?"


def test_samples_are_moments_apart_and_of_different_pictures() -> None:
    visit = Visit().tell(*BEGUN).sample(0.0)
    assert not wants_sample(visit.enrolment, visit.now_ms + CONFIG.sample_gap_ms - 1, RULES)
    visit.sample(0.0)
    assert len(visit.enrolment.samples) == 1  # the very same picture again
    visit.sample(0.1)
    assert len(visit.enrolment.samples) == 2


def test_the_hint_says_why_a_frame_is_no_sample_and_goes_away() -> None:
    visit = Visit().tell(*BEGUN, SampleMissed(FailureToAcquire(Obstacle.TOO_DARK)))
    assert display(visit.enrolment, RULES).hint is Obstacle.TOO_DARK
    visit.tell(FaceFound())
    assert display(visit.enrolment, RULES).hint is None


def test_samples_begin_anew_with_another_face() -> None:
    visit = Visit().tell(*BEGUN).sample(0.0).sample(0.1).sample(0.0, person=1, track=2)
    assert len(visit.enrolment.samples) == 1
    assert visit.step is Step.SAMPLES


def test_one_bad_sample_costs_one_more_and_is_left_out() -> None:
    visit = Visit().tell(*BEGUN).sample(0.0).sample(0.1).sample(person=1)
    assert visit.step is Step.SAMPLES
    assert display(visit.enrolment, RULES).enrolment.samples_wanted == 4
    visit.sample(-0.1)
    assert visit.step is Step.CHECKING
    assert isinstance(visit.last, CheckClashes)
    assert visit.last.template.images == 3
    assert float(visit.last.template.vector @ probe(0.0).vector) > 0.99


def test_samples_that_never_agree_are_asked_for_again() -> None:
    visit = disagreeing()
    assert (visit.step, visit.enrolment.samples) == (Step.AGAIN, ())
    visit.tell(SamplesAgain()).sample(0.0).sample(0.1).sample(0.2)
    assert visit.step is Step.CHECKING


@pytest.mark.parametrize("step", [Step.SAMPLES, Step.AGAIN])
def test_who_would_rather_not_show_their_face_enrols_without(step: Step) -> None:
    visit = AT[step]().tell(OtherWayAsked(), AgreeByChosen(AgreeBy.BUTTON), PinEntered(PIN), PinEntered(PIN))
    assert isinstance(visit.last, Send)
    assert visit.last.application.template is None
    assert not any(isinstance(each, CheckClashes) for each in visit.effects)


def test_relatives_are_enrolled_and_named_to_central_and_shown_nothing_of_it() -> None:
    shown = []
    for found in ((), (ELDER,)):
        visit = sampled().tell(ClashesFound(SUBJECT, found))
        shown.append(display(visit.enrolment, RULES))
        visit.tell(CHOSEN[1], PinEntered(PIN), PinEntered(PIN))
        assert isinstance(visit.last, Send)
        assert visit.last.application.claim_needed == found
    assert shown[0] == shown[1]  # who looks like whom is told to nobody at the kiosk


def test_a_template_like_another_members_names_them_and_no_one_else() -> None:
    visit = sampled()
    template = visit.enrolment.template
    sister = Template(ELDER, probe(0.02).vector, RECIPE, 3)
    stranger = Template(SubjectId("f" * 32), probe(0.0, 4).vector, RECIPE, 3)
    found = check_clashes(template, Gallery.of(RECIPE, [sister, stranger]), RULES.points)
    assert [each.subject for each in found.rivals] == [ELDER]


@pytest.mark.parametrize("pin", ["1111", "1234", "987654", "0123"])
def test_a_pin_that_is_guessed_first_is_refused_with_a_sentence(pin: str) -> None:
    visit = AT[Step.PIN]().tell(PinEntered(pin))
    assert (visit.step, visit.note) == (Step.PIN, EnrolNote.PIN_GUESSED_FIRST)
    assert visit.tell(PinEntered(PIN)).step is Step.PIN_AGAIN
    assert visit.note is None


def test_two_pins_that_differ_are_asked_for_anew() -> None:
    visit = AT[Step.PIN_AGAIN]().tell(PinEntered("2749"))
    assert (visit.step, visit.note, visit.enrolment.pin) == (Step.PIN, EnrolNote.PINS_DIFFER, "")
    visit.tell(PinEntered("2749"), PinEntered("2749"))
    assert visit.step is Step.SENDING


def test_a_silent_central_is_said_to_be_and_what_it_may_have_is_undone() -> None:
    visit = AT[Step.SENDING]().tell(Answered(SUBJECT, EnrolAnswer.SILENT))
    shown = display(visit.enrolment, RULES)
    assert (shown.prompt, shown.reasons) == (Prompt.ENROL_REFUSED, (Reason.CENTRAL_SILENT,))
    assert visit.last == Undo(SUBJECT)


@pytest.mark.parametrize("step", [Step.SENDING, Step.DONE])
def test_who_cancels_after_it_was_sent_is_withdrawn_again(step: Step) -> None:
    assert AT[step]().tell(NotMe()).last == Undo(SUBJECT)


def test_help_beside_the_new_code_takes_nothing_back() -> None:
    assert AT[Step.DONE]().tell(HelpAsked()).last == Settle(SUBJECT)
    assert AT[Step.SENDING]().tell(HelpAsked()).last == Undo(SUBJECT)


def test_withdrawing_takes_claim_pin_and_a_confirmation() -> None:
    visit = withdrawing()
    assert [type(each) for each in visit.effects] == [ResolveClaim, Withdraw]
    assert visit.last == Withdraw(SUBJECT, ELDER, PIN)
    assert repr(PIN) not in repr(visit.last)
    visit.tell(WithdrawalJudged(SUBJECT, WithdrawJudgement(WithdrawAnswer.WITHDRAWN)))
    assert display(visit.enrolment, RULES).prompt is Prompt.WITHDRAWN
    visit.wait(LOOKED_AT_MS)
    assert visit.step is Step.OVER


def test_a_wrong_pin_is_asked_for_again_with_the_tries_that_are_left() -> None:
    visit = withdrawing().tell(WithdrawalJudged(SUBJECT, WithdrawJudgement(WithdrawAnswer.WRONG_PIN, 4)))
    shown = display(visit.enrolment, RULES)
    assert (shown.prompt, shown.tries_left) == (Prompt.WITHDRAW_PIN, 4)
    visit.tell(PinEntered("2749"), WithdrawConfirmed())
    assert visit.last == Withdraw(SUBJECT, ELDER, "2749")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (WithdrawAnswer.LOCKED, Reason.SECOND_FACTOR_EXHAUSTED),
        (WithdrawAnswer.NO_PIN, Reason.SECOND_FACTOR_UNAVAILABLE),
        (WithdrawAnswer.SILENT, Reason.CENTRAL_SILENT),
    ],
)
def test_who_cannot_withdraw_here_and_now_is_sent_to_staff_with_the_reason(
    answer: WithdrawAnswer, reason: Reason
) -> None:
    visit = withdrawing().tell(WithdrawalJudged(SUBJECT, WithdrawJudgement(answer)))
    shown = display(visit.enrolment, RULES)
    assert (shown.prompt, shown.reasons) == (Prompt.STAFF, (reason,))


def test_a_code_that_is_nobodys_is_said_to_be_once_while_it_is_held_up() -> None:
    visit = AT[Step.WITHDRAW_LOOKUP]().tell(ClaimFound(SUBJECT, CODE, UnknownMember()))
    assert (visit.step, visit.note) == (Step.WITHDRAW_CLAIM, EnrolNote.CODE_UNKNOWN)
    visit.now_ms += READ_AGAIN_MS - 1
    assert visit.tell(ClaimRead(CODE)).step is Step.WITHDRAW_CLAIM
    assert visit.tell(ClaimRead(QrClaim(CLAIM))).step is Step.WITHDRAW_LOOKUP
    assert len([each for each in visit.effects if isinstance(each, ResolveClaim)]) == 2


def test_who_has_withdrawn_before_is_told_so() -> None:
    assert (
        AT[Step.WITHDRAW_LOOKUP]().tell(ClaimFound(SUBJECT, CODE, WithdrawnMember())).step is Step.WITHDRAWN
    )


def test_the_steps_are_counted_for_the_person() -> None:
    counted = [display(AT[step]().enrolment, RULES).enrolment for step in AT]
    assert all(0 <= each.step <= each.steps for each in counted)
    way = [Step.CONSENT, Step.AGE, Step.SAMPLES, Step.AGREE_BY, Step.PIN, Step.PIN_AGAIN, Step.DONE]
    assert [display(AT[step]().enrolment, RULES).enrolment.step for step in way] == [1, 2, 3, 4, 5, 6, 7]


def test_no_samples_are_asked_for_past_the_most() -> None:
    few = replace(RULES, config=EnrolConfig(samples_least=2, samples_most=2))
    visit = Visit(few).tell(*BEGUN).sample(person=0).sample(person=1)
    assert visit.step is Step.AGAIN
