"""What a kiosk records, how it is chained, and what central acknowledges.

A record holds all that is needed to replay its decision, and nothing a face could be rebuilt from.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.ids import ReasonCode
from wire.values import AgreeBy

REASONS_MAX = 16
"""Ordered reasons of one verdict."""
BATCH_MAX_RECORDS = 128
"""128 records of 1 KiB stay within the topic's size."""
BODY_MAX_BYTES = 4096
"""The size of one record."""


class IdentifiedBy(StrEnum):
    """The way a member was identified; every way runs the same decision rows."""

    FACE = "face"
    CLAIM_PIN = "claim+pin"
    CARD_PIN = "card+pin"
    STAFF = "staff"


class GateOutcome(StrEnum):
    """What the gate did."""

    PASSED = "passed"
    TIMED_OUT = "timed_out"
    TAILGATED = "tailgated"
    INTERRUPTED = "interrupted"  # ended early: whoever passed then cannot be told from others
    UNOBSERVED = "unobserved"  # opened for the time asked, at a gate that cannot tell whether anybody passed
    REFUSED = "refused"  # the gate did not open
    UNKNOWN = "unknown"  # the gate did not say, or this kiosk died before it could
    AWAITED = "awaited"  # kept by the kiosk only, until the gate says
    NOT_RELEASED = "not_released"


class ChargeOutcome(StrEnum):
    """What became of a charge, as the kiosk knows it."""

    CAPTURED = "captured"  # central committed it before this record was made
    OFFLINE = "offline"  # taken on the kiosk's word, within the allowance: central charges by this record
    NOT_CHARGED = "not_charged"  # nothing is charged: central reverses what it may have under this key
    AWAITED = "awaited"  # kept by the kiosk only, until it is known


class Charge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passage was to pay for. The charge's idempotency key is the record's id, by whichever way.

    `reason`: why nothing is charged, where the verdict does not say it.
    """

    checkout: f.Record
    merchant: f.Slug
    reference: f.Text
    outcome: ChargeOutcome
    agreed_by: AgreeBy | None = None
    reason: f.Code | None = None


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of a comparison: cosine similarity, threshold, margin to the next subject (1:N), its floor.

    `live`, `live_min`: mean live score of the compared frames and its floor, where passive detection runs.
    """

    similarity: f.Similarity
    threshold: f.Similarity
    pack_digest: f.HexDigest
    recipe_digest: f.HexDigest
    margin: Annotated[float, Meta(ge=-2.002, le=2.002)] | None = None
    margin_floor: Annotated[float, Meta(ge=0, le=2.002)] | None = None
    agreeing_frames: Annotated[int, Meta(ge=0, le=1000)] = 0
    live: Annotated[float, Meta(ge=0, le=1)] | None = None
    live_min: Annotated[float, Meta(ge=0, le=1)] | None = None


class StandingUsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cached standing a decision rested on, its age then, and when its verified head was issued."""

    epoch: f.Count
    version: f.Count
    issued_at_ms: f.InstantMs
    expires_at_ms: f.InstantMs
    age_ms: f.SpanMs
    score: f.Score
    limit_minor: f.AmountMinor
    offline_allowance_minor: f.AmountMinor
    offline_spent_minor: f.AmountMinor


class RecordedCircumstances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The decision table's inputs, as `edge.decide` names them: replaying them gives the verdict."""

    emergency: bool
    gate: f.Code
    membership: f.Code
    identification: f.Code
    liveness: f.Code
    restriction: f.Code
    age: f.Code
    tier: f.Code
    second_factor: f.Code
    payment: f.Code
    central_answers: bool
    passback: f.Code = ReasonCode("clear")
    """Records of kiosks that did not know of it say nothing, and none was asked anything for it."""


class PassRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pass"):
    """One passage, from start to settled. Without an identification it names no subject.

    `staff`: who had the gate released, where `identified_by` is staff; they may let anybody in.
    """

    record_id: f.Record
    passage: f.Passage
    kiosk: f.Kiosk
    gate: f.Gate | None
    purpose: f.ForPurpose
    boot_id: f.Boot
    started_at_ms: f.InstantMs
    decided_at_ms: f.InstantMs
    settled_at_ms: f.InstantMs
    clock_sure: bool
    identified_by: IdentifiedBy | None
    subject: f.Subject | None
    verdict: Annotated[str, Meta(pattern=r"^(grant|step_up|refer|deny)\Z", max_length=8)]
    reasons: Annotated[tuple[f.Code, ...], Meta(max_length=REASONS_MAX)]
    circumstances: RecordedCircumstances
    gate_outcome: GateOutcome
    lane: f.Code | None = None
    refer_to: f.Code | None = None
    comparison: Comparison | None = None
    standing: StandingUsed | None = None
    restriction: f.RestrictionToken | None = None
    restriction_reason: f.Code | None = None
    contest_code: f.Contest | None = None
    amount_minor: f.AmountMinor | None = None
    currency: f.Currency | None = None
    staff: f.Slug | None = None
    charge: Charge | None = None

    def __post_init__(self) -> None:
        """Refuse a record that names a person nobody identified."""
        released = self.identified_by is IdentifiedBy.STAFF
        if (self.staff is not None) != released:
            raise ValueError("the member of staff is recorded exactly when they identified or released")
        if not released and (self.identified_by is None) != (self.subject is None):
            raise ValueError("a subject is recorded exactly when it was identified")
        if self.subject is None and (self.standing is not None or self.restriction is not None):
            raise ValueError("without a subject there is no standing and no restriction to record")
        if self.identified_by is IdentifiedBy.FACE and self.comparison is None:
            raise ValueError("identified by face needs the comparison's numbers")
        self._require_whole_charge()

    def _require_whole_charge(self) -> None:
        amounts = (self.amount_minor is not None, self.currency is not None)
        if amounts != (self.charge is not None,) * 2:
            raise ValueError("amount and currency are recorded exactly when there is a charge")
        if self.charge is None or self.charge.outcome is ChargeOutcome.NOT_CHARGED:
            return
        if self.subject is None or self.verdict != "grant" or self.charge.agreed_by is None:
            raise ValueError("nobody is charged who was not identified, granted and agreed")


RecordBody = PassRecord  # a union once other kinds of record exist; each is tagged


class SequencedRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="kept"):
    """A record at its place in the kiosk's chain: link = H(previous link, sequence, commitment).

    `body` stays the exact bytes that were committed to; `codec` admits only a RecordBody of up to 4 KiB.
    """

    sequence: f.Count
    record_id: f.Record
    salt: f.SaltBytes
    body: msgspec.Raw
    link: f.DigestBytes


class DroppedRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="dropped"):
    """What is left of a record that a kiosk had no room for: its place and commitment; the chain holds."""

    sequence: f.Count
    record_id: f.Record
    commitment: f.DigestBytes
    link: f.DigestBytes


ChainedRecord = SequencedRecord | DroppedRecord


class ChainHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The kiosk's signature over its chain up to a sequence; verifiable offline, long after."""

    kiosk: f.Kiosk
    sequence: f.Count
    link: f.DigestBytes
    signature: f.SignatureBytes


class RecordBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="record_batch"):
    """Consecutive records, lowest sequence first (a kiosk begins at 1). `head` is at the last one."""

    kiosk: f.Kiosk
    previous_link: f.DigestBytes
    records: Annotated[tuple[ChainedRecord, ...], Meta(min_length=1, max_length=BATCH_MAX_RECORDS)]
    head: ChainHead


class RecordFault(StrEnum):
    """Why central did not take a batch whole; the kiosk rewinds, or goes to `alert`."""

    GAP = "gap"  # the batch begins past what is committed: send from receipt.sequence + 1
    BROKEN_LINK = "broken_link"  # the chain does not join
    CONFLICT = "conflict"  # another record is already committed at that sequence, or under that record id


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="receipt"):
    """Highest contiguous sequence central has committed, and the link there; 0 and genesis at first."""

    kiosk: f.Kiosk
    sequence: f.Count
    link: f.DigestBytes
    issued_at_ms: f.InstantMs
    fault: RecordFault | None = None
