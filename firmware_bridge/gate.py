"""What a kiosk needs of a gate: one small Protocol, and the values that cross it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from firmware_bridge.messages import (
    Cause,
    Direction,
    EmergencyReleased,
    Event,
    FaultLatched,
    FireReleased,
    ForcedDoor,
    ForcedPassage,
    FreeEnded,
    GateFault,
    HeldOpen,
    Interrupted,
    Mode,
    Nonce,
    PassageId,
    Passed,
    Tailgated,
    TimedOut,
    WrongWay,
)

__all__ = [
    "Accepted",
    "Cause",
    "Direction",
    "EmergencyReleased",
    "FaultLatched",
    "FireReleased",
    "ForcedDoor",
    "ForcedPassage",
    "FreeEnded",
    "Gate",
    "GateCapabilities",
    "GateEvent",
    "GateFault",
    "GateInputs",
    "GateRelease",
    "GateStatus",
    "HeldOpen",
    "Interrupted",
    "LinkLost",
    "LinkStatus",
    "LinkUp",
    "Mode",
    "Nonce",
    "PassageId",
    "Passed",
    "RefusedBecause",
    "ReleaseOutcome",
    "ReleaseRefused",
    "Tailgated",
    "TimedOut",
    "Unanswered",
    "Unobserved",
    "WrongWay",
]


@dataclass(frozen=True, slots=True)
class GateRelease:
    """One bounded unlocking, for one person, one way."""

    passage_id: PassageId
    """16 bytes, not all zero."""
    nonce: Nonce
    """8 random bytes, never used before."""
    direction: Direction
    not_after_ms: int
    """Last instant at which the gate may still open, on the clock the driver was opened with (ms)."""
    open_ms: int
    """How long the gate waits for the person (ms); the controller clamps it to its own bounds."""


class RefusedBecause(StrEnum):
    """Why a gate did not open; each has a line in PROTOCOL.md or is decided on the host."""

    LATE = "late"
    REPEATED = "repeated"
    BUSY = "busy"
    FREE = "free"
    SAFE = "safe"
    FAULT = "fault"
    TOO_FAR_AHEAD = "too_far_ahead"
    EVENTS_FULL = "events_full"
    NONCES_FULL = "nonces_full"
    MALFORMED = "malformed"
    LINK_DOWN = "link_down"
    CLOCK_UNSURE = "clock_unsure"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gate opened; exactly one of Passed, TimedOut, Interrupted or Unobserved follows for the passage."""


@dataclass(frozen=True, slots=True)
class ReleaseRefused:
    """The controller did not open and will not open for this release."""

    reason: RefusedBecause


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Sent, but no answer came: the gate may have opened, and only a later event can tell."""


ReleaseOutcome = Accepted | ReleaseRefused | Unanswered


@dataclass(frozen=True, slots=True)
class Unobserved:
    """The release ended at a gate that cannot tell whether anybody went through."""

    passage_id: PassageId


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The controller answered with the right protocol and keys; or a board of relays was reached."""

    boot_id: int
    """Which start of the controller it is; a board has none, so how often it was reached."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The controller cannot be reached; `why` is a sentence a technician can act on."""

    why: str


GateEvent = Event | Unobserved | LinkUp | LinkLost


@dataclass(frozen=True, slots=True)
class GateCapabilities:
    """What a driver can guarantee; the kiosk refuses settings the gate cannot keep; docs/gates.md."""

    reports_passage: bool
    """Tells Passed from TimedOut, so that a fare may depend on it."""
    authenticated: bool
    """A device on the line cannot forge a release."""
    replay_proof: bool
    """What was recorded on the line opens nothing when it is played again."""
    confirms_commands: bool
    """The board says that it took a command; without that, a release is only hoped for."""
    expires_commands: bool
    """A late or repeated release is refused by the gate itself."""
    closes_without_host: bool
    """The gate ends a release by its own clock when the host dies in the middle."""
    life_safety_in_firmware: bool
    """Fire and emergency free the gate with the host dead."""
    exit_without_host: bool
    """Request to exit opens the exit with the host dead."""


@dataclass(frozen=True, slots=True)
class GateInputs:
    """The controller's inputs as last reported."""

    beam_a: bool = False
    beam_b: bool = False
    door_open: bool = False
    request_to_exit: bool = False
    fire: bool = False
    emergency: bool = False
    tamper: bool = False
    fail_open_jumper: bool = False
    provisioning_jumper: bool = False


class LinkStatus(StrEnum):
    """How the host stands with the controller."""

    NO_PORT = "no_port"
    GREETING = "greeting"
    UP = "up"
    MISMATCHED = "mismatched"


@dataclass(frozen=True, slots=True)
class GateStatus:
    """The gate as last heard; `mode`, `inputs` and `fault` are None unless the link is up."""

    capabilities: GateCapabilities
    link: LinkStatus
    trouble: str | None
    """What is wrong and what to do about it, or None."""
    mode: Mode | None
    fault: GateFault | None
    inputs: GateInputs | None
    entry_unlocked: bool | None
    exit_unlocked: bool | None
    boot_id: int | None
    uptime_ms: int | None
    ignored: dict[str, int]
    """Frames ignored so far by reason, `host_` counted here and `gate_` by the controller."""


class Gate(Protocol):
    """A gate as its kiosk sees it; one consumer, one event loop."""

    async def release(self, release: GateRelease) -> ReleaseOutcome:
        """Open once for one person; answers by `not_after_ms` and a short grace; a bad line is a value."""

    def events(self) -> AsyncIterator[GateEvent]:
        """Events in order; asking for the next one acknowledges the last, so commit first. One reader only.

        What this process took but did not acknowledge comes again in the next: be idempotent by passage id.
        Cancelling a read (a time-out on it, too) ends that iterator, not the gate: call `events` again.
        """

    def state(self) -> GateStatus:
        """The gate as last heard, at once."""

    async def close(self) -> None:
        """Stop talking; the controller goes to its safe state by itself."""
