"""`advance` is the one table of what follows from what in an enrolment, and in a withdrawal.

    WELCOME --language--> CONSENT --yes--> AGE --of age--> SAMPLES --enough that agree--> CHECKING
                             |              |               ^   |                             |
                             no           under           again differ         without a face |
                             |              |               |   v                   |         |
                             v          UNDER_AGE           AGAIN ------------------+-> AGREE_BY <-'
                           OVER                                                           |
        DONE <--enrolled-- SENDING <--the same-- PIN_AGAIN <--- PIN <---------------------'
                              `--no answer, refused--> REFUSED

    WELCOME --withdraw--> WITHDRAW_CLAIM <--nobody's-- WITHDRAW_LOOKUP --known--> WITHDRAW_PIN
                                  `---code--->-------------^                        |      ^
                              WITHDRAWN <--done-- WITHDRAWING <--sure-- WITHDRAW_CONFIRM   | wrong
                                                       `-----------------------------------'

From everywhere "not me" leads to OVER and nothing is left; so does time. Help leads to STAFF, and nothing is
left of what had not been sent. The core decides and returns effects; the enroller performs them, in order.
"""

from __future__ import annotations

from dataclasses import replace

from edge.capture.embedding import similarity
from edge.compare.member import KnownMember, Resolution, UnknownMember, WithdrawnMember
from edge.decide.verdict import Reason
from edge.enact.display import (
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
    SamplesAgain,
    WithdrawAsked,
    WithdrawConfirmed,
)
from edge.enact.enrolling import Application, EnrolAnswer, WithdrawAnswer, WithdrawJudgement
from edge.enrolling.effects import CheckClashes, Effect, ResolveClaim, Send, Settle, Undo, Withdraw
from edge.enrolling.observations import (
    Answered,
    ClaimFound,
    ClaimRead,
    ClashesFound,
    FaceFound,
    Failed,
    Observation,
    SampleMissed,
    SampleSeen,
    Tick,
    WithdrawalJudged,
)
from edge.enrolling.state import Enrolment, EnrolRules, Step
from edge.enrolling.template import FailureToEnrol, enrol_agreeing
from wire.pins import PinFlaw, pin_flaw

Advanced = tuple[Enrolment, tuple[Effect, ...]]

READ_AGAIN_MS = 3_000
"""A code that was nobody's is not looked up again for so long while it is held up."""
SAME_PICTURE = 0.99999
"""From this similarity on two frames are one picture: a moment more adds nothing."""
LOOKED_AT_MS = 15_000
"""How long the last screen of somebody who was not enrolled, or has withdrawn, is left for them to read."""

_WORKING = frozenset({Step.CHECKING, Step.SENDING, Step.WITHDRAW_LOOKUP, Step.WITHDRAWING})
"""What waits for an answer that always comes, and not for the person."""
_LAST = frozenset({Step.DONE, Step.UNDER_AGE, Step.REFUSED, Step.WITHDRAWN, Step.STAFF})
"""Screens that end at a touch."""


