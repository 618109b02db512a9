"""What the kiosk reports to a passage: a closed set of things that were seen, answered or touched.

An answer names the passage that asked and what it asked about, so that a late or foreign one changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.capture.sample import FailureToAcquire, Probe
from edge.capture.tracking import TrackId
from edge.compare.claim import Claim
from edge.compare.directory import Found
from edge.compare.member import Resolution
from edge.confirm.challenge import Sighting
from edge.confirm.pin import PinJudgement
from edge.decide.standing import StandingView
from edge.decide.verdict import GateState, Passback
from edge.enact.charge import ChargeAnswer, Due
from edge.enact.display import (
    AgreeByChosen,
    Agreed,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    PinEntered,
)
from wire.ids import PassageId, SubjectId
from wire.records import GateOutcome, PassRecord


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds whoever stands there: the gate's state, an emergency, whether central answers.

    `searches`: members may be searched for without a claim, now. `pays`: this kiosk takes money, and `due`
    is what a till asks for.
    """

    gate: GateState = GateState.READY
    emergency: bool = False
    central_answers: bool = False
    searches: bool = False
    pays: bool = False
    due: Due | None = None


UNDISTURBED = Surroundings()


@dataclass(frozen=True, slots=True)
class ClaimSeen:
    """A claim was read from a code in the picture, or entered on the screen."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class ClaimResolved:
    """The answer to `ResolveClaim`.

    `used_before`: the member was here within `confirm.reuse_s`. `tries_exhausted`: too many challenges to
    this member went by unmet of late. `passback`: what is asked because they went in before.
    """

    passage: PassageId
    claim: Claim
    resolution: Resolution
    used_before: bool = False
    tries_exhausted: bool = False
    passback: Passback = Passback.CLEAR


@dataclass(frozen=True, slots=True)
class ZoneSeen:
    """Who is in the zone while nobody has claimed; recognises no one.

    `facing`: the track of the one face in the zone, where it looks at the kiosk. `empty`: there is no face.
    """

    captured_ms: int
    facing: TrackId | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """The answer to `Search`; the rest as in `ClaimResolved`, of the member found."""

    passage: PassageId
    probe: Probe
    found: Found
    used_before: bool = False
    tries_exhausted: bool = False
    passback: Passback = Passback.CLEAR


@dataclass(frozen=True, slots=True)
class StandingSeen:
    """The answer to `FetchStanding`: the subject's standing, as far as it is known now.

    `offline_spent_minor`: what this kiosk took from them offline that still counts against their allowance.
    """

    passage: PassageId
    subject: SubjectId
    proven: bool
    view: StandingView
    offline_spent_minor: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FaceSeen:
    """A probe of the face in the zone, its track, and how live passive detection takes it to be."""

    track: TrackId
    probe: Probe
    captured_ms: int
    live: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FaceMoved:
    """The face in the zone during a challenge; with a probe only where the challenge needs one."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class FaceMissed:
    """A frame without a usable face, and why."""

    failure: FailureToAcquire


@dataclass(frozen=True, slots=True)
class PinJudged:
    """The answer to `CheckPin`."""

    passage: PassageId
    subject: SubjectId
    judgement: PinJudgement


@dataclass(frozen=True, slots=True)
class StaffReleases:
    """A named member of staff has the gate released for whoever stands there, until `not_after_ms`."""

    staff: str
    direction: Literal["entry", "exit"]
    not_after_ms: int


@dataclass(frozen=True, slots=True)
class GateAnswered:
    """How the release of a passage went or ended."""

    passage: PassageId
    outcome: GateOutcome


@dataclass(frozen=True, slots=True)
class ChargeAnswered:
    """The answer to `TakeCharge`; `reason` is central's word for a no."""

    passage: PassageId
    answer: ChargeAnswer
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """The final record of a payment is durable: only now may the screen say that it is paid."""

    record: PassRecord


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Answer = ClaimResolved | Searched | StandingSeen | PinJudged | GateAnswered | ChargeAnswered | Kept
"""What answers something that a passage asked; the passage of `Kept` is its record's."""
Observation = (
    Answer
    | Surroundings
    | ClaimSeen
    | ZoneSeen
    | FaceSeen
    | FaceMoved
    | FaceMissed
    | PinEntered
    | OtherWayAsked
    | NotMe
    | HelpAsked
    | StaffReleases
    | Agreed
    | AgreeByChosen
    | Finished
    | Tick
)
