"""Feeds: the standings of each purpose and the gallery, as versions that only go up and changes between them.

Pages of the newest version lie in memory, packed; a change touches the pages of its subjects alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from typing import Any, Protocol

from central.rules.enrolment import gallery_entry
from central.rules.feed_pages import (
    NEVER_MS,
    Change,
    Snapshot,
    Unpack,
    between,
    build,
    change,
    deltas,
    renewed_at_ms,
)
from central.rules.fleet import FeedPlace
from central.rules.subjects import StoredClaim, Subject
from central.service.context import Context
from central.service.standings import BATCH_SUBJECTS, Standings
from wire.canonical import canonical
from wire.fleet import GalleryDelta, Head, StandingDelta
from wire.ids import GalleryName, Purpose, SubjectId
from wire.packing import rows_digest, unpack_gallery, unpack_standings
from wire.requests import Refusal
from wire.values import GalleryEntry, SealedTemplate

PAGES_A_TICK = 8
"""Pages renewed in one tick because time has changed their rows; the rest follow a second later."""
DELTAS_MIN = 16
"""Changes that are kept whatever the feed's size."""
DELTAS_KEPT_MAX = 1024
"""Changes of one feed kept for those who missed them."""
DELTAS_KEPT_BYTES = 32 * 1024 * 1024
DELTAS_KEPT_MS = 86_400_000
LEASE_MS = 30_000
"""How long after the last request for it an older version is still served."""
LEASES_MAX = 32

CHANGES_KEPT_MS = 600_000
"""How long the list of changed subjects is kept for other workers, at least; at most twice as long."""

Delta = StandingDelta | GalleryDelta
_Batch = tuple[Sequence[Subject], Sequence[SubjectId]]
"""Some subjects, and others who are not there any more."""


class FeedKind(StrEnum):
    """The kinds of feed."""

    STANDING = "standing"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True)
class FeedVersion:
    """Where a feed stands: `digest` is that of its rows at (epoch, version)."""

    kind: str
    name: str
    epoch: int
    version: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class FeedDelta:
    """A change of a feed that is to be told."""

    kind: FeedKind
    name: str
    delta: Delta


class FeedStore(Protocol):
    """Where feed versions are kept, whom feeds are of, and what their rows are made of."""

    def feed(self, kind: str, name: str) -> FeedVersion | None:
        """The version of a feed."""
        ...

    def save_feed(self, feed: FeedVersion) -> bool:
        """Store the version of a feed; False when a later epoch has begun meanwhile."""
        ...

    def raise_epochs(self, at_least: int) -> None:
        """Begin a later epoch of every feed, no lower than `at_least`, and raise the revision."""
        ...

    def revision(self) -> int:
        """A number that rises with every change to what feeds are made of, whoever makes it."""
        ...

    def changed_since(self, revision: int) -> Sequence[SubjectId] | None:
        """Subjects changed after a revision, sorted; None when it may be anybody."""
        ...

    def forget_changes(self, revision: int) -> None:
        """Keep no longer who changed up to a revision."""
        ...

    def subjects_after(self, after: str, most: int) -> Sequence[Subject]:
        """The next subjects in their order, withdrawn ones included."""
        ...

    def subjects_among(self, subjects: Sequence[SubjectId]) -> Sequence[Subject]:
        """Those of the given ones that exist, in their order, withdrawn ones included."""
        ...

    def templates_among(self, subjects: Sequence[SubjectId]) -> Mapping[SubjectId, SealedTemplate]:
        """The templates of some subjects."""
        ...

    def claims_among(self, subjects: Sequence[SubjectId]) -> Sequence[StoredClaim]:
        """The claims of some subjects, revoked ones included."""
        ...

    def invited_among(self, subjects: Sequence[SubjectId]) -> Set[SubjectId]:
        """Those who have a template, and none of the recipe that is being changed to."""
        ...

    def alike_among(self, subjects: Sequence[SubjectId]) -> Set[SubjectId]:
        """Those who are too much like another member to be told apart by face."""
        ...


