"""Restrictions: a reviewer's signed word, with a reason, an end, and a way to contest it."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from central.errors import RefusedError
from central.fleet import CLOCK_SLACK_MS
from wire.ids import (
    ContestCode,
    OperatorId,
    Purpose,
    ReasonCode,
    RestrictionId,
    ReviewerId,
    SubjectId,
)
from wire.signing import Signer, restriction_holds, sign_restriction
from wire.values import Certificate, Restriction

DAY_MS = 86_400_000
LONGEST_DAYS = 366  # a restriction without an end in sight is a punishment, not a precaution
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CONTEST = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without I, O, 0 and 1, which people mistake


def contest_code(raw: bytes) -> ContestCode:
    """The eight characters of 5 random bytes, as a member reads it from the screen."""
    text = base64.b32encode(raw).decode().translate(str.maketrans(_BASE32, _CONTEST))
    return ContestCode(f"{text[:4]}-{text[4:8]}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a reviewer decides: whom, for which purpose, why, until when."""

    subject: SubjectId
    operator: OperatorId
    purpose: Purpose
    reason: ReasonCode
    reason_text: str
    expires_at_ms: int


def issue(
    terms: Terms, reviewer: Signer, certificate: Certificate, issued_at_ms: int, drawn: bytes
) -> Restriction:
    """Sign a restriction with the reviewer's own key; `drawn` is 21 random bytes for id and contest code."""
    return sign_restriction(
        Restriction(
            restriction_id=RestrictionId(drawn[:16].hex()),
            subject=terms.subject,
            operator=terms.operator,
            purpose=terms.purpose,
            reason=terms.reason,
            reason_text=terms.reason_text,
            contest_code=contest_code(drawn[16:21]),
            issued_at_ms=issued_at_ms,
            expires_at_ms=terms.expires_at_ms,
            reviewer=ReviewerId(certificate.name),
            certificate=certificate,
            signature=b"",
        ),
        reviewer,
    )


def check(restriction: Restriction, root_public_key: bytes, operator: OperatorId, at_ms: int) -> None:
    """Admit a restriction to the store; raises RefusedError with the rule it breaks."""
    if not restriction_holds(restriction, root_public_key, operator):
        raise RefusedError("the restriction is not signed by a reviewer whom this operator's root certified")
    # The date is the reviewer's own word: it must neither stretch the longest nor outlive the certificate.
    if restriction.issued_at_ms > at_ms + CLOCK_SLACK_MS:
        raise RefusedError("the restriction is dated in the future: check the reviewer's clock")
    if at_ms > restriction.certificate.not_after_ms:
        raise RefusedError("the reviewer's certificate is over: make the reviewer a new key")
    if restriction.expires_at_ms <= at_ms:
        raise RefusedError("the restriction is over already: give an end in the future")
    if restriction.expires_at_ms > restriction.issued_at_ms + LONGEST_DAYS * DAY_MS:
        raise RefusedError(f"a restriction lasts at most {LONGEST_DAYS} days: give an earlier end")
    if not restriction.reason_text.strip():
        raise RefusedError("a restriction needs a reason that a member can read")
