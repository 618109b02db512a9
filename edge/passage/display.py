"""What the screen shows of a passage."""

from __future__ import annotations

from dataclasses import replace

from edge.capture.sample import Obstacle
from edge.confirm.challenge import Gesture
from edge.decide.verdict import Deny, Elsewhere, GateState, Grant, Reason, Refer, StepUp
from edge.enact.display import CheckoutShown, Display, Prompt
from edge.passage.state import Passage, Phase, nothing_due
from wire.records import GateOutcome
from wire.values import AgreeBy

_REFERRED = {
    Elsewhere.STAFF: Prompt.STAFF,
    Elsewhere.OTHER_WAY: Prompt.OTHER_WAY,
    Elsewhere.OTHER_PAYMENT: Prompt.OTHER_PAYMENT,
    Elsewhere.FREE_GATE: Prompt.GATE_FREE,
}
_OUT_OF_SERVICE = {Reason.GATE_FAULT: Prompt.GATE_FAULT, Reason.LANE_CLOSED: Prompt.LANE_CLOSED}
_UNKEPT = Prompt.STAFF
"""Where a kiosk that takes money has a disk that takes no record: there is no gate to speak of, and what was
charged a moment ago may be what waits."""
_ASKED = {
    Gesture.TURN_LEFT: Prompt.TURN_LEFT,
    Gesture.TURN_RIGHT: Prompt.TURN_RIGHT,
    Gesture.LOOK_UP: Prompt.LOOK_UP,
    Gesture.NOD: Prompt.NOD,
}
_ENDED = {
    GateOutcome.PASSED: Prompt.THANKS,
    GateOutcome.TAILGATED: Prompt.THANKS,
    GateOutcome.TIMED_OUT: Prompt.SHOW_CLAIM,
    GateOutcome.UNOBSERVED: Prompt.SHOW_CLAIM,
}


def display(passage: Passage) -> Display:
    """The one thing to show now; an emergency or a gate fault shows whatever the passage is at."""
    shown = _shown(passage)
    due = passage.surroundings.due if passage.phase is Phase.WAITING else passage.money.due
    if due is None:
        return shown
    return replace(
        shown,
        checkout=CheckoutShown(due.merchant_name, due.amount_minor, due.currency, due.reference),
    )


def _shown(passage: Passage) -> Display:
    match passage.phase:
        case Phase.WAITING:
            return _waiting(passage)
        case Phase.IDENTIFYING:
            return _identifying(passage)
        case Phase.CHALLENGING:
            return _challenging(passage)
        case Phase.SECOND_FACTOR:
            reasons = passage.verdict.reasons if passage.verdict else ()
            prompt = Prompt.CHECKING if passage.checking_pin else Prompt.ENTER_PIN
            return Display(prompt, reasons=reasons, tries_left=passage.tries_left)
        case Phase.AGREEING:
            agreement = passage.money.agreement
            by = agreement.by if agreement else AgreeBy.BUTTON
            hint = None if by is AgreeBy.BUTTON or passage.obstacle is Obstacle.TURNED else passage.obstacle
            return Display(Prompt.AGREE, hint=hint, agree_by=by)
        case Phase.PAYING:
            return Display(Prompt.STAFF if passage.help_asked else Prompt.PAYING)
        case Phase.RELEASING | Phase.SETTLED:
            return _decided(passage)


def _waiting(passage: Passage) -> Display:
    if passage.surroundings.emergency:
        return Display(Prompt.GATE_FREE, reasons=(Reason.EMERGENCY,))
    if passage.surroundings.gate is GateState.CLOSED:
        return Display(Prompt.LANE_CLOSED, reasons=(Reason.LANE_CLOSED,))
    if passage.surroundings.gate is not GateState.READY:
        if passage.surroundings.pays:
            return Display(_UNKEPT)
        return Display(Prompt.GATE_FAULT, reasons=(Reason.GATE_FAULT,))
    if nothing_due(passage):
        return Display(Prompt.NO_CHECKOUT)
    if passage.without_face:
        return Display(Prompt.ENTER_CLAIM)
    # Who has had their passage and still stands there is not looked at again.
    looks = passage.surroundings.searches and not passage.approach.served
    return Display(Prompt.LOOK_OR_CLAIM if looks else Prompt.SHOW_CLAIM)


def _identifying(passage: Passage) -> Display:
    if passage.without_face:
        checking = passage.checking_pin or passage.member.subject is None
        prompt = Prompt.CHECKING if checking else Prompt.ENTER_PIN
        return Display(prompt, tries_left=passage.tries_left, enrol_again=passage.member.enrol_again)
    if passage.identification is not None:
        return Display(Prompt.CHECKING)
    if passage.obstacle is not None:
        return Display(Prompt.LOOK_HERE, hint=passage.obstacle)
    return Display(Prompt.HOLD_STILL)


def _challenging(passage: Passage) -> Display:
    asked = passage.challenge.asked if passage.challenge else None
    if asked is None:
        return Display(Prompt.LOOK_HERE, hint=passage.obstacle)
    # "Face the camera" would contradict what is being asked for.
    hint = None if passage.obstacle is Obstacle.TURNED else passage.obstacle
    return Display(_ASKED[asked], hint=hint)


def _decided(passage: Passage) -> Display:
    if passage.money.receipt is not None:
        return Display(Prompt.PAID, qr_rows=passage.money.receipt.qr_rows, qr_text=passage.money.receipt.text)
    if passage.help_asked:
        return Display(Prompt.STAFF)
    if passage.money.due is not None and isinstance(passage.verdict, Grant | None):
        return Display(Prompt.NOT_CHARGED)
    match passage.verdict:
        case Grant(lane=lane, reasons=reasons):
            if passage.phase is Phase.RELEASING:
                return Display(
                    Prompt.WELCOME, lane=lane, reasons=reasons, enrol_again=passage.member.enrol_again
                )
            return Display(_ENDED.get(passage.gate_outcome, Prompt.STAFF))
        case StepUp(reasons=reasons):
            return Display(Prompt.OTHER_WAY, reasons=reasons)
        case Refer(to=Elsewhere.OTHER_WAY, reasons=reasons) if passage.face.seeking:
            return Display(Prompt.CLAIM_NEEDED, reasons=reasons)
        case Refer(reasons=reasons) if passage.surroundings.pays and Reason.GATE_FAULT in reasons:
            return Display(_UNKEPT)
        case Refer(to=to, reasons=reasons):
            prompt = next((_OUT_OF_SERVICE[why] for why in reasons if why in _OUT_OF_SERVICE), _REFERRED[to])
            return Display(prompt, reasons=reasons)
        case Deny(restriction_reason=why, contest_code=code, reasons=reasons):
            return Display(Prompt.DENIED, reasons=reasons, restriction_reason=why, contest_code=code)
        case None:
            return Display(Prompt.SHOW_CLAIM)
