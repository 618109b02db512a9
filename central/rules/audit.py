"""The records' chain: what of a batch may be committed, and whether what was committed still joins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from wire import fields as f
from wire.chain import commitment, genesis, joins, link
from wire.ids import KioskId, OperatorId
from wire.records import ChainedRecord, ChainHead, RecordBatch, RecordFault
from wire.signing import chain_head_holds, kiosk_certified
from wire.values import Certificate


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
    """A committed record as the store holds it; body and salt are None once purged, or where none came.

    `record_id` and `passage` are the store's own columns: they have to agree with a body that is there.
    """

    sequence: int
    commitment: bytes
    link: bytes
    salt: bytes | None
    body: bytes | None
    record_id: str | None = None
    passage: str | None = None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One kiosk's chain: how many records join, how many are purged, and where it first breaks."""

    kiosk: KioskId
    records: int
    purged: int
    signed_heads: int
    broken_at: int | None = None
    why: str = ""


class _Names(msgspec.Struct, frozen=True, tag="pass"):
    record_id: f.Record
    passage: f.Passage


class ChainWalk:
    """One kiosk's chain, walked from its first record; keeps the first break and nothing after it.

    Feed it records in order, and each head right after the record it signs. `public_key` is the kiosk's.
    """

    def __init__(self, kiosk: KioskId, public_key: bytes | None) -> None:
        self.kiosk = kiosk
        self._public_key = public_key
        self._link = genesis(kiosk)
        self._purged = 0
        self._signed = 0
        self._signed_up_to = 0
        self._break: tuple[int, str] | None = None
        self.sequence = 0

    @property
    def broken(self) -> bool:
        """Whether a break was found."""
        return self._break is not None

    @property
    def signed_whole(self) -> bool:
        """Whether a signed head covers every record so far."""
        return self.sequence == self._signed_up_to

    def break_at(self, sequence: int, why: str) -> None:
        """Note a break, unless there was one before."""
        if self._break is None:
            self._break = (sequence, why)

    def record(self, row: StoredLink) -> None:
        """Go on by one record."""
        if self.broken:
            return
        expected = self.sequence + 1
        if (why := self._wrong(row, expected)) is not None:
            self.break_at(expected, why)
            return
        self._purged += row.body is None
        self._link, self.sequence = row.link, expected

    def _wrong(self, row: StoredLink, expected: int) -> str | None:
        if row.sequence != expected:
            return "a record is missing"
        if (row.body is None) != (row.salt is None):
            return "half of a record was taken away"
        if row.body is not None and row.salt is not None:
            if commitment(row.salt, row.body) != row.commitment:
                return "a record was changed"
            if not _names_agree(row, row.body):
                return "a record is filed under another name than its own"
        if link(self._link, expected, row.commitment) != row.link:
            return "the link does not follow from the one before it"
        return None

    def head(self, head: ChainHead) -> None:
        """Check the kiosk's signature over the chain up to here."""
        if self.broken:
            return
        if head.sequence > self.sequence:
            self.break_at(self.sequence + 1, f"a record is missing: the kiosk signed up to {head.sequence}")
        elif (head.kiosk, head.sequence, head.link) != (self.kiosk, self.sequence, self._link):
            self.break_at(head.sequence, "the kiosk signed another chain")
        elif self._public_key is None or not chain_head_holds(head, self._public_key):
            self.break_at(head.sequence, "the kiosk's signature does not hold")
        else:
            self._signed += 1
            self._signed_up_to = head.sequence

    def report(self) -> ChainReport:
        """What was found; a record that no signed head covers is a break too."""
        if not self.broken and self.sequence > self._signed_up_to:
            self.break_at(self._signed_up_to + 1, "the kiosk signed no head that covers it")
        broken_at, why = self._break or (None, "")
        return ChainReport(self.kiosk, self.sequence, self._purged, self._signed, broken_at, why)


def _names_agree(row: StoredLink, body: bytes) -> bool:
    if row.record_id is None and row.passage is None:
        return True
    try:
        named = msgspec.msgpack.decode(body, type=_Names)
    except msgspec.MsgspecError:
        return False
    return (named.record_id, named.passage) == (row.record_id, row.passage)


def verify(
    kiosk: KioskId, stored: Iterable[StoredLink], heads: Iterable[ChainHead], public_key: bytes | None
) -> ChainReport:
    """Walk a kiosk's chain from its first record; names the first break."""
    walk = ChainWalk(kiosk, public_key)
    for each in merged(stored, heads):
        if isinstance(each, StoredLink):
            walk.record(each)
        else:
            walk.head(each)
    return walk.report()


def merged(stored: Iterable[StoredLink], heads: Iterable[ChainHead]) -> Iterator[StoredLink | ChainHead]:
    """Records in order, each followed by the heads that sign it."""
    waiting = deque(sorted(heads, key=lambda head: head.sequence))
    while waiting and waiting[0].sequence < 1:
        yield waiting.popleft()
    for row in stored:
        yield row
        while waiting and waiting[0].sequence <= row.sequence:
            yield waiting.popleft()
    yield from waiting


def kiosk_key(
    kiosk: KioskId,
    certificate: Certificate | None,
    issuer: Certificate | None,
    *,
    root_public_key: bytes,
    operator: OperatorId,
) -> bytes | None:
    """The key that a kiosk signs its chain with; None unless an issuer of the operator root's says so."""
    if certificate is None or issuer is None or certificate.name != kiosk:
        return None
    # What it signed while its certificate was valid stays signed: only the issuer's word is asked for.
    holds = kiosk_certified(certificate, issuer, root_public_key, operator, certificate.not_before_ms)
    return certificate.public_key if holds else None
