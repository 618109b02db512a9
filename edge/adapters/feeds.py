"""Follows central's heads: what is new is asked for chunk by chunk and swapped in whole.

Until a new snapshot is complete, and whenever a head is not to be believed, the last verified one stays in
use; its age counts from the last verified head that vouched for just these rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from edge.adapters.cache import Cache, FeedName, Held
from edge.adapters.clock import AGREES_WITHIN_MS, STEP_MAX_MS, Clock
from edge.adapters.link import Link
from edge.errors import StoreError
from wire.chain import chunk_digest
from wire.codec import Received
from wire.ids import GalleryName, Nonce, Purpose
from wire.messages import (
    GalleryChunk,
    GalleryChunkRequest,
    GalleryEntry,
    Head,
    HeadReply,
    HeadRequest,
    Request,
    SnapshotChunkRequest,
    StandingChunk,
    StandingEntry,
)
from wire.topics import TopicKind

CHUNK_DEADLINE_MS = 5_000
HEAD_DEADLINE_MS = 2_000
CHUNKS_AT_ONCE = 4
"""Chunks asked for at a time: at most 1 MiB is ahead of a passage's own questions."""
RETRY_S = 2.0
ASK_AGAIN_S = 60.0
"""A kiosk that hears no head for this long asks for one: as often as central signs them."""

Entries = Iterable[StandingEntry | GalleryEntry]


class FeedKind(Protocol):
    """What differs between standings and gallery."""

    @property
    def feed(self) -> FeedName:
        """Which feed of the cache it is."""
        ...

    @property
    def topic(self) -> TopicKind:
        """Where its heads are told."""
        ...

    @property
    def name(self) -> str:
        """The name its heads carry."""
        ...

    def question(self, nonce: Nonce, not_after_ms: int, head: Head | None, index: int) -> Request:
        """The question for the newest head, or for one chunk of a head."""
        ...


@dataclass(frozen=True, slots=True)
class StandingFeed:
    """The standings of one purpose."""

    purpose: Purpose
    feed: FeedName = FeedName.STANDING
    topic: TopicKind = TopicKind.STANDING_HEAD

    @property
    def name(self) -> str:
        """The name its heads carry."""
        return self.purpose

    def question(self, nonce: Nonce, not_after_ms: int, head: Head | None, index: int) -> Request:
        """The question for the newest head, or for one chunk of a head."""
        if head is None:
            return HeadRequest(nonce, not_after_ms)
        return SnapshotChunkRequest(nonce, not_after_ms, head.epoch, head.version, index)


@dataclass(frozen=True, slots=True)
class GalleryFeed:
    """One gallery."""

    gallery: GalleryName
    feed: FeedName = FeedName.GALLERY
    topic: TopicKind = TopicKind.GALLERY_HEAD

    @property
    def name(self) -> str:
        """The name its heads carry."""
        return self.gallery

    def question(self, nonce: Nonce, not_after_ms: int, head: Head | None, index: int) -> Request:
        """The question for the newest head, or for one chunk of a head."""
        if head is None:
            return HeadRequest(nonce, not_after_ms, self.gallery)
        return GalleryChunkRequest(nonce, not_after_ms, self.gallery, head.epoch, head.version, index)


