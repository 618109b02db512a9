"""How long central keeps what it holds: from a configuration and an instant to what is to go. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from central.rules.scorecard import DAY_MS, EventKind, EventOutcome, Scorecard, horizon_ms
from wire.ids import Purpose

TOMBSTONE_DAYS_MIN = 8
"""A kiosk that was away uses nothing older than 7 days (`standing.grace_s`): the tombstone outlasts that."""


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days after which `stile central retention run` takes away what is no longer needed.

    `records_days`: body and salt of a pass record, from when central got it; the chain still verifies.
    `restrictions_days`: a restriction and its history, from when it was over.
    `withdrawn_days`: what is left of a member who withdrew: tombstone, claim digests, records of passes.
    """

    records_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    restrictions_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    withdrawn_days: Annotated[int, Meta(ge=TOMBSTONE_DAYS_MIN, le=3650)] = 30


@dataclass(frozen=True, slots=True)
class SpentEvents:
    """Events of one purpose that can count no more: those before an instant, of one kind and outcome.

    `others_before_ms` is for the kinds and outcomes that the scorecard does not name.
    """

    purpose: Purpose
    before_ms: Mapping[tuple[EventKind, EventOutcome], int]
    others_before_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    """What is to go at an instant, UTC milliseconds: everything older than these."""

    records_before_ms: int
    restrictions_before_ms: int
    withdrawn_before_ms: int
    events: tuple[SpentEvents, ...]


def due(config: RetentionConfig, cards: Iterable[Scorecard], at_ms: int) -> Due:
    """What is to go at an instant."""
    return Due(
        records_before_ms=at_ms - config.records_days * DAY_MS,
        restrictions_before_ms=at_ms - config.restrictions_days * DAY_MS,
        withdrawn_before_ms=at_ms - config.withdrawn_days * DAY_MS,
        events=tuple(_spent(card, at_ms) for card in cards),
    )


def _spent(card: Scorecard, at_ms: int) -> SpentEvents:
    longest = max((horizon_ms(rule) for rule in card.factor), default=0)
    return SpentEvents(
        card.purpose,
        {(rule.event_kind, rule.outcome): at_ms - horizon_ms(rule) for rule in card.factor},
        at_ms - longest,
    )


@dataclass(frozen=True, slots=True)
class Purged:
    """How much went."""

    records: int
    records_of_withdrawn: int
    events: int
    restrictions: int
    subjects: int
