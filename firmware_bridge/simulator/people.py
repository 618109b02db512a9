"""How people move through a gate, as the inputs they set off. Distances are in strides of STRIDE_MS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware_bridge.messages import Direction, Inputs

STRIDE_MS = 150
"""How long a person takes from one point of the gate to the next."""

NOTHING = Inputs(0)


@dataclass(frozen=True, slots=True)
class WalkStep:
    """At an instant inputs go on and off; a step that pushes needs the barrier open."""

    at_ms: int
    on: Inputs = NOTHING
    off: Inputs = NOTHING
    pushes: bool = False


@dataclass(slots=True)
class Walk:
    """One person's (or one follower's) way, step by step."""

    direction: Direction
    steps: deque[WalkStep]


def through(direction: Direction, start_ms: int, *, forced: bool = False) -> Walk:
    """Up to the gate, and through it if it is open that way (or anyway, if forced)."""
    near, far = _beams(direction)
    return _walk(
        direction,
        start_ms,
        (0, near, NOTHING, False),
        (1, Inputs.DOOR_OPEN, NOTHING, not forced),
        (2, far, NOTHING, False),
        (3, NOTHING, near, False),
        (4, NOTHING, far | Inputs.DOOR_OPEN, False),
    )


def two_through(direction: Direction, start_ms: int) -> Walk:
    """One person through with another close behind, before the first is out of the far beam."""
    near, far = _beams(direction)
    return _walk(
        direction,
        start_ms,
        (0, near, NOTHING, False),
        (1, Inputs.DOOR_OPEN, NOTHING, True),
        (2, far, NOTHING, False),
        (3, NOTHING, near, False),
        (4, near, NOTHING, False),
        (6, NOTHING, near, False),
        (7, NOTHING, far | Inputs.DOOR_OPEN, False),
    )


def back_out(direction: Direction, start_ms: int) -> Walk:
    """Into the beams and back out again the same side."""
    near, far = _beams(direction)
    return _walk(
        direction,
        start_ms,
        (0, near, NOTHING, False),
        (1, Inputs.DOOR_OPEN, NOTHING, True),
        (2, far, NOTHING, False),
        (3, NOTHING, far, False),
        (4, NOTHING, near | Inputs.DOOR_OPEN, False),
    )


def press(button: Inputs, start_ms: int, pressed_ms: int) -> Walk:
    """A button pressed and let go."""
    steps = (WalkStep(start_ms, on=button), WalkStep(start_ms + pressed_ms, off=button))
    return Walk(Direction.EXIT, deque(steps))


def _beams(direction: Direction) -> tuple[Inputs, Inputs]:
    if direction is Direction.ENTRY:
        return Inputs.BEAM_A, Inputs.BEAM_B
    return Inputs.BEAM_B, Inputs.BEAM_A


def _walk(direction: Direction, start_ms: int, *moves: tuple[int, Inputs, Inputs, bool]) -> Walk:
    steps = (WalkStep(start_ms + strides * STRIDE_MS, on, off, pushes) for strides, on, off, pushes in moves)
    return Walk(direction, deque(steps))
