"""Standings: what central issues to kiosks for one purpose."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from central.rules.scorecard import Event, Scorecard, score
from wire.ids import ReasonCode, SubjectId
from wire.values import RESTRICTIONS_MAX, Restriction, Standing

HOUR_MS = 3_600_000


def compute(card: Scorecard, subject: SubjectId, events: Iterable[Event], at_ms: int) -> Standing:
    """The standing of a subject at an instant, without restrictions; it expires as the scorecard says."""
    scored = score(card, subject, events, at_ms)
    return Standing(
        subject=subject,
        operator=card.operator,
        purpose=card.purpose,
        score=scored.score,
        tier=ReasonCode(scored.tier.value),
        factors=scored.factors,
        limits=scored.limits,
        restrictions=(),
        issued_at_ms=at_ms,
        expires_at_ms=at_ms + card.valid_hours * HOUR_MS,
    )


def restricted(standing: Standing, restrictions: Iterable[Restriction], at_ms: int) -> Standing:
    """The standing with the restrictions in force at an instant; the longest, should there be too many."""
    in_force = [each for each in restrictions if each.expires_at_ms > at_ms]
    in_force.sort(key=lambda each: (-each.expires_at_ms, each.restriction_id))
    return msgspec.structs.replace(standing, restrictions=tuple(in_force[:RESTRICTIONS_MAX]))


def due(standing: Standing, at_ms: int) -> bool:
    """Whether a standing is to be computed anew."""
    return at_ms >= due_at_ms(standing)


def due_at_ms(standing: Standing) -> int:
    """When a standing is to be computed anew: a quarter of its validity is gone."""
    return standing.issued_at_ms + (standing.expires_at_ms - standing.issued_at_ms) // 4
