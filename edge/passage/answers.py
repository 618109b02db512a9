"""Whether an answer is to something that a passage asked and still waits for."""

from __future__ import annotations

from typing import assert_never

from edge.decide.verdict import SecondFactor
from edge.enact.charge import ChargeAnswer
from edge.passage.observations import (
    Answer,
    ChargeAnswered,
    ClaimResolved,
    GateAnswered,
    Kept,
    PinJudged,
    Searched,
    StandingSeen,
)
from edge.passage.state import Passage
from wire.records import ChargeOutcome

NOTHING_KEPT = frozenset({ChargeAnswer.NOT_KEPT, ChargeAnswer.CHECKOUT_CLOSED})

PROVEN = frozenset({SecondFactor.GOOD, SecondFactor.GESTURES})


def awaits(passage: Passage, answer: Answer) -> bool:
    """Whether the passage asked this and has no answer yet; its phase says whether it still matters."""
    match answer:
        case Kept(record):
            taken = passage.money.charge in {ChargeOutcome.CAPTURED, ChargeOutcome.OFFLINE}
            return record.passage == passage.passage_id and taken
        case _ if answer.passage != passage.passage_id:
            return False
        case ClaimResolved(claim=claim):
            return passage.member.subject is None and claim == passage.claim
        case Searched(probe=probe):
            return probe is passage.face.sought
        case StandingSeen(subject=subject, proven=proven):
            due = proven == (passage.second_factor in PROVEN)
            return subject == passage.member.subject and due and passage.view is None
        case PinJudged(subject=subject):
            unproven = passage.second_factor is not SecondFactor.GOOD
            return subject == passage.member.subject and unproven and passage.checking_pin
        case ChargeAnswered(answer=said):
            # Offline, the one thing that can still be said is that nothing was kept, and so nothing is taken.
            unkept = passage.money.charge is ChargeOutcome.OFFLINE and said in NOTHING_KEPT
            return passage.money.charge is ChargeOutcome.AWAITED or unkept
        case GateAnswered():
            return True
        case _:
            assert_never(answer)
