"""A page as the kiosk's camera, over a real socket: what is taken, what is refused, what the kiosk sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import cv2
import httpx
import numpy as np
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from edge.adapters.camera.browser import STALLED_AFTER_MS, BrowserCamera, jpeg_size
from edge.adapters.camera.shared import SharedCamera
from edge.adapters.screen import WebScreen
from edge.adapters.screen.lens import JPEG_MAX_BYTES, Lens, rest_s
from edge.capture.health import BLACK_AFTER_MS, FROZEN_AFTER_MS
from edge.capture.sample import Frame
from wire.transport.guard import HEADERS, PAGE_HEADERS

SOON_S = 10.0
WIDTH_PX, HEIGHT_PX, FPS = 64, 48, 60


def jpeg(
    seed: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, top: int = 255, *flags: int
) -> bytes:
    grain = np.random.default_rng(seed).integers(0, top, (height_px, width_px, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", grain, list(flags))[1].tobytes()


def image_of(encoded: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that waits in vain is not worth a second; one that finds a picture never waits."""
    monkeypatch.setattr("edge.adapters.camera.browser.READ_TIMEOUT_S", 0.1)


@dataclass
class Served:
    """A kiosk's screen with a lens, a clock that a test moves, and pages that come and go."""

    camera: BrowserCamera
    clock: list[int] = field(default_factory=lambda: [1_000])
    port: int = 0

    @property
    def now_ms(self) -> int:
        return self.clock[0]

    def pass_ms(self, ms: int) -> None:
        self.clock[0] += ms

    def connect(self, **options: object) -> websockets.connect:
        authority = f"127.0.0.1:{self.port}"
        return websockets.connect(
            f"ws://{authority}/camera", proxy=None, **{"origin": f"http://{authority}", **options}
        )

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")


@asynccontextmanager
async def serving(lens: Lens | None) -> AsyncIterator[int]:
    screen = WebScreen(lens=lens)
    port = await screen.serve()
    try:
        yield port
    finally:
        await screen.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    clock = [1_000]
    camera = BrowserCamera(WIDTH_PX, HEIGHT_PX, FPS, lambda: clock[0])
    async with serving(camera) as port:
        yield Served(camera, clock, port)


