"""A camera that shows moving pictures on demand: a working device with verbs for what may happen to it.

It stands where OpenCV's device stands, behind the same `NewestFrameCamera`, so that newest-only reading and
the detection of black and frozen pictures are the product's own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edge.adapters.camera.device import NewestFrameCamera
from edge.capture.sample import Image
from edge.errors import CameraError

COVERED_DIVISOR = 64
"""What a hand over the lens leaves of the light: grey levels 0 to 3; a camera counts as black below 8."""
MAX_QUEUED = 256
"""Scenes waiting to be shown; a demo has seven."""


class Reel(Protocol):
    """A moving picture whose frames can be had in any order; `scripts.people.clip.Scene` is one."""

    def __len__(self) -> int:
        """Frames; at least one."""
        ...

    def __getitem__(self, index: int, /) -> Image:
        """One frame, RGB."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Showing:
    reel: Reel
    ended: Future[None] = field(default_factory=Future)


class ClipDevice:
    """Fulfils `edge.adapters.camera.device.Device`: loops `idle`, shows what is queued, at a sensor's pace.

    `clock_ms` and `wait_s` may be virtual. A frame whose time is past when it is grabbed is never painted.
    """

    def __init__(
        self,
        idle: Reel,
        frames_per_s: int,
        clock_ms: Callable[[], int],
        wait_s: Callable[[float], object] = time.sleep,
    ) -> None:
        self._idle, self._frames_per_s = idle, frames_per_s
        self._clock_ms, self._wait_s = clock_ms, wait_s
        self._queue: deque[_Showing] = deque()
        self._current: _Showing | None = None
        self._began_ms = clock_ms()
        self._taken = -1
        self._plugged, self._frozen, self._covered = True, False, False
        self._last: Image | None = None

    def play(self, reel: Reel) -> Future[None]:
        """Show a scene once, after those queued before it; the future is done when its last frame is past.

        Await it with `asyncio.wrap_future`; cancelled before it began, it is not shown. A scene nobody grabs
        frames of does not end. Raises `CameraError` when too many are queued.
        """
        if len(self._queue) >= MAX_QUEUED:
            raise CameraError(f"{MAX_QUEUED} scenes are queued; wait for one to end")
        showing = _Showing(reel)
        self._queue.append(showing)
        return showing.ended

    def open(self) -> ClipDevice:
        """The device as an opener finds it; raises `CameraError` while it is unplugged."""
        if not self._plugged:
            raise CameraError("camera clip: unplugged; plug it in")
        return self

    def unplug(self) -> None:
        """The cable is out; time goes on in the scene."""
        self._plugged = False

    def plug(self) -> None:
        """The cable is in again."""
        self._plugged = True

    def cover(self) -> None:
        """A hand is over the lens: black, but for the noise."""
        self._covered = True

    def freeze(self) -> None:
        """The driver hangs and repeats its last picture."""
        self._frozen = True

    def recover(self) -> None:
        """Neither covered nor frozen; it stays unplugged if it was."""
        self._frozen = self._covered = False

    def grab(self) -> Image | None:
        """The picture due next, when it is due; None when unplugged. One thread at a time."""
        if not self._plugged:
            return None
        reel, index = self._due()
        if self._frozen and self._last is not None:
            return self._last
        picture = reel[index]
        if self._covered:
            picture = np.asarray(picture // COVERED_DIVISOR, np.uint8)
        self._last = picture
        return picture

    def close(self) -> None:
        """Nothing is held; what is queued stays."""

    def _due(self) -> tuple[Reel, int]:
        """Wait for the sensor's next frame; the scene that is on by then, and the number of its frame."""
        next_ms = self._began_ms + -(-(self._taken + 1) * 1000 // self._frames_per_s)
        if (early_ms := next_ms - self._clock_ms()) > 0:
            self._wait_s(early_ms / 1000)
        now_ms = self._clock_ms()
        self._taken = max(self._taken + 1, (now_ms - self._began_ms) * self._frames_per_s // 1000)
        if self._current is not None and self._taken >= len(self._current.reel):
            self._current.ended.set_result(None)
            self._current = None
            self._begin(now_ms)
        elif self._current is None and self._queue:
            self._begin(now_ms)
        if self._current is None:
            return self._idle, self._taken % len(self._idle)
        return self._current.reel, self._taken

    def _begin(self, now_ms: int) -> None:
        self._current, self._began_ms, self._taken = None, now_ms, 0
        while self._queue and self._current is None:
            showing = self._queue.popleft()
            # From here on nobody can cancel it; one that was cancelled while it waited is not shown.
            if showing.ended.set_running_or_notify_cancel():
                self._current = showing


def clip_camera(device: ClipDevice, clock_ms: Callable[[], int], source: str = "clip") -> NewestFrameCamera:
    """The product's camera in front of a clip; raises `CameraError` while the device is unplugged."""
    return NewestFrameCamera(device.open, source, clock_ms)
