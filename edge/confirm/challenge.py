"""A challenge: gestures asked for in an order nobody knew before, judged from how the mesh moves.

    settle, same face -> [ armed -> on the way -> gesture held, same face ] per prompt -> neutral, same face

What ends it: every prompt met in order (`BONA_FIDE`); a plane that moves, or another face (`ATTACK`); time,
a second wrong gesture, or a track that broke off (`UNDETERMINED`). It stops a flat picture, one put at
once in the place of another, and recordings of other gestures. It does not stop a mask, a bent picture held
with skill, or a picture computed on the spot.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.capture.embedding import similarity
from edge.capture.pose import Pose, mean_points, pose_against
from edge.capture.quality import yaw_of
from edge.capture.sample import Points, Probe
from edge.capture.tracking import TrackId
from edge.confirm.liveness import ConfirmConfig
from models.manifest import MaxFmr

# Measured on renderings of the six portraits turned in three dimensions and tilted as pictures, and on 1,469
# pairs of photographs of one person in the labelled faces (aggregate only, other lens and light each time).
TURN = 0.15
"""Parallax across, eye spans, of a turned head: a head at 22 degrees has .15 to .29, a picture at 50 .14."""
TILT = 0.10
"""Parallax up or down: a head at 20 degrees has .11 to .20, a picture tilted by 40 at most .07."""
NEAR = 0.07
"""Parallax below which a head is back at neutral: about 6 degrees."""
RELIEF_OF_A_TURN, RELIEF_OF_A_TILT = 0.36, 0.30
"""Least relief of a gesture: 98 % of 391 turns in the pairs had it, 97 % of 200 looks up and down."""
FORESHORTENED_TURN, FORESHORTENED_TILT = 1.22, 1.16
"""Most foreshortening of a gesture, a head at 35 degrees: beyond it the mesh invents relief for pictures."""
FORESHORTENED_PLANE = 1.15
"""A picture tilted by 40 to 45 degrees."""
RELIEF_OF_A_PLANE = 0.30
"""With that foreshortening, less relief is a picture: 7 of the 1,469 pairs would be taken for one."""
FLAT_FRAMES = 3
"""Consecutive frames that look like a plane before it is an attack: .15 s at 20 frames a second."""
HELD_FRAMES = 2
"""Consecutive frames of a gesture before it counts, as one may be a slip of the mesh."""
ON_THE_WAY = 0.04
"""Parallax of a head that has begun to move: 4 degrees, twice the jitter of one that rests."""
WAY_FRAMES = 1
"""Frames on the way to a gesture: a head has three in a third of a second, a picture put there has none."""
NEUTRAL_FRAMES = 3
"""Frames that make the neutral face."""
NEUTRAL_YAW = 0.2
"""Most turn of a neutral face, as `quality.good_yaw`."""
NEUTRAL_STILL = 0.05
"""Most parallax between neutral frames, eye spans."""
WRONG_GESTURES = 2
"""Wrong gestures that end it: one may be a misunderstanding."""
STRANGE_FRAMES = 2
"""Frames of a face unlike the matched one that make an attack: one may be a bad frame."""
TURNED_FMR = MaxFmr("1e-2")
"""Whose face turns is told at this rate; of turned pairs of one person 99 % reach it."""


class Gesture(StrEnum):
    """What may be asked for; left and right are the member's own. Nobody is asked to smile."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    NOD = "nod"


class Outcome(StrEnum):
    """How a challenge ended."""

    BONA_FIDE = "bona_fide"
    ATTACK = "attack"
    UNDETERMINED = "undetermined"


