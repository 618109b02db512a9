"""Agreement of several frames of one track, and what is asked of a face to show that it is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edge.capture.embedding import fuse, similarity
from edge.capture.sample import Probe
from edge.capture.tracking import TrackId


class ConfirmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `confirm`: how much evidence a passage needs.

    `frames`: frames of one track that must agree.
    `attempts`: windows of frames compared before it is no match; every further one adds to the passage's
    false match rate at most as much as the first.
    `acquire_ms`: how long from the claim until a usable face. `pin_ms`: how long a PIN may take to type.
    `challenge`: `never` leaves the risk of a photograph held up, which `state` and the screen say.
    """

    frames: Annotated[int, Meta(ge=1, le=10)] = 3
    attempts: Annotated[int, Meta(ge=1, le=5)] = 3
    acquire_ms: Annotated[int, Meta(ge=1_000, le=60_000)] = 8_000
    pin_ms: Annotated[int, Meta(ge=5_000, le=120_000)] = 30_000
    challenge: Literal["never"] = "never"


@dataclass(frozen=True, slots=True)
class Window:
    """The latest probes of one track, oldest first."""

    track: TrackId | None = None
    probes: tuple[Probe, ...] = ()


EMPTY = Window()


def gather(window: Window, track: TrackId, probe: Probe, frames: int) -> Window:
    """The window with one more probe; another track empties it first, and the oldest make room.

    A picture repeated by a hung camera agrees with itself and proves nothing: it is not counted again.
    """
    probes = window.probes if track == window.track else ()
    if probes and np.array_equal(probes[-1].vector, probe.vector):
        return window
    return Window(track, (*probes, probe)[-frames:])


def agreed(window: Window, frames: int, threshold: float) -> Probe | None:
    """The window's probes as one, once there are `frames` and each is as like it as a template must be.

    A face swapped inside one track does not agree with itself, whoever the template belongs to.
    """
    if len(window.probes) < frames:
        return None
    fused = fuse(window.probes)
    alike = (similarity(probe.vector, fused.vector) for probe in window.probes)
    return fused if all(value >= threshold for value in alike) else None
