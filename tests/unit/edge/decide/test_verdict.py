"""The decision table, over its whole input product."""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from edge.decide.verdict import (
    Age,
    Circumstances,
    ContestCode,
    Deny,
    Elsewhere,
    GateState,
    Grant,
    Identification,
    Lane,
    Liveness,
    Membership,
    Passback,
    Payment,
    Reason,
    Refer,
    RestrictionState,
    SecondFactor,
    StepUp,
    Tier,
    decide,
)

PRODUCT = [
    Circumstances(*row, restriction_reason="barred", contest_code=ContestCode("C-1"))
    for row in itertools.product(
        (False, True), GateState, Membership, Identification, Liveness, RestrictionState,
        Age, Tier, SecondFactor, Payment, (False, True),
    )
]  # fmt: skip
USUAL = Circumstances(
    emergency=False,
    gate=GateState.READY,
    membership=Membership.ACTIVE,
    identification=Identification.MATCH,
    liveness=Liveness.NOT_ASKED,
    restriction=RestrictionState.NONE,
    age=Age.FRESH,
    tier=Tier.STANDARD,
    second_factor=SecondFactor.NOT_GIVEN,
    payment=Payment.NONE,
    central_answers=True,
)
IDENTIFIED = {Identification.MATCH, Identification.OTHER_WAY}


