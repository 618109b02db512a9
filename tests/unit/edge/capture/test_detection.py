"""Detection: decoders, suppression, the letterbox and the zone."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.detection import (
    DECODERS,
    Detections,
    Letterbox,
    ZoneConfig,
    decode_blazeface,
    decode_yunet,
    in_zone,
    suppress,
)
from edge.capture.sample import Box, Face, FailureToAcquire, Obstacle
from edge.modes.common import open_pipeline
from models.manifest import Detector
from models.registry import open_pack
from tests.doubles.capture_people import frame, observed, pipeline, portrait, resized

CANVAS = np.zeros((480, 640, 3), np.uint8)


def standing(left: float, top: float, height: float) -> Face:
    return Face(Box(left, top, left + height * 0.8, top + height), 0.9, ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)))


def test_every_kind_a_manifest_may_name_has_a_decoder() -> None:
    assert set(DECODERS) == set(get_args(get_type_hints(Detector)["kind"]))


def test_a_blazeface_box_is_offset_in_pixels_from_the_centre_of_its_cell() -> None:
    regressors, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -50, np.float32)
    # Anchor 2 is the first of the second cell of 16 x 16: centre (1.5 / 16, .5 / 16) of 256 pixels.
    regressors[0, 2, :6] = (4.0, 2.0, 40.0, 60.0, 10.0, 5.0)
    logits[0, 2] = 0.0
    found = decode_blazeface((regressors, logits), 256, 0.5)
    np.testing.assert_allclose(found.scores, [0.5])
    np.testing.assert_allclose(found.boxes, [[24 + 4 - 20, 8 + 2 - 30, 24 + 4 + 20, 8 + 2 + 30]])
    np.testing.assert_allclose(found.keypoints[0, 0], (24 + 10, 8 + 5))


def test_a_blazeface_logit_of_any_size_is_a_score() -> None:
    regressors, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -1e6, np.float32)
    logits[0, 0] = 1e6
    assert decode_blazeface((regressors, logits), 128, 0.5).scores.tolist() == [1.0]


def test_a_yunet_box_is_offset_in_strides_from_the_corner_of_its_cell() -> None:
    sizes = [(32 // stride) ** 2 for stride in (8, 16, 32)]
    outputs = [np.zeros((1, size, width), np.float32) for width in (1, 1, 4, 10) for size in sizes]
    # Stride 8 on 32 pixels: 4 x 4 cells; cell 5 is column 1, row 1.
    outputs[0][0, 5], outputs[3][0, 5] = 0.81, 1.0
    outputs[6][0, 5] = (0.5, 0.25, np.log(2), np.log(3))
    outputs[9][0, 5, :2] = (0.5, 1.0)
    found = decode_yunet(tuple(outputs), 32, 0.5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)
    np.testing.assert_allclose(found.boxes, [[12 - 8, 10 - 12, 12 + 8, 10 + 12]], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints[0, 0], (12, 16))


def test_overlapping_detections_become_one_averaged_by_score() -> None:
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)], np.float32)
    kept = suppress(Detections(boxes, np.zeros((3, 6, 2), np.float32), np.array([0.6, 0.3, 0.9], np.float32)))
    np.testing.assert_allclose(kept.scores, [0.9, 0.6])
    np.testing.assert_allclose(kept.boxes, [(50, 50, 60, 60), (1 / 3, 0, 10 + 1 / 3, 10)], rtol=1e-5)


@given(st.integers(16, 2000), st.integers(16, 2000), st.floats(0, 1), st.floats(0, 1))
def test_the_letterbox_takes_a_point_back_to_where_it_was(
    width: int, height: int, across: float, down: float
) -> None:
    box = Letterbox.fit(np.zeros((height, width, 3), np.uint8), 256)
    shown = np.array(
        [(across * width * box.scale + box.offset_x_px, down * height * box.scale + box.offset_y_px)]
    )
    np.testing.assert_allclose(
        box.undo(shown.astype(np.float32)), [(across * width, down * height)], atol=0.05
    )


@pytest.mark.parametrize("size", [(480, 640), (64, 3000), (700, 700), (90, 30)])
def test_the_letterbox_is_square_and_black_where_the_frame_does_not_reach(size: tuple[int, int]) -> None:
    white = np.full((*size, 3), 255, np.uint8)
    shown = Letterbox.fit(white, 256).apply(white)
    assert shown.shape == (256, 256, 3)
    assert (shown == 255).mean() == pytest.approx(min(size) / max(size), abs=0.01)


@pytest.mark.parametrize("detector", ["back", "short"])
@pytest.mark.parametrize(
    "name", ["obama.jpg", "obama3.jpg", "biden.jpg", "grace_hopper.jpg", "astronaut.png"]
)
def test_each_portrait_shows_one_face_with_its_eyes_in_the_upper_half_of_its_box(
    detector: str, name: str
) -> None:
    faces = open_pipeline(open_pack(), 1, detector=detector).detect(frame(portrait(name)))
    assert len(faces) == 1
    box, (left_eye, right_eye) = faces[0].box, faces[0].keypoints[:2]
    assert box.left < left_eye[0] < right_eye[0] < box.right
    assert box.top < (left_eye[1] + right_eye[1]) / 2 < box.centre[1]


def test_a_face_is_found_in_the_same_place_whatever_the_frames_size() -> None:
    whole = pipeline().detect(frame(portrait("obama.jpg")))[0].box
    half = pipeline().detect(frame(resized(portrait("obama.jpg"), 0.5)))[0].box
    doubled = Box(half.left * 2, half.top * 2, half.right * 2, half.bottom * 2)
    assert whole.iou(doubled) > 0.9


def test_an_empty_scene_has_no_face() -> None:
    assert pipeline().find(frame(CANVAS)) == FailureToAcquire(Obstacle.NO_FACE)


def test_a_face_outside_the_zone_is_not_the_one() -> None:
    left_half = ZoneConfig(polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    assert in_zone((standing(450, 100, 150),), CANVAS, left_half) == FailureToAcquire(Obstacle.OUTSIDE_ZONE)
    assert in_zone((standing(100, 100, 150),), CANVAS, left_half) == standing(100, 100, 150)


def test_a_face_too_far_away_is_asked_to_come_closer() -> None:
    missed = in_zone((standing(300, 200, 59),), CANVAS, ZoneConfig(min_face_height_px=60))
    assert missed == FailureToAcquire(Obstacle.TOO_SMALL)
    assert missed.hint == "come closer"


def test_a_queue_further_back_is_ignored() -> None:
    member, queue = standing(250, 100, 200), (standing(100, 50, 90), standing(500, 60, 80))
    assert in_zone((*queue, member), CANVAS, ZoneConfig()) == member


def test_two_faces_equally_near_are_asked_to_come_one_at_a_time() -> None:
    two = (standing(80, 100, 200), standing(380, 110, 180))
    assert in_zone(two, CANVAS, ZoneConfig()) == FailureToAcquire(Obstacle.SEVERAL_FACES)


def test_two_people_in_a_picture_are_both_seen_and_neither_is_chosen() -> None:
    side_by_side = []
    for name in ("obama.jpg", "biden.jpg"):
        shown = resized(portrait(name), 120 / observed(name).face.box.height)
        side_by_side.append(np.pad(shown, ((0, 1000 - shown.shape[0]), (0, 0), (0, 0))))
    together = np.concatenate(side_by_side, axis=1)
    assert len(pipeline().detect(frame(together))) == 2
    assert pipeline().find(frame(together)) == FailureToAcquire(Obstacle.SEVERAL_FACES)


def test_something_large_that_hardly_looks_like_a_face_does_not_stand_in_a_persons_way() -> None:
    person = standing(80, 100, 177)
    doubtful = Face(standing(380, 60, 260).box, 0.51, person.keypoints)
    assert in_zone((person, doubtful), CANVAS, ZoneConfig()) == person
