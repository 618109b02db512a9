"""What the screen shows of an enrolment."""

from __future__ import annotations

from edge.compare.claim import qr_text
from edge.enact.display import Display, EnrolmentShown, Prompt
from edge.enact.receipt import qr_rows
from edge.enrolling.state import Enrolment, EnrolRules, Step

_PROMPTS = {
    Step.WELCOME: Prompt.ENROL_WELCOME,
    Step.CONSENT: Prompt.ENROL_CONSENT,
    Step.AGE: Prompt.ENROL_AGE,
    Step.SAMPLES: Prompt.ENROL_SAMPLES,
    Step.AGAIN: Prompt.ENROL_AGAIN,
    Step.CHECKING: Prompt.CHECKING,
    Step.AGREE_BY: Prompt.ENROL_AGREE_BY,
    Step.PIN: Prompt.ENROL_PIN,
    Step.PIN_AGAIN: Prompt.ENROL_PIN_AGAIN,
    Step.SENDING: Prompt.ENROL_SENDING,
    Step.DONE: Prompt.ENROL_DONE,
    Step.UNDER_AGE: Prompt.ENROL_UNDER_AGE,
    Step.REFUSED: Prompt.ENROL_REFUSED,
    Step.WITHDRAW_CLAIM: Prompt.WITHDRAW_CLAIM,
    Step.WITHDRAW_LOOKUP: Prompt.CHECKING,
    Step.WITHDRAW_PIN: Prompt.WITHDRAW_PIN,
    Step.WITHDRAW_CONFIRM: Prompt.WITHDRAW_CONFIRM,
    Step.WITHDRAWING: Prompt.CHECKING,
    Step.WITHDRAWN: Prompt.WITHDRAWN,
    Step.STAFF: Prompt.STAFF,
    Step.OVER: Prompt.ENROL_WELCOME,
}
_ENROLLING = (
    Step.CONSENT,
    Step.AGE,
    Step.SAMPLES,
    Step.AGREE_BY,
    Step.PIN,
    Step.PIN_AGAIN,
    Step.DONE,
)
_LEAVING = (Step.WITHDRAW_CLAIM, Step.WITHDRAW_PIN, Step.WITHDRAW_CONFIRM, Step.WITHDRAWN)
_BESIDE = {
    Step.AGAIN: Step.SAMPLES,
    Step.CHECKING: Step.SAMPLES,
    Step.SENDING: Step.PIN_AGAIN,
    Step.WITHDRAW_LOOKUP: Step.WITHDRAW_CLAIM,
    Step.WITHDRAWING: Step.WITHDRAW_CONFIRM,
}
"""Steps that are no further along than another one."""


def display(enrolment: Enrolment, rules: EnrolRules) -> Display:
    """The one thing to show now."""
    step = enrolment.step
    done = step is Step.DONE
    return Display(
        _PROMPTS[step],
        hint=enrolment.obstacle if step is Step.SAMPLES else None,
        reasons=enrolment.reasons,
        tries_left=enrolment.tries_left if step is Step.WITHDRAW_PIN else None,
        enrolment=_shown(enrolment, rules),
        qr_rows=qr_rows(qr_text(enrolment.claim_id)) if done else (),
        card_name=rules.card_name if done else "",
    )


def _shown(enrolment: Enrolment, rules: EnrolRules) -> EnrolmentShown:
    step, consents = _BESIDE.get(enrolment.step, enrolment.step), rules.consents
    way = _LEAVING if step in _LEAVING else _ENROLLING
    reads, sampling = step is Step.CONSENT, enrolment.step is Step.SAMPLES
    return EnrolmentShown(
        step=way.index(step) + 1 if step in way else 0,
        steps=len(way),
        samples=len(enrolment.samples),
        samples_wanted=max(rules.config.samples_least, len(enrolment.samples) + 1) if sampling else 0,
        consent_version=consents.version if reads else "",
        consent_text=consents.texts[enrolment.language] if reads else "",
        languages=tuple(sorted(consents.texts)),
        minimum_age=rules.config.minimum_age,
        note=enrolment.note,
    )
