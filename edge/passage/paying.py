"""From a verdict that lets a member pay to money that is charged once, or not at all.

    AGREEING --button, nods, smile--> PAYING --central's word, or the allowance--> record kept --> SETTLED
       |                                '--no, or another payment is needed-------------------------^
       '--not me, time, the till took it back------------------------------------------------------'

The decision is kept before central is asked, and the final record before the screen says that it is paid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from edge.confirm.agreement import begin, judge
from edge.confirm.challenge import Sighting
from edge.decide.verdict import Grant, Identification
from edge.enact.charge import ChargeAnswer, ChargeAsk, NotCharged
from edge.enact.receipt import make_receipt
from edge.passage.deciding import Step, decided, settle
from edge.passage.effects import Begin, Settle, TakeCharge
from edge.passage.observations import ChargeAnswered, Kept
from edge.passage.state import Passage, Phase, Rules, account
from wire.records import ChargeOutcome
from wire.values import AgreeBy

KEPT_WITHIN_MS = 5_000
"""Past central's time limit; who still waits then is told to call staff. The payment goes on."""


def chosen(passage: Passage, by: AgreeBy, now_ms: int, rules: Rules) -> Passage:
    """The member wants to agree otherwise; without a face that matched there is only the button."""
    assert rules.pay is not None
    face = None if passage.without_face else passage.face.matched
    deadline_ms = now_ms + rules.pay.agree_ms
    money = replace(passage.money, agreement=begin(by, face))
    return replace(passage, money=money, obstacle=None, deadline_ms=deadline_ms)


def watched(passage: Passage, seen: Sighting, now_ms: int, rules: Rules) -> Step:
    """One more frame of whoever agrees by a gesture."""
    if passage.money.agreement is None or passage.member.template is None:
        return passage, ()
    judged = judge(passage.money.agreement, seen, rules.likeness(passage.member.template))
    money = replace(passage.money, agreement=judged)
    moved = replace(passage, money=money, obstacle=None, evidence_ms=seen.captured_ms)
    return agreed(moved, judged.by, now_ms, rules) if judged.agreed else (moved, ())


def agreed(passage: Passage, by: AgreeBy, now_ms: int, rules: Rules) -> Step:
    """The member wants to pay: central is asked, or the allowance decides where it is not there."""
    assert rules.pay is not None
    paying = replace(
        passage,
        phase=Phase.PAYING,
        money=replace(passage.money, agreed_by=by, agreement=None),
        face=replace(passage.face, matched=None),
        obstacle=None,
        deadline_ms=now_ms + rules.pay.charge_ms + KEPT_WITHIN_MS,
    )
    if not paying.surroundings.central_answers:
        return _offline(paying, now_ms, rules)
    awaited = _charge(paying, ChargeOutcome.AWAITED)
    kept = account(awaited, rules, settled_ms=now_ms)
    assert kept is not None
    assert paying.member.subject is not None
    assert paying.money.due is not None
    return awaited, (
        Begin(kept),
        TakeCharge(ChargeAsk(paying.passage_id, paying.member.subject, paying.money.due)),
    )


def answered(passage: Passage, said: ChargeAnswered, now_ms: int, rules: Rules) -> Step:
    """What central made of it."""
    match said.answer:
        case ChargeAnswer.CHARGED:
            return _taken(_charge(passage, ChargeOutcome.CAPTURED), now_ms, rules)
        case ChargeAnswer.SILENT:
            return _offline(passage, now_ms, rules)
        case ChargeAnswer.DECLINED:
            return _not_charged(passage, said.reason, now_ms, rules)
        case ChargeAnswer.NOT_KEPT:
            return _not_charged(passage, NotCharged.NOT_KEPT.value, now_ms, rules)
        case ChargeAnswer.CHECKOUT_CLOSED:
            return _not_charged(passage, NotCharged.CHECKOUT_CLOSED.value, now_ms, rules)
        case _:
            assert_never(said.answer)


def uncharged(passage: Passage, why: NotCharged, now_ms: int, rules: Rules) -> Step:
    """The passage ends before central was asked for money."""
    return settle(_charge(passage, passage.money.charge, why.value), now_ms, rules)


def kept(passage: Passage, told: Kept, now_ms: int, rules: Rules) -> Step:
    """The payment is durable: the member has paid, and this is their receipt."""
    assert rules.pay is not None
    assert passage.money.due is not None
    over, _ = settle(passage, now_ms, rules)
    receipt = make_receipt(passage.money.due, told.record)
    # The next person waits for the till, not for this receipt: a new checkout ends it.
    paid = replace(over.money, receipt=receipt)
    return replace(over, money=paid, deadline_ms=now_ms + rules.pay.receipt_ms), ()


def _offline(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """Central is silent: decided again as such, and taken on this kiosk's word or not at all."""
    alone = replace(passage, surroundings=replace(passage.surroundings, central_answers=False))
    again = decided(alone, passage.identification or Identification.NO_MATCH, now_ms)
    if not isinstance(again.verdict, Grant):
        return _not_charged(again, "", now_ms, rules)
    awaited = account(_charge(again, ChargeOutcome.AWAITED), rules, settled_ms=now_ms)
    assert awaited is not None
    after, effects = _taken(_charge(again, ChargeOutcome.OFFLINE), now_ms, rules)
    # Begun even so: a checkout that the till has just taken back is found out there.
    return after, (Begin(awaited), *effects)


def _taken(passage: Passage, now_ms: int, rules: Rules) -> Step:
    final = account(passage, rules, settled_ms=now_ms)
    assert final is not None
    return passage, (Settle(final),)


def _not_charged(passage: Passage, reason: str, now_ms: int, rules: Rules) -> Step:
    return settle(_charge(passage, ChargeOutcome.NOT_CHARGED, reason), now_ms, rules)


def _charge(passage: Passage, outcome: ChargeOutcome, reason: str = "") -> Passage:
    return replace(passage, money=replace(passage.money, charge=outcome, charge_reason=reason))
