"""The synthetic suite: heads that turn pass, what is held up in their place does not."""

from __future__ import annotations

import numpy as np
import pytest

from edge.capture.pose import pose_against
from edge.capture.sample import Face, Image, Points
from edge.confirm.challenge import Gesture, Outcome, gesture_of, is_flat
from edge.errors import FixtureError
from scripts.evaluate.attacks.recordings import BONA_FIDE
from scripts.evaluate.attacks.rendered_head import RenderedHead, held_up
from scripts.evaluate.attacks.suite import PEOPLE, SPECIES, person, present, presentations, run_attacks
from tests.doubles.capture_people import frame, pipeline
from tests.doubles.rendered_heads import SEED, rendered


def mesh(image: Image) -> Points:
    shown = frame(image)
    face = pipeline().find(shown)
    assert isinstance(face, Face), face
    return pipeline().locate(shown, face).points


@pytest.mark.parametrize("file", ["astronaut.png", "grace_hopper.jpg", "obama.jpg"])
@pytest.mark.parametrize(
    ("left", "up", "gesture"),
    [
        (26, 0, Gesture.TURN_LEFT),
        (-26, 0, Gesture.TURN_RIGHT),
        (0, 26, Gesture.LOOK_UP),
        (0, -26, Gesture.NOD),
    ],
)
def test_a_portrait_rendered_as_a_turned_head_is_seen_to_turn(
    file: str, left: float, up: float, gesture: Gesture
) -> None:
    head = rendered(file)
    assert gesture_of(pose_against(head.face_points, mesh(head.turned(left, up)))) is gesture


@pytest.mark.parametrize("file", ["astronaut.png", "grace_hopper.jpg", "obama.jpg"])
@pytest.mark.parametrize(("left", "up"), [(30, 0), (-45, 0), (50, 0), (0, 40), (0, -45)])
def test_the_same_portrait_as_a_tilted_sheet_is_no_gesture(file: str, left: float, up: float) -> None:
    head = rendered(file)
    assert gesture_of(pose_against(head.face_points, mesh(held_up(head.portrait, left, up)))) is None


@pytest.mark.parametrize("up", [45, -45])
def test_a_sheet_tilted_far_looks_flat(up: float) -> None:
    head = rendered("grace_hopper.jpg")
    assert is_flat(pose_against(head.face_points, mesh(held_up(head.portrait, 0, up))))


def test_a_person_passes_and_a_tilted_photo_and_a_swap_are_attacks() -> None:
    heads = (rendered("obama.jpg"), rendered("grace_hopper.jpg"))
    dice = np.random.default_rng(SEED)
    assert present(pipeline(), person, heads, dice).challenge is Outcome.BONA_FIDE
    for species in ("moved_and_tilted_photo", "swap_in_mid_challenge"):
        assert present(pipeline(), SPECIES[species], heads, dice).challenge is Outcome.ATTACK, species


@pytest.mark.long
def test_of_the_whole_suite_people_pass_and_nothing_else_does() -> None:
    told = run_attacks(pipeline(), SEED, draws=1, people=PEOPLE[:2])
    counts = told["synthetic"]
    assert counts.pop(BONA_FIDE)["bona_fide"] == 2
    assert set(counts) == set(SPECIES)
    for species, found in counts.items():
        assert found["presentations"] == 2
        assert found["bona_fide"] == 0, species
    assert (told["label"], told["apcer"], told["bpcer"]) == ("synthetic", None, None)
    assert presentations(PEOPLE, draws=1) == 21


def test_a_picture_without_a_face_makes_no_head() -> None:
    with pytest.raises(FixtureError, match="no usable face"):
        RenderedHead(pipeline(), np.full((480, 480, 3), 90, np.uint8))
