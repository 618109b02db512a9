"""A feed's rows in pages: sorted by subject, packed as they travel, and shared by the versions they serve.

A change makes new pages of those it touches and leaves the rest, so that a version costs what changed in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic

from central.rules.standing import due_at_ms
from wire.canonical import canonical
from wire.fields import INSTANT_MAX_MS
from wire.fleet import DELTA_MAX_ROWS, Head
from wire.ids import SubjectId
from wire.packing import (
    CHUNK_MAX_BYTES,
    CHUNK_MAX_ROWS,
    Row,
    Unpacked,
    pack,
    row_number,
    rows_digest,
)
from wire.values import GalleryEntry, Standing, StandingEntry

FILL = 0.75
"""The share of a chunk's rows and bytes used when pages are first made; the rest is room for new members."""
NEVER_MS = INSTANT_MAX_MS

Unpack = Callable[[bytes], Unpacked[Row] | None]


@dataclass(frozen=True, slots=True)
class Page:
    """One chunk as kiosks get it. `first` is its least subject; at `renew_at_ms` time changes a row of it."""

    first: SubjectId
    count: int
    packed: bytes
    digest: bytes
    renew_at_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A feed at one version; `number` is the sum behind the digest of its rows."""

    name: str
    epoch: int
    version: int
    number: int
    pages: tuple[Page, ...]

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(page.count for page in self.pages)

    def head(self, issued_at_ms: int) -> Head:
        """The head to be signed at an instant."""
        return Head(
            name=self.name,
            epoch=self.epoch,
            version=self.version,
            issued_at_ms=issued_at_ms,
            count=self.count,
            rows_digest=rows_digest(self.number),
            chunk_digests=tuple(page.digest for page in self.pages),
        )


@dataclass(frozen=True, slots=True)
class Change(Generic[Row]):
    """Pages after a change, the rows that are new or others, who is gone, and the sum of all numbers."""

    pages: tuple[Page, ...]
    rows: tuple[Row, ...]
    gone: tuple[SubjectId, ...]
    number: int


def renewed_at_ms(row: StandingEntry | GalleryEntry) -> int:
    """When time alone makes another row of this one: a standing is due, or a restriction is over."""
    if not isinstance(row, Standing):
        return NEVER_MS
    return min(due_at_ms(row), *(each.expires_at_ms for each in row.restrictions), NEVER_MS)


def build(rows: Iterable[StandingEntry | GalleryEntry]) -> tuple[tuple[Page, ...], int]:
    """Pages of rows that come sorted by subject, and their sum; holds one page's rows at a time."""
    pages: list[Page] = []
    total = 0
    for part in _filled((row, canonical(row)) for row in rows):
        pages.append(_page(part))
        total += sum(row_number(encoded) for _, encoded in part)
    return tuple(pages), total


def change(
    pages: Sequence[Page],
    number: int,
    *,
    rows: Iterable[Row],
    unpack: Unpack[Row],
    gone: Iterable[SubjectId] = (),
    most: int = CHUNK_MAX_ROWS,
) -> Change[Row]:
    """The pages with `rows`, each subject's once, in the place of their old ones, and without those `gone`.

    `most` is how many rows a page may have.
    """
    firsts = [page.first for page in pages]
    wanted: list[tuple[SubjectId, Row | None]] = [(row.subject, row) for row in rows]
    wanted += [(subject, None) for subject in gone]
    wanted.sort(key=lambda each: each[0])
    changed: list[Row] = []
    removed: list[SubjectId] = []
    fresh: dict[int, list[Page]] = {}
    for index, group in groupby(wanted, lambda each: max(bisect_right(firsts, each[0]) - 1, 0)):
        held = _opened(pages[index], unpack) if pages else {}
        before = len(changed) + len(removed)
        for subject, row in group:
            old = held.pop(subject, None)
            if old is not None:
                number -= row_number(old[1])
            if row is not None:
                encoded = canonical(row)
                number += row_number(encoded)
                held[subject] = (row, encoded)
                if old is None or old[1] != encoded:
                    changed.append(row)
            elif old is not None:
                removed.append(subject)
        if len(changed) + len(removed) > before:
            everybody = [held[subject] for subject in sorted(held)]
            fresh[index] = [_page(part) for part in _halved(everybody, most)] if everybody else []
    return Change(_spliced(pages, fresh), tuple(changed), tuple(removed), number)


