"""What the kiosk needs of the world: small Protocols that its adapters fulfil, and the values they answer with.

The gate's own Protocol is `firmware_bridge.gate.Gate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.capture.sample import Frame
from edge.compare.claim import Claim
from edge.compare.gallery import Template
from edge.decide.standing import StandingView
from edge.enact.display import Display, Notice, Touch
from wire.ids import SubjectId
from wire.messages import PassRecord


class Camera(Protocol):
    """A source of frames; the newest one only, never a backlog."""

    async def read(self) -> Frame | None:
        """The next frame, or None when no picture can be had (unplugged, frozen, black, or at its end)."""
        ...

    def state(self) -> str:
        """`ok`, or what is wrong with it, for `state` and the screen."""
        ...

    async def close(self) -> None:
        """Give the device back."""
        ...


class ClaimReader(Protocol):
    """Finds a claim held into the picture."""

    def read(self, frame: Frame) -> Claim | None:
        """The claim of a QR in the frame, or None."""
        ...


class Screen(Protocol):
    """What a person sees and touches."""

    def show(self, display: Display, notice: Notice) -> None:
        """Replace what is shown; never waits."""
        ...

    async def touch(self) -> Touch:
        """The next thing the person did; waits for it."""
        ...


@dataclass(frozen=True, slots=True)
class KnownMember:
    """Who a claim belongs to; `template` is None where theirs belongs to another recipe or cannot be opened."""

    subject: SubjectId
    template: Template | None


@dataclass(frozen=True, slots=True)
class WithdrawnMember:
    """The claim or its subject was withdrawn or revoked."""


@dataclass(frozen=True, slots=True)
class UnknownMember:
    """Neither the cache nor, in time, central knows the claim."""


Resolution = KnownMember | WithdrawnMember | UnknownMember


class Members(Protocol):
    """The cached gallery and standings, and central behind them for what is not cached."""

    async def resolve(self, claim: Claim) -> Resolution:
        """Who a claim belongs to; asks central on a miss, within the deadline of the config."""
        ...

    async def standing(self, subject: SubjectId) -> StandingView:
        """The subject's standing for this kiosk's purpose now; asks central when absent, within the deadline."""
        ...


class PinOutcome(StrEnum):
    """What became of a PIN."""

    RIGHT = "right"
    WRONG = "wrong"
    EXHAUSTED = "exhausted"  # no tries left: staff
    WAIT = "wait"  # too soon after a wrong one
    UNAVAILABLE = "unavailable"  # central does not answer and no offline verifier is configured


@dataclass(frozen=True, slots=True)
class PinJudgement:
    """The outcome, and what is left to the member."""

    outcome: PinOutcome
    tries_left: int = 0
    retry_after_ms: int = 0


class Pins(Protocol):
    """Checks a PIN where it may be checked."""

    async def check(self, subject: SubjectId, pin: str) -> PinJudgement:
        """Judge one try; bounded in time, never raises for a silent central."""
        ...


class Records(Protocol):
    """The durable outbox: what returns from here survives kill -9."""

    async def begin(self, record: PassRecord) -> None:
        """Keep a decision whose gate outcome is still awaited; durable on return."""
        ...

    async def settle(self, record: PassRecord) -> None:
        """Put the final record into the outbox, in place of what `begin` kept of it; durable on return.

        Idempotent by `record_id`: a second one is the first.
        """
        ...

    async def unsettled(self) -> tuple[PassRecord, ...]:
        """What `begin` kept and nothing settled: an earlier life of this kiosk died in between."""
        ...
