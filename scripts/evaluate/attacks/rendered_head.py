"""A head made of one photograph, that turns: rendered, and never called anything else.

The landmark network's own guess of depth makes a relief of the portrait; two rings around it make hair and
ears follow. It is turned and drawn triangle by triangle, the far ones first. A real head does more than that.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.capture.pipeline import Pipeline
from edge.capture.sample import FailureToAcquire, Frame, Image
from edge.errors import FixtureError

RINGS = ((1.18, 0.18), (1.32, 0.45))
"""Around the face: how much wider, and how much farther back in widths of the face."""
CHEEKS = (234, 454)
CAMERA_PX = 600.0
"""Focal length and distance of a picture held up: a perspective as at arm's length."""
LEAST_AREA_PX = 0.05
KEPT = 64
"""Renderings kept of one head: every degree of two gestures; 45 MB at 480 pixels."""
GREY = (96, 96, 96)

Solid = npt.NDArray[np.float64]


def turning(left: float, up: float) -> Solid:
    """3 x 3: a head turned to its own left and up, degrees; x to the image's right, y down, z away."""
    yaw, pitch = np.radians((-left, -up))
    about_y = np.array(((np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))))
    about_x = np.array(((1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))))
    return np.asarray(about_x @ about_y)


class RenderedHead:
    """The relief of one portrait; raises `FixtureError` when no face is found in it."""

    def __init__(self, pipeline: Pipeline, portrait: Image) -> None:
        """`portrait`: RGB, one face, looking at the camera."""
        frame = Frame(portrait, 0, "portrait")
        face = pipeline.find(frame)
        if isinstance(face, FailureToAcquire):
            raise FixtureError(f"the portrait shows no usable face ({face.hint}); give another one")
        mesh = pipeline.locate(frame, face)
        self.portrait, self.face_points = portrait, mesh.points
        relief = np.column_stack((mesh.points, mesh.depth)).astype(np.float64)
        self._solid = np.vstack((relief, *_rings(relief)))
        self._centre = np.array((*relief[:, :2].mean(axis=0), relief[list(CHEEKS), 2].mean()))
        self._triangles = _triangles(self._solid[:, :2])
        self._kept: dict[tuple[int, int], Image] = {}

    def turned(self, left: float, up: float) -> Image:
        """The portrait with its head turned, to a degree; what it uncovers stays as it was."""
        pose = (round(left), round(up))
        if pose == (0, 0):
            return self.portrait
        if pose not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[pose] = self._render(*pose)
        return self._kept[pose]

    def _render(self, left: int, up: int) -> Image:
        solid = (self._solid - self._centre) @ turning(left, up).T + self._centre
        labels, maps = self._draw(solid)
        height, width = labels.shape
        down, across = np.mgrid[0:height, 0:width].astype(np.float32)
        drawn = labels >= 0
        chosen = maps[labels[drawn]]
        here = np.stack((across[drawn], down[drawn], np.ones(drawn.sum(), np.float32)), axis=-1)
        source = np.einsum("nij,nj->ni", chosen, here)
        across[drawn], down[drawn] = source[:, 0], source[:, 1]
        return np.asarray(
            cv2.remap(self.portrait, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )

    def _draw(self, solid: Solid) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Which triangle each pixel shows (-1 for none), and each triangle's map back to the portrait."""
        labels = np.full(self.portrait.shape[:2], -1, np.int32)
        maps = np.zeros((len(self._triangles), 2, 3), np.float32)
        farthest_first = np.argsort(-solid[self._triangles, 2].mean(axis=1))
        for number in farthest_first:
            corners = self._triangles[number]
            there = solid[corners, :2].astype(np.float32)
            before = self._solid[corners, :2].astype(np.float32)
            area, was = _area(there), _area(before)
            if abs(area) < LEAST_AREA_PX or area * was < 0:
                continue
            maps[number] = cv2.getAffineTransform(there, before)
            cv2.fillConvexPoly(labels, np.round(there).astype(np.int32), int(number))
        return labels, maps


def held_up(image: Image, left: float, up: float, shift_px: tuple[float, float] = (0.0, 0.0)) -> Image:
    """The image as a sheet held in front of the camera, tilted by so many degrees and moved."""
    height, width = image.shape[:2]
    camera = np.array(((CAMERA_PX, 0, width / 2), (0, CAMERA_PX, height / 2), (0, 0, 1.0)))
    sheet = np.array(((1, 0, -width / 2), (0, 1, -height / 2), (0, 0, 0.0)))
    placed = turning(left, up) @ sheet
    placed[:, 2] += (*shift_px, CAMERA_PX)
    seen = cv2.warpPerspective(image, camera @ placed, (width, height), borderValue=GREY)
    return np.asarray(seen, np.uint8)


def with_moving_mouth(image: Image, points: npt.NDArray[np.float32], open_px: float) -> Image:
    """A sheet cut below the lips, the lower half pulled down: dark in between."""
    cut = round(float(points[[61, 291], 1].mean()))
    left, right = (round(float(points[index, 0])) for index in (61, 291))
    gap, changed = round(open_px), image.copy()
    if gap > 0:
        chin = min(round(float(points[152, 1])) + gap, image.shape[0])
        changed[cut + gap : chin, left:right] = image[cut : chin - gap, left:right]
        changed[cut : cut + gap, left:right] = (40, 16, 16)
    return changed


def _rings(relief: Solid) -> list[Solid]:
    hull = cv2.convexHull(relief[:, :2].astype(np.float32), returnPoints=False).ravel()
    centre = relief[:, :2].mean(axis=0)
    across_px = float(np.linalg.norm(relief[CHEEKS[1], :2] - relief[CHEEKS[0], :2]))
    return [
        np.column_stack((centre + (relief[hull, :2] - centre) * wider, relief[hull, 2] + back * across_px))
        for wider, back in RINGS
    ]


def _triangles(points: Solid) -> npt.NDArray[np.intp]:
    """Delaunay's, N x 3 indices into `points`."""
    corners = points.astype(np.float32)
    low, high = corners.min(axis=0) - 10, corners.max(axis=0) + 10
    division = cv2.Subdiv2D((int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])))
    index: dict[tuple[float, float], int] = {}
    for number, (x, y) in enumerate(corners.tolist()):
        if (x, y) not in index:
            index[x, y] = number
            division.insert((x, y))
    found = [
        [index.get((x, y), -1) for x, y in triangle]
        for triangle in np.asarray(division.getTriangleList()).reshape(-1, 3, 2).tolist()
    ]
    return np.array([triangle for triangle in found if -1 not in triangle], np.intp)


def _area(corners: npt.NDArray[np.float32]) -> float:
    (ax, ay), (bx, by) = corners[1] - corners[0], corners[2] - corners[0]
    return float(ax * by - ay * bx)