@dataclass(slots=True)
class _Feed:
    """One feed: its newest version, older ones still asked for, and the changes that led here."""

    kind: FeedKind
    name: str
    unpack: Unpack[Any]
    rows: Callable[[Sequence[Subject]], Iterable[Any]]
    snapshot: Snapshot | None = None
    older: dict[tuple[int, int], tuple[Snapshot, int]] = field(default_factory=dict)
    deltas: OrderedDict[int, tuple[Delta, int]] = field(default_factory=OrderedDict)
    deltas_bytes: int = 0


class Feeds:
    """Feeds kept as the store has them; a version is durable before it is used."""

    def __init__(self, context: Context, store: FeedStore, standings: Standings) -> None:
        self._context = context
        self._store = store
        self._rebuilding = threading.Lock()  # one thread at a time brings feeds up to date
        self._guard = threading.Lock()  # held for moments: readers see a feed before a change or after it
        self._standings = standings
        self._revision = -1
        self._looked_at_ms = context.now_ms()
        self._forget = (0, 0)
        self._untold: list[FeedDelta] = []
        made = [_Feed(FeedKind.GALLERY, context.gallery, unpack_gallery, self._gallery_rows)]
        made += [
            _Feed(FeedKind.STANDING, purpose, unpack_standings, _rows_of(standings, purpose))
            for purpose in standings.purposes
        ]
        self._feeds = {(feed.kind, feed.name): feed for feed in made}

    def refresh(self) -> bool:
        """Take up what changed; whether any head is another than before. May run beside readers."""
        with self._rebuilding:
            try:
                return self._refresh()
            except _EpochBegunError:
                return True  # the revision was not noted, so the next one looks at everything again

    def restored(self) -> None:
        """Begin a new epoch after a restored backup: kiosks hold later versions, and would ignore these.

        It is no lower than the time in seconds, so that one backup restored twice gives two epochs.
        """
        self._store.raise_epochs(self._context.now_ms() // 1000)

    def _refresh(self) -> bool:
        revision, now_ms = self._store.revision(), self._context.now_ms()
        changed: Sequence[SubjectId] | None = ()
        if self._revision >= 0 and revision != self._revision:
            changed = self._store.changed_since(self._revision)
        if changed is not None:
            changed = [*changed, *self._standings.lapsed_between(self._looked_at_ms, now_ms)]
        moved = [
            self._bring_up(feed, changed, now_ms, look=revision != self._revision)
            for feed in self._feeds.values()
        ]
        self._revision, self._looked_at_ms = revision, now_ms
        self._forget_changes(now_ms)
        return any(moved)

    def _forget_changes(self, now_ms: int) -> None:
        """Forget who changed, some time after it was taken up."""
        at_ms, revision = self._forget
        if now_ms - at_ms >= CHANGES_KEPT_MS:
            if revision:
                self._store.forget_changes(revision)
            self._forget = (now_ms, self._revision)

    def _bring_up(self, feed: _Feed, changed: Sequence[SubjectId] | None, now_ms: int, *, look: bool) -> bool:
        """Bring one feed up to date; whether its head is another than before."""
        before = feed.snapshot
        if before is None:
            self._open(feed)
            return True
        self._forget_old(feed, now_ms)
        known = self._store.feed(feed.kind, feed.name) if look else None
        epoch = before.epoch if known is None else known.epoch
        made = self._renewed(feed, before, changed, now_ms)
        if not (made.rows or made.gone) and epoch == before.epoch:
            return False
        pages, number, parts = made.pages, made.number, list(deltas(made.rows, made.gone))
        # Beyond as many changes as there are chunks, a snapshot is the shorter way for everybody.
        told = epoch == before.epoch and len(parts) <= max(DELTAS_MIN, len(pages))
        version = before.version + (len(parts) if told else 1)
        after = Snapshot(feed.name, epoch, version, number, pages)
        saved = FeedVersion(feed.kind, feed.name, epoch, version, rows_digest(number))
        if not self._store.save_feed(saved):
            raise _EpochBegunError  # and all is looked at again
        with self._guard:
            feed.snapshot = after
            feed.older[before.epoch, before.version] = (before, now_ms + LEASE_MS)
            if told:
                self._keep_deltas(feed, before, parts, now_ms)
            else:
                feed.deltas.clear()
                feed.deltas_bytes = 0
        return True

    def _open(self, feed: _Feed) -> None:
        """Make a feed's first pages of this life; the version is the last one's, if the rows still are."""
        pages, number = build(chain.from_iterable(map(feed.rows, self._everybody())))
        digest = rows_digest(number)
        known = self._store.feed(feed.kind, feed.name)
        if known is None:
            known = FeedVersion(feed.kind, feed.name, 1, 1, digest)
            self._store.save_feed(known)
        elif known.digest != digest:
            known = replace(known, version=known.version + 1, digest=digest)
            if not self._store.save_feed(known):
                raise _EpochBegunError
        with self._guard:
            feed.snapshot = Snapshot(feed.name, known.epoch, known.version, number, pages)

    def _everybody(self) -> Iterator[Sequence[Subject]]:
        after = ""
        while batch := self._store.subjects_after(after, BATCH_SUBJECTS):
            yield batch
            after = batch[-1].subject

    def _renewed(
        self, feed: _Feed, before: Snapshot, changed: Sequence[SubjectId] | None, now_ms: int
    ) -> Change[Any]:
        """What becomes of a version once `changed`, and those whom time changes, are taken up."""
        if changed is None:
            batches = self._everybody_against(feed, before)
        else:
            batches = self._some(sorted({*changed, *_due(feed, before, now_ms)}))
        pages, number = before.pages, before.number
        rows: list[Any] = []
        gone: list[SubjectId] = []
        for found, missing in batches:
            made = change(pages, number, rows=feed.rows(found), unpack=feed.unpack, gone=missing)
            pages, number = made.pages, made.number
            rows += made.rows
            gone += made.gone
        return Change(pages, tuple(rows), tuple(gone), number)

    def _some(self, wanted: Sequence[SubjectId]) -> Iterator[_Batch]:
        for at in range(0, len(wanted), BATCH_SUBJECTS):
            some = wanted[at : at + BATCH_SUBJECTS]
            found = self._store.subjects_among(some)
            there = {each.subject for each in found}
            yield found, [subject for subject in some if subject not in there]

    def _everybody_against(self, feed: _Feed, before: Snapshot) -> Iterator[_Batch]:
        after = ""
        for found in self._everybody():
            there, last = {each.subject for each in found}, found[-1].subject
            held = between(before.pages, after, last, feed.unpack)
            yield found, [subject for subject in held if subject not in there]
            after = last
        yield (), list(between(before.pages, after, None, feed.unpack))

    def _keep_deltas(self, feed: _Feed, before: Snapshot, parts: list[Any], now_ms: int) -> None:
        made: type[Any] = StandingDelta if feed.kind is FeedKind.STANDING else GalleryDelta
        for version, part in enumerate(parts, before.version + 1):
            delta = made(before.epoch, version, now_ms, *part)
            size_bytes = len(canonical(delta))
            feed.deltas[version] = (delta, size_bytes)
            feed.deltas_bytes += size_bytes
            self._untold.append(FeedDelta(feed.kind, feed.name, delta))
        while len(feed.deltas) > DELTAS_KEPT_MAX or feed.deltas_bytes > DELTAS_KEPT_BYTES:
            self._drop_delta(feed)

    @staticmethod
    def _drop_delta(feed: _Feed) -> None:
        _, (_, size_bytes) = feed.deltas.popitem(last=False)
        feed.deltas_bytes -= size_bytes

    def _forget_old(self, feed: _Feed, now_ms: int) -> None:
        """Drop older versions that nobody asks for, and changes of yesterday: who withdrew is in them."""
        with self._guard:
            while feed.deltas and next(iter(feed.deltas.values()))[0].issued_at_ms < now_ms - DELTAS_KEPT_MS:
                self._drop_delta(feed)
            over = [place for place, (_, until_ms) in feed.older.items() if until_ms < now_ms]
            over += [*feed.older][: max(0, len(feed.older) - LEASES_MAX)]
            for place in over:
                feed.older.pop(place, None)

    def _gallery_rows(self, subjects: Sequence[Subject]) -> list[GalleryEntry]:
        named = [each.subject for each in subjects]
        templates = self._store.templates_among(named)
        claims: defaultdict[SubjectId, list[StoredClaim]] = defaultdict(list)
        for claim in self._store.claims_among(named):
            claims[claim.subject].append(claim)
        invited = self._store.invited_among(named)
        alike = self._store.alike_among(named)
        return [
            gallery_entry(
                each,
                templates.get(each.subject),
                claims[each.subject],
                enrol_again=each.subject in invited,
                claim_needed=each.subject in alike,
            )
            for each in subjects
        ]

    # --- what is asked

    def untold(self) -> list[FeedDelta]:
        """The changes that were not given out before, in their order; each is given once."""
        with self._guard:
            untold, self._untold = self._untold, []
        return untold

    @property
    def taken_up(self) -> int:
        """The store's revision that the feeds are as new as; -1 before the first refresh."""
        return self._revision

    def places(self) -> list[tuple[FeedKind, str, FeedPlace]]:
        """The version of each feed."""
        with self._guard:
            found = [(feed, feed.snapshot) for feed in self._feeds.values()]
        return [
            (feed.kind, feed.name, FeedPlace(held.epoch, held.version))
            for feed, held in found
            if held is not None
        ]

    def place(self, purpose: Purpose) -> tuple[int, int] | None:
        """Epoch and version of a purpose's standings."""
        snapshot = self._snapshot(FeedKind.STANDING, purpose)
        return None if snapshot is None else (snapshot.epoch, snapshot.version)

    def standing_heads(self) -> dict[Purpose, Head]:
        """The head of each purpose, issued now."""
        return {Purpose(name): head for name, head in self._heads(FeedKind.STANDING)}

    def gallery_heads(self) -> dict[GalleryName, Head]:
        """The head of each gallery, issued now."""
        return {GalleryName(name): head for name, head in self._heads(FeedKind.GALLERY)}

    def head(self, kind: FeedKind, name: str) -> Head | None:
        """The head of one feed, issued now."""
        snapshot = self._snapshot(kind, name)
        return None if snapshot is None else snapshot.head(self._context.now_ms())

    def chunk(self, kind: FeedKind, name: str, epoch: int, version: int, index: int) -> bytes | Refusal:
        """One packed chunk of a feed at a version: the newest, or one that is still being asked for."""
        feed = self._feeds.get((kind, name))
        if feed is None or feed.snapshot is None:
            return Refusal.UNKNOWN_FEED
        with self._guard:
            snapshot = feed.snapshot
            if (snapshot.epoch, snapshot.version) != (epoch, version):
                leased = feed.older.get((epoch, version))
                if leased is None:
                    return Refusal.SUPERSEDED
                snapshot = leased[0]
                feed.older[epoch, version] = (snapshot, self._context.now_ms() + LEASE_MS)
        return snapshot.pages[index].packed if index < len(snapshot.pages) else Refusal.UNKNOWN_FEED

    def delta(self, kind: FeedKind, name: str, epoch: int, version: int) -> Delta | Refusal:
        """The change of a feed that led to a version, if it is still kept."""
        feed = self._feeds.get((kind, name))
        if feed is None or feed.snapshot is None:
            return Refusal.UNKNOWN_FEED
        with self._guard:
            kept = feed.deltas.get(version) if epoch == feed.snapshot.epoch else None
        return Refusal.NOT_KEPT if kept is None else kept[0]

    def _snapshot(self, kind: FeedKind, name: str) -> Snapshot | None:
        feed = self._feeds.get((kind, name))
        return None if feed is None else feed.snapshot

    def _heads(self, kind: FeedKind) -> list[tuple[str, Head]]:
        now_ms = self._context.now_ms()
        return [
            (feed.name, feed.snapshot.head(now_ms))
            for feed in self._feeds.values()
            if feed.kind is kind and feed.snapshot is not None
        ]


class _EpochBegunError(Exception):
    """Somebody raised the epoch between reading and writing it: what was made is not used."""


def _rows_of(standings: Standings, purpose: Purpose) -> Callable[[Sequence[Subject]], Iterable[Any]]:
    return lambda subjects: standings.rows(purpose, subjects)


def _due(feed: _Feed, before: Snapshot, now_ms: int) -> Iterator[SubjectId]:
    """Subjects whose rows time has changed, of some pages at a time."""
    due = [page for page in before.pages if page.renew_at_ms <= now_ms and page.renew_at_ms < NEVER_MS]
    for page in due[:PAGES_A_TICK]:
        unpacked = feed.unpack(page.packed)
        assert unpacked is not None, "a page of our own"
        yield from (row.subject for row in unpacked.rows if renewed_at_ms(row) <= now_ms)
