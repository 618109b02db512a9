"""The time of what happens before the camera: it follows a kiosk that is slower than its camera."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.capture.sample import Frame
from edge.ports import Camera

LEAD_MS = 150
"""So much of a scene passes at most between two looks of the kiosk: four or five frames of 30 a second."""
LOOKLESS_S = 1.0
"""A kiosk that does not look for so long is no longer waited for, or the camera could not be closed."""


class SceneClock:
    """Milliseconds of the scene: as fast as `clock_ms` where the kiosk keeps up, else as fast as it looks.

    A machine under load sees every scene as a quiet one does: the people in it move more slowly.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._looked = threading.Condition()
        self._read_ms = clock_ms()
        self._now_ms = 0
        self._left_ms = LEAD_MS

    def look(self) -> None:
        """The kiosk looks: the scene may go on."""
        with self._looked:
            self._advance()
            self._left_ms = LEAD_MS
            self._looked.notify_all()

    def now_ms(self) -> int:
        """The instant of the scene."""
        with self._looked:
            return self._advance()

    def wait_s(self, duration_s: float) -> None:
        """Wait until so much of the scene has passed."""
        with self._looked:
            until_ms = self._advance() + duration_s * 1000
            while (rest_ms := until_ms - self._advance()) > 0:
                if self._left_ms > 0:
                    self._looked.wait(min(rest_ms, self._left_ms) / 1000)
                elif not self._looked.wait(LOOKLESS_S):
                    return

    def _advance(self) -> int:
        read_ms = self._clock_ms()
        passed_ms = min(read_ms - self._read_ms, self._left_ms)
        self._read_ms = read_ms
        self._left_ms -= passed_ms
        self._now_ms += passed_ms
        return self._now_ms


class FollowedCamera:
    """A camera whose scene waits for whoever reads it."""

    def __init__(self, camera: Camera, scene: SceneClock) -> None:
        self._camera, self._scene = camera, scene

    async def read(self) -> Frame | None:
        """The next frame."""
        self._scene.look()
        return await self._camera.read()

    def state(self) -> str:
        """What the camera says of itself."""
        return self._camera.state()

    async def close(self) -> None:
        """Give the camera back."""
        await self._camera.close()
