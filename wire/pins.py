"""PINs: how long one is, and which nobody may set, at kiosk and central alike."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

PIN_MIN_DIGITS = 4
PIN_MAX_DIGITS = 12
_PIN_PATTERN = rf"^[0-9]{{{PIN_MIN_DIGITS},{PIN_MAX_DIGITS}}}\Z"

PinDigits = Annotated[str, Meta(pattern=_PIN_PATTERN, max_length=PIN_MAX_DIGITS)]
"""A PIN as it is typed."""


class PinFlaw(StrEnum):
    """Why a PIN cannot be set."""

    NOT_DIGITS = "pin_not_digits"  # not 4 to 12 digits
    GUESSED_FIRST = "pin_guessed_first"  # one digit over and over, or digits in a row up or down


def pin_flaw(pin: str) -> PinFlaw | None:
    """Why nobody may set this PIN; None when they may."""
    if re.match(_PIN_PATTERN, pin) is None:
        return PinFlaw.NOT_DIGITS
    if len(set(pin)) == 1 or pin in "01234567890" or pin in "09876543210":
        return PinFlaw.GUESSED_FIRST
    return None
