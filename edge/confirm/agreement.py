"""Agreeing to pay by a smile or by nodding, judged against the person's own neutral frames.

    settle -> smile held, or two nods -> same face as the one that matched: agreed

It says that the member wants to; that a living person stands there was the challenge's question. Whoever
cannot or will not do either has the button, which is never judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge.capture.embedding import similarity
from edge.capture.pose import mean_points, pose_against
from edge.capture.quality import EYE_OUTER_LEFT, EYE_OUTER_RIGHT, yaw_of
from edge.capture.sample import Points, Probe
from edge.capture.tracking import TrackId
from edge.confirm.challenge import (
    HELD_FRAMES,
    NEAR,
    NEUTRAL_FRAMES,
    NEUTRAL_STILL,
    NEUTRAL_YAW,
    Likeness,
    Sighting,
)
from wire.values import AgreeBy

# Measured on five of the portraits, 37 to 99 px between the eyes: mouths drawn wider by a warp of the
# picture, noise, heads rendered turned, mouths pulled open
# (tests/unit/edge/confirm/test_agreement_pictures.py).
MOUTH_LEFT, MOUTH_RIGHT = 61, 291
"""Mesh points of the corners of the mouth, left and right as seen in the image."""
SMILE = 0.10
"""How much wider than at rest: noise makes 4 %, six degrees of turn 5 %, an open mouth 6 %. Between hardly
and broadly there are 35 % in two portraits of one person."""
SMILE_HELD_MS = 600
"""A word draws the mouth wide for less."""
RELAXED = 0.08
"""How much narrower than what was taken for rest, for as long as `RELAXED_MS`: they had smiled already."""
RELAXED_MS = 600
NOD = 0.07
"""Parallax down, eye spans: a head at 15 degrees has .08 to .10, at 10 degrees .05 to .07."""
NODS = 2
"""One is also a look at what is in one's hand."""
NOD_MAX_MS = 1_200
"""From leaving neutral until back: who reads something looks down for longer."""
BETWEEN_NODS_MS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What is watched for; instants are those of frames, monotonic milliseconds.

    `rest`: width of the mouth at rest, eye spans. `smiles_ms`, `relaxes_ms`: since when. `left_ms`: when the
    head left neutral. `complete`: the gesture is there, and it remains whose it is.
    """

    by: AgreeBy
    matched: Probe | None = None
    track: TrackId | None = None
    settling: tuple[Points, ...] = ()
    neutral: Points | None = None
    rest: float = 0.0
    smiles_ms: int | None = None
    relaxes_ms: int | None = None
    left_ms: int | None = None
    low_frames: int = 0
    nods: int = 0
    nodded_ms: int = 0
    complete: bool = False
    agreed: bool = False

    @property
    def watches(self) -> bool:
        """Whether a face is looked at for it."""
        return self.by is not AgreeBy.BUTTON and self.matched is not None


def begin(by: AgreeBy, matched: Probe | None) -> Agreement:
    """Wait for a member to agree so. Without a face that matched there is only the button."""
    return Agreement(by if matched is not None else AgreeBy.BUTTON, matched)


def mouth_width(points: Points) -> float:
    """From corner to corner, eye spans: neither distance nor roll changes it."""
    eyes = float(np.linalg.norm(points[EYE_OUTER_RIGHT] - points[EYE_OUTER_LEFT]))
    return float(np.linalg.norm(points[MOUTH_RIGHT] - points[MOUTH_LEFT])) / max(eyes, 1e-6)


def needs_probe(agreement: Agreement, track: TrackId, points: Points, captured_ms: int) -> bool:
    """Whether this frame completes the gesture, so that it matters whose face it is; no other is embedded."""
    return _watched(agreement, track, points, captured_ms).complete


def judge(agreement: Agreement, seen: Sighting, likeness: Likeness) -> Agreement:
    """The agreement after one more frame, in the order they were taken; a given one stays."""
    watched = _watched(agreement, seen.track, seen.points, seen.captured_ms)
    if agreement.agreed or not watched.complete or seen.probe is None or agreement.matched is None:
        return watched
    if similarity(seen.probe.vector, agreement.matched.vector) < likeness.turned:
        return begin(agreement.by, agreement.matched)  # somebody else did it
    return replace(watched, agreed=True)


def _watched(agreement: Agreement, track: TrackId, points: Points, now_ms: int) -> Agreement:
    if agreement.agreed or not agreement.watches:
        return agreement
    if track != agreement.track:
        agreement = replace(begin(agreement.by, agreement.matched), track=track)
    if agreement.neutral is None:
        return _settled(agreement, points)
    if agreement.by is AgreeBy.SMILE:
        return _smiled(agreement, points, now_ms)
    return _nodded(agreement, points, now_ms)


def _settled(agreement: Agreement, points: Points) -> Agreement:
    still = all(pose_against(first, points).parallax <= NEUTRAL_STILL for first in agreement.settling[:1])
    if abs(yaw_of(points)) > NEUTRAL_YAW or not still:
        return replace(agreement, settling=())
    frames = (*agreement.settling, points)
    if len(frames) < NEUTRAL_FRAMES:
        return replace(agreement, settling=frames)
    neutral = mean_points(frames)
    return replace(agreement, settling=(), neutral=neutral, rest=mouth_width(neutral))


def _smiled(agreement: Agreement, points: Points, now_ms: int) -> Agreement:
    assert agreement.neutral is not None
    if pose_against(agreement.neutral, points).parallax >= NEAR:
        return replace(agreement, smiles_ms=None, relaxes_ms=None, complete=False)
    width = mouth_width(points)
    if width <= agreement.rest * (1 - RELAXED):
        since_ms = now_ms if agreement.relaxes_ms is None else agreement.relaxes_ms
        rest = width if now_ms - since_ms >= RELAXED_MS else agreement.rest
        return replace(agreement, rest=rest, relaxes_ms=since_ms, smiles_ms=None, complete=False)
    if width < agreement.rest * (1 + SMILE):
        return replace(agreement, smiles_ms=None, relaxes_ms=None, complete=False)
    since_ms = now_ms if agreement.smiles_ms is None else agreement.smiles_ms
    complete = now_ms - since_ms >= SMILE_HELD_MS
    return replace(agreement, smiles_ms=since_ms, relaxes_ms=None, complete=complete)


def _nodded(agreement: Agreement, points: Points, now_ms: int) -> Agreement:
    assert agreement.neutral is not None
    pose = pose_against(agreement.neutral, points)
    if agreement.nods >= NODS:
        return replace(agreement, complete=pose.parallax < NEAR)
    if agreement.nods and agreement.left_ms is None and now_ms - agreement.nodded_ms > BETWEEN_NODS_MS:
        agreement = replace(agreement, nods=0)
    if pose.down >= NOD and pose.down > abs(pose.across):
        since_ms = now_ms if agreement.left_ms is None else agreement.left_ms
        return replace(agreement, left_ms=since_ms, low_frames=agreement.low_frames + 1)
    if agreement.left_ms is None or pose.parallax >= NEAR:
        return agreement
    was_nod = agreement.low_frames >= HELD_FRAMES and now_ms - agreement.left_ms <= NOD_MAX_MS
    nods = agreement.nods + 1 if was_nod else 0
    back = replace(agreement, left_ms=None, low_frames=0, nods=nods, nodded_ms=now_ms)
    return replace(back, complete=nods >= NODS)
