"""What an enrolment kiosk looks at: the code of somebody who withdraws, the face of somebody who enrols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from edge.capture.pipeline import Observation as FaceObservation
from edge.capture.sample import Face, FailureToAcquire, Frame
from edge.capture.tracking import Track, TrackingConfig, follow
from edge.enrolling.observations import ClaimRead, FaceFound, Observation, SampleMissed, SampleSeen
from edge.enrolling.state import Enrolment, EnrolRules, wants_code, wants_face, wants_sample
from edge.ports import Camera, ClaimReader, Preview, Recogniser

NO_PICTURE_MS = 100
"""How long to wait before asking a camera again that had no picture."""


class Sampler:
    """The kiosk's eyes: locates the face of whoever enrols, and embeds it only when a sample is due."""

    def __init__(
        self,
        camera: Camera,
        claims: ClaimReader,
        *,
        recogniser: Recogniser,
        tracking: TrackingConfig,
        rules: EnrolRules,
        enrolment: Callable[[], Enrolment],
        tell: Callable[[Observation], None],
        preview: Preview | None = None,
    ) -> None:
        """`enrolment` is the one under way; `tell` reports to it at once; `preview` is offered every look."""
        self._camera, self._claims, self._recogniser = camera, claims, recogniser
        self._tracking, self._rules, self._enrolment, self._tell = tracking, rules, enrolment, tell
        self._preview = preview
        self._track: Track | None = None
        self._life = 0
        self.embedded_frames = 0
        """Frames of which an embedding was made; none before consent and age."""

    def begin(self) -> None:
        """Somebody else: what is still being looked at for the one before is told to nobody."""
        self._life += 1
        self._track = None

    async def run(self, pool: ThreadPoolExecutor) -> None:
        """Look at every frame that matters, until cancelled; the networks run on `pool`, one at a time."""
        while True:
            frame = await self._camera.read()
            if frame is None:
                await asyncio.sleep(NO_PICTURE_MS / 1000)
            elif wants_code(self._enrolment()):
                await self._read_code(frame, pool)
            elif wants_face(self._enrolment()):
                await self._look(frame, pool)
            else:
                self._offer(frame, None)
                # Yield even to a camera that always has a frame.
                await asyncio.sleep(0)

    def _offer(self, frame: Frame, face: Face | None) -> None:
        """Show the frame; only the face that is being sampled is clear in it, and only while it is."""
        if self._preview is not None:
            clear = face if wants_face(self._enrolment()) else None
            self._preview.offer(frame, None if clear is None else clear.box)

    async def _read_code(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        life = self._life
        claim = await asyncio.get_running_loop().run_in_executor(pool, self._claims.read, frame)
        if claim is not None and life == self._life:
            self._tell(ClaimRead(claim))
        self._offer(frame, None)

    async def _look(self, frame: Frame, pool: ThreadPoolExecutor) -> None:
        life, recogniser, loop = self._life, self._recogniser, asyncio.get_running_loop()

        def locate() -> tuple[Face | None, FaceObservation | FailureToAcquire]:
            face = recogniser.find(frame)
            if isinstance(face, FailureToAcquire):
                return None, face
            return face, recogniser.observe(frame, face)

        face, observed = await loop.run_in_executor(pool, locate)
        if life != self._life:
            self._offer(frame, None)
            return
        if face is not None:
            self._track = follow(self._track, face, frame.captured_at_ms, self._tracking)
        self._offer(frame, face)
        if isinstance(observed, FailureToAcquire):
            self._tell(SampleMissed(observed))
        elif not wants_sample(self._enrolment(), frame.captured_at_ms, self._rules):
            self._tell(FaceFound())
        else:
            self.embedded_frames += 1
            probe = await loop.run_in_executor(pool, recogniser.embed, observed)
            if life == self._life and self._track is not None:
                self._tell(SampleSeen(self._track.id, probe, frame.captured_at_ms))
