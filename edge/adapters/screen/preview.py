"""The live picture beside the prompt: veiled, encoded for the pages that look, kept nowhere.

Page to kiosk: any message, once it is ready and after each picture that it has painted. Kiosk to page: the
newest picture there is by then, as one JPEG. So a slow page skips pictures, and none waits on the way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
from starlette.responses import PlainTextResponse
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.capture.sample import Box, Frame, Image
from edge.capture.veil import veiled

STALE_S = 0.5
"""A frame that was offered longer ago is not shown any more: whoever was in it may have left."""
VIEWERS_MAX = 4
"""As many pages as may be open (`WATCHERS_MAX` in board.py)."""
JPEG_QUALITY = 80
"""Of 100: some 10 KB for a picture of 480 x 360, most of them for the face."""
FPS = 20
"""By default; 15 are wanted at least."""
WIDTH_PX = 480
"""By default; as wide as the page shows it on a kiosk."""


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    frame: Frame
    face: Box | None
    number: int
    at_s: float


class Preview:
    """Fulfils `edge.ports.Preview`: makes pictures for the pages that ask for one, and none otherwise.

    All on one event loop; a picture is made on a thread of its own, once for all who ask.
    """

    def __init__(
        self, *, fps: int = FPS, width_px: int = WIDTH_PX, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause_s, self._width_px, self._clock_s = 1 / fps, width_px, clock_s
        self._viewers: set[asyncio.Event] = set()
        self._offered: _Offer | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._making = asyncio.Lock()
        self._number = 0
        self.made = 0
        """Pictures made so far."""
        self.on_painted: Callable[[int], None] = lambda _: None
        """Told the `captured_at_ms` of a picture when a page says that it has painted it."""

    @property
    def watching(self) -> int:
        """How many pages look."""
        return len(self._viewers)

    def offer(self, frame: Frame, face: Box | None) -> None:
        """The newest frame, and where in it the face is that the running interaction follows; never waits."""
        if not self._viewers:
            return
        self._number += 1
        self._offered = _Offer(frame, face, self._number, self._clock_s())
        for changed in self._viewers:
            changed.set()

    async def serve(self, socket: WebSocket) -> None:
        """One page, from connecting to leaving."""
        if len(self._viewers) >= VIEWERS_MAX:
            await socket.send_denial_response(PlainTextResponse("Too many pages look: close one.", 503))
            return
        changed = asyncio.Event()
        self._viewers.add(changed)
        try:
            await socket.accept()
            await self._answer(socket, changed)
        except WebSocketDisconnect:
            pass
        finally:
            self._viewers.discard(changed)
            if not self._viewers:
                self._offered, self._jpeg = None, (0, b"")

    async def _answer(self, socket: WebSocket, changed: asyncio.Event) -> None:
        """A picture for each message, until the page leaves or speaks out of turn."""
        sent: _Offer | None = None
        sent_s = 0.0
        heard = asyncio.create_task(socket.receive())
        try:
            while (await heard)["type"] == "websocket.receive":
                if sent is not None:
                    self.on_painted(sent.frame.captured_at_ms)
                heard = asyncio.create_task(socket.receive())
                await asyncio.wait({heard}, timeout=max(0.0, sent_s + self._pause_s - self._clock_s()))
                offered = await self._newer(0 if sent is None else sent.number, changed, heard)
                if offered is None:
                    return
                sent, sent_s = offered, self._clock_s()
                await socket.send_bytes(await self._picture(offered))
        finally:
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)

    async def _newer(
        self, number: int, changed: asyncio.Event, heard: asyncio.Task[Message]
    ) -> _Offer | None:
        """What was offered last, once it is newer than `number`; None when something was heard before."""
        while not heard.done():
            offered = self._offered
            if offered is not None and offered.number > number and self._clock_s() - offered.at_s < STALE_S:
                return offered
            changed.clear()
            coming = asyncio.create_task(changed.wait())
            await asyncio.wait({coming, heard}, return_when=asyncio.FIRST_COMPLETED)
            coming.cancel()
        return None

    async def _picture(self, offered: _Offer) -> bytes:
        async with self._making:
            number, jpeg = self._jpeg
            if number != offered.number:
                frame = offered.frame
                jpeg = await asyncio.to_thread(_encode, frame.image, offered.face, self._width_px)
                self._jpeg = offered.number, jpeg
                self.made += 1
            return jpeg


def _encode(image: Image, face: Box | None, width_px: int) -> bytes:
    picture = cv2.cvtColor(veiled(image, face, width_px), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()