ORDERS: dict[int, tuple[tuple[Gesture, ...], ...]] = {
    count: tuple(itertools.permutations(Gesture, count)) for count in range(1, len(Gesture) + 1)
}
"""Every challenge of so many prompts; none asks twice for the same."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Similarity to the matched probe from which a face is the same one.

    `same`: at rest. `turned`: in a gesture; below it, even at rest, it is another face.
    """

    same: float
    turned: float


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A face in one frame: mesh points in its pixels, and a probe where `needs_probe` asked for one."""

    track: TrackId
    points: Points
    captured_ms: int
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Challenge:
    """A challenge under way; instants are monotonic milliseconds.

    `asked_ms`: since when the present prompt is up. `armed`: neutral was seen since, so a gesture counts.
    """

    prompts: tuple[Gesture, ...]
    track: TrackId
    matched: Probe
    started_ms: int
    asked_ms: int
    settling: tuple[Points, ...] = ()
    neutral: Points | None = None
    met: int = 0
    armed: bool = False
    way_frames: int = 0
    held: Gesture | None = None
    held_frames: int = 0
    flat_frames: int = 0
    strange_frames: int = 0
    wrong: int = 0
    outcome: Outcome | None = None

    @property
    def asked(self) -> Gesture | None:
        """The gesture to show now; None while the face is to look at the camera."""
        return self.prompts[self.met] if self.armed and self.met < len(self.prompts) else None


def draw(nonce: bytes, count: int) -> tuple[Gesture, ...]:
    """The prompts that follow from a random nonce; each order of `count` different ones is as likely."""
    number = int.from_bytes(hashlib.sha256(b"stile challenge 1" + nonce).digest(), "big")
    return ORDERS[count][number % len(ORDERS[count])]


def begin(prompts: tuple[Gesture, ...], track: TrackId, matched: Probe, now_ms: int) -> Challenge:
    """A challenge to the face of `track`, whose probe just matched."""
    return Challenge(prompts, track, matched, now_ms, now_ms)


def gesture_of(pose: Pose) -> Gesture | None:
    """The gesture that a pose is, if it is clearly one and has the relief of a head."""
    across, down = abs(pose.across), abs(pose.down)
    if across >= TURN and across > down:
        solid = pose.relief >= RELIEF_OF_A_TURN and pose.foreshortening <= FORESHORTENED_TURN
        found = Gesture.TURN_LEFT if pose.across > 0 else Gesture.TURN_RIGHT
    elif down >= TILT and down > across:
        solid = pose.relief >= RELIEF_OF_A_TILT and pose.foreshortening <= FORESHORTENED_TILT
        found = Gesture.NOD if pose.down > 0 else Gesture.LOOK_UP
    else:
        return None
    return found if solid else None


def is_flat(pose: Pose) -> bool:
    """Whether a plane explains how far the face is foreshortened."""
    return pose.foreshortening >= FORESHORTENED_PLANE and pose.relief < RELIEF_OF_A_PLANE


def needs_probe(challenge: Challenge, track: TrackId, points: Points) -> bool:
    """Whether this frame can only be judged knowing whose face it is; no other frame is embedded."""
    if challenge.outcome is not None:
        return False
    if track != challenge.track:
        return True
    if challenge.neutral is None:
        return _is_neutral(challenge, points) and len(challenge.settling) + 1 >= NEUTRAL_FRAMES
    pose = pose_against(challenge.neutral, points)
    if challenge.met == len(challenge.prompts):
        return pose.parallax < NEAR
    gesture = gesture_of(pose)
    held = gesture is challenge.held and challenge.held_frames + 1 >= HELD_FRAMES
    return held and gesture is not None and gesture is challenge.asked and challenge.way_frames >= WAY_FRAMES


def judge(challenge: Challenge, seen: Sighting, likeness: Likeness, config: ConfirmConfig) -> Challenge:
    """The challenge after one more frame, in the order they were taken; an ended one stays as it is."""
    challenge = expire(challenge, seen.captured_ms, config)
    if challenge.outcome is not None or seen.captured_ms < challenge.started_ms:
        return challenge
    if seen.track != challenge.track:
        return _broken_off(challenge, seen.probe, likeness)
    if challenge.neutral is None:
        return _settled(challenge, seen, likeness)
    pose = pose_against(challenge.neutral, seen.points)
    challenge = replace(challenge, flat_frames=challenge.flat_frames + 1 if is_flat(pose) else 0)
    if challenge.flat_frames >= FLAT_FRAMES:
        return replace(challenge, outcome=Outcome.ATTACK)
    if challenge.met == len(challenge.prompts):
        return _returned(challenge, pose, seen.probe, likeness)
    if not challenge.armed:
        if pose.parallax >= NEAR:
            return challenge
        return _armed(challenge, seen.captured_ms)
    return _gestured(challenge, pose, seen, likeness)


def expire(challenge: Challenge, now_ms: int, config: ConfirmConfig) -> Challenge:
    """The challenge at `now_ms`: undetermined once the prompt or the whole has taken too long."""
    late = now_ms - challenge.started_ms >= config.challenge_ms or (
        challenge.asked is not None and now_ms - challenge.asked_ms >= config.prompt_ms
    )
    if challenge.outcome is None and late:
        return replace(challenge, outcome=Outcome.UNDETERMINED)
    return challenge


def _is_neutral(challenge: Challenge, points: Points) -> bool:
    if abs(yaw_of(points)) > NEUTRAL_YAW:
        return False
    return all(pose_against(first, points).parallax <= NEUTRAL_STILL for first in challenge.settling[:1])


def _settled(challenge: Challenge, seen: Sighting, likeness: Likeness) -> Challenge:
    if not _is_neutral(challenge, seen.points):
        return replace(challenge, settling=())
    frames = (*challenge.settling, seen.points)
    if len(frames) < NEUTRAL_FRAMES:
        return replace(challenge, settling=frames)
    if seen.probe is None:
        return challenge
    if _alike(challenge, seen.probe) < likeness.turned:
        return _stranger(challenge)
    settled = replace(challenge, settling=(), neutral=mean_points(frames), strange_frames=0)
    return _armed(settled, seen.captured_ms)


def _armed(challenge: Challenge, now_ms: int) -> Challenge:
    return replace(challenge, armed=True, asked_ms=now_ms, way_frames=0, held=None, held_frames=0)


def _gestured(challenge: Challenge, pose: Pose, seen: Sighting, likeness: Likeness) -> Challenge:
    gesture = gesture_of(pose)
    frames = challenge.held_frames + 1 if gesture is challenge.held else 1
    challenge = replace(challenge, held=gesture, held_frames=frames)
    if gesture is None:
        way = challenge.way_frames + 1 if pose.parallax >= ON_THE_WAY else 0
        return replace(challenge, way_frames=way)
    if frames < HELD_FRAMES:
        return challenge
    if challenge.way_frames < WAY_FRAMES:
        # It was there all at once: as a picture is put in the place of another. Neutral first, then again.
        return replace(challenge, armed=False)
    if gesture is not challenge.asked:
        wrong = challenge.wrong + 1
        outcome = Outcome.UNDETERMINED if wrong >= WRONG_GESTURES else None
        # Armed again only at neutral, so that one wrong gesture counts once.
        return replace(challenge, wrong=wrong, armed=False, outcome=outcome)
    if seen.probe is None:
        return challenge
    if _alike(challenge, seen.probe) < likeness.turned:
        return _stranger(challenge)
    return replace(challenge, met=challenge.met + 1, armed=False, strange_frames=0)


def _returned(challenge: Challenge, pose: Pose, probe: Probe | None, likeness: Likeness) -> Challenge:
    if pose.parallax >= NEAR or probe is None:
        return challenge
    alike = _alike(challenge, probe)
    if alike < likeness.turned:
        return _stranger(challenge)
    return replace(challenge, outcome=Outcome.BONA_FIDE) if alike >= likeness.same else challenge


def _broken_off(challenge: Challenge, probe: Probe | None, likeness: Likeness) -> Challenge:
    """Another track: the same face that was lost for a while, or another one put in its place."""
    if probe is None:
        return challenge
    if _alike(challenge, probe) < likeness.turned:
        return _stranger(challenge)
    return replace(challenge, outcome=Outcome.UNDETERMINED)


def _stranger(challenge: Challenge) -> Challenge:
    strange = challenge.strange_frames + 1
    outcome = Outcome.ATTACK if strange >= STRANGE_FRAMES else None
    return replace(challenge, strange_frames=strange, outcome=outcome)


def _alike(challenge: Challenge, probe: Probe) -> float:
    return similarity(probe.vector, challenge.matched.vector)
