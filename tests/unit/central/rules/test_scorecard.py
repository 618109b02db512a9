"""The scorecard: published, linted, deterministic, and blind to everything it does not name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.errors import ConfigError, RefusedError
from central.rules.scorecard import (
    DAY_MS,
    HORIZON_HALF_LIVES,
    Event,
    EventKind,
    EventOutcome,
    check_event,
    parse_scorecard,
    score,
    sentences,
)
from central.rules.standing import compute, due, restricted
from tests.doubles.scorecards import ADA, METRO, NOW_MS, RIDE, card, event, events_drawn, tree
from wire.ids import Purpose, SubjectId


def test_without_events_the_score_is_the_published_base_and_the_tier_standard():
    scored = score(card(), ADA, [], NOW_MS)
    assert (scored.score, scored.tier, scored.factors) == (500, "standard", ())


def test_an_event_counts_half_after_its_half_life():
    fresh, old = event(), event(at_ms=NOW_MS - 180 * DAY_MS)
    assert score(card(), ADA, [fresh], NOW_MS).score == 510
    assert score(card(), ADA, [old], NOW_MS).score == 505


def test_a_factor_never_gives_more_than_its_cap():
    paid = [event(number) for number in range(100)]
    assert score(card(), ADA, paid, NOW_MS).score == 750
    unpaid = [event(number, outcome=EventOutcome.BROKEN) for number in range(100)]
    assert score(card(), ADA, unpaid, NOW_MS).score == 200


def test_factors_come_in_order_of_weight_with_their_published_texts():
    events = [event(1), event(2, outcome=EventOutcome.BROKEN)]
    factors = score(card(), ADA, events, NOW_MS).factors
    assert [(each.kind, each.points) for each in factors] == [("fare_broken", -60), ("fare_kept", 10)]
    assert factors[0].text == "A fare was not paid."


@pytest.mark.parametrize(
    "other",
    [
        event(purpose=Purpose("locker")),
        event(subject=SubjectId("b" * 32)),
        event(disputed=True),
        event(at_ms=NOW_MS + 1),
        event(kind=EventKind.EQUIPMENT),
    ],
)
def test_what_belongs_to_another_or_is_disputed_or_unnamed_does_not_count(other: Event):
    assert score(card(), ADA, [other], NOW_MS) == score(card(), ADA, [], NOW_MS)


@given(events_drawn, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter_and_the_score_stays_in_bounds(events: list[Event], dice: Any):
    first = score(card(), ADA, events, NOW_MS)
    dice.shuffle(events)
    assert score(card(), ADA, events, NOW_MS) == first
    assert 0 <= first.score <= 1000


def factor(**changes: Any) -> dict[str, Any]:
    return {**tree()["factor"][0], **changes}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"factor": [factor(kind="mood")]}, "factor[0].kind"),
        ({"factor": [factor(text="")]}, "factor[0].text"),
        ({"factor": [factor(), factor(outcome="broken", text="   ")]}, "factor[1].text"),
        ({"factor": [factor(points=0)]}, "factor[0].points"),
        ({"factor": [factor(site="south")]}, "factor[0].site"),
        ({"factor": [{k: v for k, v in factor().items() if k != "half_life_days"}]}, "factor[0]"),
        ({"factor": [factor(operator="bus")]}, "factor[0].operator"),
        ({"factor": [factor(purpose="credit")]}, "factor[0].purpose"),
        ({"factor": [factor(), factor()]}, "factor"),
        ({"factor": [factor()] * 11}, "factor"),
        ({"operator": "bus"}, "operator"),
        ({"purpose": "credit"}, "purpose"),
        ({"valid_hours": 0}, "valid_hours"),
        ({"tier": tree()["tier"][:2]}, "tier.at_least"),
        ({"tier": []}, "tier"),
        ({"faces": 1}, "faces"),
    ],
)
def test_linting_refuses_a_scorecard_and_names_the_key(changes: dict[str, Any], key: str):
    with pytest.raises(ConfigError) as refusal:
        card(**changes)
    assert refusal.value.key == key


def test_a_factor_explained_with_a_character_that_nobody_sees_is_refused():
    with pytest.raises(ConfigError, match=r"factor\[0\]\.text: has U\+2066 at place 1"):
        card(factor=[factor(text="\u2066Rides")])


def test_a_factor_that_names_another_operators_or_purposes_events_is_told_why_it_may_not():
    for name in ("operator", "purpose"):
        with pytest.raises(
            ConfigError, match="its own operator's and purpose's events, and can name no others"
        ):
            card(factor=[factor(**{name: "other"})])


def test_a_member_can_read_all_of_it_in_sentences():
    told, shown = "\n".join(sentences(card())), card()
    for rule in shown.factor:
        assert f"{rule.event_kind} {rule.outcome}: {rule.points:+d} points" in told
        assert rule.text in told
    for tier in shown.tier:
        assert f"from {tier.at_least} points: {tier.name}" in told
    assert "It alone never refuses anybody." in told


def test_an_event_counts_to_its_horizon_and_not_past_it():
    rule = card(factor=[factor(points=200, cap=1000, half_life_days=1)])
    many = [event(number) for number in range(1000)]
    horizon_ms = HORIZON_HALF_LIVES * DAY_MS
    assert score(rule, ADA, many, NOW_MS + horizon_ms).score == 695
    assert score(rule, ADA, many, NOW_MS + horizon_ms + 1).factors == ()


def test_what_a_reviewer_struck_does_not_count():
    assert score(card(), ADA, [event(struck=True)], NOW_MS).score == 500


@pytest.mark.parametrize("missing", ["valid_hours", "currency", "base", "tier"])
def test_a_scorecard_without_expiry_currency_base_or_tiers_is_refused(missing: str):
    with pytest.raises(ConfigError, match=missing):
        parse_scorecard({k: v for k, v in tree().items() if k != missing}, "test.toml", METRO, RIDE)


def test_conduct_counts_only_with_an_incident_number():
    with pytest.raises(RefusedError, match="incident number"):
        check_event(event(kind=EventKind.CONDUCT), NOW_MS)
    check_event(event(kind=EventKind.CONDUCT, incident="2026-12"), NOW_MS)
    for bad in ("", "e 1", "e" * 65, "e\n"):
        with pytest.raises(RefusedError, match="1 to 64"):
            check_event(event(event_id=bad), NOW_MS)
    with pytest.raises(RefusedError, match="past"):
        check_event(event(at_ms=NOW_MS + 1), NOW_MS)


def test_a_standing_expires_with_the_scorecards_validity_and_is_due_after_a_quarter_of_it():
    standing = compute(card(), ADA, [], NOW_MS)
    assert standing.expires_at_ms == NOW_MS + 48 * 3_600_000
    assert not due(standing, NOW_MS + 12 * 3_600_000 - 1)
    assert due(standing, NOW_MS + 12 * 3_600_000)
    assert restricted(standing, [], NOW_MS) == standing


def test_what_is_allowed_offline_is_the_same_in_every_tier():
    kept, poor = [event(day) for day in range(20)], []
    for scored in (score(card(), ADA, kept, NOW_MS), score(card(base=0), ADA, poor, NOW_MS)):
        assert scored.limits.offline_allowance_minor == tree()["offline_allowance_minor"]
    assert score(card(base=0), ADA, poor, NOW_MS).tier == "assisted"


@pytest.mark.parametrize(("given", "allowed"), [((2_000, 1_000, 0), 1_000), ((0, 0, 0), 0)])
def test_a_scorecard_of_version_0_1_0_gives_everybody_the_least_allowance_that_is_any(
    given: tuple[int, ...], allowed: int
):
    old = {key: value for key, value in tree().items() if key != "offline_allowance_minor"}
    tiers = zip(tree()["tier"], given, strict=True)
    old["tier"] = [tier | {"offline_allowance_minor": amount} for tier, amount in tiers]
    assert parse_scorecard(old, "scorecard.toml", METRO, RIDE).offline_allowance_minor == allowed
    with pytest.raises(ConfigError, match="the same in every tier"):
        parse_scorecard(old | {"offline_allowance_minor": 1_000}, "scorecard.toml", METRO, RIDE)
