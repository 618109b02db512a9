"""A gallery in memory is the cache's at every version, and nobody who searches one is disturbed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.adapters.gallery.live import LiveGallery
from edge.adapters.storage.cache import Cache, FeedName, Held
from edge.adapters.storage.keyfile import RowSealer
from edge.compare.gallery import Template
from tests.doubles.feed_double import subject
from wire.canonical import canonical
from wire.fleet import GalleryDelta
from wire.packing import check_gallery, pack, rows_digest
from wire.values import GalleryEntry, GalleryRow, SealedTemplate, Tombstone

RECIPE = "ab" * 32
HEAD = 1_000


def row(number: int, face: int) -> GalleryRow:
    """A member whose sealed bytes say which face they have."""
    return GalleryRow(subject(number), (), (), SealedTemplate(bytes([face]), 1, RECIPE, 3))


def opened(found: GalleryRow) -> Template | None:
    """What a vault would: a face of 0 does not open."""
    assert found.template is not None
    face = found.template.sealed[0]
    if face == 0:
        return None
    vector = np.random.default_rng(face).normal(size=8).astype(np.float32)
    return Template(found.subject, vector / np.linalg.norm(vector), RECIPE, 3)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = Cache(tmp_path / "cache.sqlite3", RowSealer(b"k" * 32, random.Random(1).randbytes))
    yield made
    made.close()


async def fill(cache: Cache, *rows: GalleryEntry, epoch: int = 1) -> None:
    generation = await cache.begin(FeedName.GALLERY)
    packed, _ = pack(canonical(each) for each in rows)
    chunk = check_gallery(packed)
    assert chunk is not None
    staged = cache.sealed(FeedName.GALLERY, generation, chunk)
    await cache.stage(staged)
    held = Held(epoch, 1, HEAD, len(rows), generation, rows_digest(staged.number))
    await cache.install(FeedName.GALLERY, held)


async def same_as_cache(live: LiveGallery, cache: Cache) -> dict[str, list[float]]:
    gallery = await live.current()
    found = {each.subject: each.vector.tolist() for each in gallery.templates}
    wanted = [opened(each) for each in cache.members() if isinstance(each, GalleryRow)]
    assert found == {each.subject: each.vector.tolist() for each in wanted if each is not None}
    return found


async def test_a_gallery_follows_every_change_of_the_cache(cache: Cache):
    live = LiveGallery(cache, RECIPE, opened)
    assert len(await live.current()) == 0
    await fill(cache, row(1, 1), row(2, 2), row(3, 3))
    assert len(await same_as_cache(live, cache)) == 3
    searched = await live.current()
    changes = [
        GalleryDelta(1, 2, HEAD, (row(2, 9), row(4, 4))),
        GalleryDelta(1, 3, HEAD, (Tombstone(subject(1), HEAD),)),
        GalleryDelta(1, 4, HEAD, (row(3, 0),)),
        GalleryDelta(1, 5, HEAD, (), (subject(4),)),
    ]
    for change in changes:
        assert await cache.apply(FeedName.GALLERY, change)
        await same_as_cache(live, cache)
    assert {each.subject for each in (await live.current()).templates} == {subject(2)}
    assert {each.subject for each in searched.templates} == {subject(1), subject(2), subject(3)}


async def test_a_change_makes_another_gallery_without_reading_the_cache(cache: Cache, monkeypatch):
    live = LiveGallery(cache, RECIPE, opened)
    await fill(cache, *(row(number, 1) for number in range(1, 9)))
    before = await live.current()
    monkeypatch.setattr(cache, "members", lambda: pytest.fail("the whole gallery was read again"))
    assert await cache.apply(FeedName.GALLERY, GalleryDelta(1, 2, HEAD, (row(9, 5),)))
    after = await live.current()
    assert (len(before), len(after)) == (8, 9)
    assert after.base is before.base


async def test_another_snapshot_is_read_anew(cache: Cache):
    live = LiveGallery(cache, RECIPE, opened)
    await fill(cache, row(1, 1))
    await same_as_cache(live, cache)
    await fill(cache, row(2, 2), epoch=2)
    assert set(await same_as_cache(live, cache)) == {subject(2)}


async def test_a_change_that_comes_while_the_gallery_is_read_is_in_it(cache: Cache, monkeypatch):
    live = LiveGallery(cache, RECIPE, opened)
    await fill(cache, row(1, 1), row(2, 2))
    read = cache.members

    def then_changed():
        entries = list(read())
        change = GalleryDelta(1, 2, HEAD, (Tombstone(subject(1), HEAD), row(3, 3)))
        cache._database.write_now(
            lambda connection: cache._changed(
                connection, FeedName.GALLERY, Held(1, 2, HEAD, 2, 1, bytes(32)), change
            )
        )
        loop.call_soon_threadsafe(cache._tell, FeedName.GALLERY, change)
        return entries

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(cache, "members", then_changed)
    await live.current()
    monkeypatch.setattr(cache, "members", read)
    await asyncio.sleep(0)
    assert set(await same_as_cache(live, cache)) == {subject(2), subject(3)}
