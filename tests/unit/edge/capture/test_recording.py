"""Recordings: whatever is in a folder or a file, it is shown or named, and never a crash."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture.recording import Flaw, Note, Shown, Spoilt
from edge.errors import FixtureError
from edge.modes.common import open_recording
from tests.doubles.capture_people import PORTRAITS, portrait

PICTURE = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    good, packed = cv2.imencode(suffix, image, list(options))
    assert good
    return packed.tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds an orientation (CIPA DC-008, tag 0x0112)."""
    tiff = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
        + bytes((0, orientation, 0, 0))
        + bytes(4)
    )
    segment = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]


def played(path: Path, border: float = 0.0) -> list[Shown | Spoilt]:
    return list(open_recording(path, border))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def video(path: Path, frames: int = 40) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 5, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", Flaw.EMPTY),
        (b"no image at all", Flaw.NOT_AN_IMAGE),
        (encoded(".jpg", PICTURE)[:400], Flaw.TRUNCATED),
        (b"\xff\xd8 broken \xff\xd9", Flaw.NOT_AN_IMAGE),
    ],
)
def test_a_spoilt_image_is_named_and_the_next_one_is_shown(
    tmp_path: Path, content: bytes, flaw: Flaw
) -> None:
    written(tmp_path / "a.jpg", content)
    written(tmp_path / "b.png", encoded(".png", PICTURE))
    spoilt, shown = played(tmp_path)
    assert spoilt == Spoilt("a.jpg", flaw)
    assert isinstance(shown, Shown)
    np.testing.assert_array_equal(shown.frame.image, PICTURE[..., ::-1])


JPEG, GREY_JPEG = encoded(".jpg", PICTURE), encoded(".jpg", PICTURE[..., 0])
WIDE, TALL = (48, 64, 3), (64, 48, 3)


@pytest.mark.parametrize(
    ("content", "notes", "shape"),
    [
        (encoded(".png", PICTURE), (), WIDE),
        (encoded(".png", PICTURE[..., 0]), (Note.GREY,), WIDE),
        (encoded(".png", np.dstack((PICTURE, PICTURE[..., :1]))), (Note.ALPHA,), WIDE),
        (encoded(".png", PICTURE.astype(np.uint16) * 257), (Note.DEEP,), WIDE),
        (with_orientation(JPEG, 6), (Note.ROTATED,), TALL),
        (with_orientation(JPEG, 3), (Note.ROTATED,), WIDE),
        (with_orientation(JPEG, 1), (), WIDE),
        (with_orientation(GREY_JPEG, 6), (Note.GREY, Note.ROTATED), TALL),
    ],
)
def test_an_unusual_image_is_shown_as_rgb_of_8_bits_and_noted(
    tmp_path: Path, content: bytes, notes: tuple[Note, ...], shape: tuple[int, int, int]
) -> None:
    (shown,) = played(written(tmp_path / "image.jpg", content))
    assert isinstance(shown, Shown)
    assert shown.notes == notes
    assert (shown.frame.image.shape, shown.frame.image.dtype) == (shape, np.uint8)


def test_a_photograph_turned_by_its_exif_orientation_is_set_upright(tmp_path: Path) -> None:
    upright = portrait("obama.jpg")
    lying = encoded(".jpg", np.rot90(upright)[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 100)
    (shown,) = played(written(tmp_path / "lying.jpg", with_orientation(lying, 6)))
    assert isinstance(shown, Shown)
    assert np.abs(shown.frame.image.astype(int) - upright).mean() < 3


def test_images_of_a_folder_come_in_the_order_of_their_names_with_a_second_between(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.png", "a.png", "b/z.png"):
        written(tmp_path / name, encoded(".png", PICTURE))
    written(tmp_path / "notes.txt", b"not an image, and not named as one")
    frames = [shown.frame for shown in played(tmp_path) if isinstance(shown, Shown)]
    assert [(f.source, f.captured_at_ms) for f in frames] == [
        ("a.png", 0),
        ("b/z.png", 1000),
        ("c.png", 2000),
    ]


def test_a_border_repeats_the_edge_on_every_side(tmp_path: Path) -> None:
    (shown,) = played(written(tmp_path / "a.png", encoded(".png", PICTURE)), border=0.5)
    assert isinstance(shown, Shown)
    image = shown.frame.image
    assert image.shape == (96, 128, 3)
    np.testing.assert_array_equal(image[24:72, 32:96], PICTURE[..., ::-1])
    np.testing.assert_array_equal(image[0, 0], PICTURE[0, 0, ::-1])


def test_a_video_plays_at_its_own_rate_on_a_virtual_clock(tmp_path: Path) -> None:
    recording = open_recording(video(tmp_path / "clip.avi"))
    shown = [part.frame for part in recording if isinstance(part, Shown)]
    assert len(recording) == len(shown) == 40
    assert [(f.source, f.captured_at_ms) for f in shown[:3]] == [
        ("clip.avi#0", 0),
        ("clip.avi#1", 50),
        ("clip.avi#2", 100),
    ]
    np.testing.assert_array_equal(list(recording)[7].frame.image, shown[7].image)  # type: ignore[union-attr]


def test_a_truncated_video_shows_what_it_has_and_is_named(tmp_path: Path) -> None:
    whole = video(tmp_path / "clip.avi").read_bytes()
    parts = played(written(tmp_path / "cut.avi", whole[: len(whole) // 2]))
    assert 0 < len(parts) - 1 < 40
    assert all(isinstance(part, Shown) for part in parts[:-1])
    assert parts[-1] == Spoilt(f"cut.avi#{len(parts) - 1}", Flaw.TRUNCATED)


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(5000)])
def test_a_file_that_is_no_video_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FixtureError, match=r"clip\.mp4: cannot be opened as a video"):
        open_recording(written(tmp_path / "clip.mp4", content))


def test_a_missing_source_and_an_empty_folder_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="no such file or folder; give"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(FixtureError, match="no image in this folder"):
        open_recording(tmp_path)
    with pytest.raises(FixtureError, match="border"):
        open_recording(PORTRAITS, 3.0)
