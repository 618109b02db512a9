"""Kiosks' records and chain heads in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from central.adapters import tables as t
from central.adapters.database import Database
from central.adapters.engines import insert_many
from central.audit import Acceptable, Position, StoredLink
from wire.chain import commitment_of, genesis
from wire.codec import Rejected, decode_record
from wire.ids import KioskId, PassageId
from wire.records import ChainHead, RecordBody, SequencedRecord

LINKS_AT_ONCE = 2000  # rows of a chain in memory while it is walked: a few MB
SEQUENCE_MAX = 2**62  # more than a column of 64 bits is ever given


class RecordTables(Database):
    """Committed records."""

    def position(self, kiosk: KioskId) -> Position:
        """How far a kiosk's records are committed."""
        with self._engine.connect() as connection:
            return self._position(connection, kiosk)

    def _position(self, connection: Connection, kiosk: KioskId) -> Position:
        newest = (
            select(t.RECORDS.c.sequence, t.RECORDS.c.link)
            .where(t.RECORDS.c.kiosk == kiosk)
            .order_by(t.RECORDS.c.sequence.desc())
            .limit(1)
        )
        row = connection.execute(newest).first()
        return Position.start(kiosk) if row is None else Position(kiosk, row.sequence, row.link)

    def link_at(self, kiosk: KioskId, sequence: int) -> bytes | None:
        """The committed link at a sequence (0: genesis)."""
        if sequence == 0:
            return genesis(kiosk)
        row = self._one(t.RECORDS, kiosk=kiosk, sequence=sequence)
        return None if row is None else bytes(row.link)

    def commit(self, position: Position, accepted: Acceptable, now_ms: int) -> bool:
        """Commit records after `position`, durably, all or none; False when something contradicts them."""
        rows: list[dict[str, str | int | bytes | None]] = []
        for record in accepted.records:
            row: dict[str, str | int | bytes | None] = {
                "kiosk": position.kiosk,
                "sequence": record.sequence,
                "record_id": record.record_id,
                "passage": record.record_id,  # of what the kiosk had no room for; one passage, one record
                "commitment": commitment_of(record),
                "link": record.link,
                "salt": None,
                "body": None,
            }
            if isinstance(record, SequencedRecord):
                raw = bytes(record.body)
                body = decode_record(raw)
                if isinstance(body, Rejected):
                    return False
                row |= {"passage": body.passage, "salt": record.salt, "body": raw}
            rows.append(row)
        head = accepted.head
        try:
            with self._change(f"records/{position.kiosk}") as connection:
                if self._position(connection, position.kiosk) != position:
                    return False
                insert_many(connection, t.RECORDS, rows)
                connection.execute(
                    insert(t.CHAIN_HEADS).values(
                        kiosk=head.kiosk,
                        sequence=head.sequence,
                        link=head.link,
                        signature=head.signature,
                        received_at_ms=now_ms,
                    )
                )
        except IntegrityError:
            return False
        return True

    def stored_links(self, kiosk: KioskId, up_to: int = SEQUENCE_MAX) -> Iterator[StoredLink]:
        """A kiosk's chain from its first record, read as it is walked."""
        columns, after = t.RECORDS.c, -SEQUENCE_MAX  # a sequence that should not be there shows too
        while True:
            page = (
                select(t.RECORDS)
                .where(columns.kiosk == kiosk, columns.sequence > after, columns.sequence <= up_to)
                .order_by(columns.sequence)
                .limit(LINKS_AT_ONCE)
            )
            with self._engine.connect() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                yield StoredLink(
                    row.sequence, row.commitment, row.link, row.salt, row.body, row.record_id, row.passage
                )
            if len(rows) < LINKS_AT_ONCE:
                return
            after = rows[-1].sequence

    def chain_heads(self, kiosk: KioskId) -> Sequence[ChainHead]:
        """The heads a kiosk signed."""
        rows = self._all(t.CHAIN_HEADS, "sequence", kiosk=kiosk)
        return [ChainHead(row.kiosk, row.sequence, row.link, row.signature) for row in rows]

    def records_of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage."""
        found = [decode_record(row.body) for row in self._all(t.RECORDS, passage=passage) if row.body]
        return [body for body in found if not isinstance(body, Rejected)]
