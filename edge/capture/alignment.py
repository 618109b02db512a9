"""From a face's box to upright chips: the mesh region, its landmarks, and one similarity per recipe."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.capture.sample import AlignedFace, Face, Image, Inference, Points
from edge.capture.tensors import POINT_GRID_PX, to_grid, to_tensor
from models.manifest import Alignment, Landmarks, Preprocessing

Affine = npt.NDArray[np.float64]
"""2 x 3, takes (x, y, 1) to (x, y)."""

MESH_POINTS = 468
MAX_HALVINGS = 5
"""Halvings of one face: 32 times a chip's side is beyond any camera's frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Landmarks in pixels of the frame, and how sure the network is that there is a face (0 to 1).

    `depth`: what the network believes of each point, pixels, larger is farther: a guess from one picture,
    and as deep for a photograph. Nothing is decided by it.
    """

    points: Points
    presence: float
    depth: npt.NDArray[np.float32]


def locate(
    image: Image, face: Face, network: Inference, landmarks: Landmarks, preprocessing: Preprocessing
) -> Mesh:
    """The 468 mesh points of a detected face."""
    to_region = region_affine(face, landmarks.side, landmarks.region_scale)
    region = cv2.warpAffine(image, to_region, (landmarks.side, landmarks.side), flags=cv2.INTER_LINEAR)
    outputs = network.infer(to_tensor((np.asarray(region, np.uint8),), preprocessing))
    solid = outputs[0].reshape(-1, 3)[:MESH_POINTS].astype(np.float64)
    back = cv2.invertAffineTransform(to_region)
    points = solid[:, :2] @ back[:, :2].T + back[:, 2]
    depth = solid[:, 2] * np.hypot(back[0, 0], back[0, 1])
    logit = float(np.clip(outputs[1].reshape(-1)[0], -80.0, 80.0)) if len(outputs) > 1 else 80.0
    presence = float(1.0 / (1.0 + np.exp(-logit)))
    return Mesh(to_grid(points.astype(np.float32), POINT_GRID_PX), presence, depth.astype(np.float32))


def region_affine(face: Face, side_px: int, region_scale: float) -> Affine:
    """Frame to the landmark network's square: centred on the box, eyes level."""
    left_eye, right_eye = face.keypoints[0], face.keypoints[1]
    angle = np.arctan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0])
    scale = side_px / max(region_scale * max(face.box.width, face.box.height), 1.0)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = side_px / 2 - turn @ np.array(face.box.centre)
    return np.column_stack((turn, shift))


def umeyama(source: Points, target: Points) -> Affine:
    """The similarity that takes N x 2 `source` nearest to `target` by least squares (Umeyama 1991)."""
    from_points, to_points = source.astype(np.float64), target.astype(np.float64)
    from_mean, to_mean = from_points.mean(axis=0), to_points.mean(axis=0)
    from_centred, to_centred = from_points - from_mean, to_points - to_mean
    left, singular, right = np.linalg.svd(to_centred.T @ from_centred / len(from_points))
    # Without this sign a mirrored face would be un-mirrored instead of fitted as well as it can be.
    sign = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = left @ np.diag(sign) @ right
    scale = (singular * sign).sum() / max(from_centred.var(axis=0).sum(), 1e-12)
    return np.column_stack((scale * turn, to_mean - scale * turn @ from_mean))


def align(image: Image, points: Points, recipes: tuple[Alignment, ...]) -> tuple[AlignedFace, ...]:
    """One chip per recipe, in the recipes' order; `points` are the mesh points in pixels of the image."""
    return tuple(AlignedFace(_chip(image, points, recipe), recipe.name) for recipe in recipes)


def _chip(image: Image, points: Points, recipe: Alignment) -> Image:
    source = np.stack([points[list(group)].mean(axis=0) for group in recipe.landmarks])
    to_chip = umeyama(source, np.asarray(recipe.template, np.float32))
    image, to_chip = _crop(image, to_chip, recipe.side)
    for _ in range(MAX_HALVINGS):
        if np.hypot(to_chip[0, 0], to_chip[1, 0]) >= recipe.halve_below or min(image.shape[:2]) < 2:
            break
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        image = np.asarray(
            cv2.resize(image[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
        # Pixel x of the half image covers 2x and 2x + 1 of the whole one: its centre lies at 2x + .5.
        to_chip = np.column_stack((2 * to_chip[:, :2], to_chip[:, 2] + to_chip[:, :2] @ np.array([0.5, 0.5])))
    chip = cv2.warpAffine(image, to_chip, (recipe.side, recipe.side), flags=cv2.INTER_LINEAR)
    return np.asarray(chip, np.uint8)


def _crop(image: Image, to_chip: Affine, side_px: int) -> tuple[Image, Affine]:
    """The part of the image that the chip can reach, so that halving costs the face and not the frame."""
    back = cv2.invertAffineTransform(to_chip)
    corners = np.array([(0, 0), (side_px, 0), (0, side_px), (side_px, side_px)], np.float64)
    reach = corners @ back[:, :2].T + back[:, 2]
    margin = 2.0 + 2.0**MAX_HALVINGS
    height, width = image.shape[:2]
    near, far = np.floor(reach.min(axis=0) - margin), np.ceil(reach.max(axis=0) + margin)
    left, top = np.clip(near, 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(far, (left + 1, top + 1), (width, height)).astype(int)
    shifted = np.column_stack((to_chip[:, :2], to_chip[:, 2] + to_chip[:, :2] @ np.array([left, top])))
    return image[top:bottom, left:right], shifted