class Feed:
    """Keeps one feed of the cache as central has it, until cancelled."""

    def __init__(self, kind: FeedKind, cache: Cache, link: Link, clock: Clock) -> None:
        self._kind, self._cache, self._link, self._clock = kind, cache, link, clock
        self._wake = asyncio.Event()
        self._wanted: Head | None = None
        self._ask = False
        self._patience_s = ASK_AGAIN_S
        self.filling = False
        link.listen(kind.topic, self._hear)
        link.on_connected.append(self._connected)

    @property
    def held(self) -> Held | None:
        """The head of the snapshot in use."""
        return self._cache.held(self._kind.feed)

    def _connected(self) -> None:
        self._ask = True
        self._wake.set()

    def _hear(self, received: Received, retained: bool) -> None:
        if isinstance(received.message, Head):
            self._consider(received.message, live=not retained)
            now_ms = self._clock.now_ms()
            if not retained and (now_ms is None or abs(now_ms - received.message.issued_at_ms) > STEP_MAX_MS):
                # Held back by a broker, or our clock is wrong: the answer to a question of ours will tell.
                self._ask = True
                self._wake.set()

    def _consider(self, head: Head, *, live: bool) -> None:
        """Take a verified head if it is newer than any before it."""
        if head.name != self._kind.name:
            self._link.ignored["wrong_feed"] += 1
            return
        place = (head.epoch, head.version, head.issued_at_ms)
        newest = self._newest()
        if newest is not None and place <= newest:
            # A retained head is often the one just heard or the one before it, and a reply may overtake a
            # publication: nothing is wrong with those.
            if place[:2] < newest[:2] or (live and newest[2] - place[2] > AGREES_WITHIN_MS):
                self._link.ignored["older_head"] += 1
            return
        self._clock.witness(head.issued_at_ms, live=False)
        self._wanted = head
        self._wake.set()

    def _newest(self) -> tuple[int, int, int] | None:
        held = self.held
        places = [] if held is None else [(held.epoch, held.version, held.issued_at_ms)]
        if self._wanted is not None:
            places.append((self._wanted.epoch, self._wanted.version, self._wanted.issued_at_ms))
        return max(places, default=None)

    async def run(self) -> None:
        """Follow the feed until cancelled; a disk that fails leaves the last snapshot in use."""
        while True:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._wake.wait()
            except TimeoutError:
                self._ask = True
            self._wake.clear()
            if self._ask:
                self._ask = False
                await self._ask_for_head()
            head = self._wanted
            if head is None:
                continue
            try:
                taken = await self._take(head)
                self._cache.trouble = ""
            except StoreError as error:
                taken, self._cache.trouble = False, str(error)
            if self._wanted is not head:
                pass  # a newer one has come meanwhile
            elif taken:
                self._wanted = None
            else:
                await asyncio.sleep(RETRY_S)
                self._ask = True  # the snapshot may have moved on
            if self._wanted is not None:
                self._wake.set()

    async def _ask_for_head(self) -> None:
        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return self._kind.question(nonce, not_after_ms, None, 0)

        reply = await self._link.ask(question, HeadReply, HEAD_DEADLINE_MS)
        if reply is not None:
            self._patience_s = ASK_AGAIN_S
            self._consider(reply.head, live=True)
        else:
            # Perhaps only this answer was lost: soon again, then ever later, as central may be away.
            again_s = RETRY_S if self._patience_s == ASK_AGAIN_S else self._patience_s * 2
            self._patience_s = min(again_s, ASK_AGAIN_S)

    async def _take(self, head: Head) -> bool:
        """Make the cache what `head` describes; False when that did not succeed."""
        held = self.held
        if held is not None and (head.epoch, head.version) == (held.epoch, held.version):
            await self._cache.confirm(self._kind.feed, head.issued_at_ms)
            return True
        self.filling = True
        try:
            generation = await self._cache.begin(self._kind.feed)
            for first in range(0, len(head.chunk_digests), CHUNKS_AT_ONCE):
                if not await self._stage(head, generation, first):
                    return False
            fresh = Held(head.epoch, head.version, head.issued_at_ms, head.count, generation)
            await self._cache.install(self._kind.feed, fresh)
        finally:
            self.filling = False
        return True

    async def _stage(self, head: Head, generation: int, first: int) -> bool:
        indices = range(first, min(first + CHUNKS_AT_ONCE, len(head.chunk_digests)))
        for entries in await asyncio.gather(*(self._chunk(head, index) for index in indices)):
            if entries is None:
                return False
            await self._cache.stage(self._kind.feed, generation, entries)
        return True

    async def _chunk(self, head: Head, index: int) -> Entries | None:
        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return self._kind.question(nonce, not_after_ms, head, index)

        wanted: type[StandingChunk | GalleryChunk] = (
            StandingChunk if self._kind.feed is FeedName.STANDING else GalleryChunk
        )
        reply = await self._link.ask(question, wanted, CHUNK_DEADLINE_MS)
        if reply is None:
            return None
        if chunk_digest(reply.rows) != head.chunk_digests[index]:
            self._link.ignored["wrong_chunk"] += 1
            return None
        return reply.rows
