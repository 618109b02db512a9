"""The published scorecard: from a subject's events to score, factors and tier. Pure and replayable.

A scorecard belongs to one operator and one purpose, and can name no others: its schema has no field for them
but its own. Kinds of event are a closed list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from central.errors import ConfigError, RefusedError
from wire import fields as f
from wire.currency import format_amount
from wire.ids import OperatorId, Purpose, ReasonCode, SubjectId
from wire.readable import unreadable
from wire.values import Factor, Limits, Tier

FACTORS_MAX = 10
"""With 100 characters of text a factor, a standing stays within a 4 KiB column."""
TIERS_MAX = 8
DAY_MS = 86_400_000
HORIZON_HALF_LIVES = (
    10  # an event then weighs less than a thousandth: it counts no more, and may be forgotten
)
EVENT_PATTERN = r"^[0-9A-Za-z._-]{1,64}\Z"
"""An event's id at its source; it fits a URL."""
INCIDENT_PATTERN = r"^[0-9A-Za-z._/-]{1,64}\Z"
_WHOLE = 1_000_000
"""An event's full weight; weights are whole numbers, so that sums know no order."""


class EventKind(StrEnum):
    """All that may ever count, and nothing else: no places, no company kept, no mood, no looks."""

    PAYMENT = "payment"
    FARE = "fare"
    BOOKING = "booking"
    EQUIPMENT = "equipment"
    CONDUCT = "conduct"  # on the premises, with an incident number


class EventOutcome(StrEnum):
    """How it went."""

    KEPT = "kept"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened between a subject and this operator, for this purpose."""

    event_id: str
    subject: SubjectId
    purpose: Purpose
    kind: EventKind
    outcome: EventOutcome
    at_ms: int
    incident: str | None = None
    disputed: bool = False
    struck: bool = False


class FactorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"event_kind": "kind"}):
    """What events of one kind and outcome give: points each, at most `cap` in all, halved per half-life."""

    event_kind: EventKind
    outcome: EventOutcome
    points: Annotated[int, Meta(ge=-200, le=200)]
    cap: Annotated[int, Meta(ge=1, le=1000)]
    half_life_days: Annotated[int, Meta(ge=1, le=3650)]
    text: Annotated[str, Meta(min_length=1, max_length=100)]


class TierRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tier, the score it begins at, and what may be charged in it."""

    name: Tier
    at_least: f.Score
    limit_minor: f.AmountMinor


class Scorecard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One purpose's scorecard. `valid_hours` is how long a standing computed from it lasts.

    `offline_allowance_minor`: what each kiosk may take from a member while central cannot be asked, in sum.
    """

    operator: f.Operator
    purpose: f.ForPurpose
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    base: f.Score
    valid_hours: Annotated[int, Meta(ge=1, le=24 * 366)]
    currency: f.Currency
    offline_allowance_minor: f.AmountMinor
    factor: Annotated[tuple[FactorRule, ...], Meta(max_length=FACTORS_MAX)]
    tier: Annotated[tuple[TierRule, ...], Meta(min_length=1, max_length=TIERS_MAX)]


_FOREIGN = ("operator", "purpose", "site", "source", "subject")
"""Prefixes by which a factor would name events that are not the member's own."""


def _refuse_foreign(tree: Mapping[str, Any], where: str) -> None:
    factors = tree.get("factor")
    for number, factor in enumerate(factors if isinstance(factors, list) else []):
        named = [key for key in _FOREIGN if isinstance(factor, Mapping) and key in factor]
        if named:
            raise ConfigError(
                where,
                f"factor[{number}].{named[0]}",
                factor[named[0]],
                "it counts its own operator's and purpose's events, and can name no others; remove it",
            )


