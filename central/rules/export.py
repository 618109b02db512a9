"""Records in one file: written line by line, and verified offline with no database.

Each line is one JSON object in its one form, so that any changed byte shows. In order: a header, then for
each kiosk its certificate and its issuer's, its records and, right after the record it signs, each chain
head; last the seal, central's signature over every byte before it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from central.rules.audit import ChainReport, ChainWalk, StoredLink, kiosk_key, merged
from wire import fields as f
from wire.canonical import joined
from wire.chain import SALT_BYTES
from wire.ids import KioskId, PassageId, RecordId
from wire.records import BODY_MAX_BYTES, ChainHead
from wire.signing import Signer, root_certified, verifies
from wire.values import Certificate, Role

_SEAL = b"stile records export v2"
Salt = Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Body = Annotated[bytes, Meta(max_length=BODY_MAX_BYTES)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="header"):
    """Whose records these are, and whose word the keys in the file rest on."""

    version: Literal[2]
    operator: f.Operator
    site: f.Site
    exported_at_ms: f.InstantMs
    root_public_key: f.PublicKeyBytes


class KioskLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="kiosk"):
    """The next chain's kiosk, and the certificates its key rests on; None when it was never paired."""

    kiosk: f.Kiosk
    certificate: Certificate | None
    issuer: Certificate | None


class RecordLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="record"):
    """A record in its place; body and salt are null once purged."""

    kiosk: f.Kiosk
    sequence: f.Count
    record_id: f.Record
    passage: f.Passage
    commitment: f.DigestBytes
    link: f.DigestBytes
    salt: Salt | None
    body: Body | None


class HeadLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="head"):
    """The kiosk's signature over its chain up to the record before this line."""

    head: ChainHead


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="seal"):
    """Central's signature over the digest of all lines before."""

    lines: f.Count
    digest: f.DigestBytes
    certificate: Certificate
    signature: f.SignatureBytes


Line = Header | KioskLine | RecordLine | HeadLine | Seal


@dataclass(frozen=True, slots=True)
class Chain:
    """One kiosk's chain as the store holds it."""

    kiosk: KioskId
    certificate: Certificate | None
    issuer: Certificate | None
    records: Iterable[StoredLink]
    heads: Iterable[ChainHead]


def _sealed_bytes(lines: int, digest: bytes) -> bytes:
    return joined(_SEAL, struct.pack(">Q", lines), digest)


def export_lines(
    header: Header, chains: Iterable[Chain], signer: Signer, certificate: Certificate
) -> Iterator[bytes]:
    """The lines of an export, sealed with central's key; each ends in a newline."""
    digest, count = hashlib.sha256(), 0
    for line in _unsealed(header, chains):
        raw = msgspec.json.encode(line) + b"\n"
        digest.update(raw)
        count += 1
        yield raw
    whole = digest.digest()
    yield (
        msgspec.json.encode(Seal(count, whole, certificate, signer.sign(_sealed_bytes(count, whole)))) + b"\n"
    )


def _unsealed(header: Header, chains: Iterable[Chain]) -> Iterator[Line]:
    yield header
    for chain in chains:
        yield KioskLine(chain.kiosk, chain.certificate, chain.issuer)
        for each in merged(chain.records, chain.heads):
            yield HeadLine(each) if isinstance(each, ChainHead) else _record_line(chain.kiosk, each)


def _record_line(kiosk: KioskId, row: StoredLink) -> RecordLine:
    return RecordLine(
        kiosk,
        row.sequence,
        RecordId(row.record_id or ""),
        PassageId(row.passage or ""),
        row.commitment,
        row.link,
        row.salt,
        row.body,
    )


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an exported file holds: each kiosk's chain, the root it rests on, and what else is wrong."""

    operator: str
    site: str
    exported_at_ms: int
    root: str
    kiosks: tuple[ChainReport, ...]
    fault: str | None

    @property
    def sound(self) -> bool:
        """Whether nothing at all is broken."""
        return self.fault is None and all(each.broken_at is None for each in self.kiosks)


_CHANGED = "its line in the file was changed"
_BEGINS = b'{"type":'
"""Stands at the beginning of every line, and nowhere within one."""
_DECODER = msgspec.json.Decoder(Line)


