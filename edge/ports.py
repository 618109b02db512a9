"""What the kiosk needs of the world: small Protocols that its adapters fulfil.

The gate's own Protocol is `firmware_bridge.gate.Gate`.
"""

from __future__ import annotations

from typing import Protocol

from edge.capture.pipeline import Acquisition, Observation
from edge.capture.sample import Box, Face, FailureToAcquire, Frame, Probe
from edge.compare.claim import Claim
from edge.compare.directory import Found
from edge.compare.gallery import Gallery
from edge.compare.member import Resolution
from edge.confirm.pin import PinJudgement
from edge.decide.standing import StandingView
from edge.enact.charge import ChargeAsk, ChargeSaid, Due
from edge.enact.display import Display, Notice, Touch
from edge.enact.enrolling import Application, EnrolAnswer, WithdrawJudgement
from wire.ids import SubjectId
from wire.records import PassRecord


class Clock(Protocol):
    """The host's two clocks."""

    def uptime_ms(self) -> int:
        """Milliseconds since some start; never goes back."""
        ...

    def now_ms(self) -> int | None:
        """UTC milliseconds, or None while the clock is unsure."""
        ...

    def estimate_ms(self) -> int:
        """UTC milliseconds as well as they are known, for records made while the clock is unsure."""
        ...


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


class Recogniser(Protocol):
    """The pack at work; `edge.capture.pipeline.Pipeline` is one."""

    def acquire(self, frame: Frame, face: Face | None = None) -> Acquisition:
        """A probe of the one face in the zone, or what was in the way; called only within an interaction.

        `face`: what `find` gave for this frame, where it was called already.
        """
        ...

    def find(self, frame: Frame) -> Face | FailureToAcquire:
        """The one face in the zone."""
        ...

    def observe(self, frame: Frame, face: Face) -> Observation | FailureToAcquire:
        """Where that face's points are, and its quality; recognises no one."""
        ...

    def embed(self, observation: Observation) -> Probe:
        """The probe of an observation; called only within an interaction."""
        ...


class Screen(Protocol):
    """What a person sees and touches."""

    def show(self, display: Display, notice: Notice) -> None:
        """Replace what is shown; never waits."""
        ...

    async def touch(self) -> Touch:
        """The next thing the person did; waits for it."""
        ...


class Preview(Protocol):
    """The live picture beside the prompt, in which everybody is veiled but the one who is followed."""

    def offer(self, frame: Frame, face: Box | None) -> None:
        """The newest frame, and where in this very frame the face is that a running interaction follows.

        None where nothing is followed. Never waits; costs nothing while no page looks.
        """
        ...


class Members(Protocol):
    """The cached gallery and standings, and central behind them for what is not cached."""

    async def resolve(self, claim: Claim) -> Resolution:
        """Who a claim belongs to; asks central on a miss, within the deadline of the config."""
        ...

    async def standing(self, subject: SubjectId) -> StandingView:
        """The subject's standing for this kiosk's purpose ; asks central when absent, within the deadline."""
        ...


class Searcher(Protocol):
    """The gallery for one to many, as long as that stays within its bound."""

    def offered(self) -> bool:
        """Whether a face alone may be searched for now."""
        ...

    def search(self, probe: Probe) -> Found:
        """The member most alike, if clearly so; nobody while it is not offered. A fraction of a ms."""
        ...


class Galleries(Protocol):
    """Every template this kiosk has."""

    async def read_gallery(self) -> Gallery:
        """The gallery as it is now, of this kiosk's recipe; does not hold the event loop up."""
        ...


class Enrolments(Protocol):
    """Central's side of an enrolment and of a withdrawal; bounded in time, never raises for its silence."""

    async def enrol(self, application: Application) -> EnrolAnswer:
        """Ask for a newcomer to be enrolled, durably in doubt until `settle` or undone; StoreError."""
        ...

    def settle(self, subject: SubjectId) -> None:
        """The newcomer has their code: there is no doubt any more."""
        ...

    def undo(self, subject: SubjectId) -> None:
        """Have whatever of a newcomer reached central withdrawn, now or as soon as it can be asked."""
        ...

    async def withdraw(self, subject: SubjectId, pin: str) -> WithdrawJudgement:
        """Withdraw a member by their PIN."""
        ...


class Pins(Protocol):
    """Checks a PIN where it may be checked."""

    async def check(self, subject: SubjectId, pin: str) -> PinJudgement:
        """Judge one try; bounded in time, never raises for a silent central."""
        ...


class Payments(Protocol):
    """What a till asks for, and central's ledger behind it."""

    def due(self) -> Due | None:
        """The one checkout that is open, if any; at once."""
        ...

    def offline_spent_minor(self, subject: SubjectId, standing_issued_at_ms: int) -> int:
        """What was taken from the subject offline and still counts against an allowance issued then."""
        ...

    async def take(self, ask: ChargeAsk) -> ChargeSaid:
        """Have central charge once, by the passage's id; bounded in time, never raises."""
        ...


class Records(Protocol):
    """The durable outbox: what returns from here survives kill -9."""

    async def begin(self, record: PassRecord) -> None:
        """Keep a decision whose gate outcome or charge is still awaited; durable on return.

        Raises `CheckoutError` where the checkout to be paid is not open any more.
        """
        ...

    async def settle(self, record: PassRecord) -> None:
        """Put the final record into the outbox, in place of what `begin` kept of it; durable on return.

        Idempotent by `record_id`: a second one is the first.
        """
        ...

    async def unsettled(self) -> tuple[PassRecord, ...]:
        """What `begin` kept and nothing settled: an earlier life of this kiosk died in between."""
        ...
