"""The live picture: who is in it, who gets it, and what it costs when nobody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from edge.adapters.screen import WebScreen
from edge.adapters.screen.preview import STALE_S, VIEWERS_MAX, Preview
from edge.capture.alignment import align
from edge.capture.embedding import embed
from edge.capture.sample import Box, Face, FailureToAcquire, Frame, Image
from edge.capture.veil import veiled
from edge.compare.search import choose_point
from models.manifest import MaxFmr
from models.registry import open_pack
from tests.doubles.capture_people import frame, observed, pipeline, portrait, resized
from tests.doubles.waiting import WAIT_S, eventually

PEOPLE = ("astronaut.png", "biden.jpg", "grace_hopper.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg")
HEIGHT_PX = 480
WIDTH_PX = 480
MARGIN = 0.15
"""Of a face's height: what is left around it when it is held so near that it fills the picture."""


def close_up(name: str) -> Image:
    """Somebody as near as a face can be and still be found: the picture that hides them least."""
    image, box = portrait(name), observed(name).face.box
    edge = MARGIN * box.height
    top, bottom = max(0, int(box.top - edge)), int(box.bottom + edge)
    left, right = max(0, int(box.left - 3 * edge)), int(box.right + 3 * edge)
    near = image[top:bottom, left:right]
    return resized(near, HEIGHT_PX / near.shape[0])


def as_shown(image: Image, face: Box | None = None) -> Image:
    """The picture as a page gets it, enlarged to the frame again, so that points of one hold in the other."""
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.resize(veiled(image, face, WIDTH_PX), size), np.uint8)


def similarity(name: str, shown: Image, image: Image) -> float:
    """Between a face and what is left of it, the chips cut where the face is known to be."""
    own = pipeline().observe(frame(image), found(image))
    assert not isinstance(own, FailureToAcquire), (name, own)
    manifest = open_pack().manifest
    recipes = tuple(
        one for one in manifest.alignments if one.name in {e.alignment for e in manifest.embedders}
    )
    networks = tuple(
        (one, manifest.file(one.file), pipeline().networks[one.file]) for one in manifest.embedders
    )
    left = embed(align(shown, own.points, recipes), networks, pipeline().recipe_digest)
    return float(left.vector @ pipeline().embed(own).vector)


def found(image: Image) -> Face:
    face = pipeline().find(frame(image))
    assert isinstance(face, Face), face
    return face


def loosest_threshold() -> float:
    pack = open_pack()
    return choose_point(pack.manifest, pack.recipe_digest, 1, 1, MaxFmr("1e-2")).threshold


@pytest.mark.parametrize("name", PEOPLE)
def test_a_veiled_face_is_neither_found_nor_matched_however_near_it_is(name: str) -> None:
    near = close_up(name)
    shown = as_shown(near)
    assert pipeline().detect(frame(near)) != ()
    assert pipeline().detect(frame(shown)) == ()
    assert similarity(name, near, near) > loosest_threshold()
    assert similarity(name, shown, near) < loosest_threshold()


def test_of_two_people_only_the_one_who_is_followed_can_be_recognised() -> None:
    sides = [cv2.resize(close_up(name), (480, 480)) for name in ("astronaut.png", "obama.jpg")]
    both = np.asarray(np.hstack(sides), np.uint8)
    member, bystander = sorted(pipeline().detect(frame(both)), key=lambda face: face.box.left)
    shown = as_shown(both, member.box)
    left, right = shown[:, :480], shown[:, 480:]
    assert len(pipeline().detect(frame(np.ascontiguousarray(left)))) == 1
    assert pipeline().detect(frame(np.ascontiguousarray(right))) == ()
    assert similarity("astronaut.png", left, both[:, :480]) > loosest_threshold()
    assert similarity("obama.jpg", right, both[:, 480:]) < loosest_threshold()
    assert bystander.box.left > 480


@pytest.mark.parametrize(
    "box", [Box(-900, -900, -800, -800), Box(-50, -50, 60, 80), Box(600, 400, 900, 900), Box(9, 9, 9, 9)]
)
def test_a_face_box_that_reaches_beyond_the_picture_uncovers_nothing_outside_itself(box: Box) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (480, 640, 3), np.uint8)
    shown, veil = veiled(noise, box, 640), veiled(noise, None, 640)
    outside = np.ones((480, 640), bool)
    top, bottom = max(0, int(box.top) - 1), max(0, int(box.bottom) + 2)
    left, right = max(0, int(box.left) - 1), max(0, int(box.right) + 2)
    outside[top:bottom, left:right] = False
    assert np.array_equal(shown[outside], veil[outside])