def between(pages: Sequence[Page], after: str, last: str | None, unpack: Unpack[Row]) -> Iterator[SubjectId]:
    """The subjects that pages hold beyond `after`, up to `last` (None: all)."""
    for index, page in enumerate(pages):
        ended = index + 1 < len(pages) and pages[index + 1].first <= after
        if not ended and (last is None or page.first <= last):
            for subject in _opened(page, unpack):
                if subject > after and (last is None or subject <= last):
                    yield subject


def deltas(
    rows: Sequence[Row], gone: Sequence[SubjectId]
) -> Iterator[tuple[tuple[Row, ...], tuple[SubjectId, ...]]]:
    """Changed rows and those who are gone, in parts that each fit one delta."""
    part: list[Row] = []
    size_bytes = 0
    for row in rows:
        row_bytes = len(canonical(row))
        if part and (len(part) == DELTA_MAX_ROWS or size_bytes + row_bytes > CHUNK_MAX_BYTES):
            yield tuple(part), ()
            part, size_bytes = [], 0
        part.append(row)
        size_bytes += row_bytes
    if part:
        yield tuple(part), ()
    for at in range(0, len(gone), DELTA_MAX_ROWS):
        yield (), tuple(gone[at : at + DELTA_MAX_ROWS])


def _opened(page: Page, unpack: Unpack[Row]) -> dict[SubjectId, tuple[Row, bytes]]:
    unpacked = unpack(page.packed)
    assert unpacked is not None, "a page of our own"
    pairs = zip(unpacked.rows, unpacked.encoded, strict=True)
    return {row.subject: (row, encoded) for row, encoded in pairs}


def _spliced(pages: Sequence[Page], fresh: dict[int, list[Page]]) -> tuple[Page, ...]:
    if not fresh:
        return tuple(pages)
    if not pages:
        return tuple(fresh[0])
    spliced: list[Page] = []
    for index, page in enumerate(pages):
        spliced += fresh.get(index, [page])
    return tuple(spliced)


def _page(part: Sequence[tuple[StandingEntry | GalleryEntry, bytes]]) -> Page:
    packed, digest = pack(encoded for _, encoded in part)
    renew_at_ms = min(renewed_at_ms(row) for row, _ in part)
    return Page(part[0][0].subject, len(part), packed, digest, renew_at_ms)


def _filled(
    rows: Iterable[tuple[StandingEntry | GalleryEntry, bytes]],
) -> Iterator[list[tuple[StandingEntry | GalleryEntry, bytes]]]:
    part: list[tuple[StandingEntry | GalleryEntry, bytes]] = []
    size_bytes = 0
    for row, encoded in rows:
        full = len(part) >= CHUNK_MAX_ROWS * FILL or size_bytes + len(encoded) > CHUNK_MAX_BYTES * FILL
        if part and full:
            yield part
            part, size_bytes = [], 0
        part.append((row, encoded))
        size_bytes += len(encoded)
    if part:
        yield part


def _halved(rows: list[tuple[Row, bytes]], most: int) -> Iterator[list[tuple[Row, bytes]]]:
    """The rows as one page, or in halves until each fits: what grows in one place splits there alone."""
    if len(rows) > most or (len(rows) > 1 and sum(len(encoded) for _, encoded in rows) > CHUNK_MAX_BYTES):
        middle = len(rows) // 2
        yield from _halved(rows[:middle], most)
        yield from _halved(rows[middle:], most)
    else:
        yield rows
