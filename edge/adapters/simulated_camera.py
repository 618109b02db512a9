"""Cameras without hardware: a device with verbs for its faults, and frames played in a camera's place."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable

import numpy as np

from edge.capture.health import CameraHealth
from edge.capture.sample import Frame, Image
from edge.errors import CameraError


class SimulatedDevice:
    """A working camera device that shows one scene with a sensor's noise, until something happens to it."""

    def __init__(self, scene: Image, frames_per_s: int = 30) -> None:
        self._scene, self._interval_s = scene, 1 / frames_per_s
        self._count = 0
        self._plugged, self._frozen, self._covered = True, False, False
        self._shutter = threading.Event()

    def open(self) -> SimulatedDevice:
        """The device as an opener finds it; raises `CameraError` while it is unplugged."""
        if not self._plugged:
            raise CameraError("camera simulated: unplugged; plug it in")
        return self

    def unplug(self) -> None:
        """The cable is out."""
        self._plugged = False

    def plug(self) -> None:
        """The cable is in again."""
        self._plugged = True

    def freeze(self) -> None:
        """The driver hangs and repeats its last picture."""
        self._frozen = True

    def cover(self) -> None:
        """A hand is over the lens."""
        self._covered = True

    def recover(self) -> None:
        """It works again; it stays unplugged if it was."""
        self._frozen = self._covered = False

    def grab(self) -> Image | None:
        """The next picture after one frame's time; None when unplugged."""
        self._shutter.wait(self._interval_s)
        if not self._plugged:
            return None
        if not self._frozen:
            self._count += 1
        lit = self._scene // 64 if self._covered else self._scene
        # One grey level that walks through the picture: no two of 64 pictures in a row are the same.
        noise = np.uint8(1) * (np.arange(lit.size, dtype=np.int64) % 64 == self._count % 64).reshape(
            lit.shape
        )
        return np.asarray(np.where(lit < 255, lit + noise, lit), np.uint8)

    def close(self) -> None:
        """Nothing is held."""


class PlayedCamera:
    """Frames in a camera's place, at the pace of their own times; those already past are left out."""

    def __init__(
        self,
        frames: Iterable[Frame],
        clock_ms: Callable[[], int],
        wait_s: Callable[[float], Awaitable[object]],
    ) -> None:
        self._frames, self._clock_ms, self._wait_s = iter(frames), clock_ms, wait_s
        self._first_ms: tuple[int, int] | None = None
        self._health = CameraHealth.OK

    def state(self) -> str:
        """`ok`, or `ended` when the last frame was shown."""
        return self._health.value

    async def read(self) -> Frame | None:
        """The next frame that is not past, when it is due; None at the end."""
        for frame in self._frames:
            now_ms = self._clock_ms()
            if self._first_ms is None:
                self._first_ms = (frame.captured_at_ms, now_ms)
            due_ms = self._first_ms[1] + frame.captured_at_ms - self._first_ms[0]
            if due_ms >= now_ms or due_ms == self._first_ms[1]:
                await self._wait_s(max(0, due_ms - now_ms) / 1000)
                return Frame(frame.image, due_ms, frame.source)
        self._health = CameraHealth.ENDED
        return None

    async def close(self) -> None:
        """Show nothing more."""
        self._frames = iter(())
