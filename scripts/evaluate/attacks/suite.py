"""The challenge put to rendered heads and rendered attacks: a synthetic suite, counted, never called a rate.

Every presentation sees the prompts as a person at the kiosk does, and answers them its own way. The counts
say that the rules work, not how often people err or attackers succeed: rates come from real recordings, in
`scripts.evaluate.attacks.recordings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.capture.pipeline import Pipeline
from edge.capture.sample import Frame, Image
from edge.confirm.challenge import Gesture, draw
from scripts.evaluate.attacks.recordings import BONA_FIDE, counted, find_recordings, judge_recordings, told
from scripts.evaluate.attacks.rendered_head import RenderedHead, held_up, with_moving_mouth
from scripts.evaluate.attacks.trial import CONFIG, Trial, Tried
from scripts.people.cast import Cast, rendition

PEOPLE = ("astronaut.png", "grace_hopper.jpg", "obama.jpg")
"""One portrait each, looking at the camera."""
DRAWS = 2
"""Challenges that each person or species answers for each of `PEOPLE`."""
FRAME_MS = 66
"""15 frames a second."""
REACTION_FRAMES = 5
GESTURE_FRAMES = 15
HEAD_DEGREES, SHEET_DEGREES = 28.0, 55.0
NOISE_SD = 2.5
"""Grey levels, as `scripts.people.clip`."""
NOISE_PX = 640
"""Side of the field of noise; no rendering is larger."""
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
    draws: int = DRAWS,
    people: tuple[str, ...] = PEOPLE,
    border: float = 0.0,
    on_planned: Callable[[int], None] = lambda _: None,
    on_presented: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """Counts of the synthetic suite, and rates of the recordings in `folder`; raises `FixtureError`.

    `draws`: challenges each person or species answers for each of `people`; `on_planned` is told how many
    presentations there will be, `on_presented` after each. `border`: as of `open_recording`.
    """
    recordings, ignored = ([], []) if folder is None else find_recordings(folder)
    on_planned(presentations(people, draws) + len(recordings))
    judged = judge_recordings(pipeline, recordings, border, on_presented)
    judged.ignored = ignored
    real = told(judged, passive=pipeline.has_passive)
    if folder is None:
        real["recordings"] = None
    return {
        "label": "synthetic",
        "seed": seed,
        "synthetic": {
            name: counted(tried)
            for name, tried in _synthetic(pipeline, seed, draws, people, on_presented).items()
        },
        **real,
    }


def _synthetic(
    pipeline: Pipeline, seed: int, draws: int, people: tuple[str, ...], on_presented: Callable[[], None]
) -> dict[str, list[Tried]]:
    cast, dice = Cast(), np.random.default_rng(seed)
    pictures = {file: rendition(cast.portrait(file), np.random.default_rng((seed, 0))) for file in people}
    heads = [RenderedHead(pipeline, picture) for picture in pictures.values()]
    tried: dict[str, list[Tried]] = {}
    for species, presenter in {BONA_FIDE: person, **SPECIES}.items():
        tried[species] = []
        for first in range(len(heads)):
            order = (*heads[first:], *heads[:first])
            for _ in range(draws):
                tried[species].append(present(pipeline, presenter, order, dice))
                on_presented()
    return tried


def presentations(people: tuple[str, ...] = PEOPLE, draws: int = DRAWS) -> int:
    """How many the synthetic suite makes, for a progress bar."""
    return (len(SPECIES) + 1) * len(people) * draws


def present(
    pipeline: Pipeline, presenter: Presenter, heads: tuple[RenderedHead, ...], dice: np.random.Generator
) -> Tried:
    """One presentation, from the match at rest to the end; `heads`: the member's, then others'."""
    trial = Trial(pipeline, draw(dice.bytes(8), CONFIG.prompts), passive=False)
    answering: Gesture | None = None
    since = 0
    noise = dice.normal(0, NOISE_SD, (NOISE_PX, NOISE_PX, 3)).astype(np.int16)
    for moment in range(CONFIG.challenge_ms // FRAME_MS + CONFIG.frames + 1):
        if moment < CONFIG.frames:
            image = heads[0].portrait
        else:
            asked = trial.asked
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
        trial.see(Frame(noisy, moment * FRAME_MS, "synthetic"))
        if trial.is_over:
            break
    return trial.tried
