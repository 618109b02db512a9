"""The durable outbox: records in their chain, kept until central's receipt fits our own link.

What `begin` and `settle` return from survives kill -9. A receipt moves the cursor only if its link is ours
at that sequence; a lost one is healed by sending again, which changes nothing at central. Acknowledged
records stay for a while, so that a central restored from a backup can ask for them again.

The file keeps to a budget. Acknowledged records leave first, then bodies of records in the order of
`edge.enact.drop_order.drop_rank`; what is left of such a record is its commitment, so the chain still holds.

A record of a payment changes its checkout, and what was taken offline, in the same transaction (`checkouts`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from edge.adapters.storage import checkouts
from edge.adapters.storage.database import V0_1_0, Database, Schema
from edge.adapters.storage.keyfile import RandomBytes, RowSealer
from edge.enact.drop_order import RecordsConfig, drop_rank
from edge.errors import StoreError
from wire.chain import SALT_BYTES, body_bytes, chained, commitment_of, genesis
from wire.codec import Rejected, decode_record
from wire.errors import SealBrokenError
from wire.ids import KioskId
from wire.records import (
    BATCH_MAX_RECORDS,
    BODY_MAX_BYTES,
    ChainedRecord,
    ChainHead,
    DroppedRecord,
    PassRecord,
    Receipt,
    RecordBatch,
    RecordFault,
    SequencedRecord,
)
from wire.signing import Signer, sign_chain_head

log = logging.getLogger(__name__)

KEEP_ACKNOWLEDGED = 10_000
"""Acknowledged records kept for a central that was restored from a backup: a busy gate's day, some 15 MB."""
KEEP_BODIES_MS = 30 * 86_400_000
"""Bodies that central has confirmed are kept no longer, even where few passages come after them."""
RECORD_AROUND_BYTES = 128
"""What a record has in a batch besides its body: sequence, id, commitment and link, with their lengths."""
BATCH_MAX_BYTES = 240 * 1024
"""Of records in one batch; with envelope and head it stays within the topic's 256 KiB."""

_TABLES = """
        CREATE TABLE owner (kiosk TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;
        CREATE TABLE begun (record_id TEXT PRIMARY KEY, place INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
        CREATE TABLE record (
            sequence INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE,
            sealed BLOB, commitment BLOB NOT NULL, link BLOB NOT NULL, rank INTEGER,
            who TEXT, at_ms INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX record_of ON record (who) WHERE who IS NOT NULL AND sealed IS NOT NULL;
        CREATE INDEX record_to_drop ON record (rank, sequence) WHERE rank IS NOT NULL AND sealed IS NOT NULL;
        CREATE TABLE acknowledged (sequence INTEGER NOT NULL, link BLOB NOT NULL) STRICT;
        CREATE TABLE held (bytes INTEGER NOT NULL, dropped INTEGER NOT NULL) STRICT;
        INSERT INTO held VALUES (0, 0);
        CREATE TRIGGER record_in AFTER INSERT ON record BEGIN
            UPDATE held SET bytes = bytes + length(new.sealed);
        END;
        CREATE TRIGGER record_dropped AFTER UPDATE OF sealed ON record BEGIN
            UPDATE held SET bytes = bytes - length(old.sealed), dropped = dropped + new.lost;
        END;
        CREATE TRIGGER record_out AFTER DELETE ON record BEGIN
            UPDATE held SET bytes = bytes - ifnull(length(old.sealed), 0),
                            dropped = dropped - old.lost;
        END;
    """
SCHEMA = Schema(
    name="outbox",
    version=V0_1_0 + 1,
    synchronous="FULL",
    tables=_TABLES + checkouts.TABLES,
    upgrades={V0_1_0: checkouts.UPGRADE},
    on_damage="it may hold records that central has not got, so nothing is thrown away: "
    "copy outbox.sqlite3* aside, recover them with `sqlite3 outbox.sqlite3 .recover`, "
    "and pair this kiosk under a new name",
)


_EMPTY = "UPDATE record SET sealed = NULL, who = NULL WHERE sealed IS NOT NULL AND"
_END_OF_CHAIN = """
    SELECT sequence, link
    FROM (SELECT sequence, link FROM record UNION ALL SELECT sequence, link FROM acknowledged)
    ORDER BY sequence DESC LIMIT 1
"""


class Standstill(StrEnum):
    """Why central does not take what is sent; named in `state`, tried again once a minute."""

    BROKEN_LINK = "records_broken_link"
    CONFLICT = "records_conflict"
    PRUNED = "records_pruned"  # central asks for records older than what is kept here


