"""What an enrolment kiosk offers to its live picture: the face that is being sampled, while it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from edge.capture.sample import Box, Face, FailureToAcquire, Frame, Obstacle
from edge.capture.tracking import TrackingConfig
from edge.enrolling.observations import Observation
from edge.enrolling.state import Step, new_enrolment
from edge.shell.sampling import Sampler
from tests.doubles.waiting import WAIT_S, eventually
from wire.ids import ClaimId, SubjectId

FACE = Face(Box(10, 10, 30, 40), 0.9, ((15, 20), (25, 20), (20, 27)))


class Booth:
    """Camera, recogniser, enrolment and preview in one; a look can be held up half-way."""

    def __init__(self) -> None:
        self.enrolment = new_enrolment(SubjectId("a" * 32), ClaimId("b" * 32))
        self.offers: list[tuple[Step, Box | None]] = []
        self.told: list[Observation] = []
        self.looks = 0
        self._go_on = threading.Event()
        self._go_on.set()
        self._frames = 0
        self.sampler = Sampler(
            self,
            self,
            recogniser=self,
            tracking=TrackingConfig(),
            rules=None,
            enrolment=lambda: self.enrolment,
            tell=self.told.append,
            preview=self,
        )

    def at(self, step: Step) -> None:
        self.enrolment = replace(self.enrolment, step=step)

    def hold_up(self) -> None:
        self._go_on.clear()

    def let_go(self) -> None:
        self._go_on.set()

    async def read(self) -> Frame:
        await asyncio.sleep(0.001)
        self._frames += 1
        return Frame(np.zeros((48, 64, 3), np.uint8), self._frames * 33, "booth")

    def find(self, frame: Frame) -> Face:
        self.looks += 1
        assert self._go_on.wait(WAIT_S)
        return FACE

    def observe(self, frame: Frame, face: Face) -> FailureToAcquire:
        return FailureToAcquire(Obstacle.TOO_SMALL)

    def offer(self, frame: Frame, face: Box | None) -> None:
        self.offers.append((self.enrolment.step, face))


@pytest.fixture
async def booth() -> AsyncIterator[Booth]:
    booth = Booth()
    with ThreadPoolExecutor(1) as pool:
        running = asyncio.create_task(booth.sampler.run(pool))
        yield booth
        booth.let_go()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_only_the_face_that_is_sampled_is_clear_and_every_other_step_is_shown_covered(
    booth: Booth,
) -> None:
    for step in (Step.WELCOME, Step.AGE, Step.SAMPLES, Step.CHECKING, Step.PIN, Step.DONE, Step.AGAIN):
        booth.at(step)
        before = len(booth.offers)
        await eventually(lambda before=before: len(booth.offers) >= before + 3)
    assert {face for step, face in booth.offers if step is Step.SAMPLES} == {FACE.box}
    assert {face for step, face in booth.offers if step is not Step.SAMPLES} == {None}


@pytest.mark.parametrize("somebody_else", [False, True])
async def test_a_face_found_after_the_samples_are_over_is_covered(booth: Booth, somebody_else: bool) -> None:
    booth.hold_up()
    booth.at(Step.SAMPLES)
    await eventually(lambda: booth.looks == 1)
    booth.at(Step.WELCOME if somebody_else else Step.AGREE_BY)
    if somebody_else:
        booth.sampler.begin()
    before = len(booth.offers)
    booth.let_go()
    await eventually(lambda: len(booth.offers) > before)
    assert {face for _, face in booth.offers} == {None}
