"""The challenge put to heads and to attacks: a synthetic suite, and real recordings where there are any.

Every presentation sees the prompts as a person at the kiosk does, and answers them its own way. The counts
of the synthetic suite are counts of renderings: they say that the rules work, not how often people err or
attackers succeed. Rates (`apcer`, `bpcer`, ISO/IEC 30107-3) come from real recordings alone:
DIR/<species>/<name>--<prompts>.<video>, such as print/01--turn_left+nod.mp4; the species of people who are
themselves is `bona_fide`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.app import open_recording
from edge.capture.embedding import fuse
from edge.capture.pipeline import Observation, Pipeline
from edge.capture.recording import Shown
from edge.capture.sample import FailureToAcquire, Frame, Image, Probe
from edge.capture.tracking import Track, TrackId, TrackingConfig, follow
from edge.compare.search import choose_point
from edge.confirm.challenge import (
    Challenge,
    Gesture,
    Likeness,
    Outcome,
    Sighting,
    begin,
    draw,
    expire,
    judge,
    needs_probe,
)
from edge.confirm.liveness import ConfirmConfig
from edge.errors import FixtureError
from models.manifest import MaxFmr
from scripts.cast import Cast, rendition
from scripts.rendered_head import RenderedHead, held_up, with_moving_mouth

PEOPLE = ("astronaut.png", "grace_hopper.jpg", "obama.jpg")
"""One portrait each, looking at the camera."""
BONA_FIDE = "bona_fide"
FRAME_MS = 66
"""15 frames a second."""
REACTION_FRAMES = 5
GESTURE_FRAMES = 15
HEAD_DEGREES, SHEET_DEGREES = 28.0, 55.0
NOISE_SD = 2.5
"""Grey levels, as `scripts.clip`."""
NOISE_PX = 640
"""Side of the field of noise; no rendering is larger."""
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".y4m", ".mjpeg", ".mjpg"})
CONFIG = ConfirmConfig(challenge="always")
DIRECTIONS: dict[Gesture, tuple[float, float]] = {
    Gesture.TURN_LEFT: (1, 0),
    Gesture.TURN_RIGHT: (-1, 0),
    Gesture.LOOK_UP: (0, 1),
    Gesture.NOD: (0, -1),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Who presents: the heads there are (the first is the member's), and how far a gesture has got.

    `asked`: the prompt on the screen, or None; `part`: 0 at rest to 1 at a gesture's end; `moment`: frames
    since the start.
    """

    heads: tuple[RenderedHead, ...]
    asked: Gesture | None
    part: float
    moment: int


Presenter = Callable[[Scene], Image]


def person(scene: Scene) -> Image:
    """Somebody who does what is asked."""
    return scene.heads[0].turned(*_towards(scene, HEAD_DEGREES))


def _still_photo(scene: Scene) -> Image:
    return scene.heads[0].portrait


def _tilted_photo(scene: Scene) -> Image:
    sway = 12 * np.sin(scene.moment / 5)
    return held_up(scene.heads[0].portrait, *_towards(scene, SHEET_DEGREES), shift_px=(sway, sway / 2))


def _cut_mouth(scene: Scene) -> Image:
    head = scene.heads[0]
    moved = with_moving_mouth(head.portrait, head.face_points, 14 * scene.part)
    return held_up(moved, *_towards(scene, SHEET_DEGREES / 2))


def _wrong_recording(scene: Scene) -> Image:
    """A recording of the member doing something else than what is asked now."""
    recorded = next((other for other in Gesture if other is not scene.asked), None)
    return scene.heads[0].turned(*_towards(scene, HEAD_DEGREES, recorded))


def _swap(scene: Scene) -> Image:
    """The member at rest; somebody else, as soon as there is something to do."""
    head = scene.heads[0 if scene.part == 0 else 1]
    return head.turned(*_towards(scene, HEAD_DEGREES))