def _with_one_allowance(tree: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The scorecard with one offline allowance, where it is of version 0.1.0 and gives one a tier.

    The least that is anything becomes everybody's: it adds least to what an operator is exposed to.
    """
    key, tiers = "offline_allowance_minor", tree.get("tier")
    if not isinstance(tiers, list) or not any(isinstance(tier, Mapping) and key in tier for tier in tiers):
        return tree
    if key in tree:
        raise ConfigError(where, f"tier.{key}", None, "it is the same in every tier; keep the one above them")
    given = [tier[key] for tier in tiers if isinstance(tier, Mapping) and key in tier]
    if any(not isinstance(amount, int) for amount in given):
        raise ConfigError(where, f"tier.{key}", None, f"it is the same in every tier; give {key} once")
    kept = [{name: value for name, value in tier.items() if name != key} for tier in tiers]
    return {**tree, "tier": kept, key: min((amount for amount in given if amount), default=0)}


def parse_scorecard(tree: Mapping[str, Any], where: str, operator: OperatorId, purpose: Purpose) -> Scorecard:
    """Read and lint a scorecard; raises ConfigError naming the key, its value and the rule it breaks."""
    _refuse_foreign(tree, where)
    tree = _with_one_allowance(tree, where)
    try:
        card = msgspec.convert(tree, Scorecard, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError.of(where, tree, str(error)) from None
    if card.operator != operator:
        raise ConfigError(where, "operator", card.operator, f"must be this operator, {operator!r}")
    if card.purpose != purpose:
        raise ConfigError(where, "purpose", card.purpose, f"must be the purpose it is used for, {purpose!r}")
    for number, rule in enumerate(card.factor):
        if not rule.text.strip():
            raise ConfigError(where, f"factor[{number}].text", rule.text, "say in words what it counts")
        if (why := unreadable(rule.text)) is not None:
            raise ConfigError(where, f"factor[{number}].text", None, why)
        if rule.points == 0:
            raise ConfigError(where, f"factor[{number}].points", 0, "a factor that gives nothing is none")
    if min(rule.at_least for rule in card.tier) != 0:
        raise ConfigError(
            where, "tier.at_least", None, "one tier must begin at 0, so that every score has one"
        )
    for field, names in (
        ("factor", [f"{rule.event_kind} {rule.outcome}" for rule in card.factor]),
        ("tier", [str(rule.name) for rule in card.tier]),
        ("tier.at_least", [str(rule.at_least) for rule in card.tier]),
    ):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ConfigError(where, field, twice[0], "is given twice; keep one")
    return card


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with the factors that made it, weightiest first, and the tier and limits it leads to."""

    score: int
    factors: tuple[Factor, ...]
    tier: Tier
    limits: Limits


def check_event(event: Event, now_ms: int) -> None:
    """Admit an event; raises RefusedError. Conduct counts only with the number of a reported incident."""
    if re.match(EVENT_PATTERN, event.event_id) is None:
        raise RefusedError("an event's id is of 1 to 64 letters, digits and . _ -")
    if event.incident is not None and re.match(INCIDENT_PATTERN, event.incident) is None:
        raise RefusedError("an incident's number is of 1 to 64 letters, digits and . _ / -")
    if event.kind is EventKind.CONDUCT and event.incident is None:
        raise RefusedError("conduct needs the incident number it was reported under")
    if event.at_ms > now_ms:
        raise RefusedError("an event lies in the past: check its time")


def counts(event: Event) -> bool:
    """Whether an event may count at all: neither disputed nor struck by a reviewer."""
    return not (event.disputed or event.struck)


def horizon_ms(rule: FactorRule) -> int:
    """How old an event may be and still count under a rule, milliseconds."""
    return HORIZON_HALF_LIVES * rule.half_life_days * DAY_MS


def _weight(rule: FactorRule, age_ms: int) -> int:
    """An event's weight in millionths, halved per half-life; 0 past the horizon."""
    if age_ms > horizon_ms(rule):
        return 0
    halvings: float = age_ms / DAY_MS / rule.half_life_days
    return round(_WHOLE * math.exp2(-halvings))


def _contribution(rule: FactorRule, events: Iterable[Event], at_ms: int) -> int:
    weight = sum(_weight(rule, at_ms - event.at_ms) for event in events)
    points = (2 * rule.points * weight + _WHOLE) // (2 * _WHOLE)  # the nearest whole number, halves up
    return max(-rule.cap, min(rule.cap, points))


def score(card: Scorecard, subject: SubjectId, events: Iterable[Event], at_ms: int) -> Scored:
    """Score a subject at an instant, from undisputed events of this subject and purpose up to then."""
    counted = [
        event
        for event in events
        if event.subject == subject
        and event.purpose == card.purpose
        and counts(event)
        and event.at_ms <= at_ms
    ]
    factors = [
        Factor(ReasonCode(f"{rule.event_kind}_{rule.outcome}"), points, rule.text)
        for rule in card.factor
        if (
            points := _contribution(
                rule, [e for e in counted if (e.kind, e.outcome) == (rule.event_kind, rule.outcome)], at_ms
            )
        )
        != 0
    ]
    factors.sort(key=lambda factor: (-abs(factor.points), factor.kind))
    total = max(0, min(f.SCORE_MAX, card.base + sum(factor.points for factor in factors)))
    tier = max((rule for rule in card.tier if rule.at_least <= total), key=lambda rule: rule.at_least)
    limits = Limits(tier.limit_minor, card.offline_allowance_minor, card.currency)
    return Scored(total, tuple(factors), tier.name, limits)


def lowest_tier(card: Scorecard) -> Tier:
    """The tier of the lowest scores."""
    return min(card.tier, key=lambda rule: rule.at_least).name


def sentences(card: Scorecard) -> list[str]:
    """The scorecard as a member reads it: what everybody begins with, what counts, and what for."""
    told = [
        f"Scorecard of {card.operator} for {card.purpose!r}, version {card.version}.",
        f"Everybody begins with {card.base} points of {f.SCORE_MAX}. "
        f"A score is computed anew at least every {card.valid_hours} hours. It alone never refuses anybody.",
        "",
        "What counts:",
    ]
    for rule in card.factor:
        gone_days = HORIZON_HALF_LIVES * rule.half_life_days
        told.append(
            f"  {rule.event_kind} {rule.outcome}: {rule.points:+d} points each, at most {rule.cap} in all, "
            f"half of it after {rule.half_life_days} days, none after {gone_days}. {rule.text}"
        )
    told += ["  Nothing else. What you dispute does not count until a reviewer has settled it.", ""]
    told.append("What it leads to:")
    for tier in sorted(card.tier, key=lambda tier: -tier.at_least):
        limit = format_amount(tier.limit_minor, card.currency)
        told.append(f"  from {tier.at_least} points: {tier.name}; up to {limit} a payment")
    offline = format_amount(card.offline_allowance_minor, card.currency)
    told.append(f"  whatever the points: {offline} at each kiosk, also while central cannot be asked")
    return told