async def said(page: ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(SOON_S):
        return json.loads(await page.recv())


async def give(page: ClientConnection, picture: bytes) -> None:
    """One picture, and the kiosk's word that it may have another."""
    await page.send(picture)
    assert await said(page) == {"kind": "more"}


async def closed(page: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(SOON_S):
        await page.wait_closed()
    return page.close_code, page.close_reason


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 - a page that leaves is told by nobody
            await asyncio.sleep(0.005)


async def seen(
    served: Served, page: ClientConnection, pictures: list[bytes], apart_ms: int
) -> list[Frame | None]:
    frames = []
    for picture in pictures:
        await give(page, picture)
        frames.append(await served.camera.read())
        served.pass_ms(apart_ms)
    return frames


async def test_a_page_is_asked_for_pictures_of_the_configured_size_and_rate(served: Served) -> None:
    async with served.connect() as page:
        assert await said(page) == {
            "kind": "wanted", "frames": True, "width_px": WIDTH_PX, "height_px": HEIGHT_PX, "fps": FPS,
            "max_bytes": JPEG_MAX_BYTES,
        }  # fmt: skip


async def test_a_picture_is_read_as_the_page_sent_it_with_the_time_it_arrived_at_the_kiosk(
    served: Served,
) -> None:
    assert served.camera.state() == "waiting"
    async with served.connect() as page:
        await said(page)
        assert served.camera.state() == "waiting"
        await give(page, picture := jpeg(1))
        arrived_ms = served.now_ms
        served.pass_ms(40)
        frame = await served.camera.read()
        assert served.camera.state() == "ok"
    assert frame is not None
    assert np.array_equal(frame.image, image_of(picture))
    assert (frame.captured_at_ms, frame.source) == (arrived_ms, "browser")


async def test_of_several_pictures_that_nobody_read_only_the_newest_is_given_and_only_once(
    served: Served,
) -> None:
    async with served.connect() as page:
        await said(page)
        for number in range(5):
            await give(page, jpeg(number))
        frame = await served.camera.read()
        assert frame is not None
        assert np.array_equal(frame.image, image_of(jpeg(4)))
        assert await served.camera.read() is None


@pytest.mark.parametrize(("spent_s", "fps", "rest"), [(0.0, 1, 0.5), (0.125, 2, 0.125), (9.0, 30, 0.0)])
def test_a_page_gets_leave_for_at_most_twice_the_pictures_a_second_it_was_asked_for(
    spent_s: float, fps: int, rest: float
) -> None:
    assert rest_s(spent_s, fps) == rest


async def test_one_page_at_a_time_is_the_camera_and_the_next_may_be_when_it_has_left(served: Served) -> None:
    async with served.connect() as page:
        await said(page)
        with pytest.raises(InvalidStatus) as refused:
            await served.connect()
        assert refused.value.response.status_code == 409
        await give(page, jpeg(1))
    await until(lambda: served.camera.state() == "waiting")
    async with served.connect() as page:
        assert (await said(page))["kind"] == "wanted"
        await give(page, jpeg(2))
        assert (await served.camera.read()) is not None


async def test_the_last_picture_of_a_page_that_left_is_never_read(served: Served) -> None:
    async with served.connect() as page:
        await said(page)
        await give(page, jpeg(1))
    await until(lambda: served.camera.state() == "waiting")
    assert await served.camera.read() is None


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (b"", "baseline JPEG"),
        (b"\xff\xd8\xff", "baseline JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "baseline JPEG"),
        (jpeg(1, WIDTH_PX, HEIGHT_PX, 255, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "baseline JPEG"),
        (jpeg(1, WIDTH_PX + 1, HEIGHT_PX), "at most 64 x 48 pixels"),
        (jpeg(1, 3_073, 1), "at most 64 x 48 pixels"),
    ],
    ids=["empty", "begun", "png", "progressive", "larger", "wide"],
)
async def test_what_is_no_picture_or_has_too_many_pixels_ends_the_conversation_with_a_sentence(
    served: Served, picture: bytes, sentence: str
) -> None:
    async with served.connect() as page:
        await said(page)
        await page.send(picture)
        code, reason = await closed(page)
    assert code == 1008
    assert sentence in reason
    assert served.camera.state() == "waiting"


async def test_a_picture_of_too_many_bytes_is_not_even_read(served: Served) -> None:
    async with served.connect() as page:
        await said(page)
        await page.send(jpeg(1) + bytes(JPEG_MAX_BYTES))
        code, _ = await closed(page)
    assert code == 1009


async def test_a_picture_that_cannot_be_decoded_is_no_picture_and_the_next_one_is(served: Served) -> None:
    whole = jpeg(1)
    torn = whole[: whole.index(b"\xff\xda")]
    async with served.connect() as page:
        await said(page)
        await give(page, torn)
        assert await served.camera.read() is None
        await give(page, whole)
        assert await served.camera.read() is not None


@pytest.mark.parametrize("word", ["refused", "unplugged"])
async def test_a_page_whose_camera_was_refused_or_is_missing_says_so_until_it_has_a_picture(
    served: Served, word: str
) -> None:
    async with served.connect() as page:
        await said(page)
        await page.send(json.dumps({"camera": word}))
        await until(lambda: served.camera.state() == word)
        await give(page, jpeg(1))
        assert served.camera.state() == "ok"
        await page.send(json.dumps({"camera": word}))
        await until(lambda: served.camera.state() == word)
        assert await served.camera.read() is None
    await until(lambda: served.camera.state() == "waiting")


@pytest.mark.parametrize(
    "words", ["", "[]", '{"camera": "on fire"}', '{"camera": "refused", "x": 1}', "x" * 65]
)
async def test_other_words_end_the_conversation(served: Served, words: str) -> None:
    async with served.connect() as page:
        await said(page)
        await page.send(words)
        code, _ = await closed(page)
    assert code == 1008


async def test_black_pictures_and_the_same_picture_for_long_are_no_pictures_as_with_any_camera(
    served: Served,
) -> None:
    async with served.connect() as page:
        await said(page)
        dark = await seen(served, page, [jpeg(n, top=4) for n in range(4)], BLACK_AFTER_MS // 2)
        assert [frame is None for frame in dark] == [False, False, True, True]
        assert served.camera.state() == "black"
        same = await seen(served, page, [jpeg(9)] * 4, FROZEN_AFTER_MS // 2)
        assert [frame is None for frame in same] == [False, False, True, True]
        assert served.camera.state() == "frozen"
        assert await seen(served, page, [jpeg(10)], 0) != [None]
        assert served.camera.state() == "ok"


async def test_a_page_that_filmed_and_sends_nothing_any_more_is_a_frozen_camera(served: Served) -> None:
    async with served.connect() as page:
        await said(page)
        await give(page, jpeg(1))
        served.pass_ms(STALLED_AFTER_MS)
        assert served.camera.state() == "ok"
        served.pass_ms(1)
        assert served.camera.state() == "frozen"


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example"])
async def test_a_page_of_another_origin_is_no_camera(served: Served, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await served.connect(origin=origin)
    assert refused.value.response.status_code == 403


async def test_the_browser_may_be_asked_for_its_camera_only_where_the_page_is_the_camera(
    served: Served,
) -> None:
    page = await served.get("/")
    assert "camera=(self)" in page.headers["Permissions-Policy"]
    assert {name for name, value in (HEADERS | PAGE_HEADERS).items() if page.headers[name] != value} == {
        "Permissions-Policy"
    }
    assert "/camera.js" in page.text
    assert (await served.get("/camera.js")).status_code == 200
    for lens in (None, SharedCamera(served.camera, int).view(int)):
        async with serving(lens) as port:
            served.port = port
            page = await served.get("/")
            assert "camera=()" in page.headers["Permissions-Policy"]
            assert ("/camera.js" in page.text) == (lens is not None)
            assert (await served.get("/camera.js")).status_code == (404 if lens is None else 200)
    served.port = port


async def test_without_a_lens_there_is_no_such_socket(served: Served) -> None:
    async with serving(None) as port:
        served.port = port
        with pytest.raises(InvalidStatus):
            await served.connect()


@given(noise=st.binary(max_size=200), cut=st.integers(0, 700))
def test_the_size_of_any_bytes_is_told_or_not_and_never_raises(noise: bytes, cut: int) -> None:
    for encoded in (noise, b"\xff\xd8" + noise, jpeg(1)[:cut], b"\xff\xd8" + b"\xff\xe0\x00\x02" * cut):
        size = jpeg_size(encoded)
        assert size is None or min(size) >= 0


def test_the_size_a_jpeg_states_is_found_behind_its_other_segments() -> None:
    plain = jpeg(1, 52, 31)
    assert jpeg_size(plain) == (52, 31)
    comment = b"\xff\xfe\x00\x06abcd"
    assert jpeg_size(plain[:2] + comment * 20 + plain[2:]) == (52, 31)
    assert jpeg_size(plain[:2] + comment * 200 + plain[2:]) is None
