"""Feeds: the standings of each purpose and the gallery, as snapshots with versions that only go up."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from central.enrolment import gallery_entry
from central.service.context import Context
from central.service.standings import Standings
from central.standing import Row, Snapshot, cut, digests_of
from central.subjects import StoredClaim, Subject
from wire.canonical import joined
from wire.fleet import Head
from wire.ids import GalleryName, Purpose, SubjectId
from wire.requests import Refusal
from wire.values import GalleryEntry, SealedTemplate, StandingEntry

REBUILD_AFTER_MS = 600_000  # standings age and restrictions end without anybody writing


@dataclass(frozen=True, slots=True)
class FeedVersion:
    """Where a feed stands: `digest` is that of its chunks at (epoch, version)."""

    kind: str
    name: str
    epoch: int
    version: int
    digest: bytes


class FeedStore(Protocol):
    """Where feed versions are kept."""

    def feed(self, kind: str, name: str) -> FeedVersion | None:
        """The version of a feed."""
        ...

    def save_feed(self, feed: FeedVersion) -> None:
        """Store the version of a feed."""
        ...

    def raise_epochs(self) -> None:
        """Raise the epoch of every feed, and the revision."""
        ...

    def revision(self) -> int:
        """A number that rises with every change to what feeds are made of, whoever makes it."""
        ...


class GalleryStore(Protocol):
    """Everything a gallery is made of, at once."""

    def subjects(self) -> Sequence[Subject]:
        """Every subject, withdrawn ones included."""
        ...

    def templates(self) -> Mapping[SubjectId, SealedTemplate]:
        """Every template."""
        ...

    def claims(self) -> Sequence[StoredClaim]:
        """Every claim, revoked ones included."""
        ...


class Feeds:
    """Snapshots in memory, rebuilt when the store changed; a version is durable before it is used."""

    def __init__(
        self,
        context: Context,
        feeds: FeedStore,
        standings: Standings,
        gallery: GalleryStore,
    ) -> None:
        self._context = context
        self._feeds = feeds
        self._standings = standings
        self._gallery = gallery
        self._rebuilding = threading.Lock()  # one thread rebuilds; readers see the old feeds until it is done
        self._revision = -1
        self._built_at_ms = 0
        self._purposes: dict[Purpose, Snapshot[StandingEntry]] = {}
        self._galleries: dict[GalleryName, Snapshot[GalleryEntry]] = {}

    def refresh(self) -> bool:
        """Rebuild what changed; whether any head is another than before. May run beside readers."""
        with self._rebuilding:
            return self._refresh()

    def restored(self) -> None:
        """Begin a new epoch after a restored backup: kiosks hold later versions, and would ignore these."""
        self._feeds.raise_epochs()

    def _refresh(self) -> bool:
        revision, now_ms = self._feeds.revision(), self._context.now_ms()
        if revision == self._revision and now_ms - self._built_at_ms < REBUILD_AFTER_MS:
            return False
        before = self._heads(0)
        for purpose in self._standings.purposes:
            standing_chunks = cut(self._standings.rows(purpose))
            self._purposes[purpose] = self._versioned("standing", purpose, standing_chunks)
        gallery_chunks = cut(self._gallery_rows())
        gallery = self._context.gallery
        self._galleries[gallery] = self._versioned("gallery", gallery, gallery_chunks)
        self._revision, self._built_at_ms = revision, now_ms
        return self._heads(0) != before

    def _gallery_rows(self) -> list[GalleryEntry]:
        templates = self._gallery.templates()
        claims: defaultdict[SubjectId, list[StoredClaim]] = defaultdict(list)
        for claim in self._gallery.claims():
            claims[claim.subject].append(claim)
        return [
            gallery_entry(each, templates.get(each.subject), claims[each.subject])
            for each in self._gallery.subjects()
        ]

    def _versioned(self, kind: str, name: str, chunks: tuple[tuple[Row, ...], ...]) -> Snapshot[Row]:
        digests = digests_of(chunks)
        digest = hashlib.sha256(joined(*digests)).digest()
        known = self._feeds.feed(kind, name)
        if known is None:
            known = FeedVersion(kind, name, 1, 1, digest)
            self._feeds.save_feed(known)
        elif known.digest != digest:
            known = replace(known, version=known.version + 1, digest=digest)
            self._feeds.save_feed(known)
        count = sum(len(chunk) for chunk in chunks)
        return Snapshot(name, known.epoch, known.version, count, chunks, digests)

    def _heads(self, at_ms: int) -> list[Head]:
        standings = [snapshot.head(at_ms) for snapshot in self._purposes.values()]
        return standings + [snapshot.head(at_ms) for snapshot in self._galleries.values()]

    def standing_heads(self) -> dict[Purpose, Head]:
        """The head of each purpose, issued now."""
        now_ms = self._context.now_ms()
        return {purpose: snapshot.head(now_ms) for purpose, snapshot in self._purposes.items()}

    def gallery_heads(self) -> dict[GalleryName, Head]:
        """The head of each gallery, issued now."""
        now_ms = self._context.now_ms()
        return {name: snapshot.head(now_ms) for name, snapshot in self._galleries.items()}

    def standing_chunk(
        self, purpose: Purpose, epoch: int, version: int, index: int
    ) -> tuple[StandingEntry, ...] | Refusal:
        """The rows of one chunk of a purpose's standings."""
        return _chunk(self._purposes.get(purpose), epoch, version, index)

    def gallery_chunk(
        self, gallery: GalleryName, epoch: int, version: int, index: int
    ) -> tuple[GalleryEntry, ...] | Refusal:
        """The rows of one chunk of a gallery."""
        return _chunk(self._galleries.get(gallery), epoch, version, index)


def _chunk(snapshot: Snapshot[Row] | None, epoch: int, version: int, index: int) -> tuple[Row, ...] | Refusal:
    if snapshot is None:
        return Refusal.UNKNOWN_FEED
    if (snapshot.epoch, snapshot.version) != (epoch, version):
        return Refusal.SUPERSEDED
    return snapshot.chunks[index] if index < len(snapshot.chunks) else Refusal.UNKNOWN_FEED
