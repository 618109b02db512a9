"""The camera: newest frame only; unplugged, frozen and black are states, not exceptions."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest

from edge.adapters.camera import NewestFrameCamera, open_camera
from edge.adapters.simulated_camera import PlayedCamera, SimulatedDevice
from edge.capture.health import BLACK_AFTER_MS, FROZEN_AFTER_MS, CameraHealth, Watch, watch
from edge.capture.sample import Frame
from edge.errors import CameraError

SCENE = np.full((48, 64, 3), 90, np.uint8)
WITHIN_S = 20.0


class FastClock:
    """Milliseconds that pass at a hundred times the pace, so that a frozen camera is found soon."""

    def __call__(self) -> int:
        return int(time.monotonic() * 100_000)


@pytest.fixture
def device() -> SimulatedDevice:
    return SimulatedDevice(SCENE, frames_per_s=200)


@pytest.fixture
async def camera(device: SimulatedDevice) -> AsyncIterator[NewestFrameCamera]:
    opened = NewestFrameCamera(device.open, "simulated", FastClock())
    yield opened
    await opened.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
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


@pytest.mark.parametrize("fault", ["freeze", "cover"])
async def test_a_camera_that_shows_nothing_new_says_so_and_recovers(
    camera: NewestFrameCamera, device: SimulatedDevice, fault: str
) -> None:
    async def blind() -> bool:
        return await camera.read() is None and camera.state() == {"freeze": "frozen", "cover": "black"}[fault]

    async def sees() -> bool:
        return await camera.read() is not None and camera.state() == "ok"

    await until(sees)
    getattr(device, fault)()
    await until(blind)
    device.recover()
    await until(sees)


async def test_a_camera_unplugged_and_plugged_in_again_goes_on(
    camera: NewestFrameCamera, device: SimulatedDevice
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


async def test_reading_a_closed_camera_gives_nothing(device: SimulatedDevice) -> None:
    camera = NewestFrameCamera(device.open, "simulated", FastClock())
    await camera.close()
    await camera.read()
    assert await camera.read() is None


def test_no_camera_at_the_start_is_an_error_that_says_what_to_do(device: SimulatedDevice) -> None:
    device.unplug()
    with pytest.raises(CameraError, match="plug it in"):
        NewestFrameCamera(device.open, "simulated", FastClock())
    with pytest.raises(
        CameraError, match=r"camera /nowhere/video: cannot be opened; plug it in.*ls /dev/v4l/by-id"
    ):
        open_camera("/nowhere/video", 640, 480, 30, FastClock())


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


async def test_played_frames_come_when_they_are_due_and_past_ones_are_left_out() -> None:
    now_ms = 5000

    async def wait(seconds: float) -> None:
        nonlocal now_ms
        now_ms += round(seconds * 1000)

    camera = PlayedCamera((Frame(SCENE, 100 + n * 33, str(n)) for n in range(6)), lambda: now_ms, wait)
    first = await camera.read()
    second = await camera.read()
    now_ms += 80  # a slow consumer
    third = await camera.read()
    assert first is not None
    assert second is not None
    assert third is not None
    assert [(f.source, f.captured_at_ms) for f in (first, second, third)] == [
        ("0", 5000),
        ("1", 5033),
        ("4", 5132),
    ]
    assert (await camera.read()) is not None
    assert (await camera.read(), camera.state()) == (None, "ended")
