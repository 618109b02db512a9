"""The decision: one table from what is known of a passage to a verdict.

`decide` takes the first row of `ROWS` that applies. `Grant` is constructed in `_grant` and nowhere else,
`Deny` in `_deny` and nowhere else; the score of a standing is not among the inputs, only the tier it led to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

ContestCode = NewType("ContestCode", str)


class GateState(StrEnum):
    """What the gate can do for this passage."""

    READY = "ready"
    FAULT = "fault"
    NO_PASSAGE_REPORT = "no_passage_report"  # the fare needs the gate to report passage, and it cannot
    CLOSED = "closed"  # staff closed the lane


class Membership(StrEnum):
    """Whether the claim and its subject stand."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"


class Identification(StrEnum):
    """How identifying the member ended; `OTHER_WAY` is a good claim + PIN or card + PIN.

    `STAFF`: nobody was identified; a named member of staff answers for who passes now.
    """

    MATCH = "match"
    OTHER_WAY = "other_way"
    STAFF = "staff"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    FAILURE_TO_ACQUIRE = "failure_to_acquire"


class Liveness(StrEnum):
    """Outcome of presentation attack detection (ISO/IEC 30107-3)."""

    BONA_FIDE = "bona_fide"
    ATTACK = "attack"
    UNDETERMINED = "undetermined"
    NOT_ASKED = "not_asked"


class Age(StrEnum):
    """How far the cached standing may be trusted at this instant."""

    FRESH = "fresh"
    STALE = "stale"  # within grace
    BEYOND_GRACE = "beyond_grace"
    GALLERY_BEYOND_GRACE = "gallery_beyond_grace"  # usable itself, but the gallery that named them is too old
    ABSENT = "absent"
    CLOCK_UNSURE = "clock_unsure"


class Tier(StrEnum):
    """What central made of a score; anything this kiosk does not know is `UNKNOWN`."""

    PRIORITY = "priority"
    STANDARD = "standard"
    ASSISTED = "assisted"
    UNKNOWN = "unknown"


class RestrictionState(StrEnum):
    """A restriction after its signature chain and expiry were checked."""

    NONE = "none"
    VERIFIED = "verified"  # signed by two reviewers whom the operator root certified, unexpired
    EXPIRED = "expired"
    UNVERIFIED = "unverified"


class SecondFactor(StrEnum):
    """The PIN; where only the tier asks for a second factor, two gestures by the matched face do as well."""

    NOT_GIVEN = "not_given"
    GOOD = "good"  # the PIN
    GESTURES = "gestures"
    NONE = "none"  # the member says they have none
    EXHAUSTED = "exhausted"  # no tries left
    UNAVAILABLE = "unavailable"  # it cannot be checked here and now


class Passback(StrEnum):
    """What is asked of a member who went in here a while ago and, as far as this kiosk knows, is still in."""

    CLEAR = "clear"
    NOTED = "noted"  # nothing, but the record says it
    SECOND_FACTOR = "second_factor"
    STAFF = "staff"


class Payment(StrEnum):
    """The amount asked for against what the standing allows at its age."""

    NONE = "none"
    WITHIN = "within"
    ABOVE = "above"


class Lane(StrEnum):
    """The lane a granted member is shown to."""

    PRIORITY = "priority"
    STANDARD = "standard"


class Elsewhere(StrEnum):
    """Where a referred person is sent; there is always one."""

    STAFF = "staff"
    OTHER_WAY = "other_way"
    OTHER_PAYMENT = "other_payment"
    FREE_GATE = "free_gate"  # the gate stands open


