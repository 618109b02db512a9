"""What the shell tells an enrolment, beside the touches of `edge.enact.display`.

An answer names the enrolment that asked by the subject drawn for it, so that one for somebody who has gone
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.capture.sample import FailureToAcquire, Probe
from edge.capture.tracking import TrackId
from edge.compare.claim import Claim
from edge.compare.member import Resolution
from edge.enact.display import EnrolTouch, HelpAsked, NotMe, OtherWayAsked, PinEntered
from edge.enact.enrolling import EnrolAnswer, WithdrawJudgement
from wire.ids import SubjectId


@dataclass(frozen=True, slots=True, eq=False)
class SampleSeen:
    """A face that can be enrolled, of a frame captured at a monotonic instant."""

    track: TrackId
    probe: Probe
    captured_ms: int


@dataclass(frozen=True, slots=True)
class FaceFound:
    """A face stands well; it is not embedded, since it is too soon after the last sample."""


@dataclass(frozen=True, slots=True)
class SampleMissed:
    """No sample from this frame, and why."""

    failure: FailureToAcquire


@dataclass(frozen=True, slots=True)
class ClaimRead:
    """A code was held up, or typed."""

    claim: Claim


@dataclass(frozen=True, slots=True, eq=False)
class ClaimFound:
    """Whose code it is."""

    enrolment: SubjectId
    claim: Claim
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class ClashesFound:
    """Members too much like the newcomer to be told apart by face, most alike first."""

    enrolment: SubjectId
    subjects: tuple[SubjectId, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the application."""

    enrolment: SubjectId
    answer: EnrolAnswer


@dataclass(frozen=True, slots=True)
class WithdrawalJudged:
    """What became of the withdrawal."""

    enrolment: SubjectId
    judgement: WithdrawJudgement


@dataclass(frozen=True, slots=True)
class Failed:
    """What was to be done could not be: a disk, a database."""

    enrolment: SubjectId


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Answer = ClaimFound | ClashesFound | Answered | WithdrawalJudged | Failed
Observation = (
    Answer
    | SampleSeen
    | FaceFound
    | SampleMissed
    | ClaimRead
    | Tick
    | EnrolTouch
    | PinEntered
    | OtherWayAsked
    | NotMe
    | HelpAsked
)
