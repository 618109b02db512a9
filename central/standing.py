"""Standings and the chunks of a feed: what central issues to kiosks for one purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from central.scorecard import Event, Scorecard, score
from wire.canonical import canonical
from wire.chain import chunk_digest
from wire.fleet import Head
from wire.ids import ReasonCode, SubjectId
from wire.requests import CHUNK_MAX_BYTES, CHUNK_MAX_ROWS
from wire.values import RESTRICTIONS_MAX, GalleryEntry, Restriction, Standing, StandingEntry

HOUR_MS = 3_600_000
Row = TypeVar("Row", StandingEntry, GalleryEntry)


def compute(card: Scorecard, subject: SubjectId, events: Iterable[Event], at_ms: int) -> Standing:
    """The standing of a subject at an instant, without restrictions; it expires as the scorecard says."""
    scored = score(card, subject, events, at_ms)
    return Standing(
        subject=subject,
        operator=card.operator,
        purpose=card.purpose,
        score=scored.score,
        tier=ReasonCode(scored.tier.value),
        factors=scored.factors,
        limits=scored.limits,
        restrictions=(),
        issued_at_ms=at_ms,
        expires_at_ms=at_ms + card.valid_hours * HOUR_MS,
    )


def restricted(standing: Standing, restrictions: Iterable[Restriction], at_ms: int) -> Standing:
    """The standing with the restrictions in force at an instant; the longest, should there be too many."""
    in_force = [each for each in restrictions if each.expires_at_ms > at_ms]
    in_force.sort(key=lambda each: (-each.expires_at_ms, each.restriction_id))
    return msgspec.structs.replace(standing, restrictions=tuple(in_force[:RESTRICTIONS_MAX]))


def due(standing: Standing, at_ms: int) -> bool:
    """Whether a standing is to be computed anew: a quarter of its validity is gone."""
    return at_ms >= standing.issued_at_ms + (standing.expires_at_ms - standing.issued_at_ms) // 4


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[Row]):
    """A feed at one version: its rows by subject, cut into chunks, and the chunks' digests."""

    name: str
    epoch: int
    version: int
    count: int
    chunks: tuple[tuple[Row, ...], ...]
    digests: tuple[bytes, ...]

    def head(self, issued_at_ms: int) -> Head:
        """The head to be signed at an instant."""
        return Head(
            name=self.name,
            epoch=self.epoch,
            version=self.version,
            issued_at_ms=issued_at_ms,
            count=self.count,
            chunk_digests=self.digests,
        )


def cut(rows: Sequence[Row]) -> tuple[tuple[Row, ...], ...]:
    """Cut rows, sorted by subject, into chunks of at most CHUNK_MAX_ROWS and CHUNK_MAX_BYTES."""
    chunks: list[tuple[Row, ...]] = []
    chunk: list[Row] = []
    size_bytes = 0
    for row in sorted(rows, key=lambda row: row.subject):
        row_bytes = len(canonical(row))
        if chunk and (len(chunk) == CHUNK_MAX_ROWS or size_bytes + row_bytes > CHUNK_MAX_BYTES):
            chunks.append(tuple(chunk))
            chunk, size_bytes = [], 0
        chunk.append(row)
        size_bytes += row_bytes
    if chunk:
        chunks.append(tuple(chunk))
    return tuple(chunks)


def digests_of(chunks: Iterable[tuple[object, ...]]) -> tuple[bytes, ...]:
    """The digest of each chunk, as a head gives them."""
    return tuple(chunk_digest(chunk) for chunk in chunks)
