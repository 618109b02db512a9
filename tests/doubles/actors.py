"""A member in front of the camera who does what the screen asks."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np

from edge.capture.sample import Image
from edge.confirm.challenge import Gesture
from edge.enact.display import Prompt
from scripts.evaluate.attacks.rendered_head import RenderedHead
from scripts.evaluate.attacks.suite import DIRECTIONS
from tests.doubles.lane import FACES, Lane

ASKING = {Prompt(gesture.value): gesture for gesture in Gesture}
GESTURE_S = 2.0
DEGREES, STEP_DEGREES = 28.0, 4
NOISES = 16


class Actor:
    """A head before the camera that reads the screen and does what it says, again and again if it must."""

    def __init__(self, lane: Lane, name: str) -> None:
        lane.floor.person(FACES[name])
        self._head = RenderedHead(lane.stage.kiosk.pipeline, lane.floor[0])
        lane.floor.nobody()
        self._lane = lane
        dice = np.random.default_rng(3)
        shape = self._head.portrait.shape
        self._noises = [dice.normal(0, 2, shape).astype(np.int16) for _ in range(NOISES)]
        self._gesture: Gesture | None = None
        self._began_s = 0.0
        for gesture in Gesture:
            for degrees in range(STEP_DEGREES, int(DEGREES) + 1, STEP_DEGREES):
                self._turned(gesture, degrees)

    def __call__(self, index: int) -> Image:
        asked = ASKING.get(self._lane.prompts[-1]) if self._lane.prompts else None
        since_s = time.monotonic() - self._began_s
        # Once begun, a gesture is carried through, whatever the screen says by then.
        if since_s >= GESTURE_S and asked is not None:
            self._gesture, self._began_s, since_s = asked, time.monotonic(), 0.0
        degrees = DEGREES * max(0.0, math.sin(math.pi * since_s / GESTURE_S)) if since_s < GESTURE_S else 0.0
        image = self._turned(self._gesture, round(degrees / STEP_DEGREES) * STEP_DEGREES)
        return np.clip(image + self._noises[index % NOISES], 0, 255).astype(np.uint8)

    def _turned(self, gesture: Gesture | None, degrees: int) -> Image:
        left, up = DIRECTIONS[gesture] if gesture else (0, 0)
        return self._head.turned(left * degrees, up * degrees)


async def actor(lane: Lane, name: str) -> Actor:
    """Rendered beside the event loop: a gate that hears nothing for two seconds goes to its safe state."""
    made = await asyncio.to_thread(Actor, lane, name)
    await lane.calm()
    return made
