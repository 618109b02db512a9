"""A head that turns shows parallax; a picture of it, however tilted, is a plane."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.capture.pose import mean_points, pose_against
from edge.capture.sample import Points
from tests.doubles.turning_head import head, picture

NEUTRAL = head()


def placed_elsewhere(points: Points, degrees: float, scale: float) -> Points:
    affine = cv2.getRotationMatrix2D((100.0, 50.0), degrees, scale)
    return np.asarray(points @ affine[:, :2].T + affine[:, 2] + (40, -30), np.float32)


@pytest.mark.parametrize("degrees", [10, 20, 30, 40])
def test_a_head_turned_to_its_own_left_moves_its_nose_to_the_images_right(degrees: int) -> None:
    left, right = pose_against(NEUTRAL, head(left=degrees)), pose_against(NEUTRAL, head(left=-degrees))
    assert left.across > 0 > right.across
    assert left.across == pytest.approx(-right.across, rel=0.1)
    assert abs(left.down) < 0.1 * left.across


@pytest.mark.parametrize("degrees", [10, 20, 30])
def test_a_head_that_looks_up_moves_its_nose_up(degrees: int) -> None:
    assert pose_against(NEUTRAL, head(up=degrees)).down < 0 < pose_against(NEUTRAL, head(up=-degrees)).down


def test_a_larger_turn_is_a_larger_parallax() -> None:
    across = [pose_against(NEUTRAL, head(left=degrees)).across for degrees in range(0, 45, 5)]
    assert across == sorted(across)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (25, 0.5), (-160, 2.0), (90, 1.0)])
def test_roll_distance_and_place_change_nothing(degrees: float, scale: float) -> None:
    there = pose_against(NEUTRAL, placed_elsewhere(head(left=25, up=5), degrees, scale))
    here = pose_against(NEUTRAL, head(left=25, up=5))
    assert (there.across, there.down) == pytest.approx((here.across, here.down), abs=1e-3)
    assert there.foreshortening == pytest.approx(here.foreshortening, abs=1e-3)


@pytest.mark.parametrize(("left", "up"), [(30, 0), (50, 0), (-50, 0), (0, 45), (0, -45), (50, 20)])
def test_a_tilted_picture_is_foreshortened_and_has_no_relief(left: float, up: float) -> None:
    pose = pose_against(NEUTRAL, picture(left, up, jitter=3))
    assert pose.foreshortening > 1.12
    assert pose.relief < 0.15


def test_a_face_squeezed_to_a_line_is_no_pose_and_no_error() -> None:
    line = NEUTRAL * np.array((1, 0), np.float32)
    pose = pose_against(NEUTRAL, line)
    assert pose.parallax == pytest.approx(0)
    assert pose.relief == pytest.approx(0, abs=1e-6)


def test_the_mean_of_still_frames_is_nearer_the_truth_than_one_of_them() -> None:
    frames = [head(jitter=seed) for seed in range(9)]
    error = np.abs(mean_points(frames) - NEUTRAL).mean()
    assert error < np.abs(frames[0] - NEUTRAL).mean()