class Reason(StrEnum):
    """Why a verdict was reached; each has its sentence in docs/reference.md and its text on the screen."""

    EMERGENCY = "emergency"
    GATE_FAULT = "gate_fault"
    NO_PASSAGE_REPORT = "no_passage_report"
    LANE_CLOSED = "lane_closed"
    WITHDRAWN = "withdrawn"
    ATTACK = "attack"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    FAILURE_TO_ACQUIRE = "failure_to_acquire"
    SECOND_FACTOR_EXHAUSTED = "second_factor_exhausted"
    SECOND_FACTOR_UNAVAILABLE = "second_factor_unavailable"
    NO_SECOND_FACTOR = "no_second_factor"
    LIVENESS_UNDETERMINED = "liveness_undetermined"
    RESTRICTION = "restriction"
    RESTRICTION_UNCONFIRMED = "restriction_unconfirmed"
    RESTRICTION_EXPIRED = "restriction_expired"
    RESTRICTION_UNVERIFIED = "restriction_unverified"
    STANDING_ABSENT = "standing_absent"
    STANDING_BEYOND_GRACE = "standing_beyond_grace"
    GALLERY_BEYOND_GRACE = "gallery_beyond_grace"
    STANDING_STALE = "standing_stale"
    CLOCK_UNSURE = "clock_unsure"
    ABOVE_LIMIT = "above_limit"
    CENTRAL_SILENT = "central_silent"
    TIER_PRIORITY = "tier_priority"
    TIER_STANDARD = "tier_standard"
    TIER_ASSISTED = "tier_assisted"
    TIER_UNKNOWN = "tier_unknown"
    SECOND_FACTOR_GOOD = "second_factor_good"
    STAFF_RELEASE = "staff_release"
    ENTERED_BEFORE = "entered_before"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that a decision may depend on. There is no score here, by design."""

    emergency: bool
    gate: GateState
    membership: Membership
    identification: Identification
    liveness: Liveness
    restriction: RestrictionState
    age: Age
    tier: Tier
    second_factor: SecondFactor
    payment: Payment
    central_answers: bool
    restriction_reason: str = ""
    contest_code: ContestCode = ContestCode("")
    passback: Passback = Passback.CLEAR


@dataclass(frozen=True, slots=True)
class Grant:
    """Release the gate into `lane`; `credit` says whether anything may be charged on account."""

    lane: Lane
    credit: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StepUp:
    """Ask for the second factor."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Refer:
    """Another way is shown; nobody is turned away by it."""

    to: Elsewhere
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """A restriction of two reviewers holds: its reason, and the code with which to contest it."""

    restriction_reason: str
    contest_code: ContestCode
    reasons: tuple[Reason, ...]


