"""What a kiosk looks at: codes, who stands in the zone, and the face of whoever is in a passage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edge.capture.idle import Stillness, consider
from edge.capture.pipeline import Observation as FaceObservation
from edge.capture.sample import Box, Face, FailureToAcquire, Frame, Obstacle
from edge.capture.tracking import Track, TrackingConfig, follow
from edge.confirm.challenge import Sighting
from edge.passage.observations import ClaimSeen, FaceMissed, FaceMoved, FaceSeen, Observation, ZoneSeen
from edge.passage.state import (
    Passage,
    is_seeking,
    needs_probe,
    wants_claim,
    wants_face,
    wants_gestures,
    wants_zone,
)
from edge.ports import Camera, ClaimReader, Preview, Recogniser

NO_PICTURE_MS = 100
"""How long to wait before asking a camera again that had no picture."""
FACING_POSE = 1.0
"""Of `Quality.pose`: a face turned no further than `quality.good_yaw` looks at the kiosk."""
NOBODY_THERE = frozenset({Obstacle.NO_FACE, Obstacle.OUTSIDE_ZONE, Obstacle.TOO_SMALL})
"""What the detector finds where the zone is empty, or holds only people far behind."""


@dataclass(slots=True)
class Sight:
    """Whom the kiosk follows in one passage, and when it first saw them."""

    track: Track | None = None
    first_face_ms: int | None = None


class Watch:
    """The kiosk's eyes: looks at a frame for what the passage wants of it now, and tells what it saw."""

    def __init__(
        self,
        camera: Camera,
        claims: ClaimReader,
        *,
        recogniser: Recogniser,
        tracking: TrackingConfig,
        passage: Callable[[], Passage],
        tell: Callable[[Observation], None],
        preview: Preview | None = None,
    ) -> None:
        """`passage` is the one under way; `tell` reports to it at once; `preview` is offered every look."""
        self._camera, self._claims, self._recogniser = camera, claims, recogniser
        self._tracking, self._passage, self._tell = tracking, passage, tell
        self._sight = Sight()
        self._preview = preview
        self._followed: Box | None = None
        self._stillness: Stillness | None = None
        self.embedded_frames = 0
        """Frames of which an embedding may have been made; none before an interaction has begun."""

    def begin(self) -> Sight:
        """Another passage begins: what is still being looked at for the one before is told to nobody."""
        self._sight, self._followed = Sight(), None
        return self._sight

    async def run(self, pool: ThreadPoolExecutor) -> None:
        """Look at every frame that matters, until cancelled; the networks run on `pool`, one at a time."""
        while True:
            frame = await self._camera.read()
            self._followed = None
            if frame is None:
                await asyncio.sleep(NO_PICTURE_MS / 1000)
                continue
            if is_seeking(self._passage()) and wants_face(self._passage()):
                await self._read_claim(frame, pool)
                await self._look_at_who_began(frame, pool)
            elif wants_claim(self._passage()) and self._worth_a_look(frame):
                await self._read_claim(frame, pool)
                await self._look_into_zone(frame, pool)
            elif wants_face(self._passage()):
                await self._look(frame, pool)
            elif wants_gestures(self._passage()):
                await self._follow_gestures(frame, pool)
            else:
                # Yield even to a camera that always has a frame.
                await asyncio.sleep(0)
                continue
            if self._preview is not None:
                self._preview.offer(frame, self._followed)

    def _worth_a_look(self, frame: Frame) -> bool:
        self._stillness = consider(self._stillness, frame)
        # Somebody who stands still before the kiosk is followed from frame to frame.
        return self._stillness.looked_at(frame) or self._passage().approach.facing_since_ms is not None

    async def _read_claim(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        claim = await loop.run_in_executor(pool, self._claims.read, frame)
        if claim is not None:
            self._tell(ClaimSeen(claim))

    async def _look_into_zone(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        """Whether somebody stands there and looks at the kiosk; nothing is embedded."""
        if not wants_zone(self._passage()):
            return
        sight = self._sight
        face, observed = await self._located(frame, pool)
        if self._sight is not sight or not wants_zone(self._passage()):
            return
        if face is None:
            empty = isinstance(observed, FailureToAcquire) and observed.reason in NOBODY_THERE
            self._tell(ZoneSeen(frame.captured_at_ms, empty=empty))
            return
        sight.track = follow(sight.track, face, frame.captured_at_ms, self._tracking)
        facing = isinstance(observed, FaceObservation) and observed.quality.pose >= FACING_POSE
        self._tell(ZoneSeen(frame.captured_at_ms, sight.track.id if facing else None))

    async def _look_at_who_began(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        """Embed the face that began the search, and no other."""
        if not is_seeking(self._passage()):  # a claim was read from this very frame
            return
        sight, loop = self._sight, asyncio.get_running_loop()
        face = await loop.run_in_executor(pool, self._recogniser.find, frame)
        if self._sight is not sight or not is_seeking(self._passage()):
            return
        if isinstance(face, FailureToAcquire):
            self._tell(FaceMissed(face))
        elif self._follow(face, frame).id == self._passage().approach.track:
            await self._look(frame, pool, face)
        else:
            self._followed = None  # somebody else
            self._tell(ZoneSeen(frame.captured_at_ms))

    async def _located(
        self, frame: Frame, pool: ThreadPoolExecutor
    ) -> tuple[Face | None, FaceObservation | FailureToAcquire]:
        """The one face in the zone and its points; recognises no one."""
        recogniser = self._recogniser

        def locate() -> tuple[Face | None, FaceObservation | FailureToAcquire]:
            face = recogniser.find(frame)
            if isinstance(face, FailureToAcquire):
                return None, face
            return face, recogniser.observe(frame, face)

        return await asyncio.get_running_loop().run_in_executor(pool, locate)

    async def _look(self, frame: Frame, pool: ThreadPoolExecutor, found: Face | None = None) -> None:
        sight = self._sight
        self.embedded_frames += 1
        loop = asyncio.get_running_loop()
        acquired = await loop.run_in_executor(pool, self._recogniser.acquire, frame, found)
        if self._sight is not sight:
            return
        if acquired.face is not None and found is None:
            self._follow(acquired.face, frame)
        if isinstance(acquired.probe, FailureToAcquire):
            self._tell(FaceMissed(acquired.probe))
        elif sight.track is not None:
            self._tell(FaceSeen(sight.track.id, acquired.probe, frame.captured_at_ms, acquired.live))

    async def _follow_gestures(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        """Locate the face; embed it only where the challenge cannot be judged without knowing whose it is."""
        sight, recogniser = self._sight, self._recogniser
        loop = asyncio.get_running_loop()
        face, observed = await self._located(frame, pool)
        if self._sight is not sight or not wants_gestures(self._passage()):
            return
        track = None if face is None else self._follow(face, frame)
        if isinstance(observed, FailureToAcquire):
            self._tell(FaceMissed(observed))
        elif track is not None:
            probe = None
            if needs_probe(self._passage(), track.id, observed.points, frame.captured_at_ms):
                self.embedded_frames += 1
                probe = await loop.run_in_executor(pool, recogniser.embed, observed)
            if self._sight is sight:
                self._tell(FaceMoved(Sighting(track.id, observed.points, frame.captured_at_ms, probe)))

    def _follow(self, face: Face, frame: Frame) -> Track:
        sight = self._sight
        sight.track = follow(sight.track, face, frame.captured_at_ms, self._tracking)
        if sight.first_face_ms is None:
            sight.first_face_ms = frame.captured_at_ms
        self._followed = face.box
        return sight.track
