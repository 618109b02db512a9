"""Restrictions: two reviewers' signed word, with a reason, an end, and a way to contest it."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from central.errors import RefusedError
from central.rules.fleet import CLOCK_SLACK_MS
from wire.ids import (
    ContestCode,
    KeyId,
    OperatorId,
    Purpose,
    ReasonCode,
    RestrictionId,
    ReviewerId,
    SubjectId,
)
from wire.readable import unreadable
from wire.signing import DAY_MS, RESTRICTED_DAYS, key_id_of, restriction_holds
from wire.values import REVIEWERS_TO_RESTRICT, Restriction

CONTEST_DAYS = 14
"""A contest that nobody settles within these days ends the restriction: silence is not a ruling."""
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CONTEST = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people mistake for one another."""


def contest_code(raw: bytes) -> ContestCode:
    """The eight characters of 5 random bytes, as a member reads it from the screen."""
    text = base64.b32encode(raw).decode().translate(str.maketrans(_BASE32, _CONTEST))
    return ContestCode(f"{text[:4]}-{text[4:8]}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What reviewers are asked to sign: whom, for which purpose, why, until when."""

    subject: SubjectId
    operator: OperatorId
    purpose: Purpose
    reason: ReasonCode
    reason_text: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """A restriction as the store holds it; `lifted_at_ms` when it was ended before its time.

    `lifted_by`: the reviewer who lifted it; None where a ruling struck it.
    """

    restriction: Restriction
    lifted_at_ms: int | None
    lifted_by: ReviewerId | None = None


def draft(terms: Terms, issued_at_ms: int, drawn: bytes) -> Restriction:
    """A restriction for two reviewers to sign; `drawn` is 21 random bytes for id and contest code.

    Raises RefusedError for terms that could not be admitted.
    """
    made = Restriction(
        restriction_id=RestrictionId(drawn[:16].hex()),
        subject=terms.subject,
        operator=terms.operator,
        purpose=terms.purpose,
        reason=terms.reason,
        reason_text=terms.reason_text,
        contest_code=contest_code(drawn[16:21]),
        issued_at_ms=issued_at_ms,
        expires_at_ms=terms.expires_at_ms,
    )
    _check_terms(made, issued_at_ms)
    return made


def _check_terms(restriction: Restriction, at_ms: int) -> None:
    if restriction.expires_at_ms <= at_ms:
        raise RefusedError("the restriction is over already: give an end in the future")
    if restriction.expires_at_ms > restriction.issued_at_ms + RESTRICTED_DAYS * DAY_MS:
        raise RefusedError(f"a restriction lasts at most {RESTRICTED_DAYS} days: give an earlier end")
    if not restriction.reason_text.strip():
        raise RefusedError("a restriction needs a reason that a member can read")
    if (why := unreadable(restriction.reason_text)) is not None:
        raise RefusedError(f"the reason of a restriction {why}")


def check(restriction: Restriction, root_public_key: bytes, operator: OperatorId, at_ms: int) -> None:
    """Admit a restriction to the store; raises RefusedError with the rule it breaks."""
    _check_terms(restriction, at_ms)
    if not restriction_holds(restriction, root_public_key, operator):
        raise RefusedError(
            f"the restriction is not signed by {REVIEWERS_TO_RESTRICT} reviewers of different names and keys "
            "whom this operator's root certified"
        )
    # The date is the reviewers' own word: it must neither stretch the longest nor outlive a certificate.
    if restriction.issued_at_ms > at_ms + CLOCK_SLACK_MS:
        raise RefusedError("the restriction is dated in the future: check central's clock")
    if any(at_ms > each.certificate.not_after_ms for each in restriction.endorsements):
        raise RefusedError("a reviewer's certificate is over: have the root sign a new request of theirs")


def binds(
    restriction: Restriction, revoked: Collection[KeyId], contested_at_ms: int | None, at_ms: int
) -> bool:
    """Whether a restriction holds at an instant.

    It does not when it is over, when a reviewer's key under it is among `revoked`, or when a contest of it
    has waited for CONTEST_DAYS since `contested_at_ms`.
    """
    return (
        at_ms < restriction.expires_at_ms
        and not any(key_id_of(each.certificate.public_key) in revoked for each in restriction.endorsements)
        and not lapsed(contested_at_ms, at_ms)
    )


def lapsed(contested_at_ms: int | None, at_ms: int) -> bool:
    """Whether a contest opened then, and open still, has waited too long."""
    return contested_at_ms is not None and at_ms >= contested_at_ms + CONTEST_DAYS * DAY_MS


@dataclass(frozen=True, slots=True)
class Tally:
    """Restrictions issued in a month (year * 100 + month, UTC), and how many followed a lowest-tier score."""

    purpose: Purpose
    reviewers: tuple[ReviewerId, ...]
    reason: ReasonCode
    month: int
    issued: int
    lowest_tier: int


def month_of(at_ms: int) -> int:
    """The month of an instant as a tally counts it, UTC."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC)
    return day.year * 100 + day.month


LOW_N = 20
"""Below so many restrictions a share says little."""


@dataclass(frozen=True, slots=True)
class Share:
    """How often restrictions followed a score in the lowest tier, beside how common that tier is.

    `base_share` is the lowest tier's share of the members; None without members to compare with.
    """

    issued: int
    lowest_tier: int
    base_share: float | None

    @property
    def share(self) -> float | None:
        """Of those issued."""
        return self.lowest_tier / self.issued if self.issued else None

    @property
    def low_n(self) -> bool:
        """Whether there are too few to say much."""
        return self.issued < LOW_N

    @property
    def by_chance(self) -> float | None:
        """The probability of so many, or more, at the base rate."""
        if self.base_share is None or not self.issued:
            return None
        return binomial_at_least(self.lowest_tier, self.issued, self.base_share)

    @property
    def follows_score(self) -> bool:
        """Whether restrictions follow low scores more than chance explains; never said of few."""
        return not self.low_n and self.by_chance is not None and self.by_chance < 0.05


def binomial_at_least(events: int, trials: int, rate: float) -> float:
    """P(X >= events) for X ~ Binomial(trials, rate)."""
    if events <= 0 or rate >= 1:
        return 1.0
    if rate <= 0:
        return 0.0
    log_rate, log_rest, log_all = math.log(rate), math.log1p(-rate), math.lgamma(trials + 1)
    return min(
        1.0,
        math.fsum(
            math.exp(
                log_all
                - math.lgamma(k + 1)
                - math.lgamma(trials - k + 1)
                + k * log_rate
                + (trials - k) * log_rest
            )
            for k in range(events, trials + 1)
        ),
    )


def share_of(tallies: Iterable[Tally], base: Mapping[Purpose, float]) -> Share:
    """The share over some tallies; the base rate is that of each purpose, weighted by what was issued."""
    taken = list(tallies)
    issued = sum(each.issued for each in taken)
    known = issued > 0 and all(each.purpose in base for each in taken)
    expected = sum(each.issued * base[each.purpose] for each in taken) if known else 0.0
    return Share(issued, sum(each.lowest_tier for each in taken), expected / issued if known else None)
