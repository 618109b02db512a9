"""Names of things: one NewType per kind, its format, and the parser that admits it."""

from __future__ import annotations

import re
from typing import NewType

from wire.errors import MalformedIdError

OperatorId = NewType("OperatorId", str)
SiteId = NewType("SiteId", str)
KioskId = NewType("KioskId", str)
GateId = NewType("GateId", str)
ReviewerId = NewType("ReviewerId", str)
Purpose = NewType("Purpose", str)
GalleryName = NewType("GalleryName", str)

SubjectId = NewType("SubjectId", str)
ClaimId = NewType("ClaimId", str)
PassageId = NewType("PassageId", str)
RecordId = NewType("RecordId", str)
RestrictionId = NewType("RestrictionId", str)
BootId = NewType("BootId", str)
KeyId = NewType("KeyId", str)

ReasonCode = NewType("ReasonCode", str)
ContestCode = NewType("ContestCode", str)

Nonce = NewType("Nonce", bytes)
ClaimDigest = NewType("ClaimDigest", bytes)

SLUG_MAX = 32
"""Characters; fits every MQTT topic level and a line of a terminal."""
SLUG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}\Z"
SLUG_RULE = "1 to 32 of a-z, 0-9 and '-', beginning with a letter or digit"

TOKEN_CHARS = 32
"""128 random bits in lower-case hexadecimal."""
TOKEN_PATTERN = r"^[0-9a-f]{32}\Z"  # noqa: S105 - a format, not a secret
TOKEN_RULE = "32 lower-case hexadecimal digits"  # noqa: S105

CODE_MAX = 48
CODE_PATTERN = r"^[a-z][a-z0-9_]{0,47}\Z"
CODE_RULE = "1 to 48 of a-z, 0-9 and '_', beginning with a letter"

CONTEST_CHARS = 9
CONTEST_PATTERN = r"^[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}\Z"
CONTEST_RULE = "two groups of four capital letters or digits, as in K7PD-2MXW"

NONCE_BYTES = 16
"""Never repeats in practice; long enough not to be guessed."""
DIGEST_BYTES = 32
"""SHA-256."""


def _admit(kind: str, pattern: str, rule: str, text: str) -> str:
    """Return `text` unchanged when it matches; raise MalformedIdError when not."""
    if re.match(pattern, text) is None:
        raise MalformedIdError(kind, text, rule)
    return text


def parse_operator_id(text: str) -> OperatorId:
    """Admit an operator id; raises MalformedIdError."""
    return OperatorId(_admit("operator id", SLUG_PATTERN, SLUG_RULE, text))


def parse_site_id(text: str) -> SiteId:
    """Admit a site id; raises MalformedIdError."""
    return SiteId(_admit("site id", SLUG_PATTERN, SLUG_RULE, text))


def parse_kiosk_id(text: str) -> KioskId:
    """Admit a kiosk id; raises MalformedIdError."""
    return KioskId(_admit("kiosk id", SLUG_PATTERN, SLUG_RULE, text))


def parse_reviewer_id(text: str) -> ReviewerId:
    """Admit a reviewer id; raises MalformedIdError."""
    return ReviewerId(_admit("reviewer id", SLUG_PATTERN, SLUG_RULE, text))


def parse_purpose(text: str) -> Purpose:
    """Admit a purpose; raises MalformedIdError."""
    return Purpose(_admit("purpose", SLUG_PATTERN, SLUG_RULE, text))


def parse_subject_id(text: str) -> SubjectId:
    """Admit a subject id; raises MalformedIdError."""
    return SubjectId(_admit("subject id", TOKEN_PATTERN, TOKEN_RULE, text))


def parse_claim_id(text: str) -> ClaimId:
    """Admit a claim id, as read from a QR; raises MalformedIdError."""
    return ClaimId(_admit("claim id", TOKEN_PATTERN, TOKEN_RULE, text))


def parse_passage_id(text: str) -> PassageId:
    """Admit a passage id; raises MalformedIdError."""
    return PassageId(_admit("passage id", TOKEN_PATTERN, TOKEN_RULE, text))


def parse_record_id(text: str) -> RecordId:
    """Admit a record id; raises MalformedIdError."""
    return RecordId(_admit("record id", TOKEN_PATTERN, TOKEN_RULE, text))


def parse_restriction_id(text: str) -> RestrictionId:
    """Admit a restriction id; raises MalformedIdError."""
    return RestrictionId(_admit("restriction id", TOKEN_PATTERN, TOKEN_RULE, text))


def parse_reason_code(text: str) -> ReasonCode:
    """Admit a reason code; raises MalformedIdError."""
    return ReasonCode(_admit("reason code", CODE_PATTERN, CODE_RULE, text))


def parse_contest_code(text: str) -> ContestCode:
    """Admit a contest code; raises MalformedIdError."""
    return ContestCode(_admit("contest code", CONTEST_PATTERN, CONTEST_RULE, text))
