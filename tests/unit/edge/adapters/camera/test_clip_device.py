"""The simulated camera on a clock of its own, by itself and behind the product's camera."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from edge.adapters.camera.clip import MAX_QUEUED, ClipDevice, clip_camera
from edge.adapters.camera.device import NewestFrameCamera
from edge.capture.sample import Image
from edge.errors import CameraError
from tests.doubles.waiting import WAIT_S

FRAMES_PER_S = 50
FRAME_MS = 1000 // FRAMES_PER_S
IDLE, FIRST, SECOND = 100, 150, 200


class Numbered:
    """A reel whose frames say which they are: red the reel, green the frame."""

    def __init__(self, reel: int, length: int) -> None:
        self.reel, self.length, self.painted = reel, length, list[int]()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Image:
        assert 0 <= index < self.length
        self.painted.append(index)
        picture = np.full((16, 16, 3), 120, np.uint8)
        picture[..., 0], picture[..., 1] = self.reel, index
        return picture


class SteppedTime:
    """A clock that only waiting moves; behind a thread, each wait needs a tick that a test allows."""

    def __init__(self, ticks: int | None = None) -> None:
        self.at_ms, self._bounded = 0, ticks is not None
        self._ticks = threading.Semaphore(ticks or 0)
        self.blocked = threading.Event()

    def now_ms(self) -> int:
        return self.at_ms

    def wait_s(self, seconds: float) -> None:
        if self._bounded and not self._ticks.acquire(blocking=False):
            self.blocked.set()
            self._ticks.acquire()
        self.at_ms += round(seconds * 1000)

    def run_free(self) -> None:
        """Every wait returns at once from now on, the one under way too."""
        self._bounded = False
        self._ticks.release()

    async def allow(self, ticks: int) -> None:
        """Let the device take so many frames, and wait until it wants one more."""
        self.blocked.clear()
        self._ticks.release(ticks)
        assert await asyncio.to_thread(self.blocked.wait, WAIT_S)


def seen(image: Image | None) -> tuple[int, int] | None:
    return None if image is None else (int(image[0, 0, 0]), int(image[0, 0, 1]))


def device(time: SteppedTime, idle_length: int = 100) -> ClipDevice:
    return ClipDevice(Numbered(IDLE, idle_length), FRAMES_PER_S, time.now_ms, time.wait_s)


def test_an_idle_camera_shows_the_empty_background_again_and_again() -> None:
    time = SteppedTime()
    clip = device(time, idle_length=2)
    assert [seen(clip.grab()) for _ in range(5)] == [(IDLE, n % 2) for n in range(5)]
    assert time.at_ms == 4 * FRAME_MS


def test_scenes_are_shown_once_in_order_and_each_says_when_it_ended() -> None:
    time = SteppedTime()
    clip = device(time)
    clip.grab()
    ended = [clip.play(Numbered(FIRST, 2)), clip.play(Numbered(SECOND, 1))]
    shown = [(seen(clip.grab()), [one.done() for one in ended]) for _ in range(4)]
    assert shown == [
        ((FIRST, 0), [False, False]),
        ((FIRST, 1), [False, False]),
        ((SECOND, 0), [True, False]),
        ((IDLE, 0), [True, True]),
    ]


def test_frames_whose_time_is_past_are_never_painted() -> None:
    time = SteppedTime()
    clip, reel = device(time), Numbered(FIRST, 10)
    clip.play(reel)
    clip.grab()
    time.at_ms += 6 * FRAME_MS
    assert seen(clip.grab()) == (FIRST, 6)
    assert reel.painted == [0, 6]


def test_a_scene_that_went_by_unseen_has_ended() -> None:
    time = SteppedTime()
    clip = device(time)
    ended = clip.play(Numbered(FIRST, 10))
    clip.grab()
    time.at_ms += 1000
    assert seen(clip.grab()) == (IDLE, 0)
    assert ended.done()


def test_a_scene_cancelled_while_it_waits_is_not_shown() -> None:
    time = SteppedTime()
    clip = device(time)
    clip.play(Numbered(FIRST, 3)).cancel()
    last = clip.play(Numbered(SECOND, 1))
    assert [seen(clip.grab()) for _ in range(3)] == [(SECOND, 0), (IDLE, 0), (IDLE, 1)]
    assert last.done()


def test_no_more_scenes_are_queued_than_the_bound() -> None:
    clip = device(SteppedTime())
    for _ in range(MAX_QUEUED):
        clip.play(Numbered(FIRST, 1))
    with pytest.raises(CameraError, match="wait for one to end"):
        clip.play(Numbered(FIRST, 1))


def test_an_unplugged_camera_gives_nothing_and_cannot_be_opened_until_it_is_plugged_in() -> None:
    clip = device(SteppedTime())
    clip.unplug()
    assert clip.grab() is None
    with pytest.raises(CameraError, match="plug it in"):
        clip.open()
    clip.plug()
    assert clip.open() is clip
    assert seen(clip.grab()) == (IDLE, 0)


def test_a_frozen_camera_repeats_its_last_picture_until_it_recovers() -> None:
    clip = device(SteppedTime())
    before = clip.grab()
    clip.freeze()
    assert [clip.grab() is before for _ in range(3)] == [True, True, True]
    clip.recover()
    assert seen(clip.grab()) == (IDLE, 4)


# --- behind the product's camera ----------------------------------------------------------------------


@pytest.fixture
async def stepped() -> AsyncIterator[tuple[SteppedTime, ClipDevice, NewestFrameCamera]]:
    time = SteppedTime(ticks=0)
    clip = device(time)
    camera = clip_camera(clip, time.now_ms)
    yield time, clip, camera
    time.run_free()
    await camera.close()


Stepped = tuple[SteppedTime, ClipDevice, NewestFrameCamera]


async def test_a_slow_reader_gets_the_newest_frame_and_none_twice(stepped: Stepped) -> None:
    time, _, camera = stepped
    await time.allow(5)
    first = await camera.read()
    await time.allow(3)
    second = await camera.read()
    assert first is not None
    assert second is not None
    assert (seen(first.image), seen(second.image)) == ((IDLE, 5), (IDLE, 8))
    assert (first.captured_at_ms, second.captured_at_ms) == (5 * FRAME_MS, 8 * FRAME_MS)
    assert first.source == "clip"


@pytest.mark.parametrize(("fault", "state"), [("freeze", "frozen"), ("cover", "black")])
async def test_the_products_own_watch_names_the_fault_and_sees_it_pass(
    stepped: Stepped, fault: str, state: str
) -> None:
    time, clip, camera = stepped
    await time.allow(2)
    assert camera.state() == "ok"
    getattr(clip, fault)()
    await time.allow(2500 // FRAME_MS)
    assert camera.state() == state
    assert await camera.read() is None
    clip.recover()
    await time.allow(2)
    assert camera.state() == "ok"
    assert await camera.read() is not None


async def test_the_end_of_a_scene_can_be_awaited(stepped: Stepped) -> None:
    time, clip, camera = stepped
    ended = asyncio.wrap_future(clip.play(Numbered(FIRST, 4)))
    await time.allow(2)
    frame = await camera.read()
    assert frame is not None
    assert seen(frame.image)[0] == FIRST
    assert not ended.done()
    await time.allow(4)
    await asyncio.wait_for(ended, WAIT_S)
