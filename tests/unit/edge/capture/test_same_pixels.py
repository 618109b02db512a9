"""The same picture is the same descriptor on every processor, to 1e-5.

What the detector is shown is the same bit for bit: the digests were made on x86-64 and hold on arm64, where
OpenCV's plain bilinear resize rounds otherwise. Networks differ there in their last digits.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from edge.capture.detection import Letterbox
from edge.capture.pipeline import Pipeline
from edge.capture.sample import FailureToAcquire, Frame, Inference, Tensor
from edge.capture.tensors import POINT_GRID_PX, to_grid
from edge.modes.common import open_pipeline
from models.registry import open_pack
from tests.doubles.capture_people import PORTRAITS, portrait

CANVASES = {
    (256, (512, 512)): "04dfc661f6b4ea61",
    (128, (480, 300)): "a63e79d8168d9e6a",
    (256, (211, 190)): "9bbfc651d5818a5a",
    (128, (511, 509)): "1652cc0e621dfa2e",
}
LAST_DIGITS = 1e-6
"""Of the largest number of an output: about what kernels of arm64 and x86-64 were seen to differ by."""


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("side_px", "size"), CANVASES)
def test_the_detectors_square_is_the_same_on_every_processor(side_px: int, size: tuple[int, int]) -> None:
    image = portrait("astronaut.png")[: size[0], : size[1]]
    square = Letterbox.fit(image, side_px).apply(image)
    assert digest(square) == CANVASES[side_px, size]


def test_a_point_is_where_the_grid_says_and_no_further_than_half_a_step_away() -> None:
    points = np.random.default_rng(1).uniform(-50, 4000, (1000, 2)).astype(np.float32)
    snapped = to_grid(points, POINT_GRID_PX)
    assert np.array_equal(snapped / POINT_GRID_PX, np.round(snapped / POINT_GRID_PX))
    assert np.abs(snapped - points).max() <= POINT_GRID_PX / 2 + 1e-3


class OtherProcessor:
    """A network whose numbers differ in their last digits."""

    def __init__(self, network: Inference, seed: int) -> None:
        self._network, self._dice = network, np.random.default_rng(seed)

    def infer(self, batch: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            (out + self._dice.uniform(-1, 1, out.shape) * LAST_DIGITS * np.abs(out).max()).astype(np.float32)
            for out in self._network.infer(batch)
        )


@contextmanager
def elsewhere(pipeline: Pipeline, seed: int) -> Iterator[None]:
    """Detector and mesh as on another processor; a descriptor's own last digits are far below 1e-5."""
    here, landmarks = pipeline.networks, pipeline.manifest.landmarks.file
    detector = pipeline.manifest.default_detector().file
    pipeline.networks = {
        file: OtherProcessor(network, seed) if file in (detector, landmarks) else network
        for file, network in here.items()
    }
    yield
    pipeline.networks = here


def test_a_pictures_descriptor_is_the_same_where_networks_differ_in_their_last_digits() -> None:
    pipeline = open_pipeline(open_pack(None), 1)
    same = []
    for number, name in enumerate(sorted(path.name for path in PORTRAITS.glob("*.[jp][pn]g"))):
        frame = Frame(portrait(name), number, name)
        before = pipeline.acquire(frame).probe
        for seed in range(4):
            with elsewhere(pipeline, seed):
                after = pipeline.acquire(frame).probe
            assert not isinstance(before, FailureToAcquire)
            assert not isinstance(after, FailureToAcquire)
            same.append(float(np.abs(before.vector - after.vector).max()) <= 1e-5)
    # Some coordinate may lie at the edge between two places of the grid; without a grid none agrees.
    assert np.mean(same) > 0.8
