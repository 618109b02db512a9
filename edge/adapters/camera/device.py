"""A camera that gives its newest frame only, and says what is wrong when it has none."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from edge.capture.health import CameraHealth, Watch, watch
from edge.capture.sample import Frame, Image
from edge.errors import CameraError
from wire.transport.supervision import Supervisor

READ_TIMEOUT_S = 1.0
"""How long `read` waits for a frame: thirty of an ordinary camera's."""
REOPEN_AFTER_S = 1.0
"""Between attempts to open a camera that went away; USB needs about as long to come back."""
STALLED_AFTER_MS = 3_000
"""No picture for so long from a device that is open: its driver hangs."""
CLOSE_TIMEOUT_S = 5.0
"""How long `close` waits for the capturing thread, which a hung driver may hold."""

log = logging.getLogger(__name__)


class Device(Protocol):
    """Where pictures come from, one at a time."""

    def grab(self) -> Image | None:
        """Wait for the next picture, RGB; None when the device is gone."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


class OpenCvDevice:
    """A V4L or other camera that OpenCV knows, by number or path."""

    def __init__(self, device: int | str, width_px: int, height_px: int, frames_per_s: int) -> None:
        """Raises `CameraError` when there is no such camera."""
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise CameraError(
                f"camera {device}: cannot be opened; plug it in, close other programs that use it, "
                "check that this user is in the group video, or name another one under [camera] device "
                "(ls /dev/v4l/by-id)"
            )
        for key, wanted in (
            (cv2.CAP_PROP_FRAME_WIDTH, width_px),
            (cv2.CAP_PROP_FRAME_HEIGHT, height_px),
            (cv2.CAP_PROP_FPS, frames_per_s),
            (cv2.CAP_PROP_BUFFERSIZE, 1),  # an older frame is of no use to anyone
        ):
            self._capture.set(key, wanted)

    def grab(self) -> Image | None:
        """The next picture, RGB, or None when the device is gone."""
        grabbed, image = self._capture.read()
        if not grabbed or image is None:
            return None
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


class NewestFrameCamera:
    """Reads a device on a thread of its own, so that a slow consumer sees the present and never a backlog."""

    def __init__(
        self,
        open_device: Callable[[], Device],
        source: str,
        clock_ms: Callable[[], int],
        *,
        wanted_at_start: bool = False,
    ) -> None:
        """Opens the device at once; one that is not there, then or later, is a state.

        `wanted_at_start`: raise `CameraError` if it is not there now.
        """
        self._open_device, self._source, self._clock_ms = open_device, source, clock_ms
        self._device: Device | None = None
        try:
            self._device = open_device()
        except CameraError as error:
            if wanted_at_start:
                raise
            log.warning("%s; it is looked for again and again", error)
        self._health = CameraHealth.OK if self._device else CameraHealth.UNPLUGGED
        self._grabbing_since_ms: int | None = None
        self._newest: Frame | None = None
        self._given: Frame | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._supervisor = Supervisor()
        self._thread = threading.Thread(
            target=self._supervisor.keep_thread,
            args=(f"camera {source}", self._capture, self._closing),
            name=f"camera {source}",
            daemon=True,
        )
        self._thread.start()

    def state(self) -> str:
        """`ok`, or what is wrong: `unplugged`, `stalled`, `frozen`, `black`."""
        since_ms = self._grabbing_since_ms
        if since_ms is not None and self._clock_ms() - since_ms >= STALLED_AFTER_MS:
            return CameraHealth.STALLED.value
        return self._health.value

    async def read(self) -> Frame | None:
        """A frame newer than the last one given; None while there is no picture worth looking at."""
        arrived = asyncio.Event()
        with self._lock:
            self._waiting = (asyncio.get_running_loop(), arrived)
            fresh = self._newest is not self._given
        if not fresh:
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with a frame.
                async with asyncio.timeout(READ_TIMEOUT_S):
                    await arrived.wait()
            except TimeoutError:
                return None
        with self._lock:
            if self._health is not CameraHealth.OK or self._newest is self._given:
                return None
            self._given = self._newest
            return self._given

    async def close(self) -> None:
        """Stop the thread and give the device back."""
        self._closing.set()
        await asyncio.to_thread(self._thread.join, CLOSE_TIMEOUT_S)

    def _capture(self) -> None:
        seen: Watch | None = None
        try:
            while not self._closing.is_set():
                image = self._grab()
                if image is None:
                    self._report(None, CameraHealth.UNPLUGGED)
                    seen = None
                    self._reopen()
                    continue
                frame = Frame(image, self._clock_ms(), self._source)
                seen = watch(seen, frame)
                self._report(frame, seen.health)
        finally:
            # What a driver raised, of whatever class: the device is opened anew.
            self._report(None, CameraHealth.UNPLUGGED)
            self._release()

    def _grab(self) -> Image | None:
        if self._device is None:
            return None
        self._grabbing_since_ms = self._clock_ms()
        try:
            return self._device.grab()
        finally:
            self._grabbing_since_ms = None

    def _report(self, frame: Frame | None, health: CameraHealth) -> None:
        with self._lock:
            self._newest, self._health = frame, health
            if frame is None:
                self._given = None
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            loop, arrived = waiting
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.set)

    def _release(self) -> None:
        device, self._device = self._device, None
        if device:
            device.close()

    def _reopen(self) -> None:
        self._release()
        # Returns early when the camera is closed meanwhile.
        self._closing.wait(REOPEN_AFTER_S)
        try:
            self._device = None if self._closing.is_set() else self._open_device()
        except CameraError:
            self._device = None


def open_camera(
    device: int | str,
    width_px: int,
    height_px: int,
    frames_per_s: int,
    clock_ms: Callable[[], int],
    *,
    wanted_at_start: bool = False,
) -> NewestFrameCamera:
    """The camera under [camera]. `wanted_at_start`: raise `CameraError` when it is not there now."""
    return NewestFrameCamera(
        lambda: OpenCvDevice(device, width_px, height_px, frames_per_s),
        f"camera {device}",
        clock_ms,
        wanted_at_start=wanted_at_start,
    )
