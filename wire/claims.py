"""Keyed digests of claims: what a gallery stores instead of QR ids, card numbers and phone digits."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum

from wire.canonical import joined
from wire.ids import ClaimDigest

QR_SCHEME = "stile:"
"""What stands before a claim id in a member's QR code."""
_CLAIM = b"stile claim v1"


class ClaimKind(StrEnum):
    """What a member shows or types to say who they are."""

    QR = "qr"
    CARD = "card"
    PHONE = "phone"


def claim_digest(claim_key: bytes, kind: ClaimKind, text: str) -> ClaimDigest:
    """HMAC-SHA256 of a claim under the site's claim key: phone digits are too few to hash bare."""
    return ClaimDigest(
        hmac.new(claim_key, joined(_CLAIM, kind.encode(), text.encode()), hashlib.sha256).digest()
    )
