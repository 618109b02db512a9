"""The camera of whoever opened the kiosk's page: for a laptop, or a server without a camera.

The capture time is that of a picture's arrival at the kiosk: the browser's own cannot be checked. On loopback
and with one picture under way at a time, that is some milliseconds late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import cv2
import numpy as np

from edge.adapters.screen.lens import JPEG_MAX_BYTES, Wanted, Word
from edge.capture.health import CameraHealth, Watch, watch
from edge.capture.sample import Frame, Image

READ_TIMEOUT_S = 1.0
"""How long `read` waits for a picture: thirty of an ordinary camera's."""
STALLED_AFTER_MS = 2000
"""A page that was filming and sends nothing for so long hangs, like a driver (edge.capture.health)."""
SEGMENTS_MAX = 64
"""Before the picture's size in a JPEG; a browser's has about ten."""
SOURCE = "browser"

_BASELINE, _EXTENDED, _OTHER_FRAMES = 0xC0, 0xC1, range(0xC2, 0xD0)
_TABLES = {0xC4, 0xC8, 0xCC}
"""Huffman tables, reserved, arithmetic coding: among the frame markers, and no frames (ITU-T T.81, B.1)."""


class BrowserCamera:
    """Fulfils `edge.ports.Camera` and `edge.adapters.screen.lens.Lens`; both on one event loop.

    The newest picture is kept, undecoded, until it is read; one that nobody read is never decoded.
    """

    def __init__(self, width_px: int, height_px: int, frames_per_s: int, clock_ms: Callable[[], int]) -> None:
        """Pictures of more pixels than width x height are refused; nothing is decoded of those."""
        self.wanted = Wanted(True, width_px, height_px, frames_per_s)
        self._clock_ms = clock_ms
        self._filming = False
        self._word: Word | None = None
        self._newest: tuple[bytes, int] | None = None
        self._arrived = asyncio.Event()
        self._arrived_ms: int | None = None
        self._seen: Watch | None = None

    # --- the page's side

    def begin(self) -> bool:
        """A page connects; one at a time may be the camera."""
        if self._filming:
            return False
        self._forget()
        self._filming = True
        return True

    def take(self, received: bytes | Word) -> str | None:
        """A picture, newer than any before it; or why there is none."""
        if isinstance(received, Word):
            if received is not Word.FRONT:
                self._forget()
                self._word = received
            return None
        if len(received) > JPEG_MAX_BYTES:
            return f"a picture has at most {JPEG_MAX_BYTES} bytes"
        size, most = jpeg_size(received), self.wanted.width_px * self.wanted.height_px
        if size is None:
            return "a picture is a baseline JPEG"
        if not 0 < size[0] * size[1] <= most:
            return f"a picture has at most {self.wanted.width_px} x {self.wanted.height_px} pixels"
        self._word, self._arrived_ms = None, self._clock_ms()
        self._newest = (received, self._arrived_ms)
        self._arrived.set()
        return None

    def end(self) -> None:
        """The page is gone, and its last picture with it."""
        self._forget()
        self._filming = False

    # --- the kiosk's side

    def state(self) -> str:
        """`ok`; `waiting` for a page with a camera; `refused`, `unplugged`, `frozen`, `black`."""
        if self._word is not None:
            return self._word.value
        if self._arrived_ms is None:
            return "waiting"
        if self._clock_ms() - self._arrived_ms > STALLED_AFTER_MS:
            return CameraHealth.FROZEN.value
        return CameraHealth.OK.value if self._seen is None else self._seen.health.value

    async def read(self) -> Frame | None:
        """A picture newer than the last one given; None while there is none worth looking at."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await self._arrived.wait()
        except TimeoutError:
            return None
        newest, self._newest = self._newest, None
        self._arrived.clear()
        if newest is None:
            return None
        encoded, arrived_ms = newest
        image = await asyncio.to_thread(_decoded, encoded)
        # A page that left while its last picture was decoded is no camera any more.
        if image is None or not self._filming:
            return None
        frame = Frame(image, arrived_ms, SOURCE)
        self._seen = watch(self._seen, frame)
        return frame if self._seen.health is CameraHealth.OK else None

    async def close(self) -> None:
        """Nothing is held: the device is the page's."""
        self._forget()

    def _forget(self) -> None:
        self._word = self._newest = self._arrived_ms = self._seen = None
        self._arrived.clear()


def jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height as a JPEG states them; None for what is none, or is coded in several scans.

    Progressive pictures are left out: a small one may take any number of passes to decode.
    """
    if encoded[:2] != b"\xff\xd8":
        return None
    at = 2
    for _ in range(SEGMENTS_MAX):
        marker = encoded[at : at + 9]
        if len(marker) < 9 or marker[0] != 0xFF:
            return None
        kind, length = marker[1], int.from_bytes(marker[2:4])
        if kind in {_BASELINE, _EXTENDED}:
            return int.from_bytes(marker[7:9]), int.from_bytes(marker[5:7])
        if (kind in _OTHER_FRAMES and kind not in _TABLES) or length < 2:
            return None
        at += 2 + length
    return None


def _decoded(encoded: bytes) -> Image | None:
    """Height x width x 3, RGB; None for what is no picture after all."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
