"""The portraits, as frames; and one warm pipeline for every test of a worker."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from edge.capture.pipeline import Observation, Pipeline
from edge.capture.recording import Shown
from edge.capture.sample import Face, Frame, Image, Probe
from edge.modes.common import open_pipeline, open_recording
from models.registry import open_pack
from scripts.people.cast import PORTRAITS


@cache
def pipeline() -> Pipeline:
    return open_pipeline(open_pack(), threads=1)


@cache
def portrait(name: str) -> Image:
    shown = next(iter(open_recording(PORTRAITS / name)))
    assert isinstance(shown, Shown)
    return shown.frame.image


def frame(image: Image, at_ms: int = 0) -> Frame:
    return Frame(np.ascontiguousarray(image), at_ms, "test")


def resized(image: Image, factor: float) -> Image:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=how), np.uint8)


@cache
def observed(name: str) -> Observation:
    shown = frame(portrait(name))
    face = pipeline().find(shown)
    assert isinstance(face, Face), face
    observation = pipeline().observe(shown, face)
    assert isinstance(observation, Observation), observation
    return observation


@cache
def probed(name: str) -> Probe:
    return pipeline().embed(observed(name))
