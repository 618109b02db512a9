"""`advance`: what follows from what in an enrolment, and in a withdrawal, one handler a step.

`table.py` says what each step handles and ignores; `docs/enrolling.md` draws it. From everywhere "not me"
leads to OVER and nothing is left; so does time. Help leads to STAFF, and nothing is left of what had not
been sent.
The core decides and returns effects; the enroller performs them, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    Answer,
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
from edge.enrolling.table import IGNORED
from edge.enrolling.template import FailureToEnrol, enrol_agreeing
from edge.errors import NotInTableError
from wire.pins import PinFlaw, pin_flaw

Advanced = tuple[Enrolment, tuple[Effect, ...]]

READ_AGAIN_MS = 3_000
"""A code that was nobody's is not looked up again for so long while it is held up."""
SAME_PICTURE = 0.99999
"""From this similarity on two frames are one picture: a moment more adds nothing."""
LOOKED_AT_MS = 15_000
"""How long the last screen of somebody who was not enrolled, or has withdrawn, is left for them to read."""


def advance(enrolment: Enrolment, observation: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    """What follows from `observation` at `now_ms`; what the step ignores changes nothing.

    An observation that is neither handled nor ignored in a step is an error.
    """
    if type(observation) in IGNORED[enrolment.step]:
        return enrolment, ()
    if isinstance(observation, Answer) and not _awaits(enrolment, observation):
        return enrolment, ()
    return HANDLERS[enrolment.step](enrolment, observation, now_ms, rules)


def _awaits(enrolment: Enrolment, answer: Answer) -> bool:
    """Whether somebody here asked for it; the step says whether they still wait for it."""
    if isinstance(answer, ClaimFound) and answer.claim != enrolment.claim:
        return False
    return answer.enrolment == enrolment.subject


def _waiting(enrolment: Enrolment, told: Observation, now_ms: int, _: EnrolRules) -> Advanced:
    """What every step makes of what it does not handle itself."""
    step = enrolment.step
    match told:
        case NotMe():
            sent = step in {Step.SENDING, Step.DONE}
            return _over(enrolment), _undo(enrolment) if sent else ()
        case HelpAsked():
            return _ended(enrolment, Step.STAFF, now_ms), _undo(enrolment) if step is Step.SENDING else ()
        case Tick():
            return _over(enrolment) if now_ms >= enrolment.deadline_ms else enrolment, ()
        case _:
            raise NotInTableError(step, told)


def _welcome(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case EnrolBegun():
            return _begun(enrolment, told, now_ms, rules), ()
        case WithdrawAsked():
            return _asked(enrolment, Step.WITHDRAW_CLAIM, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _consent(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case EnrolBegun():
            return _begun(enrolment, told, now_ms, rules), ()
        case ConsentAnswered(given):
            if not given:
                return _over(enrolment), ()
            return _asked(replace(enrolment, consented_ms=now_ms), Step.AGE, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _age(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case AgeAnswered(of_age):
            if not of_age:
                return _ended(enrolment, Step.UNDER_AGE, now_ms), ()
            return _sampling(enrolment, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _samples(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case SampleMissed(failure):
            return replace(enrolment, obstacle=failure.reason), ()
        case FaceFound():
            return replace(enrolment, obstacle=None), ()
        case SampleSeen():
            return _sampled(enrolment, told, now_ms, rules)
        case OtherWayAsked():
            return _without_face(enrolment, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _again(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case SamplesAgain():
            return _sampling(enrolment, now_ms, rules), ()
        case OtherWayAsked():
            return _without_face(enrolment, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _checking(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case ClashesFound(subjects=subjects):
            return _asked(replace(enrolment, claim_needed=subjects), Step.AGREE_BY, now_ms, rules), ()
        case Failed():
            return _ended(enrolment, Step.STAFF, now_ms), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _agree_by(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case AgreeByChosen(by):
            return _asked(replace(enrolment, agree_by=by), Step.PIN, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _pin(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case PinEntered(pin):
            return _pin_chosen(enrolment, pin, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _pin_again(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case PinEntered(pin):
            return _pin_repeated(enrolment, pin, now_ms, rules)
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _sending(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case Answered(answer=answer):
            return _answered(enrolment, answer, now_ms, rules)
        case Failed():
            return _ended(enrolment, Step.REFUSED, now_ms), _undo(enrolment)
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _withdraw_claim(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case ClaimRead(claim):
            if claim == enrolment.claim and now_ms - enrolment.claim_ms < READ_AGAIN_MS:
                return enrolment, ()
            found = replace(enrolment, step=Step.WITHDRAW_LOOKUP, claim=claim, claim_ms=now_ms, note=None)
            return found, (ResolveClaim(enrolment.subject, claim),)
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _withdraw_lookup(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case ClaimFound(resolution=resolution):
            return _found(enrolment, resolution, now_ms, rules), ()
        case Failed():
            return _ended(enrolment, Step.STAFF, now_ms), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _withdraw_pin(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case PinEntered(pin):
            return _asked(replace(enrolment, pin=pin), Step.WITHDRAW_CONFIRM, now_ms, rules), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _withdraw_confirm(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case WithdrawConfirmed():
            assert enrolment.leaving is not None
            leaving = replace(enrolment, step=Step.WITHDRAWING, pin="")
            return leaving, (Withdraw(enrolment.subject, enrolment.leaving, enrolment.pin),)
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _withdrawing(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case WithdrawalJudged(judgement=judgement):
            return _judged(enrolment, judgement, now_ms, rules), ()
        case Failed():
            return _ended(enrolment, Step.STAFF, now_ms), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


def _last(enrolment: Enrolment, told: Observation, now_ms: int, rules: EnrolRules) -> Advanced:
    match told:
        case Finished():
            return _over(enrolment), ()
        case _:
            return _waiting(enrolment, told, now_ms, rules)


HANDLERS: Mapping[Step, Callable[[Enrolment, Observation, int, EnrolRules], Advanced]] = {
    Step.WELCOME: _welcome,
    Step.CONSENT: _consent,
    Step.AGE: _age,
    Step.SAMPLES: _samples,
    Step.AGAIN: _again,
    Step.CHECKING: _checking,
    Step.AGREE_BY: _agree_by,
    Step.PIN: _pin,
    Step.PIN_AGAIN: _pin_again,
    Step.SENDING: _sending,
    Step.WITHDRAW_CLAIM: _withdraw_claim,
    Step.WITHDRAW_LOOKUP: _withdraw_lookup,
    Step.WITHDRAW_PIN: _withdraw_pin,
    Step.WITHDRAW_CONFIRM: _withdraw_confirm,
    Step.WITHDRAWING: _withdrawing,
    Step.DONE: _last,
    Step.UNDER_AGE: _last,
    Step.REFUSED: _last,
    Step.WITHDRAWN: _last,
    Step.STAFF: _last,
    Step.OVER: _waiting,
}
"""What each step makes of what it does not ignore."""


def _begun(enrolment: Enrolment, told: EnrolBegun, now_ms: int, rules: EnrolRules) -> Enrolment:
    if told.language not in rules.consents.texts:
        return enrolment
    read = replace(enrolment, step=Step.CONSENT, language=told.language)
    return replace(read, deadline_ms=now_ms + rules.config.consent_ms)


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


def _undo(enrolment: Enrolment) -> tuple[Effect, ...]:
    """What was sent is taken back."""
    return (Undo(enrolment.subject),)


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


def _without_face(enrolment: Enrolment, now_ms: int, rules: EnrolRules) -> Enrolment:
    without = replace(_sampling(enrolment, now_ms, rules), template=None)
    return _asked(without, Step.AGREE_BY, now_ms, rules)


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
    undo = _undo(enrolment)
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
