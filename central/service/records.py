"""Records: committed once, in order, before anybody is told so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from central.errors import UnknownError
from central.rules.audit import Acceptable, ChainReport, Position, StoredLink, accept, kiosk_key, verify
from central.rules.export import Chain, Header, export_lines
from central.rules.fleet import Kiosk
from central.service.context import Context
from wire.ids import KioskId, PassageId
from wire.records import ChainHead, Receipt, RecordBatch, RecordBody, RecordFault

Offer = tuple[Position, Acceptable]
"""Where a kiosk's committed records end, and what is to follow."""


class RecordStore(Protocol):
    """Where records are committed and read, and the kiosks whose they are."""

    def positions(self, kiosks: Sequence[KioskId]) -> Mapping[KioskId, Position]:
        """How far the records of some kiosks are committed."""
        ...

    def link_at(self, kiosk: KioskId, sequence: int) -> bytes | None:
        """The committed link at a sequence (0: genesis)."""
        ...

    def commit(self, offers: Sequence[Offer], now_ms: int) -> Sequence[bool]:
        """Commit what is offered, one offer of each kiosk, durably; each of them whole or not at all.

        False for an offer that something contradicts.
        """
        ...

    def stored_links(self, kiosk: KioskId, up_to: int = ...) -> Iterable[StoredLink]:
        """A kiosk's chain from its first record, read as it is walked."""
        ...

    def chain_heads(self, kiosk: KioskId) -> Sequence[ChainHead]:
        """The heads a kiosk signed."""
        ...

    def kiosks(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        ...

    def records_of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage."""
        ...


class Records:
    """Ingest, look up, verify."""

    def __init__(self, context: Context, store: RecordStore) -> None:
        self._context = context
        self._store = store

    def ingest(self, batch: RecordBatch, public_key: bytes) -> Receipt:
        """Commit what is new of a kiosk's batch, then say how far its records are safe."""
        return self.ingest_all([(batch, public_key)])[0]

    def ingest_all(self, batches: Sequence[tuple[RecordBatch, bytes]]) -> list[Receipt]:
        """Commit what is new of several batches together, each with its kiosk's key; the receipt of each.

        None is the worse for another: what does not fit is told to its own kiosk, and the rest is committed.
        """
        receipts: dict[int, Receipt] = {}
        while len(receipts) < len(batches):
            turn: dict[KioskId, int] = {}
            for place, (batch, _) in enumerate(batches):
                if place not in receipts:
                    turn.setdefault(batch.kiosk, place)  # a copy of it waits for the next turn
            chosen = {kiosk: batches[place] for kiosk, place in turn.items()}
            receipts |= {turn[kiosk]: receipt for kiosk, receipt in self._ingested(chosen).items()}
        return [receipts[place] for place in range(len(batches))]

    def _ingested(self, batches: Mapping[KioskId, tuple[RecordBatch, bytes]]) -> dict[KioskId, Receipt]:
        """One commit for one batch of each kiosk. Without a receipt: to be looked at anew."""
        positions = self._store.positions(list(batches))
        faults: dict[KioskId, RecordFault] = {}
        offers: list[Offer] = []
        for kiosk, (batch, public_key) in batches.items():
            position = positions[kiosk]
            match accept(batch, position, partial(self._store.link_at, kiosk), public_key):
                case RecordFault() as fault:
                    faults[kiosk] = fault
                case Acceptable(records=()):
                    pass
                case Acceptable() as found:
                    offers.append((position, found))
        now_ms, told = self._context.now_ms(), dict(positions)
        if offers:
            outcomes = self._store.commit(offers, now_ms)
            refused = {
                position.kiosk for (position, _), done in zip(offers, outcomes, strict=True) if not done
            }
            for position, found in offers:
                last = found.records[-1]
                told[position.kiosk] = Position(position.kiosk, last.sequence, last.link)
            if refused:
                told |= self._store.positions(list(refused))
            for kiosk in refused:
                if told[kiosk] == positions[kiosk]:
                    faults[kiosk] = RecordFault.CONFLICT
                else:
                    del told[kiosk]  # a copy of this batch was committed meanwhile
        return {
            kiosk: Receipt(kiosk, at.sequence, at.link, now_ms, faults.get(kiosk))
            for kiosk, at in told.items()
        }

    def of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage: why was I stepped up? raises UnknownError."""
        found = self._store.records_of_passage(passage)
        if not found:
            raise UnknownError("passage", passage)
        return found

    def _chain(self, kiosk: Kiosk) -> Chain:
        # Records go on coming while a chain is walked; each commit ends in a head of its own.
        up_to = self._store.positions([kiosk.kiosk])[kiosk.kiosk].sequence
        heads = [head for head in self._store.chain_heads(kiosk.kiosk) if head.sequence <= up_to]
        links = self._store.stored_links(kiosk.kiosk, up_to)
        return Chain(kiosk.kiosk, kiosk.certificate, kiosk.issuer, links, heads)

    def verify(self) -> list[ChainReport]:
        """Walk every kiosk's chain; each report names the first break."""
        root, operator = self._context.identity.credentials.root_public_key, self._context.operator
        return [
            verify(
                chain.kiosk,
                chain.records,
                chain.heads,
                kiosk_key(
                    chain.kiosk,
                    chain.certificate,
                    chain.issuer,
                    root_public_key=root,
                    operator=operator,
                ),
            )
            for chain in map(self._chain, self._store.kiosks())
        ]

    def export(self) -> Iterator[bytes]:
        """Every chain as the lines of a file that `verify_export` can verify without this database."""
        context, identity = self._context, self._context.identity
        root = identity.credentials.root_public_key
        header = Header(2, context.operator, context.site, context.now_ms(), root)
        chains = map(self._chain, self._store.kiosks())
        return export_lines(header, chains, identity.signer, identity.credentials.central)
