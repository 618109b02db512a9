"""What people type into forms, read as they meant it or refused with the name of a problem."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import parse_qsl

from central.adapters.http.member_pages.tickets import TICKET_CHARS
from wire import ids
from wire.claims import QR_SCHEME
from wire.fields import TEXT_MAX
from wire.ids import ClaimId, ContestCode
from wire.pins import PIN_MAX_DIGITS, PIN_MIN_DIGITS
from wire.readable import unreadable

FORM_TYPE = "application/x-www-form-urlencoded"
FIELDS_MAX = 4
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u200e\u200f]")
"""Spaces, dashes, and marks of writing direction, as copied."""
_JOINERS = re.compile(r"[\u200c\u200d\ufe0e\ufe0f]")
"""What keyboards put between letters and into emoji; a note is as readable without."""


class FormError(Exception):
    """A form that is refused; `problem` names what the page says of it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def read_form(content_type: str, body: bytes) -> Mapping[str, str]:
    """The fields of a form; raises FormError."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise FormError("malformed")
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise FormError("malformed") from None
    return dict(fields)


def _plain(text: str) -> str:
    """Without spaces and dashes; wide letters and the digits of any script as ASCII has them."""
    folded = unicodedata.normalize("NFKC", _SEPARATORS.sub("", text))
    return "".join(
        each if (digit := unicodedata.decimal(each, None)) is None else str(digit) for each in folded
    )


def claim_of(fields: Mapping[str, str]) -> ClaimId:
    """The member code; raises FormError."""
    typed = _plain(fields.get("code", "")).lower().removeprefix(QR_SCHEME)
    if re.match(ids.TOKEN_PATTERN, typed) is None:
        raise FormError("malformed_code")
    return ClaimId(typed)


def pin_of(fields: Mapping[str, str]) -> str:
    """The PIN; raises FormError."""
    typed = _plain(fields.get("pin", ""))
    if re.fullmatch(rf"[0-9]{{{PIN_MIN_DIGITS},{PIN_MAX_DIGITS}}}", typed) is None:
        raise FormError("malformed_pin")
    return typed


def contest_of(fields: Mapping[str, str]) -> ContestCode:
    """The contest code; raises FormError."""
    typed = _plain(fields.get("contest", "")).upper()
    code = f"{typed[:4]}-{typed[4:]}"
    if re.match(ids.CONTEST_PATTERN, code) is None:
        raise FormError("malformed_contest")
    return ContestCode(code)


def note_of(fields: Mapping[str, str]) -> str:
    """What somebody writes to a reviewer; raises FormError."""
    note = _JOINERS.sub("", fields.get("note", "").replace("\r\n", "\n")).strip()
    if unreadable(note) is not None or len(note) > TEXT_MAX:
        raise FormError("note_needed")
    return note


def ticket_of(fields: Mapping[str, str]) -> str:
    """The ticket of the step before; raises FormError."""
    ticket = fields.get("ticket", "")
    if len(ticket) != TICKET_CHARS:
        raise FormError("late")
    return ticket
