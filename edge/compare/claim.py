"""What a member says about who they are, before any face is compared. Who that is, is looked up elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from wire.claims import QR_SCHEME
from wire.ids import ClaimId

CardNumber = NewType("CardNumber", str)
PhoneDigits = NewType("PhoneDigits", str)

QR_PATTERN = re.compile(rf"{QR_SCHEME}([0-9a-f]{{32}})\Z", re.IGNORECASE)
CARD_PATTERN = re.compile(r"[0-9A-Za-z]{4,32}\Z")
PHONE_DIGITS_PATTERN = re.compile(r"[0-9]{4,8}\Z")


@dataclass(frozen=True, slots=True)
class QrClaim:
    """A QR code's random, revocable 128-bit id; it names no one outside this operator."""

    claim_id: ClaimId


@dataclass(frozen=True, slots=True)
class CardClaim:
    """A card's number as its reader gave it."""

    number: CardNumber


@dataclass(frozen=True, slots=True)
class PhoneClaim:
    """The last digits of a telephone number; several members may share them."""

    digits: PhoneDigits


Claim = QrClaim | CardClaim | PhoneClaim


def qr_text(claim_id: ClaimId) -> str:
    """What a member's QR code holds: capitals, which a QR code stores in fewer modules."""
    return (QR_SCHEME + claim_id).upper()


def parse_qr(text: str) -> QrClaim | None:
    """The claim in a QR code's text, in either case; None for any other code that was held up."""
    found = QR_PATTERN.match(text.strip())
    return QrClaim(ClaimId(found[1].lower())) if found else None


def parse_card(text: str) -> CardClaim | None:
    """4 to 32 letters or digits, spaces and dashes left out; None for anything else."""
    number = re.sub(r"[ -]", "", text)
    return CardClaim(CardNumber(number)) if CARD_PATTERN.match(number) else None


def parse_phone(text: str) -> PhoneClaim | None:
    """4 to 8 digits, spaces and dashes left out; None for anything else."""
    digits = re.sub(r"[ -]", "", text)
    return PhoneClaim(PhoneDigits(digits)) if PHONE_DIGITS_PATTERN.match(digits) else None
