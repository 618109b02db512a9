"""An idle kiosk looks at few frames, and at every one in which somebody may be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.capture.idle import AWAKE_MS, LOOK_EVERY_MS, Stillness, consider
from edge.capture.sample import Frame, Image
from edge.compare.claim import qr_text
from scripts.people.cast import Cast
from scripts.people.clip import FIGURE_FACE_PX, NOISE_SD, Studio, card, figure
from wire.ids import ClaimId

FRAME_MS = 33
SEED = 7
QUIET_FRAMES = 140
SLACK_PX = 64
HALL = np.full((480, 640, 3), 128, np.uint8)
CLAIM = ClaimId("000102030405060708090a0b0c0d0e0f")


def looks(pictures: list[Image], before: Stillness | None = None, start_ms: int = 0) -> list[bool]:
    """For each picture, 30 a second, whether it is looked at."""
    found = []
    for number, picture in enumerate(pictures):
        frame = Frame(picture, start_ms + number * FRAME_MS, "test")
        before = consider(before, frame)
        found.append(before.looked_at(frame))
    return found


def noisy(picture: Image, count: int, sd: float = NOISE_SD) -> list[Image]:
    """The picture again and again, as a small sensor sees it indoors."""
    dice = np.random.default_rng(SEED)
    grain = dice.normal(0, sd, (picture.shape[0] + SLACK_PX, picture.shape[1] + SLACK_PX, 3)).round()
    seen = []
    for down, across in dice.integers(0, SLACK_PX, (count, 2)):
        noise = grain[down : down + picture.shape[0], across : across + picture.shape[1]].astype(np.int16)
        seen.append(np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8))
    return seen


def asleep(picture: Image) -> Stillness:
    """What is known once nothing has moved for longer than anything is waited for; the last time is 0."""
    first = consider(None, Frame(picture, -2 * AWAKE_MS, "test"))
    return consider(first, Frame(picture, 0, "test"))


def test_the_first_frame_is_looked_at() -> None:
    frame = Frame(HALL, 5, "test")
    assert consider(None, frame).looked_at(frame)


@pytest.mark.parametrize("sd", [0.0, NOISE_SD])
def test_where_nothing_moves_five_frames_a_second_are_looked_at_noise_or_not(sd: float) -> None:
    found = looks(noisy(HALL, QUIET_FRAMES, sd), asleep(HALL), start_ms=FRAME_MS)
    per_look = -(-LOOK_EVERY_MS // FRAME_MS)
    assert sum(found) == QUIET_FRAMES // per_look


def test_nobody_waits_longer_than_a_quarter_of_a_second_for_want_of_motion() -> None:
    found = looks(noisy(HALL, QUIET_FRAMES), asleep(HALL), start_ms=FRAME_MS)
    gaps = np.diff([-1, *np.flatnonzero(found)]) * FRAME_MS
    assert gaps.max() <= 250


def test_a_code_held_up_is_looked_at_in_the_very_frame() -> None:
    shown = card(qr_text(CLAIM)).onto(HALL, 320, 250, 0.5, 3.0)
    assert looks([shown], asleep(HALL), start_ms=FRAME_MS) == [True]


def test_the_smallest_face_far_off_is_looked_at_in_the_very_frame() -> None:
    person = figure(Cast().portrait("astronaut.png"))
    shown = person.onto(HALL, 320, 178, 38 / FIGURE_FACE_PX, 0.0)
    assert looks([shown], asleep(HALL), start_ms=FRAME_MS) == [True]


def test_once_something_moved_every_frame_is_looked_at_for_a_while_and_no_longer() -> None:
    moved = HALL.copy()
    cv2.rectangle(moved, (300, 200), (340, 240), (20, 20, 20), -1)
    found = looks([moved] * 60, asleep(HALL), start_ms=FRAME_MS)
    awake = -(-AWAKE_MS // FRAME_MS)
    assert all(found[:awake])
    assert sum(found[awake:]) <= -(-(60 - awake) * FRAME_MS // LOOK_EVERY_MS)


def test_a_lamp_that_dims_the_whole_picture_is_no_motion() -> None:
    studio = Studio(SEED)
    hall = studio.empty(1.0)[0]
    dimmed = np.asarray(hall * 0.9, np.uint8)
    assert looks([dimmed], asleep(hall), start_ms=FRAME_MS) == [False]


def test_a_face_already_there_when_the_kiosk_falls_asleep_is_still_looked_at() -> None:
    person = figure(Cast().portrait("astronaut.png")).onto(HALL, 320, 178, 0.5, 0.0)
    found = looks([person] * 30, asleep(person), start_ms=FRAME_MS)
    assert sum(found) == 30 * FRAME_MS // (-(-LOOK_EVERY_MS // FRAME_MS) * FRAME_MS)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (1080, 1920, 3)])
def test_a_sensor_of_any_size_is_served(shape: tuple[int, int, int]) -> None:
    before = consider(asleep(HALL), Frame(np.zeros(shape, np.uint8), FRAME_MS, "test"))
    assert looks([np.zeros(shape, np.uint8)], before, 2 * FRAME_MS) == [True]
