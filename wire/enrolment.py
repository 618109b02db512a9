"""Enrolling and withdrawing at a kiosk: what it asks of central, and what it is told.

What goes wrong is a value: an `accepted` that is False, and why.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.pins import PinDigits
from wire.values import AgreeBy, SealedTemplate

LIKENESSES_MAX = 8
"""Members, the most alike first, whom a new one resembles too much to be told apart by face."""


class EnrolSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only central and the member learn: the claim id that the kiosk drew, and the member's PIN."""

    claim_id: f.ClaimToken
    pin: PinDigits

    def __repr__(self) -> str:
        """Neither is printed."""
        return "EnrolSecrets()"


class EnrolRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="enrol_request"):
    """A new member, whole: consent, template (None: no face), claim and PIN. The kiosk drew the ids.

    `sealed_secrets`: `EnrolSecrets` as MessagePack, boxed to central's key (`sealing.enrol_binding`).
    Idempotent by `subject`: the same again, with the same claim, is accepted again.
    """

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    subject: f.Subject
    consent_version: f.ConsentVersion
    consent_language: f.Language
    consented_at_ms: f.InstantMs
    template: SealedTemplate | None
    sealed_secrets: f.SealedSmallBytes
    agree_by: AgreeBy
    claim_needed: Annotated[tuple[f.Subject, ...], Meta(max_length=LIKENESSES_MAX)] = ()


class EnrolReason(StrEnum):
    """What became of an `EnrolRequest`; a later central may know more of them."""

    ENROLLED = "enrolled"
    NOT_ALLOWED = "not_allowed"  # this kiosk was not added with the right to enrol
    BAD_CONSENT = "bad_consent"  # in the future, or too long ago
    BAD_TEMPLATE = "bad_template"  # does not open as this subject's, or is none
    WEAK_PIN = "weak_pin"
    SUBJECT_TAKEN = "subject_taken"  # another member has that id, or whoever had it withdrew
    CLAIM_TAKEN = "claim_taken"


class EnrolReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="enrol_reply"):
    """Whether the member is enrolled, and why not: an `EnrolReason`."""

    nonce: f.NonceBytes
    subject: f.Subject
    accepted: bool
    reason: f.Code


class UndoEnrolRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="undo_enrol_request"):
    """Withdraw a member whom this kiosk enrolled and who never saw their code: they left, or it stopped."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    subject: f.Subject


class WithdrawRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="withdraw_request"):
    """A member withdraws. `sealed_pin` as a `PinRequest` has it, under `sealing.withdraw_binding`."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    subject: f.Subject
    sealed_pin: f.SealedSmallBytes


class WithdrawReason(StrEnum):
    """What became of a `WithdrawRequest` or `UndoEnrolRequest`; a later central may know more of them."""

    WITHDRAWN = "withdrawn"  # now or before: of this subject nothing is left but the tombstone
    WRONG_PIN = "wrong_pin"
    WAIT = "wait"  # too soon after a wrong one: see retry_after_ms
    LOCKED = "locked"  # five wrong ones: staff unlock it
    NO_PIN = "no_pin"
    NO_SUBJECT = "no_subject"
    NOT_ALLOWED = "not_allowed"  # an undo by another kiosk than enrolled them, or too late


class WithdrawReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="withdraw_reply"):
    """Whether the member is withdrawn, and why not: a `WithdrawReason`."""

    nonce: f.NonceBytes
    accepted: bool
    reason: f.Code
    tries_left: f.Count = 0
    retry_after_ms: f.SpanMs = 0
