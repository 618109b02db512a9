"""Recordings in place of a camera, on a virtual clock: a folder of images, or a video file.

What cannot be shown (a broken image, a video that ends early) is a value with its name, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.capture.recording import Flaw, Note, Shown, Spoilt
from edge.capture.sample import Frame, Image
from edge.errors import FixtureError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".y4m", ".mjpeg", ".mjpg"})
MAX_IMAGE_BYTES = 64 * 1024 * 1024
"""Of one image file; a camera's largest is a fifth of it."""
MAX_BORDER_FRACTION = 2.0
IMAGE_INTERVAL_MS = 1000
"""Virtual time between two images of a folder: long enough that nobody is followed from one to the next."""
DEFAULT_FRAMES_PER_S = 30.0
"""For a video whose container states no rate."""
SHORTFALL_FRACTION = 0.02
"""Containers estimate their frame count; fewer than this many missing is not called truncated."""
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


class Playable:
    """A recording: iterate for its frames in order, `Shown` or `Spoilt`. Raises nothing while playing."""

    def __init__(self, sources: tuple[Path, ...], root: Path, border_fraction: float, *, video: bool) -> None:
        self._sources, self._root, self._border_fraction = sources, root, border_fraction
        self.video = video

    def __len__(self) -> int:
        """Images in the folder, or frames that the video promises."""
        return _promised_frames(self._sources[0]) if self.video else len(self._sources)

    def __iter__(self) -> Iterator[Shown | Spoilt]:
        """Play from the start."""
        return self._play_video(self._sources[0]) if self.video else self._play_images()

    def _play_images(self) -> Iterator[Shown | Spoilt]:
        for index, path in enumerate(self._sources):
            source = path.relative_to(self._root).as_posix()
            decoded = read_image(path)
            if isinstance(decoded, Flaw):
                yield Spoilt(source, decoded)
                continue
            image, notes = decoded
            yield Shown(Frame(self._bordered(image), index * IMAGE_INTERVAL_MS, source), notes)

    def _play_video(self, path: Path) -> Iterator[Shown | Spoilt]:
        capture = cv2.VideoCapture(str(path))
        try:
            frames_per_s = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FRAMES_PER_S
            count = 0
            while True:
                grabbed, image = capture.read()
                if not grabbed or image is None:
                    break
                upright = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
                at_ms = round(count * 1000 / frames_per_s)
                yield Shown(Frame(self._bordered(upright), at_ms, f"{path.name}#{count}"))
                count += 1
            missing = _promised_frames(path) - count
            if count == 0 or missing > max(1.0, SHORTFALL_FRACTION * count):
                yield Spoilt(f"{path.name}#{count}", Flaw.TRUNCATED)
        finally:
            capture.release()

    def _bordered(self, image: Image) -> Image:
        if self._border_fraction == 0:
            return image
        down = round(image.shape[0] * self._border_fraction)
        across = round(image.shape[1] * self._border_fraction)
        grown = cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_REPLICATE)
        return np.asarray(grown, np.uint8)


def open_playable(source: Path, border_fraction: float = 0.0) -> Playable:
    """A folder (searched through), one image, or a video file; raises `FixtureError` when there is nothing.

    `border_fraction` of width and height is added on each side by repeating the edge, for tight crops.
    """
    if not 0 <= border_fraction <= MAX_BORDER_FRACTION:
        raise FixtureError(f"border {border_fraction}: give a fraction from 0 to {MAX_BORDER_FRACTION:g}")
    if source.is_dir():
        images = tuple(sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES))
        if not images:
            raise FixtureError(f"{source}: no image in this folder; supported: {_listed(IMAGE_SUFFIXES)}")
        return Playable(images, source, border_fraction, video=False)
    if not source.is_file():
        raise FixtureError(f"{source}: no such file or folder; give a video file or a folder of images")
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return Playable((source,), source.parent, border_fraction, video=False)
    capture = cv2.VideoCapture(str(source))
    opened = capture.isOpened()
    capture.release()
    if not opened:
        raise FixtureError(
            f"{source}: cannot be opened as a video (its index is missing or the format unknown); "
            f"record it again, or convert it to one of {_listed(VIDEO_SUFFIXES)}"
        )
    return Playable((source,), source.parent, border_fraction, video=True)


def read_image(path: Path) -> tuple[Image, tuple[Note, ...]] | Flaw:
    """One image file, upright, as RGB of 8 bits; or what is wrong with it."""
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            return Flaw.TOO_LARGE
        content = path.read_bytes()
    except OSError:
        return Flaw.UNREADABLE
    if not content:
        return Flaw.EMPTY
    # libjpeg fills what is missing with grey and only warns; a half face must not be enrolled.
    if content.startswith(JPEG_START) and JPEG_END not in content[-64:]:
        return Flaw.TRUNCATED
    packed = np.frombuffer(content, np.uint8)
    try:
        stored = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
        upright = cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return Flaw.NOT_AN_IMAGE
    if stored is None or upright is None:
        return Flaw.NOT_AN_IMAGE
    image = np.asarray(upright, np.uint8)
    return image, _notes(np.asarray(stored), image)


def _notes(stored: npt.NDArray[np.generic], upright: Image) -> tuple[Note, ...]:
    notes = []
    if stored.ndim == 2:
        notes.append(Note.GREY)
    elif stored.shape[2] == 4:
        notes.append(Note.ALPHA)
    if stored.dtype != np.uint8:
        notes.append(Note.DEEP)
    green = stored if stored.ndim == 2 else stored[..., 1]
    # A square image turned by its EXIF orientation keeps its shape; only its pixels tell.
    if green.shape != upright.shape[:2] or (
        stored.dtype == np.uint8 and not np.array_equal(green, upright[..., 1])
    ):
        notes.append(Note.ROTATED)
    return tuple(notes)


def _promised_frames(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return max(0, int(promised))


def _listed(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffix.lstrip(".") for suffix in suffixes))
