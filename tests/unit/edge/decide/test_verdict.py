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
    asked_by_tier_alone,
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
    assert len(PRODUCT) == 2 * 4 * 2 * 6 * 4 * 4 * 6 * 4 * 6 * 3 * 2 == len(set(PRODUCT))


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
            {"second_factor": SecondFactor.EXHAUSTED, "age": Age.ABSENT},
            Refer(Elsewhere.STAFF, (Reason.SECOND_FACTOR_EXHAUSTED,)),
        ),
        (
            {"second_factor": SecondFactor.NONE, "passback": Passback.SECOND_FACTOR},
            Refer(Elsewhere.STAFF, (Reason.NO_SECOND_FACTOR,)),
        ),
        ({"second_factor": SecondFactor.EXHAUSTED}, Grant(Lane.STANDARD, True, (Reason.TIER_STANDARD,))),
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
        (
            {"payment": Payment.ABOVE, "second_factor": SecondFactor.EXHAUSTED},
            Refer(Elsewhere.OTHER_PAYMENT, (Reason.ABOVE_LIMIT, Reason.SECOND_FACTOR_EXHAUSTED)),
        ),
        ({"payment": Payment.ABOVE, "second_factor": SecondFactor.GESTURES}, StepUp((Reason.ABOVE_LIMIT,))),
        ({"tier": Tier.ASSISTED}, StepUp((Reason.TIER_ASSISTED,))),
        ({"tier": Tier.ASSISTED, "age": Age.STALE}, StepUp((Reason.TIER_ASSISTED,))),
        (
            {"tier": Tier.ASSISTED, "age": Age.STALE, "second_factor": SecondFactor.GOOD},
            Grant(Lane.STANDARD, True, (Reason.STANDING_STALE, Reason.SECOND_FACTOR_GOOD)),
        ),
        (
            {"tier": Tier.ASSISTED, "second_factor": SecondFactor.GESTURES},
            Grant(Lane.STANDARD, True, (Reason.TIER_ASSISTED,)),
        ),
        (
            {"tier": Tier.ASSISTED, "second_factor": SecondFactor.NONE},
            Grant(Lane.STANDARD, False, (Reason.NO_SECOND_FACTOR, Reason.TIER_ASSISTED)),
        ),
        (
            {"tier": Tier.UNKNOWN, "second_factor": SecondFactor.UNAVAILABLE, "central_answers": False},
            Grant(Lane.STANDARD, False, (Reason.NO_SECOND_FACTOR, Reason.TIER_UNKNOWN)),
        ),
        (
            {"tier": Tier.ASSISTED, "second_factor": SecondFactor.NONE, "payment": Payment.WITHIN},
            Refer(Elsewhere.OTHER_PAYMENT, (Reason.NO_SECOND_FACTOR, Reason.TIER_ASSISTED)),
        ),
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
            lacks = c.second_factor in {SecondFactor.EXHAUSTED, SecondFactor.UNAVAILABLE, SecondFactor.NONE}
            if again is Passback.SECOND_FACTOR and lacks:
                assert found.to is Elsewhere.STAFF
                continue
            assert found.reasons[0] is Reason.ENTERED_BEFORE
            assert not isinstance(without, Deny)
            if again is Passback.SECOND_FACTOR:
                assert isinstance(found, StepUp)
                assert c.second_factor in {SecondFactor.NOT_GIVEN, SecondFactor.GESTURES}
            else:
                assert (again, found.to) == (Passback.STAFF, Elsewhere.STAFF)
    assert {before for before, _, _ in seen} == {"Grant", "StepUp", "Refer"}
    assert {after for _, _, after in seen} == {"StepUp", "Refer"}


PIN, GESTURES = "pin", "gestures"
HELD = (frozenset(), frozenset({PIN}), frozenset({GESTURES}), frozenset({PIN, GESTURES}))
SITUATIONS = [
    c
    for c in PRODUCT
    if c.second_factor is SecondFactor.NOT_GIVEN and c.gate is GateState.READY and not c.emergency
]
"""Nothing of emergencies and gates depends on what a member is or holds."""
REFERRED, PAYS_OTHERWISE, PASSES, HAS_CREDIT, HAS_PRIORITY = range(5)
"""How a passage may end, worst first."""


def ends(c: Circumstances, held: frozenset[str]) -> int:
    """The best end that a member who holds these factors can bring about."""
    verdict = decide(c)
    match verdict:
        case Grant(lane=lane, credit=credit):
            return HAS_PRIORITY if lane is Lane.PRIORITY else HAS_CREDIT if credit else PASSES
        case Refer(to=Elsewhere.OTHER_PAYMENT):
            return PAYS_OTHERWISE
        case StepUp():
            checked = PIN in held and c.central_answers
            given = [SecondFactor.GOOD if checked else SecondFactor.UNAVAILABLE]
            if asked_by_tier_alone(verdict):
                given += [SecondFactor.GESTURES] if GESTURES in held else []
            return max(ends(replace(c, second_factor=each), held) for each in given)
        case _:
            return REFERRED


def test_what_only_tier_and_limit_ask_for_turns_nobody_away_whatever_they_hold() -> None:
    """Over the whole product and the factors held: at a gate they pass; a payment is made, or another."""
    for c, held in itertools.product(SITUATIONS, HELD):
        if c.tier is not Tier.STANDARD or c.payment is Payment.ABOVE:
            continue
        usual = ends(c, held)
        limits = [c.payment] if c.payment is Payment.NONE else [Payment.WITHIN, Payment.ABOVE]
        for tier, payment in itertools.product(Tier, limits):
            other = ends(replace(c, tier=tier, payment=payment), held)
            if c.payment is Payment.NONE:
                assert (other >= PASSES) == (usual >= PASSES)
            else:
                assert (other > REFERRED) == (usual > REFERRED)
            if held and payment is c.payment and (GESTURES in held or c.central_answers):
                # Who has a factor has as much on account in every tier.
                assert (other >= HAS_CREDIT) == (usual >= HAS_CREDIT)


def test_cutting_the_network_gains_nothing() -> None:
    for c, held in itertools.product(SITUATIONS, HELD):
        if c.central_answers:
            assert ends(replace(c, central_answers=False), held) <= ends(c, held)


YOUNGER_FIRST = [
    (Age.FRESH, Age.STALE),
    *itertools.product(
        [Age.FRESH, Age.STALE],
        [Age.BEYOND_GRACE, Age.GALLERY_BEYOND_GRACE, Age.ABSENT, Age.CLOCK_UNSURE],
    ),
]


def test_less_knowledge_of_a_standing_is_never_more_lenient_than_more() -> None:
    for c, held, (younger, older) in itertools.product(SITUATIONS, HELD, YOUNGER_FIRST):
        if c.age is younger:
            assert ends(replace(c, age=older), held) <= ends(c, held)


def test_an_age_that_asks_for_nothing_says_that_the_younger_one_asked_for_nothing() -> None:
    for c, (younger, older) in itertools.product(SITUATIONS, YOUNGER_FIRST):
        if c.age is younger and isinstance(decide(replace(c, age=older)), Grant):
            assert isinstance(decide(c), Grant | Deny)


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
