"""The cached gallery kept ready for one to many: surveyed on a thread, and not offered past its bound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.capture.sample import Probe
from edge.compare.directory import Directory, Found, open_directory, oversized_directory
from edge.compare.gallery import Gallery
from edge.compare.search import NoMatch
from models.manifest import OperatingPoint
from wire.fleet import SearchOffer
from wire.ids import SubjectId

LOOK_S = 1.0
"""How often a change of the gallery is looked for."""
REST_FACTOR = 9
"""A survey is followed by so many times its own length of rest: at most a tenth of a core goes into them."""

READ_MAX = 40_000
"""Entries from which the gallery is not read at all: four times what any bound allows."""

log = logging.getLogger(__name__)


class GallerySource(Protocol):
    """Where the gallery is kept; `edge.adapters.central.members.CachedMembers` is one."""

    async def read_gallery(self) -> Gallery:
        """Every template there is now, of one recipe; does not hold the event loop up."""
        ...

    def gallery_entries(self) -> int:
        """How many members there are at most, told without reading them."""
        ...

    def gallery_place(self) -> object:
        """Another value after each change."""
        ...

    def may_name(self, subject: SubjectId) -> bool:
        """Whether somebody is a member now, and not one who is to claim who they are."""
        ...


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """What a search must keep to: comparisons a passage, and the bound on false identifications."""

    attempts: int
    max_fpir: float


class GallerySearch:
    """Fulfils `edge.ports.Searcher`; answers from an immutable snapshot while the next one is surveyed.

    A member who was added is found once surveyed; one who left, or who is to claim who they are, is named no
    more from the moment this is heard.
    """

    def __init__(
        self,
        source: GallerySource,
        recipe_digest: str,
        points: Mapping[int, OperatingPoint],
        limits: SearchLimits,
    ) -> None:
        """`points` as for `open_directory`, of this recipe."""
        self._source, self._recipe_digest, self._points, self._limits = source, recipe_digest, points, limits
        self._surveyed: object = None
        self.directory: Directory | None = None
        self.faulty = False

    @property
    def refusal(self) -> str:
        """Why nobody is searched for, as a sentence; empty while they are, or before the first survey."""
        return self.directory.refusal if self.directory else ""

    def offered(self) -> bool:
        """Whether a face alone may be searched for now."""
        directory = self.directory
        return directory is not None and len(directory.gallery) > 0 and not directory.refusal

    def search(self, probe: Probe) -> Found:
        """The member most alike, if clearly so and one to be named; nobody while it is not offered."""
        if self.directory is None:
            return Found(NoMatch(None, None))
        found = self.directory.search(probe)
        if found.template is not None and not self._source.may_name(found.template.subject):
            return Found(NoMatch(None, None))
        return found

    def told(self) -> SearchOffer | None:
        """What `state` says of it; None before the first survey."""
        if self.directory is None:
            return None
        bound = self.directory.bound
        return SearchOffer(
            self.offered(),
            bound.fpir,
            self._limits.max_fpir,
            bound.subjects,
            bound.most_subjects(self._limits.max_fpir),
        )

    async def refresh(self) -> None:
        """Survey the gallery as it is now, and search in that from then on."""
        source, limits = self._source, self._limits
        place, entries = source.gallery_place(), source.gallery_entries()
        if entries > READ_MAX:
            self.directory = oversized_directory(
                self._recipe_digest, entries, self._points, limits.attempts, limits.max_fpir
            )
        else:
            gallery = await source.read_gallery()
            self.directory = await asyncio.to_thread(
                open_directory, gallery, self._points, limits.attempts, limits.max_fpir
            )
        self._surveyed = place
        if refusal := self.refusal:
            log.warning("%s", refusal)

    async def run(self) -> None:
        """Follow the gallery until cancelled. A gallery that cannot be surveyed is not searched."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            if self._source.gallery_place() == self._surveyed and not self.faulty:
                continue
            began_s = loop.time()
            try:
                await self.refresh()
                self.faulty = False
            except Exception:
                log.exception("the gallery cannot be surveyed, so nobody is searched for")
                self.directory, self.faulty = None, True
            await asyncio.sleep(REST_FACTOR * (loop.time() - began_s))
