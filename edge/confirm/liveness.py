"""How much evidence a passage needs: how many frames must agree, and whether there is a challenge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edge.capture.embedding import fuse, similarity
from edge.capture.sample import Probe
from edge.capture.tracking import TrackId
from wire.ids import SubjectId

CHALLENGE_TRIES = 3
"""Challenges to one member that may go by unmet: who could begin anew for ever would wait for easy ones."""
TRIES_KEPT_MS = 600_000
"""How long an unmet challenge counts; then, or after one that was met, the member has all tries again."""

PHOTO_RISKS = {"never": "photo_risk", "on_claim_reuse": "photo_risk_first_use"}
"""The note for a `confirm.challenge` under which a photograph held up may pass for a face."""


class ConfirmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `confirm`: how much evidence a passage needs.

    `frames`: frames of one track that must agree.
    `attempts`: windows of frames compared before it is no match; every further one adds to the passage's
    false match rate at most as much as the first.
    `acquire_ms`: how long from the claim until a usable face. `pin_ms`: how long a PIN may take to type.
    `challenge`: None is what `search.mode` asks for; `never` leaves the risk of a photograph held up,
    `on_claim_reuse` leaves it for the first use within `reuse_s`, and `state` and the screen say so.
    `prompts`: gestures asked for, each within `prompt_ms`; `challenge_ms`: the whole challenge, the way back
    to looking at the camera included.
    `passive`: run the pack's passive networks, if it has any, on the frames that agree; frames that look
    recaptured leave it undetermined, so that the PIN settles it, and are never an attack by themselves.
    """

    frames: Annotated[int, Meta(ge=1, le=10)] = 3
    attempts: Annotated[int, Meta(ge=1, le=5)] = 3
    acquire_ms: Annotated[int, Meta(ge=1_000, le=60_000)] = 8_000
    pin_ms: Annotated[int, Meta(ge=5_000, le=120_000)] = 30_000
    challenge: Literal["never", "on_claim_reuse", "always"] | None = None
    prompts: Annotated[int, Meta(ge=1, le=3)] = 2
    prompt_ms: Annotated[int, Meta(ge=2_000, le=20_000)] = 5_000
    challenge_ms: Annotated[int, Meta(ge=5_000, le=60_000)] = 15_000
    reuse_s: Annotated[int, Meta(ge=1, le=604_800)] = 3_600
    passive: bool = True

    def asks(self, *, used_before: bool) -> bool:
        """Whether somebody matched is challenged; `used_before`: the member was here within `reuse_s`."""
        return self.challenge == "always" or (self.challenge == "on_claim_reuse" and used_before)


@dataclass(frozen=True, slots=True)
class Window:
    """The latest probes of one track, oldest first, and how live the frame of each was taken to be."""

    track: TrackId | None = None
    probes: tuple[Probe, ...] = ()
    lives: tuple[float | None, ...] = ()

    @property
    def live(self) -> float | None:
        """The mean of the frames' live scores; None where one of them has none."""
        known = [live for live in self.lives if live is not None]
        return sum(known) / len(known) if known and len(known) == len(self.lives) else None


EMPTY = Window()


def gather(window: Window, track: TrackId, probe: Probe, frames: int, live: float | None = None) -> Window:
    """The window with one more probe; another track empties it first, and the oldest make room.

    A picture repeated by a hung camera agrees with itself and proves nothing: it is not counted again.
    """
    same = track == window.track
    probes, lives = (window.probes, window.lives) if same else ((), ())
    if probes and np.array_equal(probes[-1].vector, probe.vector):
        return window
    return Window(track, (*probes, probe)[-frames:], (*lives, live)[-frames:])


def looks_recaptured(live: float | None, live_min: float | None) -> bool:
    """Whether passive detection asks for more; with a floor (None: nothing runs), no score is not enough."""
    return live_min is not None and (live is None or live < live_min)


def agreed(window: Window, frames: int, threshold: float) -> Probe | None:
    """The window's probes as one, once there are `frames` and each is as like it as a template must be.

    A face swapped inside one track does not agree with itself, whoever the template belongs to.
    """
    if len(window.probes) < frames:
        return None
    fused = fuse(window.probes)
    alike = (similarity(probe.vector, fused.vector) for probe in window.probes)
    return fused if all(value >= threshold for value in alike) else None


class RecentUse:
    """Who was identified here within `reuse_s`, where the config asks for that; forgotten at a restart."""

    def __init__(self, config: ConfirmConfig) -> None:
        """Keeps nothing unless `challenge` is `on_claim_reuse`."""
        self._kept_ms = config.reuse_s * 1000 if config.challenge == "on_claim_reuse" else 0
        self._seen_ms: dict[SubjectId, int] = {}

    def note(self, subject: SubjectId, now_ms: int) -> None:
        """`subject` was identified now, by whichever of their claims."""
        if self._kept_ms:
            self._seen_ms.pop(subject, None)
            self._seen_ms[subject] = now_ms

    def holds(self, subject: SubjectId, now_ms: int) -> bool:
        """Whether `subject` was here within the time; who was not is forgotten."""
        self._seen_ms = {s: at for s, at in self._seen_ms.items() if now_ms - at < self._kept_ms}
        return subject in self._seen_ms


class ChallengeTries:
    """How many challenges to a member were begun and not met of late, whoever stood there."""

    def __init__(self) -> None:
        """Nobody has tried; a restart forgets."""
        self._begun_ms: dict[SubjectId, tuple[int, ...]] = {}

    def begun(self, subject: SubjectId, now_ms: int) -> None:
        """A challenge began; unless `met` follows, it counts."""
        self._begun_ms[subject] = (*self._begun_ms.get(subject, ()), now_ms)[-CHALLENGE_TRIES:]

    def met(self, subject: SubjectId) -> None:
        """The member did what was asked."""
        self._begun_ms.pop(subject, None)

    def exhausted(self, subject: SubjectId, now_ms: int) -> bool:
        """Whether the PIN must settle it without another challenge."""
        self._begun_ms = {
            each: begun for each, begun in self._begun_ms.items() if now_ms - begun[-1] < TRIES_KEPT_MS
        }
        begun = self._begun_ms.get(subject, ())
        return len(begun) == CHALLENGE_TRIES and now_ms - begun[0] < TRIES_KEPT_MS
