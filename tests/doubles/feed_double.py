"""A central's feed over a store in memory, and a link to it that loses, repeats and delays what is said."""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from central.rules.subjects import StoredClaim, Subject
from central.service.feeds import FeedKind, Feeds, FeedVersion
from tests.doubles.wire_samples import ISSUED_MS, RIDE, standing
from wire import topics
from wire.codec import Received
from wire.fleet import Head
from wire.ids import GalleryName, KeyId, Nonce, Purpose, SiteId, SubjectId
from wire.packing import unpack_standings
from wire.requests import (
    DeltaReply,
    DeltaRequest,
    HeadReply,
    HeadRequest,
    Refusal,
    Refused,
    Request,
    SnapshotChunkRequest,
    StandingChunk,
)
from wire.topics import TopicKind
from wire.values import SealedTemplate, StandingEntry, Tombstone

NORTH, MEMBERS = SiteId("north"), GalleryName("members")


def subject(number: int) -> SubjectId:
    return SubjectId(f"{number:032x}")


@dataclass
class Ledger:
    """What central's database holds of a feed, and can be restored to."""

    rows: dict[SubjectId, StandingEntry] = field(default_factory=dict)
    versions: dict[tuple[str, str], FeedVersion] = field(default_factory=dict)
    changes: dict[SubjectId, int] = field(default_factory=dict)
    at_revision: int = 0
    floor: int = 0

    def put(self, row: StandingEntry) -> None:
        self.rows[row.subject] = row
        self._changed(row.subject)

    def forget(self, gone: SubjectId) -> None:
        self.rows.pop(gone, None)
        self._changed(gone)

    def _changed(self, who: SubjectId) -> None:
        self.at_revision += 1
        self.changes[who] = self.at_revision

    # --- what Feeds asks

    def feed(self, kind: str, name: str) -> FeedVersion | None:
        return self.versions.get((kind, name))

    def save_feed(self, feed: FeedVersion) -> bool:
        self.versions[feed.kind, feed.name] = feed
        return True

    def raise_epochs(self, at_least: int) -> None:
        self.at_revision += 1
        self.versions = {
            key: FeedVersion(each.kind, each.name, max(each.epoch + 1, at_least), each.version, each.digest)
            for key, each in self.versions.items()
        }

    def revision(self) -> int:
        return self.at_revision

    def changed_since(self, revision: int) -> Sequence[SubjectId] | None:
        if self.floor > revision:
            return None
        return sorted(who for who, when in self.changes.items() if when > revision)

    def forget_changes(self, revision: int) -> None:
        self.floor = revision
        self.changes = {who: when for who, when in self.changes.items() if when > revision}

    def subjects_after(self, after: str, most: int) -> Sequence[Subject]:
        return [Subject(each, 1) for each in sorted(self.rows) if each > after][:most]

    def subjects_among(self, subjects: Sequence[SubjectId]) -> Sequence[Subject]:
        return [Subject(each, 1) for each in subjects if each in self.rows]

    def templates_among(self, subjects: Sequence[SubjectId]) -> Mapping[SubjectId, SealedTemplate]:
        return {}

    def claims_among(self, subjects: Sequence[SubjectId]) -> Sequence[StoredClaim]:
        return []

    def invited_among(self, subjects: Sequence[SubjectId]) -> set[SubjectId]:
        return set()

    def alike_among(self, subjects: Sequence[SubjectId]) -> set[SubjectId]:
        return set()


class Rows:
    """Central's standings, as they are in the ledger."""

    purposes = (RIDE,)

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def rows(self, purpose: Purpose, subjects: Sequence[Subject]) -> list[StandingEntry]:
        assert purpose == RIDE
        return [self.ledger.rows[each.subject] for each in subjects]

    def lapsed_between(self, after_ms: int, until_ms: int) -> list[SubjectId]:
        return []


