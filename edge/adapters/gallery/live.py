"""The gallery in memory as the cache has it: read once, then changed with each change of the cache.

A gallery is immutable and its changes share the rest, so whoever searches one goes on in it undisturbed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edge.adapters.storage.cache import Cache, Delta, FeedName
from edge.compare.gallery import Gallery, Template
from wire.values import GalleryRow

OpenTemplate = Callable[[GalleryRow], Template | None]
"""A row's template, turned back; None where it does not open here, or is of another recipe."""
PENDING_MAX = 256
"""Changes that come while the gallery is read; with more of them it is read again."""


class LiveGallery:
    """Follows the gallery of a cache. Costs nothing before it is first asked for."""

    def __init__(self, cache: Cache, recipe_digest: str, open_template: OpenTemplate) -> None:
        self._cache, self._recipe_digest, self._open = cache, recipe_digest, open_template
        self._gallery: Gallery | None = None
        self._forgotten = False
        self._place: tuple[int, ...] = ()
        self._pending: deque[Delta] = deque(maxlen=PENDING_MAX)
        self._reading = asyncio.Lock()
        cache.on_change.append(self._changed)

    def forget(self) -> None:
        """Read it anew when it is next asked for: keys have come, or gone."""
        self._gallery, self._forgotten = None, True

    async def current(self) -> Gallery:
        """Every template there is now; takes a second for some ten thousand the first time, on a thread."""
        async with self._reading:
            while not self._holds():
                self._pending.clear()
                before = self._version()
                gallery = await asyncio.to_thread(self._read)
                after = self._version()
                # Changes that came meanwhile may be in it or not: each says all that is to be known of
                # whom it names, so that applying one twice changes nothing.
                for delta in self._pending:
                    gallery = self._with(gallery, delta)
                if len(self._pending) < PENDING_MAX and before[:2] == after[:2]:
                    self._gallery, self._place = gallery, after
            assert self._gallery is not None
            if self._gallery.wants_packing:
                self._pending.clear()
                self._forgotten = False
                gallery = await asyncio.to_thread(self._gallery.packed)
                for delta in self._pending:
                    gallery = self._with(gallery, delta)
                if not self._forgotten and len(self._pending) < PENDING_MAX:
                    self._gallery, self._place = gallery, self._version()
                return gallery
            return self._gallery

    def _holds(self) -> bool:
        return self._gallery is not None and self._place == self._version()

    def _version(self) -> tuple[int, ...]:
        """Epoch, generation and version of the cached gallery."""
        held = self._cache.held(FeedName.GALLERY)
        return () if held is None else (held.epoch, held.generation, held.version)

    def _read(self) -> Gallery:
        rows = (entry for entry in self._cache.members() if isinstance(entry, GalleryRow))
        templates = (self._open(row) for row in rows)
        return Gallery.of(self._recipe_digest, [each for each in templates if each is not None])

    def _changed(self, feed: FeedName, delta: Delta | None) -> None:
        if feed is not FeedName.GALLERY:
            return
        if delta is None:
            self.forget()
        elif self._reading.locked():
            self._pending.append(delta)
        elif self._gallery is not None:
            self._gallery, self._place = self._with(self._gallery, delta), self._version()

    def _with(self, gallery: Gallery, delta: Delta) -> Gallery:
        opened = {row.subject: self._open(row) if isinstance(row, GalleryRow) else None for row in delta.rows}
        leaving = [*(subject for subject, template in opened.items() if template is None), *delta.gone]
        return gallery.changed([each for each in opened.values() if each is not None], leaving)
