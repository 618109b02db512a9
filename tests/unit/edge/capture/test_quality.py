"""Quality: what is under a floor is a failure to acquire, with one thing to do about it."""

from itertools import pairwise

import cv2
import msgspec
import numpy as np
import pytest

from edge.capture.detection import ZoneConfig
from edge.capture.pipeline import Pipeline
from edge.capture.quality import assess, yaw_of
from edge.capture.sample import HINTS, AlignedFace, FailureToAcquire, Image, Obstacle, Quality
from models.manifest import QualityFloors
from tests.doubles.capture_people import frame, observed, pipeline, portrait, resized

FLOORS = QualityFloors()


def assessed(
    chip: Image, floors: QualityFloors = FLOORS, presence: float = 1.0
) -> Quality | FailureToAcquire:
    observation = observed("obama.jpg")
    return assess(observation.points, presence, AlignedFace(chip, "dlib-150"), floors)


def chip() -> Image:
    return observed("obama.jpg").aligned[0].image


def test_every_obstacle_has_its_own_hint() -> None:
    assert set(HINTS) == set(Obstacle)
    assert len(set(HINTS.values())) == len(HINTS)


@pytest.mark.parametrize(
    "name", ["obama.jpg", "obama2.jpg", "biden.jpg", "grace_hopper.jpg", "astronaut.png"]
)
def test_a_good_portrait_has_quality_and_needs_no_hint(name: str) -> None:
    quality = observed(name).quality
    assert quality.hint is None
    assert quality.lowest > 0.35


@pytest.mark.parametrize(
    ("spoil", "obstacle"),
    [
        (lambda image: image // 16, Obstacle.TOO_DARK),
        (lambda image: 255 - (255 - image) // 16, Obstacle.TOO_BRIGHT),
        (lambda image: image // 16 + 120, Obstacle.LOW_CONTRAST),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 9), Obstacle.BLURRED),
    ],
)
def test_a_spoilt_chip_is_refused_with_its_reason(spoil: object, obstacle: Obstacle) -> None:
    assert callable(spoil)
    assert assessed(np.asarray(spoil(chip()), np.uint8)) == FailureToAcquire(obstacle)


def test_a_region_without_a_face_is_no_face() -> None:
    assert assessed(chip(), presence=0.1) == FailureToAcquire(Obstacle.NO_FACE)


def test_blur_lowers_sharpness_step_by_step() -> None:
    scores = []
    for sigma in (0.5, 1.5, 2.5):
        quality = assessed(np.asarray(cv2.GaussianBlur(chip(), (0, 0), sigma), np.uint8))
        assert isinstance(quality, Quality)
        scores.append(quality.sharpness)
    assert all(sharper >= softer for sharper, softer in pairwise(scores))
    assert scores[0] > scores[-1]


def test_yaw_is_nought_in_the_middle_and_grows_to_either_side() -> None:
    points = np.zeros((468, 2), np.float32)
    points[234], points[454] = (100, 200), (200, 200)
    seen = []
    for nose_x in (110, 150, 190):
        points[4] = (nose_x, 230)
        seen.append(yaw_of(points))
    assert seen == pytest.approx([-0.4, 0.0, 0.4])


def test_a_head_turned_too_far_is_asked_to_face_the_camera() -> None:
    observation = observed("obama.jpg")
    points = observation.points.copy()
    points[4] = points[454] + (points[454] - points[234]) * 0.3
    missed = assess(points, 1.0, observation.aligned[0], FLOORS)
    assert missed == FailureToAcquire(Obstacle.TURNED)
    assert missed.hint == "face the camera"


def test_a_face_of_few_pixels_is_asked_to_come_closer() -> None:
    image = portrait("obama.jpg")
    observation = observed("obama.jpg")
    assert observation.quality.eye_span_px > 60
    missed = assess(observation.points * 0.1, 1.0, observation.aligned[0], FLOORS)
    assert missed == FailureToAcquire(Obstacle.TOO_SMALL)
    far = pipeline().acquire(frame(resized(image, 40 / observation.face.box.height))).probe
    assert far == FailureToAcquire(Obstacle.TOO_SMALL)


def test_a_black_frame_is_no_face_and_is_never_embedded() -> None:
    acquired = pipeline().acquire(frame(np.zeros((480, 640, 3), np.uint8)))
    assert acquired.probe == FailureToAcquire(Obstacle.NO_FACE)
    assert "embed" not in acquired.laps_ms


def test_a_pipeline_holds_faces_to_the_floors_of_its_pack() -> None:
    plain, shown = pipeline(), frame(portrait("obama.jpg"))
    floors = QualityFloors(min_eye_span_px=400, good_eye_span_px=400)
    strict = Pipeline(
        msgspec.structs.replace(plain.manifest, quality=floors),
        plain.recipe_digest,
        plain.networks,
        detector=None,
        zone=ZoneConfig(),
        clock_ms=lambda: 0.0,
    )
    assert not isinstance(plain.acquire(shown).probe, FailureToAcquire)
    assert strict.acquire(shown).probe == FailureToAcquire(Obstacle.TOO_SMALL)
