"""Records: committed once, in order, before anybody is told so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from central.audit import Acceptable, ChainReport, Position, StoredLink, accept, kiosk_key, verify
from central.errors import UnknownError
from central.export import Chain, Header, export_lines
from central.fleet import Kiosk
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

    def stored_links(self, kiosk: KioskId, up_to: int) -> Iterable[StoredLink]:
        """A kiosk's chain from its first record, read as it is walked."""
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
        while True:
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
                    before = position
                    committed = self._records.commit(before, found, self._context.now_ms())
                    position = self._records.position(batch.kiosk)
                    if not committed and position != before:
                        continue  # a copy of this batch was committed meanwhile: look at it anew
                    fault = None if committed else RecordFault.CONFLICT
            return Receipt(batch.kiosk, position.sequence, position.link, self._context.now_ms(), fault)

    def of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage: why was I stepped up? raises UnknownError."""
        found = self._chains.records_of_passage(passage)
        if not found:
            raise UnknownError("passage", passage)
        return found

    def _chain(self, kiosk: Kiosk) -> Chain:
        # Records go on coming while a chain is walked; each commit ends in a head of its own.
        up_to = self._records.position(kiosk.kiosk).sequence
        heads = [head for head in self._chains.chain_heads(kiosk.kiosk) if head.sequence <= up_to]
        links = self._chains.stored_links(kiosk.kiosk, up_to)
        return Chain(kiosk.kiosk, kiosk.certificate, links, heads)

    def verify(self) -> list[ChainReport]:
        """Walk every kiosk's chain; each report names the first break."""
        root, operator = self._context.identity.root.public_key, self._context.operator
        return [
            verify(
                chain.kiosk,
                chain.records,
                chain.heads,
                kiosk_key(chain.kiosk, chain.certificate, root, operator),
            )
            for chain in map(self._chain, self._kiosks.kiosks())
        ]

    def export(self) -> Iterator[bytes]:
        """Every chain as the lines of a file that `verify_export` can verify without this database."""
        context, identity = self._context, self._context.identity
        root = identity.root.public_key
        header = Header(1, context.operator, context.site, context.now_ms(), root)
        chains = map(self._chain, self._kiosks.kiosks())
        return export_lines(header, chains, identity.signer, identity.certificate)
