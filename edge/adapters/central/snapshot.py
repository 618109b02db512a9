"""Takes a snapshot chunk by chunk: verified, staged beside what is in use, and swapped in whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.adapters.central.link import Link
from edge.adapters.storage.cache import Cache, FeedName, Held, Staged
from wire.fleet import Head
from wire.ids import GalleryName, Nonce, Purpose
from wire.packing import Checked, check_gallery, check_standings, rows_digest
from wire.requests import (
    DeltaRequest,
    GalleryChunk,
    GalleryChunkRequest,
    HeadRequest,
    Refused,
    Request,
    SnapshotChunkRequest,
    StandingChunk,
)
from wire.topics import TopicKind

CHUNK_DEADLINE_MS = 5_000
CHUNK_TRIES = 2
CHUNKS_AT_ONCE = 4
"""Chunks asked for at a time: less than 1 MiB is ahead of a passage's own questions."""


@dataclass(frozen=True, slots=True)
class FeedKind:
    """What differs between standings and gallery: the cache's name for it, its topics, and its questions."""

    feed: FeedName
    name: str
    heads: TopicKind
    deltas: TopicKind
    gallery: GalleryName | None
    check: Callable[[bytes], Checked | None]

    def head_request(self, nonce: Nonce, not_after_ms: int) -> Request:
        """The question for the newest head."""
        return HeadRequest(nonce, not_after_ms, self.gallery)

    def delta_request(self, nonce: Nonce, not_after_ms: int, epoch: int, version: int) -> Request:
        """The question for the change that led to a version."""
        return DeltaRequest(nonce, not_after_ms, epoch, version, self.gallery)

    def chunk_request(self, nonce: Nonce, not_after_ms: int, head: Head, index: int) -> Request:
        """The question for one chunk of a head."""
        if self.gallery is None:
            return SnapshotChunkRequest(nonce, not_after_ms, head.epoch, head.version, index)
        return GalleryChunkRequest(nonce, not_after_ms, self.gallery, head.epoch, head.version, index)


def standing_feed(purpose: Purpose) -> FeedKind:
    """The standings of one purpose."""
    return FeedKind(
        FeedName.STANDING,
        purpose,
        TopicKind.STANDING_HEAD,
        TopicKind.STANDING_DELTA,
        None,
        check_standings,
    )


def gallery_feed(gallery: GalleryName) -> FeedKind:
    """One gallery."""
    return FeedKind(
        FeedName.GALLERY,
        gallery,
        TopicKind.GALLERY_HEAD,
        TopicKind.GALLERY_DELTA,
        gallery,
        check_gallery,
    )


class _Flaw(StrEnum):
    """Why a chunk is not to be had."""

    SILENT = "silent"
    REFUSED = "refused"
    WRONG = "wrong"


@dataclass(slots=True)
class _Stage:
    """A snapshot on its way in: how many chunks, in their order, are staged, and what they add up to."""

    head: Head
    generation: int
    done: int = 0
    rows: int = 0
    number: int = 0


class Filler:
    """Fills one feed of the cache; what was staged is gone on with after an interruption."""

    def __init__(self, kind: FeedKind, cache: Cache, link: Link) -> None:
        self._kind, self._cache, self._link = kind, cache, link
        self._stage: _Stage | None = None
        self._preparing = asyncio.Semaphore(1)

    async def fill(self, head: Head) -> bool:
        """Put the snapshot of `head` into use, or an earlier one of its epoch that has been begun.

        False when that did not succeed: what is in use stays so.
        """
        stage = self._stage
        if stage is None or stage.head.epoch != head.epoch:
            stage = self._stage = _Stage(head, await self._cache.begin(self._kind.feed))
        if not await self._staged(stage):
            return False
        self._stage = None
        head = stage.head
        digest = rows_digest(stage.number)
        if (stage.rows, digest) != (head.count, head.rows_digest):
            self._link.ignored["rows_differ"] += 1
            return False
        place = (head.epoch, head.version, head.issued_at_ms)
        await self._cache.install(self._kind.feed, Held(*place, stage.rows, stage.generation, digest))
        return True

    async def _staged(self, stage: _Stage) -> bool:
        """Stage what is missing, asking ahead; False when a chunk is not to be had."""
        total = len(stage.head.chunk_digests)
        asked: deque[asyncio.Task[Staged | _Flaw]] = deque()
        next_index = stage.done
        try:
            while stage.done < total:
                while len(asked) < CHUNKS_AT_ONCE and next_index < total:
                    asked.append(asyncio.create_task(self._chunk(stage, next_index)))
                    next_index += 1
                chunk = await asked.popleft()
                if isinstance(chunk, _Flaw):
                    if chunk is not _Flaw.SILENT:
                        self._stage = None  # central has gone on, or begun anew: so must we
                    return False
                await self._cache.stage(chunk)
                stage.done += 1
                stage.rows += len(chunk.rows)
                stage.number += chunk.number
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return True

    async def _chunk(self, stage: _Stage, index: int) -> Staged | _Flaw:
        """One chunk, verified and ready to be written."""

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return self._kind.chunk_request(nonce, not_after_ms, stage.head, index)

        for _ in range(CHUNK_TRIES):
            expected = (StandingChunk, GalleryChunk, Refused)
            reply = await self._link.ask(question, expected, CHUNK_DEADLINE_MS)
            match reply:
                case StandingChunk(packed=packed) | GalleryChunk(packed=packed):
                    async with self._preparing:
                        staged = await asyncio.to_thread(self._prepared, stage, index, packed)
                    if staged is None:
                        self._link.ignored["wrong_chunk"] += 1
                        return _Flaw.WRONG
                    return staged
                case Refused():
                    return _Flaw.REFUSED
                case _:
                    pass
        return _Flaw.SILENT

    def _prepared(self, stage: _Stage, index: int, packed: bytes) -> Staged | None:
        chunk = self._kind.check(packed)
        if chunk is None or chunk.digest != stage.head.chunk_digests[index]:
            return None
        return self._cache.sealed(self._kind.feed, stage.generation, chunk)
