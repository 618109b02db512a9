"""The records' chain: what of a batch may be committed, and whether what was committed still joins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wire.chain import commitment, genesis, joins, link
from wire.ids import KioskId
from wire.records import ChainedRecord, ChainHead, RecordBatch, RecordFault
from wire.signing import chain_head_holds


@dataclass(frozen=True, slots=True)
class Position:
    """How far a kiosk's records are committed: highest contiguous sequence, and the link there."""

    kiosk: KioskId
    sequence: int
    link: bytes

    @staticmethod
    def start(kiosk: KioskId) -> Position:
        """Before a kiosk's first record."""
        return Position(kiosk, 0, genesis(kiosk))


@dataclass(frozen=True, slots=True)
class Acceptable:
    """The records of a batch that are new, in order; none when all were committed before."""

    records: tuple[ChainedRecord, ...]
    head: ChainHead


def accept(
    batch: RecordBatch, position: Position, link_at: Callable[[int], bytes | None], public_key: bytes
) -> Acceptable | RecordFault:
    """What of a batch to commit after `position`; `link_at(sequence)` gives links committed before."""
    first, last = batch.records[0].sequence, batch.records[-1].sequence
    if first > position.sequence + 1:
        return RecordFault.GAP
    if first < 1:
        return RecordFault.BROKEN_LINK
    previous = batch.previous_link
    for sequence, record in enumerate(batch.records, start=first):
        if record.sequence != sequence or not joins(previous, record):
            return RecordFault.BROKEN_LINK
        previous = record.link
    head = batch.head
    if (head.kiosk, head.sequence, head.link) != (batch.kiosk, last, previous):
        return RecordFault.BROKEN_LINK
    if not chain_head_holds(head, public_key):
        return RecordFault.BROKEN_LINK
    # Links chain, so agreeing at the last sequence both sides hold is agreeing on all before it.
    shared = min(last, position.sequence)
    theirs = batch.previous_link if shared == first - 1 else batch.records[shared - first].link
    ours = position.link if shared == position.sequence else link_at(shared)
    if theirs != ours:
        return RecordFault.CONFLICT
    return Acceptable(tuple(record for record in batch.records if record.sequence > position.sequence), head)


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A committed record as the store holds it; body and salt are None once purged."""

    sequence: int
    commitment: bytes
    link: bytes
    salt: bytes | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One kiosk's chain: how many records join, how many are purged, and where it first breaks."""

    kiosk: KioskId
    records: int
    purged: int
    signed_heads: int
    broken_at: int | None = None
    why: str = ""


def verify(
    kiosk: KioskId, stored: Iterable[StoredLink], heads: Iterable[ChainHead], public_key: bytes | None
) -> ChainReport:
    """Walk a kiosk's chain from its first record; names the first break."""
    previous, count, purged = genesis(kiosk), 0, 0
    links = {0: previous}

    def broken(sequence: int, why: str) -> ChainReport:
        return ChainReport(kiosk, count, purged, 0, sequence, why)

    for expected, row in enumerate(stored, start=1):
        if row.sequence != expected:
            return broken(expected, "a record is missing")
        if row.body is None or row.salt is None:
            purged += 1
        elif commitment(row.salt, row.body) != row.commitment:
            return broken(expected, "a record was changed")
        if link(previous, expected, row.commitment) != row.link:
            return broken(expected, "the link does not follow from the one before it")
        previous, count = row.link, expected
        links[expected] = previous
    signed = 0
    for head in heads:
        if links.get(head.sequence) != head.link:
            return broken(head.sequence, "the kiosk signed another chain")
        if public_key is None or not chain_head_holds(head, public_key):
            return broken(head.sequence, "the kiosk's signature does not hold")
        signed += 1
    return ChainReport(kiosk, count, purged, signed)
