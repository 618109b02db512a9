"""One camera for several kiosks on one machine: the one whose page was looked at last sees, others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from edge.adapters.screen.lens import Wanted, Word
from edge.capture.sample import Frame
from edge.ports import Camera

READ_TIMEOUT_S = 1.0
"""How long a kiosk that nobody looks at waits before it says again that it has no picture."""


class SharedCamera:
    """A camera and its views, one for each kiosk; all on one event loop.

    Two kiosks never get the same picture, nor one that was taken while the other's page was in front.
    """

    def __init__(self, camera: Camera, clock_ms: Callable[[], int]) -> None:
        """`clock_ms` is the clock of the camera's capture times."""
        self.camera, self.clock_ms = camera, clock_ms
        self.reading = asyncio.Lock()
        self._shown: list[CameraView] = []

    @property
    def front(self) -> CameraView | None:
        """Whose page was looked at last, of those that are shown."""
        return self._shown[-1] if self._shown else None

    def view(self, clock_ms: Callable[[], int]) -> CameraView:
        """For one kiosk, whose monotonic clock has a beginning of its own."""
        return CameraView(self, clock_ms() - self.clock_ms())

    def bring(self, view: CameraView) -> None:
        """Its page is the one looked at."""
        self.withdraw(view)
        self._shown.append(view)
        view.in_front.set()

    def withdraw(self, view: CameraView) -> None:
        """Its page is shown no more; the one before it is in front again."""
        if view in self._shown:
            self._shown.remove(view)
        view.in_front.clear()
        if self.front is not None:
            self.front.in_front.set()

    async def close(self) -> None:
        """Give the device back."""
        await self.camera.close()


class CameraView:
    """Fulfils `edge.ports.Camera`, and the screen's `Lens` with a page that only says that it is shown."""

    wanted = Wanted(frames=False)

    def __init__(self, shared: SharedCamera, ahead_ms: int) -> None:
        """`ahead_ms`: the kiosk's clock less the camera's."""
        self._shared, self._ahead_ms = shared, ahead_ms
        self._paged = False
        self.in_front = asyncio.Event()

    def begin(self) -> bool:
        """A page is shown; one at a time."""
        if self._paged:
            return False
        self._paged = True
        self._shared.bring(self)
        return True

    def take(self, received: bytes | Word) -> str | None:
        """The page was looked at again; pictures are not wanted."""
        if isinstance(received, bytes):
            return "this kiosk has a camera of its own"
        self._shared.bring(self)
        return None

    def end(self) -> None:
        """The page is hidden, or gone."""
        self._paged = False
        self._shared.withdraw(self)

    def _looks(self) -> bool:
        return self._shared.front is self

    def state(self) -> str:
        """The camera's own state; `waiting` while another kiosk's page is in front, or none."""
        return self._shared.camera.state() if self._looks() else "waiting"

    async def read(self) -> Frame | None:
        """The camera's next frame while this page is in front; None otherwise."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                while not self._looks():
                    self.in_front.clear()
                    await self.in_front.wait()
        except TimeoutError:
            return None
        async with self._shared.reading:
            frame = await self._shared.camera.read() if self._looks() else None
        if frame is None or not self._looks():
            return None
        return replace(frame, captured_at_ms=frame.captured_at_ms + self._ahead_ms)

    async def close(self) -> None:
        """Stop looking; the camera is closed by whoever opened it."""
        self._shared.withdraw(self)