class _Reading:
    """Walks the lines of one file. `faults` are those of no kiosk's chain; the first one is told."""

    def __init__(self, root_public_key: bytes | None) -> None:
        self._root = root_public_key
        self._digest = hashlib.sha256()
        self._count = 0
        self._damaged: int | None = None  # the number of a line that could not be read, until it is placed
        self._walk: ChainWalk | None = None
        self._seal: Seal | None = None
        self.header: Header | None = None
        self.reports: list[ChainReport] = []
        self.faults: list[str] = []

    def line(self, raw: bytes) -> None:
        """Take the next line, its newline included; where a newline was changed, what it parted."""
        begins = raw.find(_BEGINS, 1)
        if begins > 0:
            self.line(raw[:begins])
            raw = raw[begins:]
        if self._seal is not None:
            self.faults.append("there is more behind the seal")
            return
        read = _read(raw)
        if not isinstance(read, Seal):
            self._digest.update(raw)
            self._count += 1
        if read is None:
            if self._count == 1:
                self.faults.append("line 1 is not the header of an export")
            elif self._damaged is None:
                self._damaged = self._count
            return
        match read:
            case Header():
                self._header(read)
            case KioskLine():
                self._close()
                self._open(read)
            case RecordLine():
                self._record(read)
            case HeadLine():
                self._head(read.head)
            case Seal():
                self._close()
                self._sealed(read)

    def _header(self, header: Header) -> None:
        if self._count != 1:
            self.faults.append(f"line {self._count} is another header")
            return
        self.header = header
        if self._root is not None and header.root_public_key != self._root:
            self.faults.append("the file rests on another root key than the one you gave")

    def _open(self, line: KioskLine) -> None:
        if self.header is None:
            return
        key = kiosk_key(
            line.kiosk,
            line.certificate,
            line.issuer,
            root_public_key=self.header.root_public_key,
            operator=self.header.operator,
        )
        self._walk = ChainWalk(line.kiosk, key)

    def _of(self, kiosk: KioskId) -> ChainWalk | None:
        """The walk a line belongs to; None when the line itself must be what was changed.

        A chain whose opening line was lost has no key, and breaks at once.
        """
        if self._walk is not None and self._walk.kiosk == kiosk:
            return self._walk
        if self._damaged is None:
            self._damaged = self._count
            return None
        self._damaged = None
        self._close()
        self._walk = ChainWalk(kiosk, None)
        self._walk.break_at(1, "the line with its key was changed")
        return self._walk

    def _record(self, line: RecordLine) -> None:
        walk = self._of(line.kiosk)
        if walk is None:
            return
        if self._damaged is not None:
            walk.break_at(max(1, line.sequence - 1), _CHANGED)
            self._damaged = None
        walk.record(
            StoredLink(
                line.sequence,
                line.commitment,
                line.link,
                line.salt,
                line.body,
                line.record_id,
                line.passage,
            )
        )

    def _head(self, head: ChainHead) -> None:
        walk = self._of(head.kiosk)
        if walk is None:
            return
        if self._damaged is not None:
            walk.break_at(head.sequence, _CHANGED)
            self._damaged = None
        walk.head(head)

    def _close(self) -> None:
        (walk, self._walk), (damaged, self._damaged) = (self._walk, None), (self._damaged, None)
        if walk is not None and damaged is not None and not walk.signed_whole:
            walk.break_at(walk.sequence, _CHANGED)  # a chain ends in the head of its last record
        elif damaged is not None:
            self.faults.append(f"line {damaged} was changed")
        if walk is not None:
            self.reports.append(walk.report())

    def _sealed(self, seal: Seal) -> None:
        self._seal = seal
        if self.header is None:
            return
        own = seal.certificate
        holds = (
            (seal.lines, seal.digest) == (self._count, self._digest.digest())
            and own.site == self.header.site
            and root_certified(
                own,
                Role.CENTRAL,
                self.header.root_public_key,
                self.header.operator,
                self.header.exported_at_ms,
            )
            and verifies(own.public_key, seal.signature, _sealed_bytes(seal.lines, seal.digest))
        )
        if not holds:
            self.faults.append("the seal is not central's over these lines")

    def ended(self) -> None:
        """The file is over."""
        self._close()
        if self._seal is None:
            self.faults.append("the file ends without central's seal: it was cut short, or its end changed")


def _read(raw: bytes) -> Line | None:
    """A line in its one form, or None."""
    try:
        read = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return read if msgspec.json.encode(read) + b"\n" == raw else None


def verify_export(lines: Iterable[bytes], root_public_key: bytes | None = None) -> ExportReport:
    """Walk an exported file from its first line; `root_public_key` is the operator root you trust."""
    reading = _Reading(root_public_key)
    for raw in lines:
        reading.line(raw)
    reading.ended()
    header = reading.header
    fault = reading.faults[0] if reading.faults else None
    if header is None:
        return ExportReport("", "", 0, "", tuple(reading.reports), fault or "the file has no header")
    root = header.root_public_key.hex()
    return ExportReport(
        header.operator, header.site, header.exported_at_ms, root, tuple(reading.reports), fault
    )