Verdict = Grant | StepUp | Refer | Deny


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: when it applies, and what then follows."""

    when: Callable[[Circumstances], bool]
    then: Callable[[Circumstances], Verdict]


_AGE_REASON = {
    Age.STALE: Reason.STANDING_STALE,
    Age.BEYOND_GRACE: Reason.STANDING_BEYOND_GRACE,
    Age.GALLERY_BEYOND_GRACE: Reason.GALLERY_BEYOND_GRACE,
    Age.ABSENT: Reason.STANDING_ABSENT,
    Age.CLOCK_UNSURE: Reason.CLOCK_UNSURE,
}
_IDENTIFICATION_REASON = {
    Identification.NO_MATCH: Reason.NO_MATCH,
    Identification.AMBIGUOUS: Reason.AMBIGUOUS,
    Identification.FAILURE_TO_ACQUIRE: Reason.FAILURE_TO_ACQUIRE,
}
_NO_SECOND_FACTOR = {
    SecondFactor.EXHAUSTED: Reason.SECOND_FACTOR_EXHAUSTED,
    SecondFactor.UNAVAILABLE: Reason.SECOND_FACTOR_UNAVAILABLE,
    SecondFactor.NONE: Reason.NO_SECOND_FACTOR,
}
_ASKING_TIERS = frozenset({Tier.ASSISTED, Tier.UNKNOWN})
"""Tiers that ask for a second factor before anything is had on account."""
_TIER_REASON = {
    Tier.PRIORITY: Reason.TIER_PRIORITY,
    Tier.STANDARD: Reason.TIER_STANDARD,
    Tier.ASSISTED: Reason.TIER_ASSISTED,
    Tier.UNKNOWN: Reason.TIER_UNKNOWN,
}
_RESTRICTION_NOTE = {
    RestrictionState.EXPIRED: (Reason.RESTRICTION_EXPIRED,),
    RestrictionState.UNVERIFIED: (Reason.RESTRICTION_UNVERIFIED,),
}
"""An expired or unverified restriction changes nothing, but the record says that it was there."""


def _notes(c: Circumstances) -> tuple[Reason, ...]:
    given = (Reason.SECOND_FACTOR_GOOD,) if c.second_factor is SecondFactor.GOOD else ()
    again = (Reason.ENTERED_BEFORE,) if _passback_settled(c) else ()
    return (*given, *again, *_RESTRICTION_NOTE.get(c.restriction, ()))


def _grant(c: Circumstances, lane: Lane, *why: Reason, credit: bool) -> Grant:
    return Grant(lane, credit, (*why, *_notes(c)))


def _deny(c: Circumstances) -> Deny:
    return Deny(c.restriction_reason, c.contest_code, (Reason.RESTRICTION, *_notes(c)))


def _step_up(c: Circumstances, why: Reason) -> StepUp:
    return StepUp((why, *_notes(c)))


def _refer(c: Circumstances, to: Elsewhere, *why: Reason) -> Refer:
    return Refer(to, (*why, *_notes(c)))


def _unproven(c: Circumstances) -> bool:
    """The PIN is still to be asked for."""
    return c.second_factor is not SecondFactor.GOOD


def _lacking(c: Circumstances) -> bool:
    """No second factor is to be had from this member, here and now."""
    return c.second_factor in _NO_SECOND_FACTOR


def _needs_proof(c: Circumstances) -> bool:
    """There is more in the way than tier and limit, and who lacks a second factor is for staff."""
    return (
        c.identification in _IDENTIFICATION_REASON
        or c.liveness is Liveness.UNDETERMINED
        or c.restriction is RestrictionState.VERIFIED
        or c.passback is Passback.SECOND_FACTOR
        or _unknown_standing(c)
    )


def _tier_asks(c: Circumstances) -> bool:
    return c.tier in _ASKING_TIERS and c.second_factor not in {SecondFactor.GOOD, SecondFactor.GESTURES}


def _passback_settled(c: Circumstances) -> bool:
    """They went in before, and nothing more is asked of them for it."""
    asked = c.passback is Passback.SECOND_FACTOR
    return c.passback is Passback.NOTED or (asked and not _unproven(c))


def _unknown_standing(c: Circumstances) -> bool:
    return c.age not in {Age.FRESH, Age.STALE}


def _released_by_staff(c: Circumstances) -> bool:
    """Staff let somebody through; they charge nobody, so nothing may be due."""
    return c.identification is Identification.STAFF and c.payment is Payment.NONE


def _lane(c: Circumstances) -> Lane:
    return Lane.PRIORITY if c.tier is Tier.PRIORITY else Lane.STANDARD


ROWS: tuple[Row, ...] = (
    Row(lambda c: c.emergency, lambda c: _refer(c, Elsewhere.FREE_GATE, Reason.EMERGENCY)),
    Row(
        lambda c: c.gate is GateState.FAULT,
        lambda c: _refer(c, Elsewhere.STAFF, Reason.GATE_FAULT),
    ),
    Row(
        lambda c: c.gate is GateState.NO_PASSAGE_REPORT,
        lambda c: _refer(c, Elsewhere.STAFF, Reason.GATE_FAULT, Reason.NO_PASSAGE_REPORT),
    ),
    Row(
        lambda c: c.gate is GateState.CLOSED and not _released_by_staff(c),
        lambda c: _refer(c, Elsewhere.STAFF, Reason.LANE_CLOSED),
    ),
    Row(
        lambda c: c.membership is Membership.WITHDRAWN,
        lambda c: _refer(c, Elsewhere.STAFF, Reason.WITHDRAWN),
    ),
    Row(lambda c: c.liveness is Liveness.ATTACK, lambda c: _refer(c, Elsewhere.STAFF, Reason.ATTACK)),
    Row(
        lambda c: _lacking(c) and _needs_proof(c),
        lambda c: _refer(c, Elsewhere.STAFF, _NO_SECOND_FACTOR[c.second_factor]),
    ),
    Row(
        lambda c: c.identification in _IDENTIFICATION_REASON,
        lambda c: _refer(c, Elsewhere.OTHER_WAY, _IDENTIFICATION_REASON[c.identification]),
    ),
    Row(
        lambda c: c.liveness is Liveness.UNDETERMINED and _unproven(c),
        lambda c: _step_up(c, Reason.LIVENESS_UNDETERMINED),
    ),
    Row(lambda c: c.restriction is RestrictionState.VERIFIED and c.age is Age.FRESH, _deny),
    Row(
        lambda c: c.restriction is RestrictionState.VERIFIED,
        lambda c: _refer(c, Elsewhere.STAFF, Reason.RESTRICTION_UNCONFIRMED, _AGE_REASON[c.age]),
    ),
    Row(
        _released_by_staff,
        lambda c: _grant(c, Lane.STANDARD, Reason.STAFF_RELEASE, credit=False),
    ),
    Row(
        lambda c: c.passback is Passback.STAFF,
        lambda c: _refer(c, Elsewhere.STAFF, Reason.ENTERED_BEFORE),
    ),
    Row(
        lambda c: c.passback is Passback.SECOND_FACTOR and _unproven(c),
        lambda c: _step_up(c, Reason.ENTERED_BEFORE),
    ),
    Row(
        lambda c: _unknown_standing(c) and _unproven(c),
        lambda c: _step_up(c, _AGE_REASON[c.age]),
    ),
    Row(
        lambda c: _unknown_standing(c) and c.payment is not Payment.NONE,
        lambda c: _refer(c, Elsewhere.OTHER_PAYMENT, _AGE_REASON[c.age]),
    ),
    Row(
        _unknown_standing,
        lambda c: _grant(c, Lane.STANDARD, _AGE_REASON[c.age], credit=False),
    ),
    Row(
        lambda c: c.payment is Payment.ABOVE and not c.central_answers,
        lambda c: _refer(c, Elsewhere.OTHER_PAYMENT, Reason.ABOVE_LIMIT, Reason.CENTRAL_SILENT),
    ),
    Row(
        lambda c: c.payment is Payment.ABOVE and _lacking(c),
        lambda c: _refer(c, Elsewhere.OTHER_PAYMENT, Reason.ABOVE_LIMIT, _NO_SECOND_FACTOR[c.second_factor]),
    ),
    Row(
        lambda c: c.payment is Payment.ABOVE and _unproven(c),
        lambda c: _step_up(c, Reason.ABOVE_LIMIT),
    ),
    Row(
        lambda c: _tier_asks(c) and not _lacking(c),
        lambda c: _step_up(c, _TIER_REASON[c.tier]),
    ),
    Row(
        lambda c: _tier_asks(c) and c.payment is not Payment.NONE,
        lambda c: _refer(c, Elsewhere.OTHER_PAYMENT, Reason.NO_SECOND_FACTOR, _TIER_REASON[c.tier]),
    ),
    Row(
        _tier_asks,
        lambda c: _grant(c, Lane.STANDARD, Reason.NO_SECOND_FACTOR, _TIER_REASON[c.tier], credit=False),
    ),
    Row(
        lambda c: c.age is Age.STALE,
        lambda c: _grant(c, Lane.STANDARD, Reason.STANDING_STALE, credit=True),
    ),
    Row(lambda _: True, lambda c: _grant(c, _lane(c), _TIER_REASON[c.tier], credit=True)),
)


def asked_by_tier_alone(verdict: Verdict | None) -> bool:
    """Whether nothing but the tier asks for a second factor: then any will do, and nobody needs one."""
    return isinstance(verdict, StepUp) and verdict.reasons[0] in {Reason.TIER_ASSISTED, Reason.TIER_UNKNOWN}


def asked_by_limit_alone(verdict: Verdict | None) -> bool:
    """Whether the amount asks for a PIN: who has none may pay otherwise."""
    return isinstance(verdict, StepUp) and verdict.reasons[0] is Reason.ABOVE_LIMIT


def decide(circumstances: Circumstances) -> Verdict:
    """The verdict of the first row that applies; the last row always does."""
    return next(row for row in ROWS if row.when(circumstances)).then(circumstances)
