"""Faces from a detector's outputs, and the one of them that stands in the interaction zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from edge.capture.sample import Box, Face, FailureToAcquire, Image, Inference, Obstacle, Tensor
from edge.capture.tensors import FACE_GRID_PX, to_grid, to_tensor
from models.manifest import Detector, Preprocessing

Fraction: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
DecoderName: TypeAlias = Literal["blazeface", "yunet"]

NMS_IOU = 0.3
"""Overlap from which two detections are one face; BlazeFace and YuNet both publish .3."""
MAX_FACES = 64
"""Detections kept from one frame, highest score first; bounds the quadratic suppression in a crowd."""
YUNET_STRIDES_PX = (8, 16, 32)


class ZoneConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a person who wants something stands: a polygon in fractions of the frame, and how near."""

    polygon: Annotated[tuple[tuple[Fraction, Fraction], ...], msgspec.Meta(min_length=3, max_length=32)] = (
        (0.0, 0.0),
        (1.0, 0.0),
        (1.0, 1.0),
        (0.0, 1.0),
    )
    min_face_height_px: Annotated[int, msgspec.Meta(ge=20, le=2000)] = 60
    rival_height_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.7


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame was shrunk onto the detector's square: multiply by `scale`, then add the offsets."""

    side_px: int
    scale: float
    offset_x_px: int
    offset_y_px: int

    @classmethod
    def fit(cls, image: Image, side_px: int) -> Letterbox:
        """The largest centred copy of the image that fits a square of `side_px`."""
        height, width = image.shape[:2]
        scale = side_px / max(height, width)
        spare_x, spare_y = side_px - round(width * scale), side_px - round(height * scale)
        return cls(side_px, scale, spare_x // 2, spare_y // 2)

    def apply(self, image: Image) -> Image:
        """Square, RGB, black where the frame does not reach."""
        height, width = image.shape[:2]
        inner = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        # Bilinear below a half steps over pixels, and with them over small faces: halve by area first.
        while image.shape[1] >= 2 * inner[0] and image.shape[0] >= 2 * inner[1]:
            half = (image.shape[1] // 2, image.shape[0] // 2)
            # Without an odd last row or column each pixel is the mean of four, on every processor the same.
            even = image[: 2 * half[1], : 2 * half[0]]
            image = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
        canvas = np.zeros((self.side_px, self.side_px, 3), np.uint8)
        rows = slice(self.offset_y_px, self.offset_y_px + inner[1])
        columns = slice(self.offset_x_px, self.offset_x_px + inner[0])
        # Exact: plain bilinear rounds otherwise on another processor, and templates are made on any.
        canvas[rows, columns] = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR_EXACT)
        return canvas

    def undo(self, points: Tensor) -> Tensor:
        """Points of the square (pixels, last axis x, y) as points of the frame."""
        offset = np.array((self.offset_x_px, self.offset_y_px), np.float32)
        return np.asarray((points - offset) / np.float32(self.scale), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Decoded candidates in pixels of the detector's square: boxes N x 4, keypoints N x K x 2, scores N."""

    boxes: Tensor
    keypoints: Tensor
    scores: Tensor


Decoder: TypeAlias = Callable[[tuple[Tensor, ...], int, float], Detections]
"""(outputs, side in pixels, least score) -> candidates at or above that score."""


@cache
def _blazeface_anchors(side_px: int) -> Tensor:
    # 16 x 16 cells with 2 anchors, then 8 x 8 with 6: 896 for the front and the back network alike.
    centres = []
    for cells, repeats in ((16, 2), (8, 6)):
        middle = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, repeats, axis=0))
    return np.asarray(np.concatenate(centres) * side_px, np.float32)


def decode_blazeface(outputs: tuple[Tensor, ...], side_px: int, min_score: float) -> Detections:
    """Regressors (1, 896, 16) and classifier logits (1, 896, 1), the offsets in pixels from cell centres."""
    regressors, logits = outputs[0].reshape(-1, 16), outputs[1].reshape(-1)
    scores = np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0))), np.float32)
    kept = np.flatnonzero(scores >= min_score)
    anchors = _blazeface_anchors(side_px)[kept]
    values = regressors[kept]
    centre, half = values[:, 0:2] + anchors, values[:, 2:4] / 2
    keypoints = values[:, 4:16].reshape(-1, 6, 2) + anchors[:, None, :]
    return Detections(np.concatenate((centre - half, centre + half), axis=1), keypoints, scores[kept])


