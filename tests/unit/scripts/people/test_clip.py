"""The clips: reproducible from a seed, with codes that can be read and people who come close enough."""

from __future__ import annotations

import numpy as np
import pytest

from edge.adapters.camera.qr import QrReader
from edge.capture.sample import Box
from edge.compare.claim import QrClaim, qr_text
from scripts.people.clip import ClipFormat, Portrait, Scene, Studio
from wire.ids import ClaimId

SEED = 20261
CLAIM = ClaimId("0123456789abcdef0123456789abcdef")
SMALL = ClipFormat(width_px=320, height_px=240, frames_per_s=10)


def a_portrait() -> Portrait:
    """No face, but as large as one: what is tested here is the picture around it."""
    rows, columns = np.mgrid[0:600, 0:500]
    image = np.stack((rows % 256, columns % 256, (rows + columns) % 256), axis=2).astype(np.uint8)
    return Portrait("drawn", image, Box(150, 120, 350, 320))


def claims_in(scene: Scene) -> list[int]:
    reader = QrReader()
    return [n for n, frame in enumerate(scene.frames()) if reader.read(frame) == QrClaim(CLAIM)]


def scenes(studio: Studio) -> tuple[Scene, ...]:
    return (
        studio.empty(),
        studio.walk_up(a_portrait(), qr_text(CLAIM)),
        studio.walk_up(a_portrait(), None, "walk up without a code"),
        studio.qr_only(qr_text(CLAIM)),
    )


def test_the_same_seed_paints_the_same_frames_in_any_order() -> None:
    print(f"seed {SEED}")
    ones, others = scenes(Studio(SEED, SMALL)), scenes(Studio(SEED, SMALL))
    for one, other in zip(ones, others, strict=True):
        assert len(one) == len(other)
        forwards = [frame.image for frame in one.frames()]
        backwards = [other[n] for n in reversed(range(len(other)))][::-1]
        assert all(map(np.array_equal, forwards, backwards))


def test_another_seed_paints_other_frames() -> None:
    one, other = Studio(SEED, SMALL).empty(), Studio(SEED + 1, SMALL).empty()
    assert not np.array_equal(one[0], other[0])


def test_no_two_frames_of_an_empty_scene_are_the_same() -> None:
    frames = [frame.image.tobytes() for frame in Studio(SEED).empty(2.0).frames()]
    assert len(set(frames)) == len(frames) == 60


def test_frames_have_the_size_and_the_virtual_times_of_their_format() -> None:
    scene = Studio(SEED, SMALL).walk_up(a_portrait(), None)
    frames = list(scene.frames(start_ms=5000))
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert [frame.captured_at_ms for frame in frames] == [5000 + 100 * n for n in range(len(scene))]


def test_a_frame_outside_a_scene_is_an_error_that_names_it() -> None:
    with pytest.raises(IndexError, match="scene empty has 10 frames, not 10"):
        Studio(SEED, SMALL).empty()[10]


@pytest.mark.parametrize("seed", range(2))
def test_a_code_held_up_is_decoded_from_the_picture_and_gone_before_the_person_is_near(seed: int) -> None:
    scene = Studio(seed).walk_up(a_portrait(), qr_text(CLAIM))
    read = claims_in(scene)
    assert len(read) >= 20
    assert read[0] <= 8
    assert read[-1] < len(scene) // 3
    assert claims_in(Studio(seed).qr_only(qr_text(CLAIM)))[0] <= 12


def test_no_code_is_read_where_none_was_held_up() -> None:
    studio = Studio(SEED)
    assert claims_in(studio.empty()) == []
    assert claims_in(studio.walk_up(a_portrait(), None)) == []