class Source:
    """A central with one purpose, and all that feeds want of its context.

    `history` has the rows of each version that ever was, `cuts` the chunks that heads of it list: a restart
    cuts the same rows anew, and `cut_anew` counts the chunks given that some head of theirs does not list.
    """

    gallery = MEMBERS

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.clock_ms = ISSUED_MS
        self.history: dict[tuple[int, int], dict[SubjectId, StandingEntry]] = {}
        self.cuts: dict[tuple[int, int], set[tuple[bytes, ...]]] = {}
        self.cut_anew = 0
        self.restart()

    def now_ms(self) -> int:
        return self.clock_ms

    def restart(self) -> None:
        """Begin a new life over the same database: no change is kept in memory."""
        self.feeds = Feeds(self, self.ledger, Rows(self.ledger))  # type: ignore[arg-type]
        self.publish()

    def change(self, number: int, score: int) -> None:
        """A member's standing changes; 0: they withdraw, below: retention takes the last of them."""
        who = subject(number)
        if score < 0:
            self.ledger.forget(who)
        else:
            self.ledger.put(Tombstone(who, 1) if score == 0 else standing(who, score))

    def restore(self, backup: Ledger) -> None:
        """Put a backup in the place of the database, and begin a new epoch as the operator is told to."""
        self.ledger = copy.deepcopy(backup)
        self.feeds = Feeds(self, self.ledger, Rows(self.ledger))  # type: ignore[arg-type]
        self.feeds.restored()
        self.publish()

    def publish(self) -> list[Any]:
        """What is told now: changes, then the head."""
        self.clock_ms += 1_000
        self.feeds.refresh()
        told = [each.delta for each in self.feeds.untold() if each.kind is FeedKind.STANDING]
        for delta in told:  # a large change is told in several versions
            rows = dict(self.history[delta.epoch, delta.version - 1])
            rows |= {row.subject: row for row in delta.rows}
            self.history[delta.epoch, delta.version] = {
                who: row for who, row in rows.items() if who not in delta.gone
            }
        head = self.head()
        place = (head.epoch, head.version)
        assert self.history.setdefault(place, dict(self.ledger.rows)) == self.ledger.rows
        self.cuts.setdefault(place, set()).add(tuple(head.chunk_digests))
        return [*told, head]

    def head(self) -> Head:
        head = self.feeds.head(FeedKind.STANDING, RIDE)
        assert head is not None
        return head

    def answer(self, request: Request) -> Any:
        """The reply to a question of the standing feed."""
        kind = FeedKind.STANDING
        match request:
            case HeadRequest(nonce=nonce):
                return HeadReply(nonce, self.head())
            case DeltaRequest(nonce=nonce, epoch=epoch, version=version):
                delta = self.feeds.delta(kind, RIDE, epoch, version)
                return Refused(nonce, delta) if isinstance(delta, Refusal) else DeltaReply(nonce, delta)
            case SnapshotChunkRequest(nonce=nonce, epoch=epoch, version=version, index=index):
                packed = self.feeds.chunk(kind, RIDE, epoch, version, index)
                if isinstance(packed, Refusal):
                    return Refused(nonce, packed)
                chunk = unpack_standings(packed)
                assert chunk is not None
                cuts = self.cuts.get((epoch, version), set())
                self.cut_anew += any(cut[index : index + 1] != (chunk.digest,) for cut in cuts)
                return StandingChunk(nonce, epoch, version, index, packed)
        raise AssertionError(request)


class Wire:
    """A link between one feed and its source, with verbs for what a broker may do to messages."""

    connected = True

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ignored: Counter[str] = Counter()
        self.on_connected: list[Callable[[], None]] = []
        self.on_the_way: deque[Any] = deque()
        self.before_answers: deque[Callable[[], None]] = deque()
        self.losing = 0
        self._listeners: dict[TopicKind, Callable[[Received, bool], None]] = {}

    def listen(self, kind: TopicKind, listener: Callable[[Received, bool], None]) -> None:
        self._listeners[kind] = listener

    def tell(self, messages: Sequence[Any]) -> None:
        """Central has said this; it is on its way."""
        self.on_the_way.extend(messages)

    def deliver(self, index: int, *, again: bool = False) -> None:
        """One message arrives, out of turn if so chosen, and may arrive again."""
        message = self.on_the_way[index]
        if not again:
            del self.on_the_way[index]
        head = isinstance(message, Head)
        kind = TopicKind.STANDING_HEAD if head else TopicKind.STANDING_DELTA
        address = topics.Address(kind, NORTH, RIDE)
        self._listeners[kind](Received(address, message, RIDE, KeyId("0" * 32), "central"), False)

    def lose(self, index: int) -> None:
        """One message never arrives."""
        del self.on_the_way[index]

    async def ask(self, question: Callable[[Nonce, int], Request], expected: Any, deadline_ms: int) -> Any:
        """Central's answer, or None if the broker loses it; central may change before it answers."""
        if self.before_answers:
            self.before_answers.popleft()()
        if self.losing:
            self.losing -= 1
            return None
        reply = self.source.answer(question(Nonce(bytes(16)), 0))
        return reply if isinstance(reply, expected) else None