def given(**changes: object) -> Circumstances:
    fields = {name: getattr(USUAL, name) for name in USUAL.__dataclass_fields__}
    return Circumstances(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def verdicts() -> list[tuple[Circumstances, object]]:
    return [(c, decide(c)) for c in PRODUCT]


def test_the_product_is_the_whole_input_space() -> None:
    assert len(PRODUCT) == 2 * 4 * 2 * 6 * 4 * 4 * 6 * 4 * 4 * 3 * 2 == len(set(PRODUCT))


def test_deny_needs_a_verified_restriction_on_a_fresh_standing_whatever_the_tier(verdicts) -> None:
    denied = [c for c, verdict in verdicts if isinstance(verdict, Deny)]
    assert denied
    assert {c.restriction for c in denied} == {RestrictionState.VERIFIED}
    assert {c.age for c in denied} == {Age.FRESH}
    assert {c.tier for c in denied} == set(Tier)


def test_no_row_grants_with_a_verified_restriction(verdicts) -> None:
    granted = {c.restriction for c, verdict in verdicts if isinstance(verdict, Grant)}
    assert granted == set(RestrictionState) - {RestrictionState.VERIFIED}


def test_a_grant_needs_an_identified_active_member_or_staff_a_working_gate_and_no_attack(verdicts) -> None:
    granted = [c for c, verdict in verdicts if isinstance(verdict, Grant)]
    assert {c.identification for c in granted} == IDENTIFIED | {Identification.STAFF}
    assert {c.membership for c in granted} == {Membership.ACTIVE}
    assert {c.gate for c in granted if c.identification in IDENTIFIED} == {GateState.READY}
    assert {c.gate for c in granted} == {GateState.READY, GateState.CLOSED}
    assert Liveness.ATTACK not in {c.liveness for c in granted}
    assert not any(c.emergency for c in granted)


def test_an_unknown_standing_never_grants_without_the_second_factor_nor_with_credit(verdicts) -> None:
    for c, verdict in verdicts:
        released = c.identification is Identification.STAFF and c.payment is Payment.NONE
        unknown = c.age not in {Age.FRESH, Age.STALE}
        if isinstance(verdict, Grant) and unknown and not released:
            assert c.second_factor is SecondFactor.GOOD
            assert (verdict.lane, verdict.credit, c.payment) == (Lane.STANDARD, False, Payment.NONE)


def test_staff_let_somebody_through_without_credit_in_the_standard_lane_and_never_past_a_payment(
    verdicts,
) -> None:
    found = [
        (c, verdict)
        for c, verdict in verdicts
        if isinstance(verdict, Grant) and Reason.STAFF_RELEASE in verdict.reasons
    ]
    assert {(c.identification, c.payment) for c, _ in found} == {(Identification.STAFF, Payment.NONE)}
    assert {(verdict.lane, verdict.credit) for _, verdict in found} == {(Lane.STANDARD, False)}


def test_a_closed_lane_grants_nobody_but_whom_staff_let_through(verdicts) -> None:
    granted = {c.identification for c, v in verdicts if isinstance(v, Grant) and c.gate is GateState.CLOSED}
    assert granted == {Identification.STAFF}


def test_a_payment_above_the_limit_is_never_granted_while_central_is_silent(verdicts) -> None:
    assert not [
        c
        for c, verdict in verdicts
        if isinstance(verdict, Grant) and c.payment is Payment.ABOVE and not c.central_answers
    ]


def test_a_good_second_factor_is_never_asked_for_again(verdicts) -> None:
    assert not [
        c for c, verdict in verdicts if isinstance(verdict, StepUp) and c.second_factor is SecondFactor.GOOD
    ]


def test_every_verdict_says_why_and_every_denial_can_be_contested(verdicts) -> None:
    assert all(verdict.reasons for _, verdict in verdicts)
    assert {(v.restriction_reason, v.contest_code) for _, v in verdicts if isinstance(v, Deny)} == {
        ("barred", "C-1")
    }


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"emergency": True}, Refer(Elsewhere.FREE_GATE, (Reason.EMERGENCY,))),
        ({"gate": GateState.FAULT}, Refer(Elsewhere.STAFF, (Reason.GATE_FAULT,))),
        (
            {"gate": GateState.NO_PASSAGE_REPORT},
            Refer(Elsewhere.STAFF, (Reason.GATE_FAULT, Reason.NO_PASSAGE_REPORT)),
        ),
        ({"gate": GateState.CLOSED}, Refer(Elsewhere.STAFF, (Reason.LANE_CLOSED,))),
        (
            {"gate": GateState.CLOSED, "identification": Identification.STAFF},
            Grant(Lane.STANDARD, False, (Reason.STAFF_RELEASE,)),
        ),
        (
            {"age": Age.ABSENT, "identification": Identification.STAFF},
            Grant(Lane.STANDARD, False, (Reason.STAFF_RELEASE,)),
        ),
        ({"membership": Membership.WITHDRAWN}, Refer(Elsewhere.STAFF, (Reason.WITHDRAWN,))),
        ({"liveness": Liveness.ATTACK}, Refer(Elsewhere.STAFF, (Reason.ATTACK,))),
        ({"identification": Identification.NO_MATCH}, Refer(Elsewhere.OTHER_WAY, (Reason.NO_MATCH,))),
        ({"identification": Identification.AMBIGUOUS}, Refer(Elsewhere.OTHER_WAY, (Reason.AMBIGUOUS,))),
        (
            {"identification": Identification.FAILURE_TO_ACQUIRE},
            Refer(Elsewhere.OTHER_WAY, (Reason.FAILURE_TO_ACQUIRE,)),
        ),
        (
            {"second_factor": SecondFactor.EXHAUSTED},
            Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_EXHAUSTED,)),
        ),
        (
            {"second_factor": SecondFactor.UNAVAILABLE, "identification": Identification.NO_MATCH},
            Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_UNAVAILABLE,)),
        ),
        ({"liveness": Liveness.UNDETERMINED}, StepUp((Reason.LIVENESS_UNDETERMINED,))),
        (
            {"restriction": RestrictionState.VERIFIED, "restriction_reason": "r", "contest_code": "c"},
            Deny("r", ContestCode("c"), (Reason.RESTRICTION,)),
        ),
        (
            {"restriction": RestrictionState.VERIFIED, "age": Age.STALE},
            Refer(Elsewhere.STAFF, (Reason.RESTRICTION_UNCONFIRMED, Reason.STANDING_STALE)),
        ),
        (
            {"restriction": RestrictionState.EXPIRED},
            Grant(Lane.STANDARD, True, (Reason.TIER_STANDARD, Reason.RESTRICTION_EXPIRED)),
        ),
        ({"age": Age.ABSENT}, StepUp((Reason.STANDING_ABSENT,))),
        ({"age": Age.BEYOND_GRACE}, StepUp((Reason.STANDING_BEYOND_GRACE,))),
        ({"age": Age.GALLERY_BEYOND_GRACE}, StepUp((Reason.GALLERY_BEYOND_GRACE,))),
        ({"age": Age.CLOCK_UNSURE}, StepUp((Reason.CLOCK_UNSURE,))),
        (
            {"age": Age.ABSENT, "second_factor": SecondFactor.GOOD},
            Grant(Lane.STANDARD, False, (Reason.STANDING_ABSENT, Reason.SECOND_FACTOR_GOOD)),
        ),
        (
            {"age": Age.ABSENT, "second_factor": SecondFactor.GOOD, "payment": Payment.WITHIN},
            Refer(Elsewhere.OTHER_PAYMENT, (Reason.STANDING_ABSENT, Reason.SECOND_FACTOR_GOOD)),
        ),
        ({"age": Age.STALE}, Grant(Lane.STANDARD, True, (Reason.STANDING_STALE,))),
        (
            {"age": Age.STALE, "tier": Tier.PRIORITY, "payment": Payment.WITHIN},
            Grant(Lane.STANDARD, True, (Reason.STANDING_STALE,)),
        ),
        ({"payment": Payment.ABOVE}, StepUp((Reason.ABOVE_LIMIT,))),
        (
            {"payment": Payment.ABOVE, "central_answers": False},
            Refer(Elsewhere.OTHER_PAYMENT, (Reason.ABOVE_LIMIT, Reason.CENTRAL_SILENT)),
        ),
        ({"tier": Tier.ASSISTED}, StepUp((Reason.TIER_ASSISTED,))),
        ({"tier": Tier.UNKNOWN}, StepUp((Reason.TIER_UNKNOWN,))),
        (
            {"tier": Tier.ASSISTED, "second_factor": SecondFactor.GOOD},
            Grant(Lane.STANDARD, True, (Reason.TIER_ASSISTED, Reason.SECOND_FACTOR_GOOD)),
        ),
        ({}, Grant(Lane.STANDARD, True, (Reason.TIER_STANDARD,))),
        ({"tier": Tier.PRIORITY}, Grant(Lane.PRIORITY, True, (Reason.TIER_PRIORITY,))),
        ({"passback": Passback.STAFF}, Refer(Elsewhere.STAFF, (Reason.ENTERED_BEFORE,))),
        ({"passback": Passback.SECOND_FACTOR}, StepUp((Reason.ENTERED_BEFORE,))),
        (
            {"passback": Passback.SECOND_FACTOR, "second_factor": SecondFactor.GOOD},
            Grant(
                Lane.STANDARD,
                True,
                (Reason.TIER_STANDARD, Reason.SECOND_FACTOR_GOOD, Reason.ENTERED_BEFORE),
            ),
        ),
        (
            {"passback": Passback.NOTED},
            Grant(Lane.STANDARD, True, (Reason.TIER_STANDARD, Reason.ENTERED_BEFORE)),
        ),
        (
            {"passback": Passback.STAFF, "restriction": RestrictionState.VERIFIED},
            Deny("", ContestCode(""), (Reason.RESTRICTION,)),
        ),
    ],
)
def test_each_row_of_the_table_leads_to_its_verdict(changes: dict[str, object], verdict: object) -> None:
    assert decide(given(**changes)) == verdict


