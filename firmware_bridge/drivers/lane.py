"""A lane whose board has no mind of its own: releases, passages and life safety, decided on the host.

The rules are those of PROTOCOL.md 6 and 7 as far as a host can keep them; nothing here outlives the host.
All instants are milliseconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge import gate
from firmware_bridge.gate import Cause, Direction, GateFault, GateInputs, GateRelease, Mode, RefusedBecause
from firmware_bridge.messages import (
    EXIT_OPEN_MS,
    HELD_OPEN_MS,
    LIFE_SAFETY_MS,
    NO_PASSAGE,
    OPEN_MAX_MS,
    OPEN_MIN_MS,
    PASSAGE_FINISH_MS,
    RELEASE_AHEAD_MAX_MS,
    TAILGATE_MS,
    Nonce,
    PassageId,
)

# The one home of the beams' table; a relay board's host does here what a controller does.
from firmware_bridge.simulator.passage import PassageSensor, Seen

EVERY_WAY: Final = frozenset(Direction)

READBACK_MS: Final = 500
"""How long a board may say otherwise than it was told, until that is a fault; a slow line takes .1 s."""


@dataclass(frozen=True, slots=True)
class WantedRelays:
    """Which ways are to be unlocked, and for how long; None: until told otherwise."""

    ways: frozenset[Direction]
    for_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Open:
    passage_id: PassageId
    direction: Direction
    until_ms: int


class RelayLane:
    """What a relay board's host knows and decides; `step` it every few milliseconds with the inputs."""

    def __init__(self, ways: frozenset[Direction], *, beams: bool) -> None:
        """`ways` have a relay; `beams`: both are wired, so that a passage can be told."""
        self.inputs = GateInputs()
        self.fault = GateFault.NONE
        self._ways, self._beams = ways, beams
        self._sensor = PassageSensor()
        self._open: _Open | None = None
        self._nonces: dict[Nonce, int] = {}
        self._exit_until_ms: int | None = None
        self._closed_by: tuple[PassageId, int] | None = None
        self._door_since_ms: int | None = None
        self._told_held = self._told_forced = False
        self._differs_since_ms: int | None = None
        self._life_seen_ms: dict[str, int] = {}

    @property
    def mode(self) -> Mode:
        """The state of PROTOCOL.md 6 that this amounts to."""
        if self.inputs.fire or self.inputs.emergency:
            return Mode.FREE
        if self.fault is not GateFault.NONE:
            return Mode.FAULT
        return Mode.LOCKED if self._open is None else Mode.RELEASED

    def refusal(self, release: GateRelease, now_ms: int) -> RefusedBecause | None:
        """Why this release may not open now; None where it may."""
        self._nonces = {nonce: until for nonce, until in self._nonces.items() if until >= now_ms}
        checks = (
            (release.passage_id == NO_PASSAGE, RefusedBecause.MALFORMED),
            (release.nonce in self._nonces, RefusedBecause.REPEATED),
            (release.not_after_ms < now_ms, RefusedBecause.LATE),
            (release.not_after_ms - now_ms > RELEASE_AHEAD_MAX_MS, RefusedBecause.TOO_FAR_AHEAD),
            (release.direction not in self._ways, RefusedBecause.UNSUPPORTED),
            (self.mode is Mode.FREE, RefusedBecause.FREE),
            (self.mode is Mode.FAULT, RefusedBecause.FAULT),
            (self._open is not None, RefusedBecause.BUSY),
        )
        return next((because for applies, because in checks if applies), None)

    def begin(self, release: GateRelease, now_ms: int) -> None:
        """A release that was not refused opens."""
        open_ms = min(max(release.open_ms, OPEN_MIN_MS), OPEN_MAX_MS)
        self._nonces[release.nonce] = release.not_after_ms
        self._open = _Open(release.passage_id, release.direction, now_ms + open_ms)
        self._closed_by = None

    def wanted(self, now_ms: int) -> WantedRelays:
        """What the relays are to be now."""
        if self.mode is Mode.FREE:
            return WantedRelays(self._ways)
        ends_ms: list[int] = []
        ways: set[Direction] = set()
        if self._open is not None and self.mode is Mode.RELEASED:
            ways.add(self._open.direction)
            ends_ms.append(self._open.until_ms)
        if self._exit_until_ms is not None and Direction.EXIT in self._ways:
            ways.add(Direction.EXIT)
            ends_ms.append(self._exit_until_ms)
        if not ways:
            return WantedRelays(frozenset())
        # Somebody between the beams may finish, so the board may not end it earlier than that.
        finish_ms = PASSAGE_FINISH_MS if self._beams else 0
        return WantedRelays(frozenset(ways), max(max(ends_ms) - now_ms, 0) + finish_ms)

    def due_ms(self, now_ms: int) -> int | None:
        """How long until time alone may change what is wanted."""
        ends = (self._exit_until_ms, None if self._open is None else self._open.until_ms)
        return min((end - now_ms for end in ends if end is not None and end > now_ms), default=None)

    def step(self, inputs: GateInputs, now_ms: int) -> tuple[gate.GateEvent, ...]:
        """The inputs as they are now, and what follows from them and from the time."""
        before, self.inputs = self.inputs, self._held_free(inputs, now_ms)
        return (
            *self._life_safety(before),
            *self._exit_request(before, now_ms),
            *self._passage(now_ms),
            *self._release_time(now_ms),
            *self._door(before, now_ms),
        )

    def read_back(self, unlocked: frozenset[Direction], now_ms: int) -> tuple[gate.GateEvent, ...]:
        """What the board says its relays are; one that differs for long is at fault, once and for good."""
        if unlocked == self.wanted(now_ms).ways:
            self._differs_since_ms = None
        elif self._differs_since_ms is None:
            self._differs_since_ms = now_ms
        elif now_ms - self._differs_since_ms >= READBACK_MS and self.fault is GateFault.NONE:
            self.fault = GateFault.RELAY
            return (gate.FaultLatched(GateFault.RELAY), *self._interrupt(Cause.FAULT))
        return ()

    def lost(self) -> tuple[gate.GateEvent, ...]:
        """The board cannot be reached: what was open ends untold, and nothing is known of the inputs."""
        self.inputs, self._sensor = GateInputs(), PassageSensor()
        self._exit_until_ms = self._closed_by = self._door_since_ms = self._differs_since_ms = None
        self._life_seen_ms.clear()
        return self._interrupt(Cause.HOST_SILENT)

    # --- inside ---------------------------------------------------------------------------------------

    def _held_free(self, inputs: GateInputs, now_ms: int) -> GateInputs:
        """A fire or emergency contact that chatters stays active until it pauses for LIFE_SAFETY_MS."""
        self._life_seen_ms |= {name: now_ms for name in ("fire", "emergency") if getattr(inputs, name)}
        lately = {name for name, seen_ms in self._life_seen_ms.items() if now_ms - seen_ms < LIFE_SAFETY_MS}
        return replace(inputs, **dict.fromkeys(lately, True))

    def _interrupt(self, cause: Cause) -> tuple[gate.GateEvent, ...]:
        release, self._open = self._open, None
        return () if release is None else (gate.Interrupted(release.passage_id, cause),)

    def _life_safety(self, before: GateInputs) -> tuple[gate.GateEvent, ...]:
        told: list[gate.GateEvent] = []
        if self.inputs.fire and not before.fire:
            told.append(gate.FireReleased())
        if self.inputs.emergency and not before.emergency:
            told.append(gate.EmergencyReleased())
        if self.mode is Mode.FREE:
            told += self._interrupt(Cause.FIRE if self.inputs.fire else Cause.EMERGENCY)
        elif before.fire or before.emergency:
            told.append(gate.FreeEnded())
        return tuple(told)

    def _exit_request(self, before: GateInputs, now_ms: int) -> tuple[gate.GateEvent, ...]:
        if self.inputs.request_to_exit or before.request_to_exit:
            self._exit_until_ms = now_ms + EXIT_OPEN_MS
        elif self._exit_until_ms is not None and now_ms >= self._exit_until_ms:
            self._exit_until_ms = None
        return ()

    def _passage(self, now_ms: int) -> tuple[gate.GateEvent, ...]:
        if self._closed_by is not None and now_ms >= self._closed_by[1]:
            self._closed_by = None
        seen = self._sensor.update(self.inputs.beam_a, self.inputs.beam_b) if self._beams else None
        release = self._open
        match seen:
            case None:
                return ()
            case Seen.FOLLOWED:
                return () if release is None else (gate.Tailgated(release.passage_id),)
            case _:
                direction = Direction(seen.value)
        if release is not None and release.direction is direction:
            self._open = None
            self._closed_by = (release.passage_id, now_ms + TAILGATE_MS)
            return (gate.Passed(release.passage_id, direction),)
        if direction in self.wanted(now_ms).ways:
            return (gate.Passed(None, direction),)
        if release is not None:
            return (gate.WrongWay(release.passage_id),)
        if self._closed_by is not None:
            return (gate.Tailgated(self._closed_by[0]),)
        return () if self._told_forced else (gate.ForcedPassage(direction),)

    def _release_time(self, now_ms: int) -> tuple[gate.GateEvent, ...]:
        release = self._open
        if release is None or now_ms < release.until_ms:
            return ()
        if self._sensor.occupied and now_ms < release.until_ms + PASSAGE_FINISH_MS:
            return ()
        self._open = None
        ended = gate.TimedOut if self._beams else gate.Unobserved
        return (ended(release.passage_id),)

    def _door(self, before: GateInputs, now_ms: int) -> tuple[gate.GateEvent, ...]:
        locked = not self.wanted(now_ms).ways
        told: list[gate.GateEvent] = []
        if not self.inputs.door_open:
            self._told_forced = False
        elif not before.door_open and locked and self._closed_by is None:
            self._told_forced = True
            told.append(gate.ForcedDoor())
        if not self.inputs.door_open or not locked:
            self._door_since_ms, self._told_held = None, False
        elif self._door_since_ms is None:
            self._door_since_ms = now_ms
        elif not self._told_held and now_ms - self._door_since_ms >= HELD_OPEN_MS:
            self._told_held = True
            told.append(gate.HeldOpen())
        return tuple(told)
