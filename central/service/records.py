"""Records: committed once, in order, before anybody is told so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from central.audit import Acceptable, ChainReport, Position, StoredLink, accept, verify
from central.errors import UnknownError
from central.service.context import Context
from central.service.kiosks import KioskStore
from wire.ids import KioskId, PassageId
from wire.records import ChainHead, Receipt, RecordBatch, RecordBody, RecordFault


class RecordStore(Protocol):
    """Where records are committed."""

    def position(self, kiosk: KioskId) -> Position:
        """How far a kiosk's records are committed."""
        ...

    def link_at(self, kiosk: KioskId, sequence: int) -> bytes | None:
        """The committed link at a sequence (0: genesis)."""
        ...

    def commit(self, position: Position, accepted: Acceptable, now_ms: int) -> bool:
        """Commit records after `position`, durably, all or none; False when something contradicts them."""
        ...


class ChainStore(Protocol):
    """Committed records, to read."""

    def stored_links(self, kiosk: KioskId) -> Sequence[StoredLink]:
        """A kiosk's chain from its first record."""
        ...

    def chain_heads(self, kiosk: KioskId) -> Sequence[ChainHead]:
        """The heads a kiosk signed."""
        ...

    def records_of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage."""
        ...


class Records:
    """Ingest, look up, verify."""

    def __init__(
        self, context: Context, records: RecordStore, chains: ChainStore, kiosks: KioskStore
    ) -> None:
        self._context = context
        self._records = records
        self._chains = chains
        self._kiosks = kiosks

    def ingest(self, batch: RecordBatch, public_key: bytes) -> Receipt:
        """Commit what is new of a kiosk's batch, then say how far its records are safe."""
        position = self._records.position(batch.kiosk)
        found = accept(
            batch, position, lambda sequence: self._records.link_at(batch.kiosk, sequence), public_key
        )
        fault: RecordFault | None = None
        match found:
            case RecordFault():
                fault = found
            case Acceptable(records=()):
                pass
            case Acceptable():
                if self._records.commit(position, found, self._context.now_ms()):
                    position = self._records.position(batch.kiosk)
                else:
                    fault = RecordFault.CONFLICT
        return Receipt(batch.kiosk, position.sequence, position.link, self._context.now_ms(), fault)

    def of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage: why was I stepped up? raises UnknownError."""
        found = self._chains.records_of_passage(passage)
        if not found:
            raise UnknownError("passage", passage)
        return found

    def verify(self) -> list[ChainReport]:
        """Walk every kiosk's chain; each report names the first break."""
        return [
            verify(
                kiosk.kiosk,
                self._chains.stored_links(kiosk.kiosk),
                self._chains.chain_heads(kiosk.kiosk),
                None if kiosk.certificate is None else kiosk.certificate.public_key,
            )
            for kiosk in self._kiosks.kiosks()
        ]
