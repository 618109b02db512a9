"""Drops the confirmed records of members who withdraw, as soon as this kiosk knows of it."""

from __future__ import annotations

import asyncio

from edge.adapters.storage.cache import Cache, Delta, FeedName
from edge.adapters.storage.outbox import Outbox
from wire.values import Tombstone


class Forgetting:
    """Follows the gallery for the outbox. A start counts as a change: one may have been cut short."""

    def __init__(self, cache: Cache, outbox: Outbox) -> None:
        self._outbox = outbox
        self._news = asyncio.Event()
        self._news.set()
        cache.on_change.append(self._hear)

    def _hear(self, feed: FeedName, delta: Delta | None) -> None:
        if feed is not FeedName.GALLERY:
            return
        if delta is None or delta.gone or any(isinstance(row, Tombstone) for row in delta.rows):
            self._news.set()

    async def run(self) -> None:
        """Drop what is to be dropped after each change. For ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._outbox.drop_gone()
