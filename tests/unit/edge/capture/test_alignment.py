"""Alignment: similarity, mesh region and chips."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.alignment import align, region_affine, umeyama
from edge.capture.embedding import similarity
from edge.capture.sample import Box, Face, Probe
from tests.doubles.capture_people import frame, observed, pipeline, portrait, probed, resized

TEMPLATE = np.array(
    [(110.96, 46.35), (89.61, 47.90), (37.06, 46.37), (58.41, 47.91), (74.01, 87.78)], np.float32
)


@given(st.floats(-3, 3), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_recovered_from_the_points_it_moved(
    angle: float, scale: float, across: float, down: float
) -> None:
    turn = scale * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    moved = (TEMPLATE @ turn.T + (across, down)).astype(np.float32)
    found = umeyama(TEMPLATE, moved)
    np.testing.assert_allclose(TEMPLATE @ found[:, :2].T + found[:, 2], moved, atol=0.02 * max(scale, 1))


def test_a_mirrored_face_is_fitted_without_mirroring_it() -> None:
    found = umeyama(TEMPLATE * (-1, 1), TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0


def test_points_that_coincide_give_a_finite_similarity() -> None:
    assert np.isfinite(umeyama(np.zeros((5, 2), np.float32), TEMPLATE)).all()


def test_the_mesh_region_levels_the_eyes_and_centres_the_box() -> None:
    face = Face(Box(100, 100, 200, 220), 0.9, ((120.0, 150.0), (180.0, 170.0), (150.0, 180.0)))
    to_region = region_affine(face, 192, 1.5)
    eyes = np.array(face.keypoints[:2]) @ to_region[:, :2].T + to_region[:, 2]
    assert abs(eyes[0, 1] - eyes[1, 1]) < 1e-9
    assert eyes[0, 0] < eyes[1, 0]
    np.testing.assert_allclose(to_region[:, :2] @ np.array(face.box.centre) + to_region[:, 2], (96, 96))


def test_landmarks_found_again_on_the_chip_lie_on_the_template() -> None:
    chip = observed("obama.jpg").aligned[0].image
    recipe = pipeline().manifest.alignments[0]
    framed = cv2.copyMakeBorder(chip, 150, 150, 150, 150, cv2.BORDER_REPLICATE)
    again = pipeline().acquire(frame(np.asarray(framed, np.uint8))).observation
    assert again is not None
    found = np.stack([again.points[list(group)].mean(axis=0) for group in recipe.landmarks]) - 150
    assert np.abs(found - np.array(recipe.template)).max() < 3


def test_a_chip_is_the_same_wherever_the_face_stands_in_the_frame() -> None:
    observation = observed("obama.jpg")
    recipes = pipeline().manifest.alignments
    shifted = np.pad(observation.frame.image, ((37, 400), (51, 300), (0, 0)))
    moved = align(shifted, observation.points + np.array((51, 37), np.float32), recipes)[0].image
    assert np.abs(moved.astype(int) - observation.aligned[0].image.astype(int)).max() <= 2


def test_the_size_of_the_picture_does_not_change_who_is_in_it() -> None:
    for factor in (0.5, 2.0):
        probe = pipeline().acquire(frame(resized(portrait("obama.jpg"), factor))).probe
        assert isinstance(probe, Probe)
        assert similarity(probe.vector, probed("obama.jpg").vector) > 0.98


def test_a_turned_picture_gives_the_same_face() -> None:
    image = portrait("obama.jpg")
    middle = (image.shape[1] / 2, image.shape[0] / 2)
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D(middle, 20, 1), image.shape[1::-1])
    probe = pipeline().acquire(frame(np.asarray(turned, np.uint8))).probe
    assert isinstance(probe, Probe)
    assert similarity(probe.vector, probed("obama.jpg").vector) > 0.97
