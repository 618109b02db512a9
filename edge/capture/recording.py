"""What a recording gives in place of a camera: frames, and the parts of it that could not be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.capture.sample import Frame


class Flaw(StrEnum):
    """Why something in a recording could not be shown."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    NOT_AN_IMAGE = "not_an_image"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"


class Note(StrEnum):
    """What was done to an unusual image before it was shown."""

    GREY = "grey"  # one channel, shown as three equal ones
    ALPHA = "alpha"  # transparency dropped
    DEEP = "deep"  # 16 bits a channel, reduced to 8
    ROTATED = "rotated"  # set upright by its EXIF orientation


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame of the recording; `source` of the frame is its path inside the recording."""

    frame: Frame
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A part of the recording that could not be shown."""

    source: str
    flaw: Flaw


class Recording(Protocol):
    """Frames in order, each shown or spoilt; playing it raises nothing."""

    def __iter__(self) -> Iterator[Shown | Spoilt]:
        """Play from the start."""
        ...

    def __len__(self) -> int:
        """Images in the folder, or frames that the video promises."""
        ...
