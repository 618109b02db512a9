"""The table of an enrolment or a withdrawal: what each step handles, where that may lead, what it ignores.

Tests hold `advance` to it both ways; `docs/enrolling.md` is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    ConsentAnswered,
    EnrolBegun,
    EnrolTouch,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    PinEntered,
    SamplesAgain,
    WithdrawAsked,
    WithdrawConfirmed,
)
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
from edge.enrolling.state import Step

Kind = type[Observation]

_CALLED_OFF: Mapping[Kind, tuple[Step, ...]] = {HelpAsked: (Step.STAFF,), NotMe: (Step.OVER,)}


def _waits(step: Step, handled: Mapping[Kind, tuple[Step, ...]]) -> Mapping[Kind, tuple[Step, ...]]:
    """A step that waits for a person, and not for ever."""
    return {**handled, **_CALLED_OFF, Tick: (step, Step.OVER)}


LEADS_TO: Mapping[Step, Mapping[Kind, tuple[Step, ...]]] = {
    Step.WELCOME: {
        EnrolBegun: (Step.WELCOME, Step.CONSENT),
        WithdrawAsked: (Step.WITHDRAW_CLAIM,),
        **_CALLED_OFF,
    },
    Step.CONSENT: _waits(Step.CONSENT, {EnrolBegun: (Step.CONSENT,), ConsentAnswered: (Step.AGE, Step.OVER)}),
    Step.AGE: _waits(Step.AGE, {AgeAnswered: (Step.SAMPLES, Step.UNDER_AGE)}),
    Step.SAMPLES: _waits(
        Step.SAMPLES,
        {
            SampleMissed: (Step.SAMPLES,),
            FaceFound: (Step.SAMPLES,),
            SampleSeen: (Step.SAMPLES, Step.AGAIN, Step.CHECKING),
            OtherWayAsked: (Step.AGREE_BY,),
        },
    ),
    Step.AGAIN: _waits(Step.AGAIN, {SamplesAgain: (Step.SAMPLES,), OtherWayAsked: (Step.AGREE_BY,)}),
    Step.CHECKING: {ClashesFound: (Step.AGREE_BY,), Failed: (Step.STAFF,), **_CALLED_OFF},
    Step.AGREE_BY: _waits(Step.AGREE_BY, {AgreeByChosen: (Step.PIN,)}),
    Step.PIN: _waits(Step.PIN, {PinEntered: (Step.PIN, Step.PIN_AGAIN)}),
    Step.PIN_AGAIN: _waits(Step.PIN_AGAIN, {PinEntered: (Step.PIN, Step.SENDING)}),
    Step.SENDING: {Answered: (Step.DONE, Step.REFUSED), Failed: (Step.REFUSED,), **_CALLED_OFF},
    Step.WITHDRAW_CLAIM: _waits(
        Step.WITHDRAW_CLAIM, {ClaimRead: (Step.WITHDRAW_CLAIM, Step.WITHDRAW_LOOKUP)}
    ),
    Step.WITHDRAW_LOOKUP: {
        ClaimFound: (Step.WITHDRAW_CLAIM, Step.WITHDRAW_PIN, Step.WITHDRAWN),
        Failed: (Step.STAFF,),
        **_CALLED_OFF,
    },
    Step.WITHDRAW_PIN: _waits(Step.WITHDRAW_PIN, {PinEntered: (Step.WITHDRAW_CONFIRM,)}),
    Step.WITHDRAW_CONFIRM: _waits(Step.WITHDRAW_CONFIRM, {WithdrawConfirmed: (Step.WITHDRAWING,)}),
    Step.WITHDRAWING: {
        WithdrawalJudged: (Step.WITHDRAW_PIN, Step.WITHDRAWN, Step.STAFF),
        Failed: (Step.STAFF,),
        **_CALLED_OFF,
    },
    Step.DONE: _waits(Step.DONE, {Finished: (Step.OVER,)}),
    Step.UNDER_AGE: _waits(Step.UNDER_AGE, {Finished: (Step.OVER,)}),
    Step.REFUSED: _waits(Step.REFUSED, {Finished: (Step.OVER,)}),
    Step.WITHDRAWN: _waits(Step.WITHDRAWN, {Finished: (Step.OVER,)}),
    Step.STAFF: _waits(Step.STAFF, {Finished: (Step.OVER,)}),
    Step.OVER: {},
}
"""What each step handles, and the steps that it may lead to; staying is one of them."""

_FACES: frozenset[Kind] = frozenset({SampleSeen, FaceFound, SampleMissed})
_ANSWERS: frozenset[Kind] = frozenset(get_args(Answer))
_TOUCHES: frozenset[Kind] = frozenset({*get_args(EnrolTouch), PinEntered, OtherWayAsked})
_LAST = _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {Finished})

IGNORED: Mapping[Step, frozenset[Kind]] = {
    Step.WELCOME: _FACES | _ANSWERS | {ClaimRead, Tick} | (_TOUCHES - {EnrolBegun, WithdrawAsked}),
    Step.CONSENT: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {EnrolBegun, ConsentAnswered}),
    Step.AGE: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {AgeAnswered}),
    Step.SAMPLES: _ANSWERS | {ClaimRead} | (_TOUCHES - {OtherWayAsked}),
    Step.AGAIN: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {SamplesAgain, OtherWayAsked}),
    Step.CHECKING: _FACES | (_ANSWERS - {ClashesFound, Failed}) | {ClaimRead, Tick} | _TOUCHES,
    Step.AGREE_BY: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {AgreeByChosen}),
    Step.PIN: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {PinEntered}),
    Step.PIN_AGAIN: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {PinEntered}),
    Step.SENDING: _FACES | (_ANSWERS - {Answered, Failed}) | {ClaimRead, Tick} | _TOUCHES,
    Step.WITHDRAW_CLAIM: _FACES | _ANSWERS | _TOUCHES,
    Step.WITHDRAW_LOOKUP: _FACES | (_ANSWERS - {ClaimFound, Failed}) | {ClaimRead, Tick} | _TOUCHES,
    Step.WITHDRAW_PIN: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {PinEntered}),
    Step.WITHDRAW_CONFIRM: _FACES | _ANSWERS | {ClaimRead} | (_TOUCHES - {WithdrawConfirmed}),
    Step.WITHDRAWING: _FACES | (_ANSWERS - {WithdrawalJudged, Failed}) | {ClaimRead, Tick} | _TOUCHES,
    Step.DONE: _LAST,
    Step.UNDER_AGE: _LAST,
    Step.REFUSED: _LAST,
    Step.WITHDRAWN: _LAST,
    Step.STAFF: _LAST,
    Step.OVER: _FACES | _ANSWERS | {ClaimRead, Tick, NotMe, HelpAsked} | _TOUCHES,
}
"""What changes nothing in each step. What waits for an answer that always comes ignores the time."""
