"""What a kiosk asks central, and the replies, each bound to its request's nonce.

A reply past its request's `not_after_ms` is ignored; so is one whose nonce nobody waits for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.enrolment import EnrolReply, EnrolRequest, UndoEnrolRequest, WithdrawReply, WithdrawRequest
from wire.fleet import GalleryDelta, Head, StandingDelta
from wire.packing import PACKED_MAX_BYTES
from wire.pins import PIN_MAX_DIGITS as PIN_MAX_DIGITS
from wire.values import GalleryEntry, StandingEntry

PackedRows = Annotated[bytes, Meta(max_length=PACKED_MAX_BYTES)]
"""Rows of a chunk, deflated; `packing.unpack_…` turns them into records, under a bound, or refuses them."""


class StandingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="standing_request"):
    """A subject's standing for the envelope's purpose, on a miss."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    subject: f.Subject


class SnapshotChunkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="snapshot_request"):
    """One chunk of the standings that a head described."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    epoch: f.Count
    version: f.Count
    index: f.Count


class GalleryChunkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gallery_request"):
    """One chunk of the gallery that a head described."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    gallery: f.Gallery
    epoch: f.Count
    version: f.Count
    index: f.Count


class DeltaRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="delta_request"):
    """The change that led to `version`, of a gallery or (None) of the envelope's purpose: one was missed."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    epoch: f.Count
    version: f.Count
    gallery: f.Gallery | None = None


class ClaimRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="claim_request"):
    """The gallery entry behind a claim the kiosk does not know; only the keyed digest travels."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    gallery: f.Gallery
    claim_digest: f.ClaimDigestBytes


class PinRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin_request"):
    """Is this the subject's PIN? Sealed to central's box key, with the nonce as associated bytes."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    subject: f.Subject
    sealed_pin: f.SealedSmallBytes


class CertificateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="certificate_request"):
    """The kiosk's next certificate for the broker; `request` is PKCS 10 in DER."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    request: f.CertificateBytes


class HeadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="head_request"):
    """The newest head of a gallery, or (None) of the envelope's purpose; nobody relies on retained ones."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    gallery: f.Gallery | None = None


class ChargeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="charge_request"):
    """Charge a subject once per idempotency key, which is the passage's id and its record's."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    idempotency_key: f.Record
    subject: f.Subject
    passage: f.Passage
    amount_minor: f.AmountMinor
    currency: f.Currency
    reference: f.Text
    checkout: f.Record
    merchant: f.Slug


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refund_request"):
    """Give back some or all of the charge whose key is `charge`, once per idempotency key."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs
    idempotency_key: f.Record
    charge: f.Record
    amount_minor: f.AmountMinor


class GalleryKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gallery_key_request"):
    """The site's gallery keys, wrapped anew: after a row was sealed under a version the kiosk has not got."""

    nonce: f.NonceBytes
    not_after_ms: f.InstantMs


class StandingReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="standing_reply"):
    """Central's answer at `issued_at_ms`; None when the subject has no standing for this purpose."""

    nonce: f.NonceBytes
    issued_at_ms: f.InstantMs
    epoch: f.Count
    version: f.Count
    entry: StandingEntry | None


class StandingChunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="standing_chunk"):
    """Chunk `index` of a snapshot; the digest of its rows is the one the head gave for it."""

    nonce: f.NonceBytes
    epoch: f.Count
    version: f.Count
    index: f.Count
    packed: PackedRows


class GalleryChunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gallery_chunk"):
    """Chunk `index` of a snapshot; the digest of its rows is the one the head gave for it."""

    nonce: f.NonceBytes
    gallery: f.Gallery
    epoch: f.Count
    version: f.Count
    index: f.Count
    packed: PackedRows


class HeadReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="head_reply"):
    """The head asked for, as it would be published now."""

    nonce: f.NonceBytes
    head: Head


class DeltaReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="delta_reply"):
    """The change asked for, as it was told."""

    nonce: f.NonceBytes
    delta: StandingDelta | GalleryDelta


class ClaimReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="claim_reply"):
    """The entry behind a claim: a row (see its `revoked_digests`), a tombstone, or None when unknown."""

    nonce: f.NonceBytes
    issued_at_ms: f.InstantMs
    entry: GalleryEntry | None


class PinOutcome(StrEnum):
    """What became of a PIN."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"  # five wrong ones: staff unlock it
    WAIT = "wait"  # too soon after a wrong one: see retry_after_ms
    NO_PIN = "no_pin"


class PinReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin_reply"):
    """Whether the PIN was right, and how many tries are left."""

    nonce: f.NonceBytes
    outcome: PinOutcome
    tries_left: f.Count
    retry_after_ms: f.SpanMs


class ChargeReason(StrEnum):
    """Why a charge stands or does not."""

    CHARGED = "charged"
    DECLINED = "declined"  # the payment provider said no
    ABOVE_LIMIT = "above_limit"
    VOIDED = "voided"  # a record said that nothing is charged under this key
    NO_SUBJECT = "no_subject"


class RefundReason(StrEnum):
    """Why money is given back or is not."""

    REFUNDED = "refunded"
    DECLINED = "declined"  # the payment provider said no
    NO_CHARGE = "no_charge"  # nothing stands under that key, of this kiosk
    ABOVE_CHARGE = "above_charge"  # more than is left of the charge


class ChargeReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="charge_reply"):
    """Whether the charge stands; the same key gives the same reply. `reason`: see ChargeReason."""

    nonce: f.NonceBytes
    idempotency_key: f.Record
    accepted: bool
    reason: f.Code


class RefundReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refund_reply"):
    """Whether it was given back; the same key gives the same reply. `reason`: see RefundReason."""

    nonce: f.NonceBytes
    idempotency_key: f.Record
    accepted: bool
    reason: f.Code


class GalleryKeyReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gallery_key_reply"):
    """`pairing.SiteSecrets`, sealed to the kiosk's box key with the nonce as associated bytes."""

    nonce: f.NonceBytes
    sealed_secrets: f.SealedSmallBytes


class CertificateReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="certificate_reply"):
    """The kiosk's next certificate, and the CA's, X.509 in DER."""

    nonce: f.NonceBytes
    certificate: f.CertificateBytes
    authority: f.CertificateBytes


class Refusal(StrEnum):
    """Why central does not answer a request."""

    SUPERSEDED = "superseded"  # the snapshot has moved on: take the newest head
    NOT_KEPT = "not_kept"  # that change is not kept any more: take the snapshot
    UNKNOWN_FEED = "unknown_feed"  # no such purpose, gallery or chunk here
    TOO_LATE = "too_late"
    NOT_OFFERED = "not_offered"  # this central does not do that
    BAD_SEAL = "bad_seal"


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refused"):
    """Central's no to a request, with its reason."""

    nonce: f.NonceBytes
    reason: Refusal


Request = (
    StandingRequest
    | SnapshotChunkRequest
    | GalleryChunkRequest
    | ClaimRequest
    | PinRequest
    | ChargeRequest
    | RefundRequest
    | GalleryKeyRequest
    | HeadRequest
    | CertificateRequest
    | DeltaRequest
    | EnrolRequest
    | UndoEnrolRequest
    | WithdrawRequest
)
Reply = (
    StandingReply
    | StandingChunk
    | GalleryChunk
    | ClaimReply
    | PinReply
    | ChargeReply
    | RefundReply
    | GalleryKeyReply
    | HeadReply
    | CertificateReply
    | DeltaReply
    | EnrolReply
    | WithdrawReply
    | Refused
)
