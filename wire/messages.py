"""Every message of the wire under one name, and the schema version they share."""

from __future__ import annotations

from wire.fleet import (
    CacheAge,
    Command,
    CommandAction,
    Counter,
    Desired,
    GalleryDelta,
    Head,
    Health,
    KioskState,
    Metric,
    OrderAnswer,
    OrderOutcome,
    Presence,
    Reported,
    RollCall,
    SearchOffer,
    Setting,
    StandingDelta,
)
from wire.records import (
    ChainHead,
    Comparison,
    GateOutcome,
    IdentifiedBy,
    PassRecord,
    Receipt,
    RecordBatch,
    RecordBody,
    RecordedCircumstances,
    RecordFault,
    SequencedRecord,
    StandingUsed,
)
from wire.requests import (
    CertificateReply,
    CertificateRequest,
    ChargeReply,
    ChargeRequest,
    ClaimReply,
    ClaimRequest,
    DeltaReply,
    DeltaRequest,
    GalleryChunk,
    GalleryChunkRequest,
    GalleryKeyReply,
    GalleryKeyRequest,
    HeadReply,
    HeadRequest,
    PinOutcome,
    PinReply,
    PinRequest,
    Refusal,
    Refused,
    Reply,
    Request,
    SnapshotChunkRequest,
    StandingChunk,
    StandingReply,
    StandingRequest,
)
from wire.values import (
    Certificate,
    Factor,
    GalleryEntry,
    GalleryRow,
    Limits,
    Restriction,
    Role,
    SealedTemplate,
    Standing,
    StandingEntry,
    Tier,
    Tombstone,
)

SCHEMA_VERSION = 1  # raised when a message changes so that an older reader would misread it

Message = (
    KioskState
    | Health
    | RecordBatch
    | Receipt
    | Request
    | Reply
    | Command
    | Desired
    | Reported
    | Head
    | StandingDelta
    | GalleryDelta
    | RollCall
)

__all__ = [
    "SCHEMA_VERSION",
    "CacheAge",
    "Certificate",
    "CertificateReply",
    "CertificateRequest",
    "ChainHead",
    "ChargeReply",
    "ChargeRequest",
    "ClaimReply",
    "ClaimRequest",
    "Command",
    "CommandAction",
    "Comparison",
    "Counter",
    "DeltaReply",
    "DeltaRequest",
    "Desired",
    "Factor",
    "GalleryChunk",
    "GalleryChunkRequest",
    "GalleryDelta",
    "GalleryEntry",
    "GalleryKeyReply",
    "GalleryKeyRequest",
    "GalleryRow",
    "GateOutcome",
    "Head",
    "HeadReply",
    "HeadRequest",
    "Health",
    "IdentifiedBy",
    "KioskState",
    "Limits",
    "Message",
    "Metric",
    "OrderAnswer",
    "OrderOutcome",
    "PassRecord",
    "PinOutcome",
    "PinReply",
    "PinRequest",
    "Presence",
    "Receipt",
    "RecordBatch",
    "RecordBody",
    "RecordFault",
    "RecordedCircumstances",
    "Refusal",
    "Refused",
    "Reply",
    "Reported",
    "Request",
    "Restriction",
    "Role",
    "RollCall",
    "SealedTemplate",
    "SearchOffer",
    "SequencedRecord",
    "Setting",
    "SnapshotChunkRequest",
    "Standing",
    "StandingChunk",
    "StandingDelta",
    "StandingEntry",
    "StandingReply",
    "StandingRequest",
    "StandingUsed",
    "Tier",
    "Tombstone",
]
