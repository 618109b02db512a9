"""The chain of a kiosk's records: what makes a missing, changed or reordered record show.

link = H(previous, sequence, commitment) and commitment = H(salt, body): a purge deletes body and salt,
keeps the commitment, and the chain still verifies.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec

from wire.canonical import canonical, joined
from wire.ids import KioskId
from wire.records import ChainedRecord, DroppedRecord, RecordBody, SequencedRecord

SALT_BYTES = 16
_GENESIS = b"stile chain genesis v1"
_COMMITMENT = b"stile record commitment v1"
_LINK = b"stile record link v1"


def genesis(kiosk: KioskId) -> bytes:
    """The link before a kiosk's record 1; 32 bytes, another for each kiosk."""
    return hashlib.sha256(joined(_GENESIS, kiosk.encode())).digest()


def body_bytes(body: RecordBody) -> bytes:
    """The bytes of a record that its commitment covers; keep these, never encode anew."""
    return canonical(body)


def commitment(salt: bytes, body: bytes) -> bytes:
    """32 bytes that commit to a record without giving it away; `salt` is 16 random bytes."""
    return hashlib.sha256(joined(_COMMITMENT, salt, body)).digest()


def link(previous: bytes, sequence: int, committed: bytes) -> bytes:
    """The chain's 32-byte link at `sequence` (1, 2, …), from the link before it and the commitment."""
    return hashlib.sha256(joined(_LINK, previous, struct.pack(">Q", sequence), committed)).digest()


def chained(previous: bytes, sequence: int, body: RecordBody, salt: bytes) -> SequencedRecord:
    """Put a record at its place in the chain."""
    raw = body_bytes(body)
    return SequencedRecord(
        sequence=sequence,
        record_id=body.record_id,
        salt=salt,
        body=msgspec.Raw(raw),
        link=link(previous, sequence, commitment(salt, raw)),
    )


def commitment_of(record: ChainedRecord) -> bytes:
    """The commitment of a record in a chain, whether or not its body is there."""
    if isinstance(record, DroppedRecord):
        return record.commitment
    return commitment(record.salt, bytes(record.body))


def joins(previous: bytes, record: ChainedRecord) -> bool:
    """Whether a record's link follows from the one before it."""
    return record.link == link(previous, record.sequence, commitment_of(record))