def test_the_preview_is_as_wide_as_asked_for_and_never_enlarged() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    assert veiled(image, None, 480).shape == (360, 480, 3)
    assert veiled(image, None, 1280).shape == (480, 640, 3)


class Looked:
    """A served screen whose preview is offered frames by the test."""

    def __init__(self, screen: WebScreen, port: int) -> None:
        self.screen, self.preview, self.port = screen, screen.preview, port

    def connect(self, host: str | None = None) -> websockets.connect:
        authority = host or f"127.0.0.1:{self.port}"
        return websockets.connect(
            f"ws://{authority}/preview",
            origin=f"http://{authority}",
            host="127.0.0.1",
            port=self.port,
            proxy=None,
        )


@pytest.fixture
async def looked() -> AsyncIterator[Looked]:
    screen = WebScreen(preview=Preview(fps=60))
    yield Looked(screen, await screen.serve())
    await screen.close()


async def picture(page: ClientConnection) -> Image:
    async with asyncio.timeout(WAIT_S):
        jpeg = await page.recv()
    assert isinstance(jpeg, bytes)
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def plain(level: int) -> Frame:
    return Frame(np.full((480, 640, 3), level, np.uint8), level, "test")


async def test_nothing_is_made_or_kept_while_nobody_looks(looked: Looked) -> None:
    looked.preview.offer(plain(1), None)
    async with looked.connect() as page:
        await eventually(lambda: looked.preview.watching == 1)
        for level in range(2, 30):
            looked.preview.offer(plain(level), None)
        assert looked.preview.made == 0  # a page that has not asked costs nothing either
        await page.send("ready")
        assert (await picture(page)).mean() == pytest.approx(29, abs=1)
    await eventually(lambda: looked.preview.watching == 0)
    looked.preview.offer(plain(200), None)
    assert looked.preview.made == 1
    async with looked.connect() as page:
        await eventually(lambda: looked.preview.watching == 1)
        await page.send("ready")
        looked.preview.offer(plain(90), None)
        assert (await picture(page)).mean() == pytest.approx(90, abs=1)  # nothing of before


async def test_a_slow_page_skips_pictures_and_gets_the_newest(looked: Looked) -> None:
    painted: list[int] = []
    looked.preview.on_painted = painted.append
    async with looked.connect() as page:
        await eventually(lambda: looked.preview.watching == 1)
        await page.send("ready")
        looked.preview.offer(plain(10), None)
        assert (await picture(page)).mean() == pytest.approx(10, abs=1)
        for level in range(11, 200):
            looked.preview.offer(plain(level), None)
        await page.send("painted")
        assert (await picture(page)).mean() == pytest.approx(199, abs=1)
        await page.send("painted")
        await eventually(lambda: painted == [10, 199])
    assert looked.preview.made == 2


async def test_a_frame_offered_long_ago_is_not_shown() -> None:
    now_s = 0.0
    screen = WebScreen(preview=Preview(clock_s=lambda: now_s))
    looked = Looked(screen, await screen.serve())
    async with looked.connect() as page:
        await eventually(lambda: looked.preview.watching == 1)
        looked.preview.offer(plain(10), Box(0, 0, 640, 480))
        now_s = STALE_S
        await page.send("ready")
        await page.ping()
        looked.preview.offer(plain(120), None)
        assert (await picture(page)).mean() == pytest.approx(120, abs=1)
    await screen.close()


async def test_pages_that_look_share_one_picture_and_one_too_many_is_refused(looked: Looked) -> None:
    pages = [await looked.connect() for _ in range(VIEWERS_MAX)]
    await eventually(lambda: looked.preview.watching == VIEWERS_MAX)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with looked.connect():
            pass
    assert refused.value.response.status_code == 503
    for page in pages:
        await page.send("ready")
    looked.preview.offer(plain(77), None)
    for page in pages:
        assert (await picture(page)).mean() == pytest.approx(77, abs=1)
    assert looked.preview.made == 1
    for page in pages:
        await page.close()
    await eventually(lambda: looked.preview.watching == 0)


async def test_only_a_page_on_this_machine_gets_the_preview() -> None:
    named = WebScreen(hosts=("kiosk-7.local",))
    port = await named.serve()
    looked = Looked(named, port)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with looked.connect(f"kiosk-7.local:{port}"):
            pass
    assert refused.value.response.status_code == 403
    async with looked.connect(f"localhost:{port}"):
        await eventually(lambda: named.preview.watching == 1)
    await named.close()

    wide = WebScreen()
    port = await wide.serve("0.0.0.0")
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with Looked(wide, port).connect():
            pass
    assert refused.value.response.status_code == 403
    await wide.close()
