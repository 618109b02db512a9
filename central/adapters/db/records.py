"""Kiosks' records and chain heads in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.engines import insert_many
from central.adapters.db.ledger import LedgerTables
from central.rules.audit import Acceptable, Position, StoredLink
from central.service.records import Offer
from wire.chain import commitment_of, genesis
from wire.codec import Rejected, decode_record
from wire.ids import KioskId, PassageId
from wire.records import ChainHead, RecordBody, SequencedRecord

_Values = dict[str, str | int | bytes | None]
LINKS_AT_ONCE = 2000
"""Rows of a chain in memory while it is walked: a few MB."""
SEQUENCE_MAX = 2**62
"""More than a column of 64 bits is ever given."""


class RecordTables(LedgerTables):
    """Committed records; what they say of money is posted with them."""

    def positions(self, kiosks: Sequence[KioskId]) -> Mapping[KioskId, Position]:
        """How far the records of some kiosks are committed."""
        with self._engine.connect() as connection:
            return self._positions(connection, kiosks)

    def _positions(self, connection: Connection, kiosks: Sequence[KioskId]) -> Mapping[KioskId, Position]:
        # A look at the end of the primary key for each: a group by kiosk would walk all of their records.
        owners, records, newer = t.KIOSKS.c, t.RECORDS.c, t.RECORDS.alias()
        newest = select(func.max(newer.c.sequence)).where(newer.c.kiosk == owners.kiosk).scalar_subquery()
        ends = (
            select(records.kiosk, records.sequence, records.link)
            .join_from(t.KIOSKS, t.RECORDS, (records.kiosk == owners.kiosk) & (records.sequence == newest))
            .where(owners.kiosk.in_(kiosks))
        )
        found = {row.kiosk: Position(row.kiosk, row.sequence, row.link) for row in connection.execute(ends)}
        return {kiosk: found.get(kiosk) or Position.start(kiosk) for kiosk in kiosks}

    def link_at(self, kiosk: KioskId, sequence: int) -> bytes | None:
        """The committed link at a sequence (0: genesis)."""
        if sequence == 0:
            return genesis(kiosk)
        row = self._one(t.RECORDS, kiosk=kiosk, sequence=sequence)
        return None if row is None else bytes(row.link)

    def commit(self, offers: Sequence[Offer], now_ms: int) -> Sequence[bool]:
        """Commit what is offered, one offer of each kiosk, durably; each of them whole or not at all.

        False for an offer that something contradicts. All share one transaction unless one of them cannot be
        inserted: then each has its own.
        """
        try:
            return self._commit(offers, now_ms)
        except IntegrityError:
            if len(offers) == 1:
                return [False]
            return [self.commit([offer], now_ms)[0] for offer in offers]

    def _commit(self, offers: Sequence[Offer], now_ms: int) -> Sequence[bool]:
        kiosks = [position.kiosk for position, _ in offers]
        read = [_read(position.kiosk, accepted) for position, accepted in offers]
        with self._change(*(f"records/{kiosk}" for kiosk in kiosks)) as connection:
            now = self._positions(connection, kiosks)
            good = [
                made is not None and now[position.kiosk] == position
                for (position, _), made in zip(offers, read, strict=True)
            ]
            fitting = [made for made, fits in zip(read, good, strict=True) if fits and made is not None]
            if fitting:
                insert_many(connection, t.RECORDS, [row for made in fitting for row in made.rows])
                heads = [accepted.head for (_, accepted), fits in zip(offers, good, strict=True) if fits]
                insert_many(connection, t.CHAIN_HEADS, [_head(head, now_ms) for head in heads])
                self.post_records(connection, [body for made in fitting for body in made.own])
        return good

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


@dataclass(frozen=True, slots=True)
class _Read:
    """A kiosk's records: what is inserted, and the bodies that name the very kiosk that signed them."""

    rows: list[_Values]
    own: list[RecordBody]


def _read(kiosk: KioskId, accepted: Acceptable) -> _Read | None:
    """A kiosk's records, each decoded once; None if one of them is none."""
    rows: list[_Values] = []
    own: list[RecordBody] = []
    for record in accepted.records:
        row: _Values = {
            "kiosk": kiosk,
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
                return None
            row |= {"passage": body.passage, "salt": record.salt, "body": raw}
            if body.kiosk == kiosk:
                own.append(body)
        rows.append(row)
    return _Read(rows, own)


def _head(head: ChainHead, now_ms: int) -> _Values:
    return {
        "kiosk": head.kiosk,
        "sequence": head.sequence,
        "link": head.link,
        "signature": head.signature,
        "received_at_ms": now_ms,
    }
