"""What passes between the kiosk and its page: JSON both ways, every field bounded.

Kiosk to page: `State` on connecting, at each change and as a heartbeat; `Taken` or `Refused` after a touch.
Page to kiosk: one touch a message. What cannot be read is answered with a `Refusal`, never with an exception.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias, assert_never

import msgspec
from msgspec import Meta, Struct

from edge.enact.display import (
    ClaimEntered,
    Display,
    HelpAsked,
    Notice,
    NotMe,
    OtherWayAsked,
    PinEntered,
    Touch,
)
from wire.requests import PIN_MAX_DIGITS

TOUCH_MAX_BYTES = 512
"""The longest touch is a claim of 64 characters in 90 bytes of JSON; escapes at most triple it."""
CLAIM_MAX_CHARS = 64
"""A claim QR holds 38 characters; a card number 32, with dashes or spaces between."""
PIN_MIN_DIGITS = 4
"""Central takes no shorter one (`central.subjects`)."""


class Refusal(StrEnum):
    """Why a touch went no further; its text is in the message files."""

    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"  # not JSON
    INVALID = "invalid"  # an unknown kind of touch, or a field that is missing, unknown or out of bounds
    NOT_NOW = "not_now"  # the screen asks for something else by now
    BUSY = "busy"  # the kiosk has not taken the earlier touches yet


class _ClaimTyped(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="claim"):
    text: Annotated[str, Meta(max_length=CLAIM_MAX_CHARS, pattern=r"\A[!-~](?:[ -~]*[!-~])?\Z")]


class _PinTyped(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="pin"):
    pin: Annotated[str, Meta(max_length=PIN_MAX_DIGITS, pattern=rf"\A[0-9]{{{PIN_MIN_DIGITS},}}\Z")]

    def __repr__(self) -> str:
        return "_PinTyped()"


class _OtherWayPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="other_way"):
    pass


class _NotMePressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="not_me"):
    pass


class _HelpPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="help"):
    pass


class State(Struct, frozen=True, tag_field="kind", tag="state"):
    """All that the page shows. `serial` rises with each change; `page` is the digest of the page's files."""

    serial: int
    page: str
    display: Display
    notice: Notice


class Taken(Struct, frozen=True, tag_field="kind", tag="taken"):
    """The kiosk has the touch; only its kind is said again, never what was typed."""

    touch: str


class Refused(Struct, frozen=True, tag_field="kind", tag="refused"):
    """The kiosk does not have the touch."""

    why: Refusal


_Typed: TypeAlias = _ClaimTyped | _PinTyped | _OtherWayPressed | _NotMePressed | _HelpPressed
_touch_decoder: msgspec.json.Decoder[_Typed] = msgspec.json.Decoder(_Typed, strict=True)
_KINDS: dict[type[Touch], str] = {
    ClaimEntered: "claim",
    PinEntered: "pin",
    OtherWayAsked: "other_way",
    NotMe: "not_me",
    HelpAsked: "help",
}


def kind_of(touch: Touch) -> str:
    """The name of a touch on the wire."""
    return _KINDS[type(touch)]


def encode(message: State | Taken | Refused) -> str:
    """One message to the page."""
    return msgspec.json.encode(message).decode()


def decode_touch(text: str | bytes) -> Touch | Refusal:
    """The touch in one message from the page, or why it is none."""
    encoded = text.encode(errors="replace") if isinstance(text, str) else text
    if len(encoded) > TOUCH_MAX_BYTES:
        return Refusal.TOO_LARGE
    try:
        typed = _touch_decoder.decode(encoded)
    except msgspec.ValidationError:
        return Refusal.INVALID
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal.UNREADABLE
    return _touch(typed)


def _touch(typed: _Typed) -> Touch:
    match typed:
        case _ClaimTyped(text=claim):
            return ClaimEntered(claim)
        case _PinTyped(pin=pin):
            return PinEntered(pin)
        case _OtherWayPressed():
            return OtherWayAsked()
        case _NotMePressed():
            return NotMe()
        case _HelpPressed():
            return HelpAsked()
        case _:
            assert_never(typed)
