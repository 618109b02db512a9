"""The camera: newest frame only; unplugged, frozen and black are states, not exceptions."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest

from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.camera.device import STALLED_AFTER_MS, NewestFrameCamera, open_camera
from edge.capture.health import BLACK_AFTER_MS, FROZEN_AFTER_MS, CameraHealth, Watch, watch
from edge.capture.sample import Frame, Image
from edge.errors import CameraError
from tests.doubles.waiting import WAIT_S

SCENE = np.full((48, 64, 3), 90, np.uint8)


class Flickering:
    """A reel of two pictures that differ by a grey level, as a sensor's noise does."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Image:
        return np.asarray(SCENE + index, np.uint8)


class StrangeError(Exception):
    """Of a class that nobody listed."""


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@pytest.fixture
def device() -> ClipDevice:
    return ClipDevice(Flickering(), 200, clock_ms)


@pytest.fixture
async def camera(device: ClipDevice) -> AsyncIterator[NewestFrameCamera]:
    opened = clip_camera(device, clock_ms)
    yield opened
    await opened.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(0)  # lets the time limit be noticed


async def test_each_frame_read_is_newer_than_the_last(camera: NewestFrameCamera) -> None:
    times = []
    for _ in range(5):
        frame = await camera.read()
        assert frame is not None
        times.append(frame.captured_at_ms)
    assert times == sorted(set(times))
    assert camera.state() == "ok"


async def test_a_camera_unplugged_and_plugged_in_again_goes_on(
    camera: NewestFrameCamera, device: ClipDevice
) -> None:
    async def unplugged() -> bool:
        return await camera.read() is None and camera.state() == "unplugged"

    async def sees() -> bool:
        return await camera.read() is not None and camera.state() == "ok"

    await until(sees)
    device.unplug()
    await until(unplugged)
    device.plug()
    await until(sees)


async def test_reading_a_closed_camera_gives_nothing(device: ClipDevice) -> None:
    camera = clip_camera(device, clock_ms)
    await camera.close()
    await camera.read()
    assert await camera.read() is None


class Faulty(ClipDevice):
    """A device whose driver raises what it is given, once, or hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__(Flickering(), 200, clock_ms)
        self.raises: Exception | None = None
        self.lets_go = threading.Event()
        self.lets_go.set()

    def grab(self) -> np.ndarray | None:
        self.lets_go.wait(WAIT_S)
        error, self.raises = self.raises, None
        if error is not None:
            raise error
        return super().grab()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), StrangeError("of no class we know")])
async def test_what_a_driver_raises_of_whatever_class_opens_the_camera_anew_and_is_told(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    device = Faulty()
    camera = NewestFrameCamera(device.open, "a faulty one", clock_ms)

    async def sees() -> bool:
        return await camera.read() is not None and camera.state() == "ok"

    async def unplugged() -> bool:
        await camera.read()
        return camera.state() == "unplugged"

    await until(sees)
    device.raises = error
    await until(unplugged)
    await until(sees)
    await camera.close()
    assert "camera a faulty one failed, and starts again" in caplog.text


async def test_a_driver_that_hangs_is_a_state_until_it_gives_pictures_again() -> None:
    late_ms = [0]
    device = Faulty()
    camera = NewestFrameCamera(device.open, "a hung one", lambda: clock_ms() + late_ms[0])

    async def grabs_no_more() -> bool:
        late_ms[0] += STALLED_AFTER_MS
        return camera.state() == "stalled"

    async def sees() -> bool:
        return await camera.read() is not None and camera.state() == "ok"

    await until(sees)
    device.lets_go.clear()
    await until(grabs_no_more)
    device.lets_go.set()
    await until(sees)
    await camera.close()


async def test_a_camera_that_is_not_there_at_the_start_is_a_state_and_is_found_when_it_comes(
    device: ClipDevice,
) -> None:
    device.unplug()
    camera = clip_camera(device, clock_ms)
    assert (camera.state(), await camera.read()) == ("unplugged", None)
    device.plug()

    async def sees() -> bool:
        return await camera.read() is not None and camera.state() == "ok"

    await until(sees)
    await camera.close()


def test_who_needs_the_camera_at_the_start_is_told_what_to_do() -> None:
    with pytest.raises(
        CameraError, match=r"camera /nowhere/video: cannot be opened; plug it in.*ls /dev/v4l/by-id"
    ):
        open_camera("/nowhere/video", 640, 480, 30, clock_ms, wanted_at_start=True)


def seen(images: list[np.ndarray], interval_ms: int) -> list[CameraHealth]:
    state: Watch | None = None
    found = []
    for number, image in enumerate(images):
        state = watch(state, Frame(image, number * interval_ms, "test"))
        found.append(state.health)
    return found


def test_a_picture_that_never_changes_is_frozen_after_its_time_and_not_before() -> None:
    healths = seen([SCENE] * 12, FROZEN_AFTER_MS // 10)
    assert healths == [CameraHealth.OK] * 10 + [CameraHealth.FROZEN] * 2


def test_a_dark_moment_is_not_a_covered_camera() -> None:
    black = SCENE * 0
    healths = seen([black, black, SCENE, black, black, black], BLACK_AFTER_MS // 2)
    assert healths == [CameraHealth.OK] * 5 + [CameraHealth.BLACK]
