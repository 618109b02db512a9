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
    AgeAnswered,
    AgreeByChosen,
    Agreed,
    ClaimEntered,
    ConsentAnswered,
    Display,
    EnrolBegun,
    Finished,
    HelpAsked,
    Notice,
    NotMe,
    OtherWayAsked,
    PinEntered,
    SamplesAgain,
    Touch,
    WithdrawAsked,
    WithdrawConfirmed,
)
from wire.requests import PIN_MAX_DIGITS
from wire.values import AgreeBy

TOUCH_MAX_BYTES = 512
"""The longest touch is a claim of 64 characters in 90 bytes of JSON; escapes at most triple it."""
CLAIM_MAX_CHARS = 64
"""A claim QR holds 38 characters; a card number 32, with dashes or spaces between."""
PIN_MIN_DIGITS = 4
"""Central takes no shorter one (`central.rules.subjects`)."""


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


class _AgreePressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="agree"):
    pass


class _AgreeByPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="agree_by"):
    by: AgreeBy


class _EnrolPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="enrol_begin"):
    language: Annotated[str, Meta(pattern=r"\A[a-z]{2,3}\Z", max_length=3)]


class _ConsentPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="consent"):
    given: bool


class _AgePressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="age"):
    of_age: bool


class _WithdrawPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="withdraw"):
    pass


class _WithdrawConfirmPressed(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="withdraw_confirm"
):
    pass


class _FinishedPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="finished"):
    pass


class _AgainPressed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="touch", tag="samples_again"):
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


_Typed: TypeAlias = (
    _ClaimTyped
    | _PinTyped
    | _OtherWayPressed
    | _NotMePressed
    | _HelpPressed
    | _AgreePressed
    | _AgreeByPressed
    | _EnrolPressed
    | _ConsentPressed
    | _AgePressed
    | _WithdrawPressed
    | _WithdrawConfirmPressed
    | _FinishedPressed
    | _AgainPressed
)
_touch_decoder: msgspec.json.Decoder[_Typed] = msgspec.json.Decoder(_Typed, strict=True)
_KINDS: dict[type[Touch], str] = {
    ClaimEntered: "claim",
    PinEntered: "pin",
    OtherWayAsked: "other_way",
    NotMe: "not_me",
    HelpAsked: "help",
    Agreed: "agree",
    AgreeByChosen: "agree_by",
    EnrolBegun: "enrol_begin",
    ConsentAnswered: "consent",
    AgeAnswered: "age",
    WithdrawAsked: "withdraw",
    WithdrawConfirmed: "withdraw_confirm",
    Finished: "finished",
    SamplesAgain: "samples_again",
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
        case _AgreePressed():
            return Agreed()
        case _AgreeByPressed(by=by):
            return AgreeByChosen(by)
        case _EnrolPressed(language=language):
            return EnrolBegun(language)
        case _ConsentPressed(given=given):
            return ConsentAnswered(given)
        case _AgePressed(of_age=of_age):
            return AgeAnswered(of_age)
        case _WithdrawPressed():
            return WithdrawAsked()
        case _WithdrawConfirmPressed():
            return WithdrawConfirmed()
        case _FinishedPressed():
            return Finished()
        case _AgainPressed():
            return SamplesAgain()
        case _:
            assert_never(typed)
