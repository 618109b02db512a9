"""Subjects, their claims and their PINs: the rules, without storage."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from central.errors import RefusedError
from wire.claims import ClaimKind
from wire.ids import ClaimDigest, KioskId, SubjectId, parse_claim_id
from wire.pins import PIN_MAX_DIGITS, PIN_MIN_DIGITS, PinFlaw, pin_flaw
from wire.requests import PinOutcome
from wire.values import CLAIMS_MAX, AgreeBy

PIN_TRIES = 5
"""Wrong PINs after which only staff unlock it."""
FIRST_WAIT_MS = 1000
"""The wait after the first wrong PIN; each further one doubles it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An enrolled person; `withdrawn_at_ms` once they left, `enrolled_by` where a kiosk enrolled them."""

    subject: SubjectId
    enrolled_at_ms: int
    withdrawn_at_ms: int | None = None
    agree_by: AgreeBy = AgreeBy.BUTTON
    enrolled_by: KioskId | None = None


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A claim of a subject, known by its keyed digest alone."""

    digest: ClaimDigest
    subject: SubjectId
    kind: ClaimKind
    added_at_ms: int
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PinState:
    """A subject's PIN verifier (argon2id, peppered), the tries used, and when the next may come."""

    subject: SubjectId
    verifier: str
    tries_used: int = 0
    not_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class PinAnswer:
    """What becomes of a PIN, as a reply says it."""

    outcome: PinOutcome
    tries_left: int
    retry_after_ms: int


def check_claim(kind: ClaimKind, text: str, held: int) -> None:
    """Admit a further claim's text; raises RefusedError or MalformedIdError."""
    if held >= CLAIMS_MAX:
        raise RefusedError(f"a subject has at most {CLAIMS_MAX} claims: revoke one first")
    match kind:
        case ClaimKind.QR:
            parse_claim_id(text)
        case ClaimKind.CARD if re.fullmatch(r"[0-9A-Za-z]{4,32}", text) is None:
            raise RefusedError("a card number is 4 to 32 letters and digits")
        case ClaimKind.PHONE if re.fullmatch(r"[0-9]{4,8}", text) is None:
            raise RefusedError("phone digits are the last 4 to 8 digits of the number")


def check_pin(pin: str) -> None:
    """Admit a new PIN; raises RefusedError."""
    match pin_flaw(pin):
        case PinFlaw.NOT_DIGITS:
            raise RefusedError(f"a PIN is {PIN_MIN_DIGITS} to {PIN_MAX_DIGITS} digits")
        case PinFlaw.GUESSED_FIRST:
            raise RefusedError("that PIN is guessed first: choose another")
        case None:
            pass


def before_try(state: PinState, now_ms: int) -> PinAnswer | PinState:
    """Whether a try may be made: the answer when not, else the state to store *before* looking at the PIN.

    The try is used up in advance, so that a stop in the middle never gives one for free.
    """
    if state.tries_used >= PIN_TRIES:
        return PinAnswer(PinOutcome.LOCKED, 0, 0)
    # A clock that was set back must not lock anyone out for longer than one wait.
    wait_ms = min(state.not_before_ms - now_ms, FIRST_WAIT_MS << (PIN_TRIES - 1))
    if wait_ms > 0:
        return PinAnswer(PinOutcome.WAIT, PIN_TRIES - state.tries_used, wait_ms)
    used = state.tries_used + 1
    return replace(state, tries_used=used, not_before_ms=now_ms + (FIRST_WAIT_MS << (used - 1)))


def after_try(state: PinState, right: bool, now_ms: int) -> tuple[PinAnswer, PinState]:
    """The answer to a try that was made, and the state to store after it."""
    if right:
        return PinAnswer(PinOutcome.RIGHT, PIN_TRIES, 0), replace(state, tries_used=0, not_before_ms=0)
    left = PIN_TRIES - state.tries_used
    if left == 0:
        return PinAnswer(PinOutcome.LOCKED, 0, 0), state
    return PinAnswer(PinOutcome.WRONG, left, max(0, state.not_before_ms - now_ms)), state