def test_passback_only_ever_asks_for_a_pin_or_staff_and_never_denies_or_loosens() -> None:
    """Over every input but those whose rows come first: emergency, gate, and what a payment needs."""
    seen = Counter()
    for c in PRODUCT:
        if c.emergency or c.gate is not GateState.READY or not c.central_answers:
            continue
        without = decide(c)
        for again in set(Passback) - {Passback.CLEAR}:
            found = decide(replace(c, passback=again))
            if type(found) is type(without) and replace(found, reasons=()) == replace(without, reasons=()):
                assert set(found.reasons) - set(without.reasons) <= {Reason.ENTERED_BEFORE}
                continue
            seen[type(without).__name__, again, type(found).__name__] += 1
            assert found.reasons[0] is Reason.ENTERED_BEFORE
            assert not isinstance(without, Deny)
            if again is Passback.SECOND_FACTOR:
                assert isinstance(found, StepUp)
                assert c.second_factor is SecondFactor.NOT_GIVEN
            else:
                assert (again, found.to) == (Passback.STAFF, Elsewhere.STAFF)
    assert {before for before, _, _ in seen} == {"Grant", "StepUp", "Refer"}
    assert {after for _, _, after in seen} == {"StepUp", "Refer"}


def test_there_is_one_door_to_grant_and_one_to_deny() -> None:
    doors = [
        (path.name, node.func.id)
        for path in sorted(Path("edge").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Grant", "Deny"}
    ]
    assert sorted(doors) == [("verdict.py", "Deny"), ("verdict.py", "Grant")]
