"""One presentation as a kiosk sees it: frames in; how challenge and passive detection judge it out."""

from __future__ import annotations

from dataclasses import dataclass

from edge.capture.embedding import fuse
from edge.capture.pad import live_min
from edge.capture.pipeline import Observation, Pipeline
from edge.capture.sample import FailureToAcquire, Frame, Probe
from edge.capture.tracking import Track, TrackId, TrackingConfig, follow
from edge.compare.search import choose_point
from edge.confirm.challenge import (
    Challenge,
    Gesture,
    Likeness,
    Outcome,
    Sighting,
    begin,
    expire,
    judge,
    needs_probe,
)
from edge.confirm.liveness import ConfirmConfig, looks_recaptured
from models.manifest import MaxFmr

CONFIG = ConfirmConfig(challenge="always")
"""What a presentation is judged by: the defaults of a kiosk that challenges everybody."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a presentation was judged; `responded` is false where no face could be acquired to be judged.

    `challenge`: None where no prompts are known. `live`: the mean live score of the first frames, None where
    the pack has no passive detection; `taken_for_live`: whether it reaches the pack's floor.
    """

    responded: bool
    challenge: Outcome | None
    live: float | None = None
    taken_for_live: bool | None = None


class Trial:
    """Frames in, a judgement out: the first frames make the matched probe, as they do at a kiosk."""

    def __init__(self, pipeline: Pipeline, prompts: tuple[Gesture, ...], *, passive: bool = True) -> None:
        """`prompts`: what the person was asked to do; none where only passive detection is to judge.

        `passive`: false for renderings, which no camera has recaptured: their score would say nothing.
        """
        self._pipeline, self._prompts, self._passive = pipeline, prompts, passive
        self._likeness = likeness_at(pipeline)
        self._probes: list[Probe] = []
        self._lives: list[float] = []
        self._track: Track | None = None
        self._challenge: Challenge | None = None

    @property
    def asked(self) -> Gesture | None:
        """What the screen asks for now."""
        return self._challenge.asked if self._challenge else None

    @property
    def is_over(self) -> bool:
        """Whether no further frame changes anything."""
        if len(self._probes) < CONFIG.frames:
            return False
        return self._challenge is None or self._challenge.outcome is not None

    @property
    def tried(self) -> Tried:
        """How the presentation is judged if no frame comes any more."""
        if len(self._probes) < CONFIG.frames:
            return Tried(responded=False, challenge=None)
        outcome = None
        if self._challenge is not None:
            outcome = self._challenge.outcome or Outcome.UNDETERMINED
        if not self._lives:
            return Tried(responded=True, challenge=outcome)
        live = sum(self._lives) / len(self._lives)
        recaptured = looks_recaptured(live, live_min(self._pipeline.manifest.pad))
        return Tried(responded=True, challenge=outcome, live=live, taken_for_live=not recaptured)

    def see(self, frame: Frame) -> None:
        """Take one more frame, in the order in which they were captured."""
        if self.is_over:
            return
        found = self._sight(frame)
        if self._challenge is None:
            if found is not None:
                self._gather(*found, frame)
        elif found is None:
            self._challenge = expire(self._challenge, frame.captured_at_ms, CONFIG)
        else:
            track, observation = found
            needed = needs_probe(self._challenge, track, observation.points)
            probe = self._pipeline.embed(observation) if needed else None
            sighting = Sighting(track, observation.points, frame.captured_at_ms, probe)
            self._challenge = judge(self._challenge, sighting, self._likeness, CONFIG)

    def _gather(self, track: TrackId, observation: Observation, frame: Frame) -> None:
        self._probes.append(self._pipeline.embed(observation))
        live = self._pipeline.live(frame, observation.face) if self._passive else None
        self._lives += [] if live is None else [live]
        if len(self._probes) == CONFIG.frames and self._prompts:
            self._challenge = begin(self._prompts, track, fuse(self._probes), frame.captured_at_ms)

    def _sight(self, frame: Frame) -> tuple[TrackId, Observation] | None:
        face = self._pipeline.find(frame)
        if isinstance(face, FailureToAcquire):
            return None
        self._track = follow(self._track, face, frame.captured_at_ms, TrackingConfig())
        observation = self._pipeline.observe(frame, face)
        return None if isinstance(observation, FailureToAcquire) else (self._track.id, observation)


def likeness_at(pipeline: Pipeline) -> Likeness:
    """As a kiosk's at FMR 1e-4 with templates of three images."""
    same, turned = (
        choose_point(pipeline.manifest, pipeline.recipe_digest, images, 1, MaxFmr(rate)).threshold
        for images, rate in ((3, "1e-4"), (1, "1e-2"))
    )
    return Likeness(same=same, turned=turned)
