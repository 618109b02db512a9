"""A passage whose person does gestures before a kiosk that embeds only what a challenge needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.capture.sample import Probe
from edge.capture.tracking import TrackId
from edge.confirm.challenge import Gesture, Sighting, needs_probe
from edge.confirm.liveness import ConfirmConfig
from edge.enact.release import ReleaseConfig
from edge.passage.observations import ClaimSeen, FaceMoved
from edge.passage.state import Rules, new_passage
from tests.doubles.attempt import CLAIM, FRESH, KNOWN, OWN, PASSAGE, POINT, RECIPE, Attempt, face, looked_up
from tests.doubles.turning_head import head

ALWAYS = Rules(ConfirmConfig(challenge="always"), ReleaseConfig(), {3: POINT}, 0.8)
NONCE = b"12345678"
DEGREES = {
    Gesture.TURN_LEFT: (26, 0),
    Gesture.TURN_RIGHT: (-26, 0),
    Gesture.LOOK_UP: (0, 26),
    Gesture.NOD: (0, -26),
}


class Gesturing(Attempt):
    """A passage whose person is seen by a kiosk that embeds only what the challenge needs."""

    def __init__(self, rules: Rules = ALWAYS, *, used_before: bool = False, view=FRESH) -> None:
        super().__init__(new_passage(PASSAGE, NONCE), rules)
        self.embedded = 0
        self.tell(ClaimSeen(CLAIM), replace(KNOWN, used_before=used_before))
        if view is not None:
            self.tell(looked_up(view))
        self.tell(face(), face(), face())

    def see(self, points: np.ndarray, vector: np.ndarray = OWN) -> Gesturing:
        challenge, probe = self.passage.challenge, None
        if challenge is not None and needs_probe(challenge, TrackId(1), points):
            probe = Probe((vector,), (1.0,), RECIPE, 1)
            self.embedded += 1
        self.now_ms += 40
        self.tell(FaceMoved(Sighting(TrackId(1), points, self.now_ms, probe)))
        return self

    def rest(self, vector: np.ndarray = OWN) -> Gesturing:
        for _ in range(5):
            self.see(head(), vector)
        return self

    def do(self, gesture: Gesture, vector: np.ndarray = OWN) -> Gesturing:
        left, up = DEGREES[gesture]
        for part in (0.25, 0.6, 1.0, 1.0, 1.0, 0.5):
            self.see(head(left * part, up * part), vector)
        return self.rest(vector)
