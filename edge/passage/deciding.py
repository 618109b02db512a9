"""How a passage is decided and ends: from what was found out to a verdict, the gate, and the record."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from edge.compare.search import Ambiguous, Comparison, Match
from edge.confirm.agreement import begin as begin_agreement
from edge.confirm.liveness import EMPTY
from edge.decide.standing import ABSENT, StandingView
from edge.decide.verdict import (
    Circumstances,
    ContestCode,
    Grant,
    Identification,
    Liveness,
    Payment,
    SecondFactor,
    StepUp,
    asked_by_tier_alone,
    decide,
)
from edge.enact.charge import PayConfig, payment_of
from edge.enact.release import GATE_ANSWER_MS, make_release
from edge.passage.effects import Begin, Effect, OpenGate, Settle
from edge.passage.state import IDENTIFIED, Passage, Phase, Rules, account
from wire.records import GateOutcome

GESTURES_LEAST = 2
"""Gestures by the matched face that are a second factor where only the tier asks for one."""
UNKNOWN_MS = 1_000
"""The least time between two claims that are nobody's: each makes a record, and a telephone can show thirty
codes a second."""

Step = tuple[Passage, tuple[Effect, ...]]
"""The passage after an observation, and what is to be done, in order."""


def identification_of(comparison: Comparison | None) -> Identification:
    """What the decision table makes of a comparison, or of none in time."""
    match comparison:
        case None:
            return Identification.FAILURE_TO_ACQUIRE
        case Match():
            return Identification.MATCH
        case Ambiguous():
            return Identification.AMBIGUOUS
        case _:
            return Identification.NO_MATCH


def decide_when_ready(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """A decision needs an identification, and for somebody identified their standing."""
    found = passage.identification
    if found is None or (found in IDENTIFIED and passage.view is None):
        return passage, ()
    return decide_passage(passage, found, now_ms, rules)


def decided(passage: Passage, found: Identification, now_ms: int) -> Passage:
    """The one door from a passage to the decision table: the passage with what the table says."""
    view = passage.view or ABSENT
    around = passage.surroundings
    restriction = view.restriction
    circumstances = Circumstances(
        emergency=around.emergency,
        gate=around.gate,
        membership=passage.member.membership,
        identification=found,
        liveness=passage.liveness,
        restriction=view.restriction_state,
        age=view.age,
        tier=view.tier,
        second_factor=passage.second_factor,
        payment=_payment(passage, view),
        central_answers=around.central_answers,
        restriction_reason=restriction.reason if restriction else "",
        contest_code=ContestCode(restriction.contest_code if restriction else ""),
        passback=passage.member.passback,
    )
    return replace(
        passage,
        identification=found,
        circumstances=circumstances,
        verdict=decide(circumstances),
        decided_ms=now_ms,
        face=replace(passage.face, window=EMPTY),
        challenge=None,
    )


def _payment(passage: Passage, view: StandingView) -> Payment:
    """A turnstile asks for none: its fare is charged on passage."""
    if passage.money.due is None:
        return Payment.NONE
    return payment_of(
        passage.money.due,
        view,
        central_answers=passage.surroundings.central_answers,
        spent_minor=passage.money.offline_spent_minor,
    )


def decide_passage(passage: Passage, found: Identification, now_ms: int, rules: Rules) -> Step:
    """Decide, and what each verdict sets in motion."""
    after = decided(passage, found, now_ms)
    match after.verdict:
        case Grant() if rules.pay is not None and after.money.due is not None:
            return _ask_agreement(after, now_ms, rules.pay), ()
        case Grant():
            config = rules.release
            if passage.direction is not None:
                config = msgspec.structs.replace(config, direction=passage.direction)
            release = make_release(passage.passage_id, passage.nonce, passage.evidence_ms, config)
            opening = replace(
                after,
                phase=Phase.RELEASING,
                gate_outcome=GateOutcome.AWAITED,
                deadline_ms=now_ms + rules.release.ttl_ms + rules.release.open_ms + GATE_ANSWER_MS,
            )
            kept = account(opening, rules, settled_ms=now_ms)
            return opening, (*((Begin(kept),) if kept else ()), OpenGate(release))
        case StepUp() if _gestured_already(after, rules):
            return decide_passage(replace(passage, second_factor=SecondFactor.GESTURES), found, now_ms, rules)
        case StepUp():
            return (
                replace(after, phase=Phase.SECOND_FACTOR, deadline_ms=now_ms + rules.confirm.pin_ms),
                (),
            )
        case _:
            return settle(after, now_ms, rules)


def _gestured_already(passage: Passage, rules: Rules) -> bool:
    """Whether the challenge of this passage was the second factor that only the tier asks for now."""
    met = passage.liveness is Liveness.BONA_FIDE and rules.confirm.prompts >= GESTURES_LEAST
    return asked_by_tier_alone(passage.verdict) and met


def _ask_agreement(passage: Passage, now_ms: int, pay: PayConfig) -> Passage:
    """The member may pay: do they want to? Who was identified without a face is not looked at now either."""
    face = None if passage.without_face else passage.face.matched
    return replace(
        passage,
        phase=Phase.AGREEING,
        money=replace(passage.money, agreement=begin_agreement(passage.member.agree_by, face)),
        obstacle=None,
        deadline_ms=now_ms + pay.agree_ms,
    )


def settle(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """The passage is over; one that reached a verdict is recorded, one called off before is not."""
    told = account(passage, rules, settled_ms=now_ms)
    # Template and probe go with the passage: nobody's is kept in memory for longer than they stand here.
    settled = replace(
        passage,
        phase=Phase.SETTLED,
        deadline_ms=max(now_ms + rules.release.linger_ms, not_before_ms(passage)),
        # No code was looked for since the passage began, so this one may have been held up all the while.
        claim_seen_ms=now_ms,
        member=replace(passage.member, template=None),
        challenge=None,
        face=replace(passage.face, sought=None, matched=None),
        money=replace(passage.money, agreement=None),
        approach=passage.approach.after_passage(),
    )
    return settled, () if told is None else (Settle(told),)


def not_before_ms(passage: Passage) -> int:
    """When the next passage may begin: at once, unless this one's claim was nobody's."""
    unknown = passage.verdict is not None and passage.member.subject is None
    return passage.decided_ms + UNKNOWN_MS if unknown else 0
