"""What a cached standing is worth at an instant: its age, its tier, and whether a restriction in it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.decide.verdict import Age, Membership, RestrictionState, Tier
from wire.ids import OperatorId, Purpose
from wire.values import Restriction, Standing, Tombstone

VerifyRestriction = Callable[[Restriction], bool]
"""Whether two reviewers whom the operator root certified signed it."""

AHEAD_MAX_MS = 120_000
"""A head signed this far in the future means a wrong clock, not a fresh cache; NTP keeps well within."""


class StandingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `standing`: what this kiosk uses standings for, and how old they may be.

    `fresh_s`: no older than this is fresh (heads are signed again every 60 s).
    `grace_s`: no older than this is stale but usable.
    `gallery_fresh_s`, `gallery_grace_s`: the same of the gallery. Beyond its grace, claims and members who
    were withdrawn may be missing from it: whoever it names is asked for the second factor.
    `miss_deadline_ms`: how long central may take to answer for what is not cached.
    """

    fresh_s: Annotated[int, Meta(ge=60, le=86_400)] = 300
    grace_s: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    gallery_fresh_s: Annotated[int, Meta(ge=60, le=86_400)] = 300
    gallery_grace_s: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    miss_deadline_ms: Annotated[int, Meta(ge=10, le=2_000)] = 150


@dataclass(frozen=True, slots=True)
class CachedStanding:
    """An entry of the cache and the verified head (or reply) that vouches for it, UTC milliseconds."""

    entry: Standing | Tombstone | None
    epoch: int
    version: int
    issued_at_ms: int


@dataclass(frozen=True, slots=True)
class StandingView:
    """A standing as the decision may use it. `standing` is None where there is none for this purpose."""

    age: Age
    tier: Tier
    membership: Membership
    restriction_state: RestrictionState
    standing: Standing | None = None
    restriction: Restriction | None = None
    epoch: int = 0
    version: int = 0
    issued_at_ms: int = 0
    age_ms: int = 0


ABSENT = StandingView(Age.ABSENT, Tier.UNKNOWN, Membership.ACTIVE, RestrictionState.NONE)


def assess(
    cached: CachedStanding | None,
    *,
    operator: OperatorId,
    purpose: Purpose,
    now_ms: int | None,
    config: StandingConfig,
    verify: VerifyRestriction,
) -> StandingView:
    """The view at `now_ms` (UTC; None: clock unsure); one of another purpose or operator is absent."""
    if cached is None or cached.entry is None:
        return ABSENT
    if isinstance(cached.entry, Tombstone):
        return StandingView(Age.ABSENT, Tier.UNKNOWN, Membership.WITHDRAWN, RestrictionState.NONE)
    standing = cached.entry
    if (standing.operator, standing.purpose) != (operator, purpose):
        return ABSENT
    state, restriction = _restriction(standing, operator, purpose, now_ms, verify)
    age_ms = 0 if now_ms is None else now_ms - cached.issued_at_ms
    return StandingView(
        age=_age(standing, age_ms, now_ms, config),
        tier=_tier(standing.tier),
        membership=Membership.ACTIVE,
        restriction_state=state,
        standing=standing,
        restriction=restriction,
        epoch=cached.epoch,
        version=cached.version,
        issued_at_ms=cached.issued_at_ms,
        age_ms=max(age_ms, 0),
    )


def beside_gallery(
    view: StandingView, gallery_issued_at_ms: int | None, now_ms: int | None, config: StandingConfig
) -> StandingView:
    """The view of somebody whom a gallery named that was last vouched for then; None: there is none here.

    A usable standing does not make up for a gallery beyond its grace: a withdrawal may be missing from it.
    """
    if gallery_issued_at_ms is None or now_ms is None or view.age not in {Age.FRESH, Age.STALE}:
        return view
    if now_ms - gallery_issued_at_ms <= config.gallery_grace_s * 1000:
        return view
    return replace(view, age=Age.GALLERY_BEYOND_GRACE)


def age_of(age_ms: int, fresh_s: int, grace_s: int) -> Age:
    """What an age means against two limits."""
    if age_ms > grace_s * 1000:
        return Age.BEYOND_GRACE
    return Age.FRESH if age_ms <= fresh_s * 1000 else Age.STALE


def _age(standing: Standing, age_ms: int, now_ms: int | None, config: StandingConfig) -> Age:
    if now_ms is None or age_ms < -AHEAD_MAX_MS:
        return Age.CLOCK_UNSURE
    if now_ms >= standing.expires_at_ms:
        return Age.BEYOND_GRACE
    return age_of(age_ms, config.fresh_s, config.grace_s)


def _tier(text: str) -> Tier:
    return Tier(text) if text in {"priority", "standard", "assisted"} else Tier.UNKNOWN


def _restriction(
    standing: Standing, operator: OperatorId, purpose: Purpose, now_ms: int | None, verify: VerifyRestriction
) -> tuple[RestrictionState, Restriction | None]:
    """The restriction that holds, else what is wrong with the first there is."""
    state, found = RestrictionState.NONE, None
    for restriction in standing.restrictions:
        meant = (restriction.subject, restriction.operator, restriction.purpose)
        if meant != (standing.subject, operator, purpose) or not verify(restriction):
            this = RestrictionState.UNVERIFIED
        elif now_ms is not None and now_ms >= restriction.expires_at_ms:
            this = RestrictionState.EXPIRED
        else:
            # Under an unsure clock it is not known to have expired; the age keeps it from refusing anyone.
            return RestrictionState.VERIFIED, restriction
        if found is None:
            state, found = this, restriction
    return state, found
