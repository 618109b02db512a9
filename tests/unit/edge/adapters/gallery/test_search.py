"""The gallery as one to many finds it: surveyed, bounded, and let go of when it outgrows its bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest

from edge.adapters.gallery import search as searching
from edge.adapters.gallery.search import READ_MAX, GallerySearch, SearchLimits
from edge.capture.sample import Probe
from edge.compare import directory
from edge.compare.bound import FmrSource
from edge.compare.directory import open_directory, oversized_directory, strictest
from edge.compare.gallery import Gallery, Template
from edge.compare.search import Ambiguous, Match, NoMatch
from edge.errors import StoreError
from tests.doubles.likenesses import OTHER_TWIN, POINT, POINTS, RECIPE, TWIN, at, probe, strangers
from tests.doubles.waiting import eventually
from wire.ids import SubjectId

LIMITS = SearchLimits(attempts=3, max_fpir=0.01)
MOST = 28
"""Members at most, with POINT's upper bound of the FMR, 1.18e-4, and three attempts."""
MEMBER = SubjectId("m0")


class Shelf:
    """A working gallery source: members come and go; `break_down` makes it unreadable."""

    def __init__(self, members: int = 10) -> None:
        self.templates = {template.subject: template for template in strangers(members)}
        self.place, self.reads, self.broken = 0, 0, False
        self.must_claim: set[SubjectId] = set()

    async def read_gallery(self) -> Gallery:
        self.reads += 1
        if self.broken:
            raise StoreError("the disk is gone: put it back")
        return Gallery.of(RECIPE, self.templates.values())

    def gallery_entries(self) -> int:
        return len(self.templates)

    def gallery_place(self) -> object:
        return self.place

    def may_name(self, subject: SubjectId) -> bool:
        return subject in self.templates and subject not in self.must_claim

    def enrol(self, *templates: Template) -> None:
        self.templates.update((template.subject, template) for template in templates)
        self.place += 1

    def withdraw(self, subject: SubjectId) -> None:
        del self.templates[subject]
        self.place += 1

    def break_down(self, broken: bool) -> None:
        self.broken = broken
        self.place += 1

    def probe_of(self, subject: SubjectId) -> Probe:
        return probe(self.templates[subject].vector)


def search_in(shelf: Shelf) -> GallerySearch:
    return GallerySearch(shelf, RECIPE, POINTS, LIMITS)


