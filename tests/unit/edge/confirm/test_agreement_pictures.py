"""Smiles and nods as the landmark network sees them: portraits with wider mouths, and heads that turn."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge.capture.pipeline import Pipeline
from edge.capture.sample import Frame, Points, Probe
from edge.capture.tracking import TrackId
from edge.confirm.agreement import Agreement, begin, judge, mouth_width
from edge.confirm.challenge import Likeness, Sighting
from edge.modes.common import open_pipeline
from models.registry import open_pack
from scripts.evaluate.attacks.rendered_head import RenderedHead, with_moving_mouth
from scripts.people.cast import Cast
from wire.values import AgreeBy

PORTRAITS = ("astronaut.png", "grace_hopper.jpg", "obama.jpg")
VECTOR = np.array((1, 0), np.float32)
PROBE = Probe((VECTOR,), (1.0,), "ab" * 32, 1)
HEIGHT_PX, FRAME_MS = 480, 60


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return open_pipeline(open_pack(None), 1)


@dataclass
class Sitter:
    """One portrait, and what becomes of an agreement by it."""

    pipeline: Pipeline
    image: np.ndarray
    agreement: Agreement
    now_ms: int = 0

    def points(self, image: np.ndarray) -> Points:
        frame = Frame(image, 0, "portrait")
        return self.pipeline.locate(frame, self.pipeline.find(frame)).points

    def see(self, points: Points, frames: int) -> Sitter:
        dice = np.random.default_rng(self.now_ms)
        for _ in range(frames):
            self.now_ms += FRAME_MS
            shaken = np.asarray(points + dice.normal(0, 0.3, points.shape), np.float32)
            seen = Sighting(TrackId(1), shaken, self.now_ms, PROBE)
            self.agreement = judge(self.agreement, seen, Likeness(0.95, 0.9))
        return self


def sitter(pipeline: Pipeline, file: str, by: AgreeBy) -> Sitter:
    image = Cast().portrait(file).image
    scale = min(1.0, HEIGHT_PX / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Sitter(pipeline, small, begin(by, PROBE))


def wider(image: np.ndarray, points: Points, by_spans: float) -> np.ndarray:
    """The corners of the mouth drawn out and up by so many eye spans, softly."""
    eyes = points[263] - points[33]
    span = float(np.linalg.norm(eyes))
    across = eyes / span
    down = np.array((-across[1], across[0]))
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    for corner, side in ((61, -1), (291, 1)):
        moved = by_spans * span * (side * 0.9 * across - 0.45 * down)
        near = np.exp(
            -((x - points[corner][0]) ** 2 + (y - points[corner][1]) ** 2) / (2 * (0.28 * span) ** 2)
        )
        x, y = x - near * np.float32(moved[0]), y - near * np.float32(moved[1])
    return cv2.remap(
        image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


@pytest.mark.parametrize("file", PORTRAITS)
def test_a_smile_held_agrees_and_a_talking_mouth_a_turned_head_or_a_short_one_does_not(
    pipeline: Pipeline, file: str
) -> None:
    who = sitter(pipeline, file, AgreeBy.SMILE)
    there = who.points(who.image)
    relaxed = who.points(wider(who.image, there, -0.10))  # they smile in their portraits
    smiling = who.points(wider(who.image, there, 0.12))
    assert mouth_width(smiling) / mouth_width(relaxed) > 1.12
    who.see(relaxed, 6)
    for open_px in (4, 8):
        who.see(who.points(with_moving_mouth(wider(who.image, there, -0.10), there, open_px)), 3).see(
            relaxed, 2
        )
    who.see(smiling, 4).see(relaxed, 4)
    assert not who.agreement.agreed
    assert who.see(smiling, 14).agreement.agreed


@pytest.mark.parametrize("file", ["grace_hopper.jpg", "obama.jpg"])
def test_two_nods_agree_and_one_or_a_long_look_down_or_a_turn_does_not(pipeline: Pipeline, file: str) -> None:
    who = sitter(pipeline, file, AgreeBy.NOD)
    head = RenderedHead(pipeline, who.image)
    rest, low, aside = (who.points(head.turned(*pose)) for pose in ((0, 0), (0, -18), (15, 0)))
    who.see(rest, 6).see(low, 5).see(rest, 40)
    assert not who.agreement.agreed
    who.see(low, 30).see(rest, 4).see(low, 30).see(rest, 4)
    assert not who.agreement.agreed
    who.see(aside, 5).see(rest, 4).see(aside, 5).see(rest, 40)
    assert not who.agreement.agreed
    assert who.see(low, 5).see(rest, 4).see(low, 5).see(rest, 4).agreement.agreed


def test_somebody_else_or_nobody_known_agrees_to_nothing(pipeline: Pipeline) -> None:
    who = sitter(pipeline, "grace_hopper.jpg", AgreeBy.SMILE)
    there = who.points(who.image)
    other = Probe((np.array((0, 1), np.float32),), (1.0,), "ab" * 32, 1)
    who.agreement = begin(AgreeBy.SMILE, other)
    who.see(there, 6).see(who.points(wider(who.image, there, 0.15)), 20)
    assert not who.agreement.agreed
    assert begin(AgreeBy.SMILE, None).by is AgreeBy.BUTTON