def decode_yunet(outputs: tuple[Tensor, ...], side_px: int, min_score: float) -> Detections:
    """cls, obj, bbox and kps at strides 8, 16, 32, in that order; a score is sqrt(cls * obj).

    Keypoints come as image-left eye, image-right eye, nose tip and the corners of the mouth.
    """
    boxes, keypoints, scores = [], [], []
    for level, stride in enumerate(YUNET_STRIDES_PX):
        cells = side_px // stride
        column, row = np.meshgrid(np.arange(cells, dtype=np.float32), np.arange(cells, dtype=np.float32))
        corner = np.stack((column, row), axis=-1).reshape(-1, 2)
        level_cls, level_obj = (np.clip(outputs[base + level].reshape(-1), 0.0, 1.0) for base in (0, 3))
        score = np.sqrt(level_cls * level_obj)
        kept = np.flatnonzero(score >= min_score)
        box, points = outputs[6 + level].reshape(-1, 4)[kept], outputs[9 + level].reshape(-1, 5, 2)[kept]
        centre, half = (corner[kept] + box[:, 0:2]) * stride, np.exp(box[:, 2:4]) * stride / 2
        boxes.append(np.concatenate((centre - half, centre + half), axis=1))
        keypoints.append((points + corner[kept][:, None, :]) * stride)
        scores.append(score[kept])
    return Detections(np.concatenate(boxes), np.concatenate(keypoints), np.concatenate(scores))


DECODERS: dict[DecoderName, Decoder] = {"blazeface": decode_blazeface, "yunet": decode_yunet}


def suppress(found: Detections) -> Detections:
    """One candidate a face: overlapping ones averaged by score (weighted suppression), best first."""
    order = np.argsort(-found.scores, kind="stable")[:MAX_FACES]
    boxes, keypoints, scores = [], [], []
    while order.size:
        overlap = _iou(found.boxes[order[0]], found.boxes[order])
        overlap[0] = 1.0
        same = order[overlap > NMS_IOU]
        weight = found.scores[same] / found.scores[same].sum()
        boxes.append(np.einsum("n,nc->c", weight, found.boxes[same]))
        keypoints.append(np.einsum("n,nkc->kc", weight, found.keypoints[same]))
        scores.append(found.scores[order[0]])
        order = order[overlap <= NMS_IOU]
    if not scores:
        return found
    return Detections(np.stack(boxes), np.stack(keypoints), np.stack(scores))


def _iou(box: Tensor, others: Tensor) -> Tensor:
    near = np.maximum(box[:2], others[:, :2])
    far = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(far - near, 0.0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    whole = np.prod(box[2:] - box[:2]) + areas - shared
    return np.asarray(shared / np.maximum(whole, 1e-6))


def detect(
    image: Image, network: Inference, detector: Detector, preprocessing: Preprocessing
) -> tuple[Face, ...]:
    """Every face of the image whose score reaches the pack's floor, best first, in pixels of the image."""
    letterbox = Letterbox.fit(image, detector.side)
    outputs = network.infer(to_tensor((letterbox.apply(image),), preprocessing))
    found = suppress(DECODERS[detector.kind](outputs, detector.side, detector.score_min))
    corners = to_grid(letterbox.undo(found.boxes.reshape(-1, 2, 2)), FACE_GRID_PX).reshape(-1, 4)
    keypoints = to_grid(letterbox.undo(found.keypoints), FACE_GRID_PX)
    return tuple(
        Face(Box(*map(float, corner)), float(score), tuple((float(x), float(y)) for x, y in points))
        for corner, score, points in zip(corners, found.scores, keypoints, strict=True)
    )


def in_zone(faces: tuple[Face, ...], image: Image, zone: ZoneConfig) -> Face | FailureToAcquire:
    """The one face in the zone. A queue further back is smaller and ignored; a second near face is not."""
    if not faces:
        return FailureToAcquire(Obstacle.NO_FACE)
    height, width = image.shape[:2]
    polygon = np.array([(x * width, y * height) for x, y in zone.polygon], np.float32)
    inside = sorted(
        (face for face in faces if _inside(polygon, face.box.centre)), key=_nearness, reverse=True
    )
    if not inside:
        return FailureToAcquire(Obstacle.OUTSIDE_ZONE)
    nearest = inside[0]
    if nearest.box.height < zone.min_face_height_px:
        return FailureToAcquire(Obstacle.TOO_SMALL)
    if len(inside) > 1 and _nearness(inside[1]) >= zone.rival_height_fraction * _nearness(nearest):
        return FailureToAcquire(Obstacle.SEVERAL_FACES)
    return nearest


def _nearness(face: Face) -> float:
    """Height, weighed by the square of the score.

    So that a large doubtful face, such as a notice board's, is no rival of a person who surely stands there.
    """
    return face.box.height * face.score**2


def _inside(polygon: npt.NDArray[np.float32], point: tuple[float, float]) -> bool:
    return bool(cv2.pointPolygonTest(polygon, point, False) >= 0)