@contextlib.asynccontextmanager
async def following(search: GallerySearch, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The search follows its gallery, looking as often as it can."""
    monkeypatch.setattr(searching, "LOOK_S", 0.0)
    running = asyncio.create_task(search.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_member_is_found_with_the_template_that_matched() -> None:
    shelf = Shelf()
    search = search_in(shelf)
    await search.refresh()
    found = search.search(shelf.probe_of(MEMBER))
    assert isinstance(found.comparison, Match)
    assert found.template is not None
    assert (found.comparison.subject, found.template.subject) == (MEMBER, MEMBER)


async def test_nobody_is_searched_for_before_the_first_survey_or_in_an_empty_gallery() -> None:
    shelf = Shelf()
    search = search_in(shelf)
    assert (search.offered(), search.told()) == (False, None)
    assert search.search(shelf.probe_of(MEMBER)).comparison == NoMatch(None, None)
    empty = search_in(Shelf(0))
    await empty.refresh()
    assert (empty.offered(), empty.refusal) == (False, "")


async def test_relatives_are_found_and_not_named() -> None:
    shelf = Shelf()
    twin, aside = (template.vector for template in strangers(12)[10:])
    shelf.enrol(Template(TWIN, twin, RECIPE, 1), Template(OTHER_TWIN, at(0.95, twin, aside), RECIPE, 1))
    search = search_in(shelf)
    await search.refresh()
    for subject in (TWIN, OTHER_TWIN):
        found = search.search(shelf.probe_of(subject))
        assert isinstance(found.comparison, Ambiguous)
        assert found.template is None


async def test_the_largest_gallery_allowed_is_searched_and_one_more_member_is_too_many() -> None:
    for members, offered in ((MOST, True), (MOST + 1, False)):
        shelf = Shelf(members)
        search = search_in(shelf)
        await search.refresh()
        told = search.told()
        assert told is not None
        assert (search.offered(), told.offered) == (offered, offered)
        assert (told.subjects, told.most_subjects, told.max_fpir) == (members, MOST, 0.01)
        assert (told.fpir <= 0.01) is offered
        assert (search.search(shelf.probe_of(MEMBER)).template is not None) is offered
        assert ("largest gallery allowed is 28 members" in search.refusal) is not offered


async def test_a_gallery_that_outgrows_its_bound_is_searched_no_more_until_it_shrinks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = Shelf(MOST)
    search = search_in(shelf)
    await search.refresh()
    async with following(search, monkeypatch):
        shelf.enrol(strangers(MOST + 1)[MOST])
        await eventually(lambda: not search.offered(), "it is not offered any more")
        assert search.refusal
        assert search.search(shelf.probe_of(MEMBER)).comparison == NoMatch(None, None)
        shelf.withdraw(SubjectId("m1"))
        await eventually(search.offered, "it is offered again")
        assert search.search(shelf.probe_of(MEMBER)).template is not None


async def test_who_left_is_named_no_more_even_before_the_next_survey() -> None:
    shelf = Shelf()
    search = search_in(shelf)
    await search.refresh()
    theirs = shelf.probe_of(MEMBER)
    shelf.withdraw(MEMBER)
    assert search.search(theirs).comparison == NoMatch(None, None)


async def test_who_is_to_claim_is_named_no_more_though_no_survey_found_a_rival() -> None:
    shelf = Shelf()
    search = search_in(shelf)
    await search.refresh()
    assert search.search(shelf.probe_of(MEMBER)).template is not None
    shelf.must_claim.add(MEMBER)
    assert search.search(shelf.probe_of(MEMBER)).comparison == NoMatch(None, None)


async def test_a_gallery_is_read_again_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    search = search_in(shelf)
    await search.refresh()
    async with following(search, monkeypatch):
        for _ in range(100):
            await asyncio.sleep(0)
        assert shelf.reads == 1
        shelf.enrol(strangers(11)[10])
        await eventually(lambda: shelf.reads == 2, "the change is seen")


async def test_a_gallery_that_cannot_be_read_is_not_searched_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = Shelf()
    search = search_in(shelf)
    await search.refresh()
    async with following(search, monkeypatch):
        shelf.break_down(True)
        await eventually(lambda: search.faulty, "the fault is noticed")
        assert not search.offered()
        shelf.break_down(False)
        await eventually(search.offered, "it is offered again")
        assert not search.faulty


async def test_a_gallery_far_past_every_bound_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    monkeypatch.setattr(shelf, "gallery_entries", lambda: READ_MAX + 1)
    search = search_in(shelf)
    await search.refresh()
    assert shelf.reads == 0
    assert not search.offered()
    assert f"among {READ_MAX + 1} members" in search.refusal


def test_no_bound_that_can_be_configured_allows_a_gallery_that_is_not_read() -> None:
    lucky = msgspec.structs.replace(POINT, max_fmr="1e-5", false_matches=0, non_mated=10**9)
    bound = oversized_directory(RECIPE, READ_MAX, {1: lucky}, 1, 0.1).bound
    assert bound.most_subjects(0.1) == READ_MAX // 4


def test_a_gallery_too_large_by_its_size_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed = []
    real = directory.survey
    monkeypatch.setattr(
        directory, "survey", lambda gallery, points: surveyed.append(gallery) or real(gallery, points)
    )
    small, large = (Gallery.of(RECIPE, strangers(count)) for count in (MOST, MOST + 1))
    open_directory(large, POINTS, 3, 0.01)
    assert surveyed == []
    open_directory(small, POINTS, 3, 0.01)
    assert surveyed == [small]


def twins(number: int) -> tuple[Template, Template]:
    """Two members, alike."""
    base, aside = (template.vector for template in strangers(2 * number + 2)[2 * number :])
    names = (SubjectId(f"twin {number}"), SubjectId(f"other twin {number}"))
    return Template(names[0], base, RECIPE, 1), Template(names[1], at(0.95, base, aside), RECIPE, 1)


def test_one_pair_of_twins_closes_nothing_and_a_second_shows_that_the_pack_does_not_fit() -> None:
    others = strangers(20)[10:]
    family = open_directory(Gallery.of(RECIPE, [*others, *twins(0)]), POINTS, 1, 0.01)
    assert (family.bound.source, family.refusal) == (FmrSource.PACK, "")
    assert family.search(probe(others[0].vector)).template is not None
    families = open_directory(Gallery.of(RECIPE, [*others, *twins(0), *twins(1)]), POINTS, 1, 0.01)
    assert families.bound.source is FmrSource.GALLERY
    assert "by this gallery's own pairs" in families.refusal
    assert families.search(probe(others[0].vector)).comparison == NoMatch(None, None)


def test_a_search_is_at_the_strictest_point_of_all_sizes_of_template() -> None:
    assert strictest(POINTS) is POINTS[3]
    gallery = Gallery.of(RECIPE, strangers(5))
    member = gallery.templates[0].vector
    between = at((POINTS[1].threshold + POINTS[3].threshold) / 2, member, np.roll(member, 1))
    opened = open_directory(gallery, POINTS, 1, 0.01)
    assert isinstance(opened.search(probe(between)).comparison, NoMatch)
