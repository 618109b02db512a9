"""One camera for several kiosks: whose page was looked at last sees, and nobody else does."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from edge.adapters.camera.shared import CameraView, SharedCamera
from edge.adapters.screen.lens import Word
from edge.capture.sample import Frame


class Counting:
    """A camera that gives a new frame whenever it is let, and knows whether two read it at once."""

    def __init__(self) -> None:
        self.given, self.readers, self.closed = 0, 0, False
        self.due = asyncio.Semaphore(0)

    async def read(self) -> Frame | None:
        self.readers += 1
        assert self.readers == 1
        try:
            await self.due.acquire()
        finally:
            self.readers -= 1
        self.given += 1
        return Frame(np.zeros((2, 2, 3), np.uint8), self.given, "counting")

    def clock_ms(self) -> int:
        return self.given

    def state(self) -> str:
        return "ok"

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def shared(monkeypatch: pytest.MonkeyPatch) -> SharedCamera:
    monkeypatch.setattr("edge.adapters.camera.shared.READ_TIMEOUT_S", 0.1)
    device = Counting()
    return SharedCamera(device, device.clock_ms)


@pytest.fixture
async def device(shared: SharedCamera) -> Counting:
    assert isinstance(shared.camera, Counting)
    return shared.camera


async def test_only_the_kiosk_whose_page_is_shown_gets_frames(shared: SharedCamera, device: Counting) -> None:
    enrol, gate = shared.view(device.clock_ms), shared.view(device.clock_ms)
    device.due.release()
    assert (enrol.state(), gate.state()) == ("waiting", "waiting")
    assert (await enrol.read(), await gate.read()) == (None, None)
    assert enrol.begin()
    assert (enrol.state(), gate.state()) == ("ok", "waiting")
    assert await gate.read() is None
    frame = await enrol.read()
    assert frame is not None
    assert frame.captured_at_ms == 1
    enrol.end()
    assert (enrol.state(), await enrol.read()) == ("waiting", None)
    assert device.given == 1


async def test_a_kiosk_that_waits_gets_the_next_frame_when_its_page_is_shown(
    shared: SharedCamera, device: Counting
) -> None:
    view = shared.view(device.clock_ms)
    reading = asyncio.create_task(view.read())
    await asyncio.sleep(0)
    view.begin()
    device.due.release()
    assert await reading is not None


async def test_of_two_pages_side_by_side_the_one_looked_at_last_sees_and_then_the_other_again(
    shared: SharedCamera, device: Counting
) -> None:
    enrol, gate = shared.view(device.clock_ms), shared.view(device.clock_ms)
    enrol.begin()
    gate.begin()
    assert (enrol.state(), gate.state()) == ("waiting", "ok")
    assert enrol.take(Word.FRONT) is None
    assert (enrol.state(), gate.state()) == ("ok", "waiting")
    enrol.end()
    assert (enrol.state(), gate.state()) == ("waiting", "ok")
    device.due.release()
    assert await gate.read() is not None


async def test_a_frame_taken_while_another_page_came_to_the_front_is_given_to_nobody(
    shared: SharedCamera, device: Counting
) -> None:
    enrol, gate = shared.view(device.clock_ms), shared.view(device.clock_ms)
    enrol.begin()
    reading = asyncio.create_task(enrol.read())
    while not device.readers:  # noqa: ASYNC110 - the read begins at one of the next turns of the loop
        await asyncio.sleep(0)
    gate.begin()
    device.due.release()
    assert await reading is None


async def test_a_view_wants_no_pictures_and_one_page_at_a_time(
    shared: SharedCamera, device: Counting
) -> None:
    view: CameraView = shared.view(device.clock_ms)
    assert not view.wanted.frames
    assert view.begin()
    assert not view.begin()
    assert view.take(b"a picture") == "this kiosk has a camera of its own"
    view.end()
    assert view.begin()


async def test_closing_a_view_leaves_the_camera_open_for_the_others(
    shared: SharedCamera, device: Counting
) -> None:
    enrol, gate = shared.view(device.clock_ms), shared.view(device.clock_ms)
    gate.begin()
    enrol.begin()
    await enrol.close()
    assert (gate.state(), device.closed) == ("ok", False)
    await shared.close()
    assert device.closed


async def test_a_frame_has_the_time_of_the_clock_of_the_kiosk_that_gets_it(
    shared: SharedCamera, device: Counting
) -> None:
    view = shared.view(lambda: device.given + 500)
    view.begin()
    device.due.release()
    frame = await view.read()
    assert frame is not None
    assert frame.captured_at_ms == 501