def _two_faces(scene: Scene) -> Image:
    """The member's picture, and beside it a head that does what is asked."""
    height, width = scene.heads[0].portrait.shape[:2]
    inner = slice(width // 5, width - width // 5)
    both = (
        scene.heads[0].portrait[:, inner],
        scene.heads[1].turned(*_towards(scene, HEAD_DEGREES))[:, inner],
    )
    return np.ascontiguousarray(np.hstack(both)[:height])


SPECIES: dict[str, Presenter] = {
    "still_photo": _still_photo,
    "moved_and_tilted_photo": _tilted_photo,
    "photo_with_cut_mouth": _cut_mouth,
    "recording_of_a_wrong_challenge": _wrong_recording,
    "swap_in_mid_challenge": _swap,
    "two_faces": _two_faces,
}
"""Presentation attack instrument species of the synthetic suite."""


def _towards(scene: Scene, degrees: float, gesture: Gesture | None = None) -> tuple[float, float]:
    chosen = gesture or scene.asked
    if chosen is None:
        return 0.0, 0.0
    left, up = DIRECTIONS[chosen]
    return left * degrees * scene.part, up * degrees * scene.part


def run_attacks(
    pipeline: Pipeline,
    seed: int,
    folder: Path | None = None,
    *,
    draws: int = 2,
    people: tuple[str, ...] = PEOPLE,
    on_presented: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """Counts of the synthetic suite, and rates of the recordings in `folder`; raises `FixtureError`.

    `draws`: challenges each person or species answers for each of `people`; `on_presented` after each.
    """
    cast, dice = Cast(), np.random.default_rng(seed)
    pictures = {file: rendition(cast.portrait(file), np.random.default_rng((seed, 0))) for file in people}
    heads = [RenderedHead(pipeline, picture) for picture in pictures.values()]
    counts: dict[str, Counter[str]] = {}
    for species, presenter in {BONA_FIDE: person, **SPECIES}.items():
        counts[species] = Counter()
        for first in range(len(heads)):
            order = (*heads[first:], *heads[:first])
            for _ in range(draws):
                counts[species][present(pipeline, presenter, order, dice).value] += 1
                on_presented()
    real = {} if folder is None else _recorded(pipeline, folder, on_presented)
    rates = {name: _rate(found, Outcome.BONA_FIDE) for name, found in real.items() if name != BONA_FIDE}
    return {
        "label": "synthetic",
        "seed": seed,
        "synthetic": {name: _counted(found) for name, found in counts.items()},
        "recordings": {name: _counted(found) for name, found in real.items()} or None,
        "apcer": rates or None,
        "bpcer": 1 - _rate(real[BONA_FIDE], Outcome.BONA_FIDE) if BONA_FIDE in real else None,
    }


def presentations(people: tuple[str, ...] = PEOPLE, draws: int = 2) -> int:
    """How many the synthetic suite makes, for a progress bar."""
    return (len(SPECIES) + 1) * len(people) * draws


def present(
    pipeline: Pipeline, presenter: Presenter, heads: tuple[RenderedHead, ...], dice: np.random.Generator
) -> Outcome:
    """One presentation, from the match at rest to the end; `heads`: the member's, then others'."""
    tried = _Trial(pipeline, draw(dice.bytes(8), CONFIG.prompts))
    answering: Gesture | None = None
    since = 0
    noise = dice.normal(0, NOISE_SD, (NOISE_PX, NOISE_PX, 3)).astype(np.int16)
    for moment in range(CONFIG.challenge_ms // FRAME_MS + CONFIG.frames + 1):
        if moment < CONFIG.frames:
            image = heads[0].portrait
        else:
            asked = tried.asked
            if asked is not None and answering is None:
                answering, since = asked, moment
            step = moment - since - REACTION_FRAMES
            part = np.sin(np.pi * step / GESTURE_FRAMES) if answering and 0 <= step <= GESTURE_FRAMES else 0.0
            image = presenter(Scene(heads, answering, float(part), moment))
            if step >= GESTURE_FRAMES:
                answering = None
        # One field of noise, shifted anew for every frame: as good for a detector, and quick.
        shifted = np.roll(noise, dice.integers(0, noise.size), axis=None)[: image.shape[0], : image.shape[1]]
        noisy = np.clip(image + shifted, 0, 255).astype(np.uint8)
        if (outcome := tried.see(Frame(noisy, moment * FRAME_MS, "synthetic"))) is not None:
            return outcome
    return tried.ended()


class _Trial:
    """Frames in, an outcome out: the first frames make the matched probe, as they do at a kiosk."""

    def __init__(self, pipeline: Pipeline, prompts: tuple[Gesture, ...]) -> None:
        self._pipeline, self._prompts = pipeline, prompts
        self._likeness = _likeness(pipeline)
        self._probes: list[Probe] = []
        self._track: Track | None = None
        self._challenge: Challenge | None = None

    @property
    def asked(self) -> Gesture | None:
        """What the screen asks for now."""
        return self._challenge.asked if self._challenge else None

    def see(self, frame: Frame) -> Outcome | None:
        """The outcome, once there is one."""
        found = self._sight(frame)
        if self._challenge is None:
            if found is not None:
                track, observation = found
                self._probes.append(self._pipeline.embed(observation))
                if len(self._probes) == CONFIG.frames:
                    matched = fuse(self._probes)
                    self._challenge = begin(self._prompts, track, matched, frame.captured_at_ms)
            return None
        if found is None:
            self._challenge = expire(self._challenge, frame.captured_at_ms, CONFIG)
            return self._challenge.outcome
        track, observation = found
        needed = needs_probe(self._challenge, track, observation.points)
        probe = self._pipeline.embed(observation) if needed else None
        sighting = Sighting(track, observation.points, frame.captured_at_ms, probe)
        self._challenge = judge(self._challenge, sighting, self._likeness, CONFIG)
        return self._challenge.outcome

    def ended(self) -> Outcome:
        """The outcome when no frame comes any more."""
        return (self._challenge and self._challenge.outcome) or Outcome.UNDETERMINED

    def _sight(self, frame: Frame) -> tuple[TrackId, Observation] | None:
        face = self._pipeline.find(frame)
        if isinstance(face, FailureToAcquire):
            return None
        self._track = follow(self._track, face, frame.captured_at_ms, TrackingConfig())
        observation = self._pipeline.observe(frame, face)
        return None if isinstance(observation, FailureToAcquire) else (self._track.id, observation)


def _likeness(pipeline: Pipeline) -> Likeness:
    """As a kiosk's at FMR 1e-4 with templates of three images."""
    same, turned = (
        choose_point(pipeline.manifest, pipeline.recipe_digest, images, 1, MaxFmr(rate)).threshold
        for images, rate in ((3, "1e-4"), (1, "1e-2"))
    )
    return Likeness(same=same, turned=turned)


def _recorded(pipeline: Pipeline, folder: Path, on_presented: Callable[[], None]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for path, prompts in _recordings(folder):
        tried = _Trial(pipeline, prompts)
        outcomes = (tried.see(shown.frame) for shown in open_recording(path) if isinstance(shown, Shown))
        outcome = next((each for each in outcomes if each is not None), None) or tried.ended()
        counts.setdefault(path.parent.name, Counter())[outcome.value] += 1
        on_presented()
    return counts


def _recordings(folder: Path) -> Iterator[tuple[Path, tuple[Gesture, ...]]]:
    if not folder.is_dir():
        raise FixtureError(f"{folder}: no such folder; give one that holds <species>/<name>--<prompts>.mp4")
    known = ", ".join(gesture.value for gesture in Gesture)
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        try:
            yield path, tuple(Gesture(word) for word in path.stem.rpartition("--")[2].split("+"))
        except ValueError:
            raise FixtureError(
                f"{path}: end its name in the prompts it answers, as in 01--turn_left+nod.mp4 ({known})"
            ) from None


def _counted(found: Counter[str]) -> dict[str, int]:
    return {"presentations": found.total(), **{each.value: found[each.value] for each in Outcome}}


def _rate(found: Counter[str], outcome: Outcome) -> float:
    return found[outcome.value] / found.total()
