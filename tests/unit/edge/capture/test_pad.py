"""Passive detection: what its networks are shown of a frame, and what their answers are worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.pad import live_min, live_score, surroundings_of
from edge.capture.sample import Box, Probe, Tensor
from edge.modes.common import open_pipeline
from models.errors import ManifestError
from models.manifest import ModelFile, PadNetwork, Preprocessing, Source, parse_manifest
from models.manifest import Tensor as Declared
from models.registry import MANIFEST_FILE, Pack, open_pack
from tests.doubles import pack_standins as standins
from tests.doubles.capture_people import frame, portrait

WIDE = PadNetwork("wide", "wide.onnx", 80, 4.0, 1, 0.5)
NARROW = PadNetwork("narrow", "narrow.onnx", 80, 2.7, 1, 0.7)
FED = ModelFile(
    "any.onnx",
    "ab" * 32,
    "MIT",
    Source("a test", "1", "any.onnx", "ab" * 32),
    Preprocessing("NCHW", "BGR", 1.0, 0.0),
    (Declared("image", "float32", (1, 3, 80, 80)),),
    (Declared("logits", "float32", (1, 3)),),
)


class Answering:
    """A network that answers the same whatever it is shown, and keeps what that was."""

    def __init__(self, *logits: float) -> None:
        self._logits = np.array([logits], np.float32)
        self.shown: list[Tensor] = []

    def infer(self, tensor: Tensor) -> tuple[Tensor, ...]:
        self.shown.append(tensor)
        return (self._logits,)


def ramp(width: int, height: int) -> np.ndarray:
    """Red says how far across a pixel is, green how far down."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = across[None, :], down[:, None]
    return image


def test_the_crop_is_a_square_around_the_box_as_wide_as_the_network_asks() -> None:
    crop = surroundings_of(ramp(1000, 1000), Box(450, 440, 550, 560), WIDE)
    assert crop.shape == (80, 80, 3)
    # 480 pixels around (500, 500): 260 to 740 of 1,000, of 255 grey levels.
    assert (int(crop[40, 0, 0]), int(crop[40, -1, 0])) == pytest.approx((66, 188), abs=2)
    assert (int(crop[0, 40, 1]), int(crop[-1, 40, 1])) == pytest.approx((66, 188), abs=2)


def test_a_crop_that_would_leave_the_frame_is_moved_into_it_and_keeps_its_size() -> None:
    crop = surroundings_of(ramp(1000, 1000), Box(-20, 0, 80, 100), WIDE)
    assert (int(crop[40, 0, 0]), int(crop[40, -1, 0])) == pytest.approx((0, 102), abs=2)


@given(
    width=st.integers(20, 400),
    height=st.integers(20, 400),
    left=st.floats(-200, 500),
    top=st.floats(-200, 500),
    across=st.floats(1, 600),
    down=st.floats(1, 600),
)
def test_any_box_in_any_frame_gives_a_crop_of_the_networks_size(
    *, width: int, height: int, left: float, top: float, across: float, down: float
) -> None:
    box = Box(left, top, left + across, top + down)
    assert surroundings_of(ramp(width, height), box, NARROW).shape == (80, 80, 3)


def test_the_score_is_the_mean_probability_of_the_live_class() -> None:
    sure, torn = Answering(0.0, 30.0, 0.0), Answering(2.0, 2.0, -30.0)
    networks = ((NARROW, FED, sure), (WIDE, FED, torn))
    assert live_score(ramp(300, 300), Box(100, 100, 200, 200), networks) == pytest.approx(0.75, abs=1e-4)
    assert live_min((NARROW, WIDE)) == pytest.approx(0.6)
    assert live_min(()) is None


def test_logits_far_apart_give_a_probability_and_no_overflow() -> None:
    networks = ((NARROW, FED, Answering(4e3, -4e3, 0.0)),)
    assert live_score(ramp(300, 300), Box(100, 100, 200, 200), networks) == 0.0


def test_each_network_is_shown_its_own_crop_in_the_channel_order_its_file_declares() -> None:
    near, far = Answering(0, 0, 0), Answering(0, 0, 0)
    image, box = ramp(1000, 1000), Box(450, 450, 550, 550)
    live_score(image, box, ((NARROW, FED, near), (WIDE, FED, far)))
    for network, asked in ((NARROW, near), (WIDE, far)):
        (tensor,) = asked.shown
        expected = surroundings_of(image, box, network)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_array_equal(tensor[0], expected.astype(np.float32))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return standins.pack_with_passive_networks(tmp_path_factory.mktemp("pad"), live=0.9)


def test_a_pack_with_passive_networks_scores_each_probe_where_that_is_asked_for(pack: Pack) -> None:
    acquired = open_pipeline(pack, 1, passive=True).acquire(frame(portrait("astronaut.png")))
    assert isinstance(acquired.probe, Probe)
    assert acquired.live == pytest.approx(0.9, abs=1e-3)
    assert "passive" in acquired.laps_ms


def test_nothing_is_scored_without_a_face_without_such_networks_or_unasked(pack: Pack) -> None:
    seen = frame(portrait("astronaut.png"))
    empty = frame(np.full((480, 640, 3), 90, np.uint8))
    assert open_pipeline(pack, 1, passive=True).acquire(empty).live is None
    assert open_pipeline(pack, 1).acquire(seen).live is None
    assert open_pipeline(open_pack(), 1, passive=True).acquire(seen).live is None


def test_passive_networks_change_no_probe(pack: Pack) -> None:
    seen = frame(portrait("astronaut.png"))
    one, other = (open_pipeline(each, 1, passive=True).acquire(seen).probe for each in (pack, open_pack()))
    assert isinstance(one, Probe)
    assert isinstance(other, Probe)
    assert one.recipe_digest == other.recipe_digest
    np.testing.assert_array_equal(one.vector, other.vector)


def test_a_live_class_that_the_network_does_not_have_is_refused(pack: Pack) -> None:
    text = (Path(str(pack.root)) / MANIFEST_FILE).read_bytes()
    with pytest.raises(ManifestError, match=r"pad\..*live_class is 3"):
        parse_manifest(text.replace(b"live_class = 1", b"live_class = 3"))