def advance(enrolment: Enrolment, observation: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    """What follows from `observation` at `now_ms`; what is not in the table changes nothing."""
    config = rules.config
    match enrolment.step, observation:
        case step, NotMe():
            return _over(enrolment), _undone(enrolment, step)
        case step, HelpAsked():
            return _ended(enrolment, Step.STAFF, now_ms), _undone(enrolment, step, unless=Step.DONE)
        case step, Finished() if step in _LAST:
            return _over(enrolment), ()
        case step, Tick() if (
            step is not Step.WELCOME and step not in _WORKING and (now_ms >= enrolment.deadline_ms)
        ):
            return _over(enrolment), ()

        case ((Step.WELCOME | Step.CONSENT), EnrolBegun(language)) if language in rules.consents.texts:
            read = replace(enrolment, step=Step.CONSENT, language=language)
            return replace(read, deadline_ms=now_ms + config.consent_ms), ()
        case Step.CONSENT, ConsentAnswered(given):
            if not given:
                return _over(enrolment), ()
            return _asked(replace(enrolment, consented_ms=now_ms), Step.AGE, now_ms, rules), ()
        case Step.AGE, AgeAnswered(of_age):
            return _sampling(enrolment, now_ms, rules) if of_age else _ended(
                enrolment, Step.UNDER_AGE, now_ms
            ), ()

        case Step.SAMPLES, SampleMissed(failure):
            return replace(enrolment, obstacle=failure.reason), ()
        case Step.SAMPLES, FaceFound():
            return replace(enrolment, obstacle=None), ()
        case Step.SAMPLES, SampleSeen():
            return _sampled(enrolment, observation, now_ms, rules)
        case Step.AGAIN, SamplesAgain():
            return _sampling(enrolment, now_ms, rules), ()
        case ((Step.SAMPLES | Step.AGAIN), OtherWayAsked()):
            without = replace(_sampling(enrolment, now_ms, rules), template=None)
            return _asked(without, Step.AGREE_BY, now_ms, rules), ()
        case Step.CHECKING, ClashesFound(subjects):
            checked = replace(enrolment, claim_needed=subjects)
            return _asked(checked, Step.AGREE_BY, now_ms, rules), ()

        case Step.AGREE_BY, AgreeByChosen(by):
            return _asked(replace(enrolment, agree_by=by), Step.PIN, now_ms, rules), ()
        case Step.PIN, PinEntered(pin):
            return _pin_chosen(enrolment, pin, now_ms, rules), ()
        case Step.PIN_AGAIN, PinEntered(pin):
            return _pin_repeated(enrolment, pin, now_ms, rules)
        case Step.SENDING, Answered(answer):
            return _answered(enrolment, answer, now_ms, rules)

        case Step.WELCOME, WithdrawAsked():
            return _asked(enrolment, Step.WITHDRAW_CLAIM, now_ms, rules), ()
        case Step.WITHDRAW_CLAIM, ClaimRead(claim):
            held = claim == enrolment.claim and now_ms - enrolment.claim_ms < READ_AGAIN_MS
            if held:
                return enrolment, ()
            found = replace(enrolment, step=Step.WITHDRAW_LOOKUP, claim=claim, claim_ms=now_ms, note=None)
            return found, (ResolveClaim(claim),)
        case Step.WITHDRAW_LOOKUP, ClaimFound(resolution):
            return _found(enrolment, resolution, now_ms, rules), ()
        case Step.WITHDRAW_PIN, PinEntered(pin):
            return _asked(replace(enrolment, pin=pin), Step.WITHDRAW_CONFIRM, now_ms, rules), ()
        case Step.WITHDRAW_CONFIRM, WithdrawConfirmed() if enrolment.leaving is not None:
            leaving = replace(enrolment, step=Step.WITHDRAWING, pin="")
            return leaving, (Withdraw(enrolment.leaving, enrolment.pin),)
        case Step.WITHDRAWING, WithdrawalJudged(judgement):
            return _judged(enrolment, judgement, now_ms, rules), ()

        case ((Step.CHECKING | Step.WITHDRAW_LOOKUP | Step.WITHDRAWING), Failed()):
            return _ended(enrolment, Step.STAFF, now_ms), ()
        case Step.SENDING, Failed():
            return _ended(enrolment, Step.REFUSED, now_ms), (Undo(enrolment.subject),)
        case _:
            return enrolment, ()


def _over(enrolment: Enrolment) -> Enrolment:
    return Enrolment(enrolment.subject, enrolment.claim_id, Step.OVER)


def _ended(enrolment: Enrolment, step: Step, now_ms: int, reasons: tuple[Reason, ...] = ()) -> Enrolment:
    """The last screen of somebody of whom nothing is left here."""
    return Enrolment(
        enrolment.subject,
        enrolment.claim_id,
        step,
        deadline_ms=now_ms + LOOKED_AT_MS,
        language=enrolment.language,
        reasons=reasons,
    )


def _undone(enrolment: Enrolment, step: Step, unless: Step | None = None) -> tuple[Effect, ...]:
    """What was sent is taken back."""
    sent = step in {Step.SENDING, Step.DONE} and step is not unless
    return (Undo(enrolment.subject),) if sent else ()


def _asked(enrolment: Enrolment, step: Step, now_ms: int, rules: EnrolRules) -> Enrolment:
    """The next question."""
    return replace(enrolment, step=step, deadline_ms=now_ms + rules.config.answer_ms, note=None)


def _sampling(enrolment: Enrolment, now_ms: int, rules: EnrolRules) -> Enrolment:
    return replace(
        enrolment,
        step=Step.SAMPLES,
        deadline_ms=now_ms + rules.config.samples_ms,
        samples=(),
        track=None,
        sampled_ms=None,
        obstacle=None,
    )


def _sampled(enrolment: Enrolment, seen: SampleSeen, now_ms: int, rules: EnrolRules) -> Advanced:
    """One more sample; the template is made once enough of them agree."""
    # Somebody else may have stepped in: samples are of one face that was never out of sight.
    before = enrolment.samples if seen.track == enrolment.track else ()
    vector = seen.probe.vector
    if any(similarity(vector, each.vector) >= SAME_PICTURE for each in before):
        return replace(enrolment, obstacle=None), ()
    samples = (*before, seen.probe)
    taken = replace(enrolment, samples=samples, track=seen.track, sampled_ms=seen.captured_ms, obstacle=None)
    if len(samples) < rules.config.samples_least:
        return taken, ()
    made = enrol_agreeing(enrolment.subject, samples, rules.config.samples_least, rules.points)
    if not isinstance(made, FailureToEnrol):
        return replace(taken, step=Step.CHECKING, samples=(), template=made), (CheckClashes(made),)
    if len(samples) < rules.config.samples_most:
        return taken, ()
    return replace(_asked(taken, Step.AGAIN, now_ms, rules), samples=()), ()


def _pin_chosen(enrolment: Enrolment, pin: str, now_ms: int, rules: EnrolRules) -> Enrolment:
    match pin_flaw(pin):
        case None:
            return _asked(replace(enrolment, pin=pin), Step.PIN_AGAIN, now_ms, rules)
        case PinFlaw.GUESSED_FIRST:
            again = _asked(enrolment, Step.PIN, now_ms, rules)
            return replace(again, note=EnrolNote.PIN_GUESSED_FIRST)
        case PinFlaw.NOT_DIGITS:  # no page sends one
            return enrolment


def _pin_repeated(enrolment: Enrolment, pin: str, now_ms: int, rules: EnrolRules) -> Advanced:
    if pin != enrolment.pin:
        differs = replace(_asked(enrolment, Step.PIN, now_ms, rules), pin="", note=EnrolNote.PINS_DIFFER)
        return differs, ()
    application = Application(
        subject=enrolment.subject,
        claim_id=enrolment.claim_id,
        pin=pin,
        template=enrolment.template,
        agree_by=enrolment.agree_by,
        consent_version=rules.consents.version,
        consent_language=enrolment.language,
        consented_ms=enrolment.consented_ms,
        claim_needed=enrolment.claim_needed,
    )
    sending = replace(enrolment, step=Step.SENDING, pin="", template=None, note=None)
    return sending, (Send(application),)


def _answered(enrolment: Enrolment, answer: EnrolAnswer, now_ms: int, rules: EnrolRules) -> Advanced:
    undo = (Undo(enrolment.subject),)
    match answer:
        case EnrolAnswer.ENROLLED:
            done = _ended(enrolment, Step.DONE, now_ms)
            return replace(done, deadline_ms=now_ms + rules.config.card_ms), (Settle(enrolment.subject),)
        case EnrolAnswer.SILENT:
            return _ended(enrolment, Step.REFUSED, now_ms, (Reason.CENTRAL_SILENT,)), undo
        case EnrolAnswer.REFUSED:
            return _ended(enrolment, Step.REFUSED, now_ms), undo


def _found(enrolment: Enrolment, resolution: Resolution, now_ms: int, rules: EnrolRules) -> Enrolment:
    match resolution:
        case KnownMember(subject=subject):
            return _asked(replace(enrolment, leaving=subject), Step.WITHDRAW_PIN, now_ms, rules)
        case WithdrawnMember():
            return _ended(enrolment, Step.WITHDRAWN, now_ms)
        case UnknownMember():
            again = _asked(enrolment, Step.WITHDRAW_CLAIM, now_ms, rules)
            return replace(again, claim_ms=now_ms, note=EnrolNote.CODE_UNKNOWN)


def _judged(enrolment: Enrolment, judgement: WithdrawJudgement, now_ms: int, rules: EnrolRules) -> Enrolment:
    match judgement.answer:
        case WithdrawAnswer.WITHDRAWN:
            return _ended(enrolment, Step.WITHDRAWN, now_ms)
        case WithdrawAnswer.WRONG_PIN:
            again = replace(enrolment, tries_left=judgement.tries_left)
            return _asked(again, Step.WITHDRAW_PIN, now_ms, rules)
        case WithdrawAnswer.LOCKED:
            return _ended(enrolment, Step.STAFF, now_ms, (Reason.SECOND_FACTOR_EXHAUSTED,))
        case WithdrawAnswer.NO_PIN:
            return _ended(enrolment, Step.STAFF, now_ms, (Reason.SECOND_FACTOR_UNAVAILABLE,))
        case WithdrawAnswer.SILENT:
            return _ended(enrolment, Step.STAFF, now_ms, (Reason.CENTRAL_SILENT,))
