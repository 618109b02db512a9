"""Field types of the wire: every str, bytes, list and number with its named bound.

Nothing here is larger than 4 KiB, so an image fits nowhere.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from wire import ids

FIELD_MAX_BYTES = 4096
"""The ceiling of every str and bytes field of the wire; a test walks all of them."""

_SLUG = Meta(pattern=ids.SLUG_PATTERN, max_length=ids.SLUG_MAX)
_TOKEN = Meta(pattern=ids.TOKEN_PATTERN, max_length=ids.TOKEN_CHARS)
_CODE = Meta(pattern=ids.CODE_PATTERN, max_length=ids.CODE_MAX)

Operator = Annotated[ids.OperatorId, _SLUG]
Site = Annotated[ids.SiteId, _SLUG]
Kiosk = Annotated[ids.KioskId, _SLUG]
Gate = Annotated[ids.GateId, _SLUG]
Reviewer = Annotated[ids.ReviewerId, _SLUG]
ForPurpose = Annotated[ids.Purpose, _SLUG]
Gallery = Annotated[ids.GalleryName, _SLUG]
Slug = Annotated[str, _SLUG]

Subject = Annotated[ids.SubjectId, _TOKEN]
Passage = Annotated[ids.PassageId, _TOKEN]
Record = Annotated[ids.RecordId, _TOKEN]
ClaimToken = Annotated[ids.ClaimId, _TOKEN]
RestrictionToken = Annotated[ids.RestrictionId, _TOKEN]
Boot = Annotated[ids.BootId, _TOKEN]
Key = Annotated[ids.KeyId, _TOKEN]
Code = Annotated[ids.ReasonCode, _CODE]
Contest = Annotated[ids.ContestCode, Meta(pattern=ids.CONTEST_PATTERN, max_length=ids.CONTEST_CHARS)]

NonceBytes = Annotated[ids.Nonce, Meta(min_length=ids.NONCE_BYTES, max_length=ids.NONCE_BYTES)]
ClaimDigestBytes = Annotated[ids.ClaimDigest, Meta(min_length=ids.DIGEST_BYTES, max_length=ids.DIGEST_BYTES)]
DigestBytes = Annotated[bytes, Meta(min_length=ids.DIGEST_BYTES, max_length=ids.DIGEST_BYTES)]
PublicKeyBytes = Annotated[bytes, Meta(min_length=32, max_length=32)]
SignatureBytes = Annotated[bytes, Meta(max_length=64)]  # empty only while the signed bytes are being made
SaltBytes = Annotated[bytes, Meta(min_length=16, max_length=16)]

SEALED_TEMPLATE_MAX_BYTES = 4096
"""1,000 float32 beside nonce and tag."""
SealedTemplateBytes = Annotated[bytes, Meta(max_length=SEALED_TEMPLATE_MAX_BYTES)]
SEALED_SMALL_MAX_BYTES = 1024
"""A PIN, a verifier, a handful of keys."""
SealedSmallBytes = Annotated[bytes, Meta(max_length=SEALED_SMALL_MAX_BYTES)]
CERTIFICATE_MAX_BYTES = 1024
"""An X.509 certificate or request for a P-256 key, DER, is about 400."""
CertificateBytes = Annotated[bytes, Meta(max_length=CERTIFICATE_MAX_BYTES)]

TEXT_MAX = 200
"""Characters of a sentence shown to a person."""
Text = Annotated[str, Meta(max_length=TEXT_MAX)]
VERSION_MAX = 40
"""Characters of a software version."""
VersionText = Annotated[str, Meta(max_length=VERSION_MAX)]
HexDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", max_length=64)]  # SHA-256 of a pack or recipe
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]  # ISO 4217
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?\Z", max_length=6)]  # as in nl or pt-BR
ConsentVersion = Annotated[str, Meta(pattern=r"^[0-9A-Za-z.-]{1,16}\Z", max_length=16)]  # as in 2026-11
SETTING_MAX = 64
"""Characters of a setting's key, and of its value."""
# The shadow never carries what decides who passes, nor keys.
SettingKey = Annotated[
    str,
    Meta(
        pattern=r"^(?!(?:match|search|confirm|gate|key|keys)\.)[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*){1,3}\Z",
        max_length=SETTING_MAX,
    ),
]
SettingText = Annotated[str, Meta(max_length=SETTING_MAX)]

INSTANT_MAX_MS = 2**45
"""UTC milliseconds since 1970, until the year 3084."""
InstantMs = Annotated[int, Meta(ge=0, le=INSTANT_MAX_MS)]
SpanMs = Annotated[int, Meta(ge=0, le=INSTANT_MAX_MS)]
COUNT_MAX = 2**53 - 1
"""Whole in every language's number."""
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
AMOUNT_MAX_MINOR = 100_000_000
"""Minor units of the currency: no single fare or purchase is larger."""
AmountMinor = Annotated[int, Meta(ge=0, le=AMOUNT_MAX_MINOR)]
SCORE_MAX = 1000
Score = Annotated[int, Meta(ge=0, le=SCORE_MAX)]
Points = Annotated[int, Meta(ge=-SCORE_MAX, le=SCORE_MAX)]
Similarity = Annotated[float, Meta(ge=-1.001, le=1.001)]  # a cosine, and its rounding
