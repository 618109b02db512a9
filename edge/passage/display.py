"""What the screen shows of a passage."""

from __future__ import annotations

from edge.capture.sample import Obstacle
from edge.confirm.challenge import Gesture
from edge.decide.verdict import Deny, Elsewhere, GateState, Grant, Reason, Refer, StepUp
from edge.enact.display import Display, Prompt
from edge.passage.state import Passage, Phase
from wire.messages import GateOutcome

_REFERRED = {
    Elsewhere.STAFF: Prompt.STAFF,
    Elsewhere.OTHER_WAY: Prompt.OTHER_WAY,
    Elsewhere.OTHER_PAYMENT: Prompt.OTHER_PAYMENT,
    Elsewhere.FREE_GATE: Prompt.GATE_FREE,
}
_OUT_OF_SERVICE = {Reason.GATE_FAULT: Prompt.GATE_FAULT, Reason.LANE_CLOSED: Prompt.LANE_CLOSED}
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
        case Phase.RELEASING | Phase.SETTLED:
            return _decided(passage)


def _waiting(passage: Passage) -> Display:
    if passage.surroundings.emergency:
        return Display(Prompt.GATE_FREE, reasons=(Reason.EMERGENCY,))
    if passage.surroundings.gate is GateState.CLOSED:
        return Display(Prompt.LANE_CLOSED, reasons=(Reason.LANE_CLOSED,))
    if passage.surroundings.gate is not GateState.READY:
        return Display(Prompt.GATE_FAULT, reasons=(Reason.GATE_FAULT,))
    if passage.without_face:
        return Display(Prompt.ENTER_CLAIM)
    # Who has had their passage and still stands there is not looked at again.
    looks = passage.surroundings.searches and not passage.approach.served
    return Display(Prompt.LOOK_OR_CLAIM if looks else Prompt.SHOW_CLAIM)


def _identifying(passage: Passage) -> Display:
    if passage.without_face:
        checking = passage.checking_pin or passage.subject is None
        prompt = Prompt.CHECKING if checking else Prompt.ENTER_PIN
        return Display(prompt, tries_left=passage.tries_left, enrol_again=passage.enrol_again)
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
    if passage.help_asked:
        return Display(Prompt.STAFF)
    match passage.verdict:
        case Grant(lane=lane, reasons=reasons):
            if passage.phase is Phase.RELEASING:
                return Display(Prompt.WELCOME, lane=lane, reasons=reasons, enrol_again=passage.enrol_again)
            return Display(_ENDED.get(passage.gate_outcome, Prompt.STAFF))
        case StepUp(reasons=reasons):
            return Display(Prompt.OTHER_WAY, reasons=reasons)
        case Refer(to=Elsewhere.OTHER_WAY, reasons=reasons) if passage.seeking:
            return Display(Prompt.CLAIM_NEEDED, reasons=reasons)
        case Refer(to=to, reasons=reasons):
            prompt = next((_OUT_OF_SERVICE[why] for why in reasons if why in _OUT_OF_SERVICE), _REFERRED[to])
            return Display(prompt, reasons=reasons)
        case Deny(restriction_reason=why, contest_code=code, reasons=reasons):
            return Display(Prompt.DENIED, reasons=reasons, restriction_reason=why, contest_code=code)
        case None:
            return Display(Prompt.SHOW_CLAIM)
