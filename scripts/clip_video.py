"""A clip as a video file: AVI (motion JPEG) for replays, Y4M for a browser's fake camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.errors import FixtureError
from scripts.clip import Scene


def write_video(scene: Scene, path: Path) -> None:
    """Write .avi or .y4m, one frame in memory at a time; raises `FixtureError` for another suffix."""
    match path.suffix.lower():
        case ".avi":
            _write_avi(scene, path)
        case ".y4m":
            _write_y4m(scene, path)
        case _:
            raise FixtureError(f"{path}: a clip is written as .avi or .y4m")


def _write_avi(scene: Scene, path: Path) -> None:
    height, width = scene[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), float(scene.frames_per_s), (width, height)
    )
    if not writer.isOpened():
        raise FixtureError(f"{path}: cannot be written; check that its folder is there, or write .y4m")
    try:
        for frame in scene.frames():
            writer.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def _write_y4m(scene: Scene, path: Path) -> None:
    """YUV4MPEG2, 4:2:0: a line of text, then raw planes; width and height must be even."""
    height, width = scene[0].shape[:2]
    try:
        with path.open("wb") as file:
            file.write(f"YUV4MPEG2 W{width} H{height} F{scene.frames_per_s}:1 Ip A1:1 C420jpeg\n".encode())
            for frame in scene.frames():
                file.write(
                    b"FRAME\n" + np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)).tobytes()
                )
    except OSError as error:
        raise FixtureError(f"{path}: cannot be written ({error.strerror}); give another path") from error