class Wake(Protocol):
    """Told that there is something to send."""

    def __call__(self) -> None:
        """Return at once."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """Highest sequence written, highest acknowledged, how many wait in between; bytes, and bodies dropped."""

    last: int
    acknowledged: int
    held_bytes: int = 0
    dropped: int = 0
    over_budget: bool = False

    @property
    def waiting(self) -> int:
        """Records that central has not confirmed."""
        return self.last - self.acknowledged


class Outbox:
    """Fulfils `edge.ports.Records`; `next_batch` and `receive` are the sender's side of it."""

    def __init__(
        self,
        path: Path,
        kiosk: KioskId,
        *,
        signer: Signer,
        sealer: RowSealer,
        random_bytes: RandomBytes,
        max_bytes: int = RecordsConfig().max_mb * 1_000_000,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`is_gone` says whether a member has withdrawn, by the digest of their subject."""
        began = path.with_suffix(".began")
        if began.exists() and (not path.exists() or path.stat().st_size == 0):
            raise StoreError(
                f"{path} is empty or gone, though this kiosk has kept records in it: put it back from where "
                "it went. If it is lost, so are the records that were not sent: revoke this kiosk, and pair "
                "it anew under another name"
            )
        self._database = Database(path, SCHEMA)
        began.touch(mode=0o600)
        self._kiosk, self._signer, self.sealer, self._random_bytes = kiosk, signer, sealer, random_bytes
        self._max_bytes, self._is_gone = max_bytes, is_gone
        self.unreadable: set[str] = set()
        self.ignored: Counter[str] = Counter()
        self.standstill: Standstill | None = None
        self.wake: Wake = lambda: None
        try:
            self._database.write_now(self._claim_ownership)
        except StoreError:
            self._database.close()
            raise
        acknowledged = self._database.read("SELECT sequence, link FROM acknowledged")
        self._acknowledged, self._acknowledged_link = _place(acknowledged[0])
        self._sent, self._sent_link = self._acknowledged, self._acknowledged_link

    def _claim_ownership(self, connection: sqlite3.Connection) -> None:
        owner = connection.execute("SELECT kiosk, sealed FROM owner").fetchone()
        if owner is None:
            sealed = self.sealer.seal(self._kiosk.encode(), "owner")
            connection.execute("INSERT INTO owner VALUES (?, ?)", (self._kiosk, sealed))
            connection.execute("INSERT INTO acknowledged VALUES (0, ?)", (genesis(self._kiosk),))
        elif owner[0] != self._kiosk:
            raise StoreError(
                f"{self._database.path} holds the records of kiosk {owner[0]!r}, not of {self._kiosk!r}: "
                "give each kiosk a folder of its own"
            )
        else:
            self._opened(owner[1], "owner")

    # --- edge.ports.Records

    async def begin(self, record: PassRecord) -> None:
        """Keep a decision whose gate outcome or charge is still awaited; durable on return.

        Raises `CheckoutError` where the checkout to be paid is not open any more.
        """
        sealed = self.sealer.seal(self._body(record), "begun", record.record_id)

        def change(connection: sqlite3.Connection) -> None:
            if not _exists(connection, record):
                checkouts.note_begun(connection, record)
                connection.execute(
                    "INSERT OR REPLACE INTO begun "
                    "VALUES (?, (SELECT ifnull(max(place), 0) + 1 FROM begun), ?)",
                    (record.record_id, sealed),
                )

        await self._database.write(change)

    async def settle(self, record: PassRecord) -> None:
        """Put the final record into the chain, in place of what `begin` kept; durable, idempotent by id."""
        body = self._body(record)
        salt = self._random_bytes(SALT_BYTES)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM begun WHERE record_id = ?", (record.record_id,))
            if _exists(connection, record):
                return
            # Writes run one at a time, so the chain's end cannot move between reading and extending it.
            previous = connection.execute(_END_OF_CHAIN).fetchone()
            last, last_link = _place(previous)
            placed = chained(last_link, last + 1, record, salt)
            sealed = self.sealer.seal(salt + body, "record", str(placed.sequence))
            connection.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    placed.sequence,
                    record.record_id,
                    sealed,
                    commitment_of(placed),
                    placed.link,
                    drop_rank(record),
                    None if record.subject is None else self.sealer.digest("subject", record.subject),
                    record.settled_at_ms,
                ),
            )
            checkouts.note_settled(connection, record, placed.sequence, self.sealer)
            _keep_to(connection, self._max_bytes)

        await self._database.write(change)
        self.wake()

    async def unsettled(self) -> tuple[PassRecord, ...]:
        """What `begin` kept and nothing settled: an earlier life of this kiosk died in between."""
        rows = self._database.read("SELECT record_id, sealed FROM begun ORDER BY place")
        found: list[PassRecord] = []
        for name, sealed in rows:
            try:
                found.append(self._decoded(self._opened(sealed, "begun", str(name))))
            except StoreError as error:
                self._leave_out(f"begun record {name}", error)
        return tuple(found)

    @property
    def database(self) -> Database:
        """The file, for what has to change in one transaction with its records."""
        return self._database

    # --- the sender's side

    @property
    def backlog(self) -> Backlog:
        """How much waits for central."""
        held, dropped = self._database.read("SELECT bytes, dropped FROM held")[0]
        assert isinstance(held, int)
        assert isinstance(dropped, int)
        return Backlog(self._last(), self._acknowledged, held, dropped, held > self._max_bytes)

    def _last(self) -> int:
        return _place(self._database.read(_END_OF_CHAIN)[0])[0]

    def next_batch(self, max_bytes: int = BATCH_MAX_BYTES) -> RecordBatch | None:
        """The next records after what was sent, bounded in number and bytes; None when there are none.

        One record is in it at least, however large.
        """
        rows = self._database.read(
            "SELECT sequence, record_id, sealed, commitment, link FROM record "
            "WHERE sequence > ? ORDER BY sequence LIMIT ?",
            self._sent,
            BATCH_MAX_RECORDS,
        )
        records: list[ChainedRecord] = []
        size = 0
        for sequence, record_id, sealed, committed, link in rows:
            size += RECORD_AROUND_BYTES
            if records and size > max_bytes:
                break
            if sealed is None:
                records.append(DroppedRecord(sequence, record_id, committed, link))  # type: ignore[arg-type]
                continue
            try:
                opened = self._opened(sealed, "record", str(sequence))
            except StoreError as error:
                # Its commitment and link stay, so that the chain goes on without it.
                self._leave_out(f"record {sequence}", error)
                records.append(DroppedRecord(sequence, record_id, committed, link))  # type: ignore[arg-type]
                continue
            size += len(opened)
            if records and size > max_bytes:
                break
            body = msgspec.Raw(opened[SALT_BYTES:])
            records.append(SequencedRecord(sequence, record_id, opened[:SALT_BYTES], body, link))  # type: ignore[arg-type]
        if not records:
            return None
        if records[0].sequence != self._sent + 1:
            self.standstill = Standstill.PRUNED
            return None  # what central asks for is no longer here
        last = records[-1]
        head: ChainHead = sign_chain_head(self._kiosk, last.sequence, last.link, self._signer)
        return RecordBatch(self._kiosk, self._sent_link, tuple(records), head)

    def mark_sent(self, batch: RecordBatch) -> None:
        """Move the sending cursor past a batch; `rewind` takes it back."""
        self._sent, self._sent_link = batch.head.sequence, batch.head.link

    def rewind(self) -> None:
        """Send again from the last acknowledged record: no receipt came, or the connection was lost."""
        self._sent, self._sent_link = self._acknowledged, self._acknowledged_link

    async def receive(self, receipt: Receipt) -> None:
        """Act on a receipt that central signed; one that does not fit our chain is ignored and counted."""
        link = self._link_at(receipt.sequence)
        if receipt.kiosk != self._kiosk or link != receipt.link:
            self.ignored["receipt_mismatch"] += 1
            if receipt.kiosk == self._kiosk and (receipt.fault or receipt.sequence > self._last()):
                # Central holds records this outbox never wrote: it was replaced or restored.
                self.standstill = Standstill.CONFLICT
            return
        match receipt.fault:
            case RecordFault.BROKEN_LINK:
                self.standstill = Standstill.BROKEN_LINK
            case RecordFault.CONFLICT:
                self.standstill = Standstill.CONFLICT
            case RecordFault.GAP:
                # Central is behind what it once confirmed (restored), or lost a batch on the way.
                self._sent, self._sent_link = receipt.sequence, receipt.link
                self.wake()
            case None:
                if receipt.sequence > self._acknowledged:
                    self.standstill = None
                    await self._acknowledge(receipt)
                elif receipt.sequence < self._acknowledged:
                    self.ignored["older_receipt"] += 1

    async def _acknowledge(self, receipt: Receipt) -> None:
        sequence, link = receipt.sequence, receipt.link
        gone = await asyncio.to_thread(self._gone_among, self._acknowledged, sequence)

        def change(connection: sqlite3.Connection) -> int:
            connection.execute("UPDATE acknowledged SET sequence = ?, link = ?", (sequence, link))
            connection.execute("DELETE FROM record WHERE sequence <= ?", (sequence - KEEP_ACKNOWLEDGED,))
            old = connection.execute(
                f"{_EMPTY} sequence <= ? AND at_ms < ?", (sequence, receipt.issued_at_ms - KEEP_BODIES_MS)
            )
            _empty_of(connection, sequence, gone)
            return old.rowcount + len(gone)

        if await self._database.write(change):
            await self._database.scrub()
        self._acknowledged, self._acknowledged_link = sequence, link
        if self._sent < sequence:
            self._sent, self._sent_link = sequence, link

    async def drop_gone(self) -> None:
        """Drop the confirmed bodies that name anybody who has withdrawn; their commitments stay."""
        up_to = self._acknowledged
        gone = await asyncio.to_thread(self._gone_among, 0, up_to)
        if gone:
            await self._database.write(lambda connection: _empty_of(connection, up_to, gone))
            await self._database.scrub()

    def _gone_among(self, after: int, up_to: int) -> list[str]:
        named = self._database.read(
            "SELECT DISTINCT who FROM record WHERE who IS NOT NULL AND sealed IS NOT NULL"
            " AND sequence > ? AND sequence <= ?",
            after,
            up_to,
        )
        return [str(who) for (who,) in named if self._is_gone(str(who))]

    def _link_at(self, sequence: int) -> bytes | None:
        if sequence == 0:
            return genesis(self._kiosk)
        if sequence == self._acknowledged:
            return self._acknowledged_link
        rows = self._database.read("SELECT link FROM record WHERE sequence = ?", sequence)
        return _bytes(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close the file; everything begun or settled is in it."""
        self._database.close()

    def _leave_out(self, name: str, error: StoreError) -> None:
        if name not in self.unreadable:
            self.unreadable.add(name)
            log.error("%s cannot be read and is left out: %s", name, error)

    def _body(self, record: PassRecord) -> bytes:
        body = body_bytes(record)
        rejected = decode_record(body)
        if isinstance(rejected, Rejected):
            raise StoreError(
                f"record {record.record_id} of {len(body)} bytes does not fit the wire's bounds "
                f"({rejected.detail}; at most {BODY_MAX_BYTES} bytes): the program that made it is at fault"
            )
        return body

    def _decoded(self, body: bytes) -> PassRecord:
        record = decode_record(body)
        if isinstance(record, Rejected):
            raise StoreError(f"{self._database.path} holds a record that cannot be read ({record.detail})")
        return record

    def _opened(self, sealed: object, *names: str) -> bytes:
        try:
            return self.sealer.open(_bytes(sealed), *names)
        except SealBrokenError as error:
            raise StoreError(
                f"{self._database.path}: {error}; put back the device.key these records were sealed with"
            ) from error


def _empty_of(connection: sqlite3.Connection, up_to: int, gone: Iterable[str]) -> None:
    rows = [(up_to, who) for who in gone]
    connection.executemany(f"{_EMPTY} sequence <= ? AND who = ?", rows)


def _keep_to(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Make room, as far as what may be dropped goes: acknowledged records first, then bodies by rank."""
    (held,) = connection.execute("SELECT bytes FROM held").fetchone()
    if held <= max_bytes:
        return
    (acknowledged,) = connection.execute("SELECT sequence FROM acknowledged").fetchone()
    ranked = "SELECT sequence, length(sealed) FROM record WHERE rank IS NOT NULL AND sealed IS NOT NULL"
    steps = (
        (
            "SELECT sequence, ifnull(length(sealed), 0) FROM record WHERE sequence < ? ORDER BY sequence",
            (acknowledged,),
            "DELETE FROM record WHERE sequence = ?",
        ),
        (
            f"{ranked} ORDER BY rank, sequence",
            (),
            "UPDATE record SET lost = 1, sealed = NULL, who = NULL WHERE sequence = ?",
        ),
    )
    for choose, values, drop in steps:
        chosen: list[tuple[int]] = []
        for sequence, size in connection.execute(choose, values):
            if held <= max_bytes:
                break
            chosen.append((sequence,))
            held -= size
        connection.executemany(drop, chosen)


def _exists(connection: sqlite3.Connection, record: PassRecord) -> bool:
    found = connection.execute("SELECT 1 FROM record WHERE record_id = ?", (record.record_id,)).fetchone()
    return found is not None


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise StoreError("the outbox holds a value of a wrong type: it was changed by another program")
    return value


def _place(row: tuple[object, ...]) -> tuple[int, bytes]:
    sequence, link = row
    if not isinstance(sequence, int):
        raise StoreError("the outbox holds a value of a wrong type: it was changed by another program")
    return sequence, _bytes(link)
