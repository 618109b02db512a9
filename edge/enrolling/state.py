"""The state of one enrolment or withdrawal, what it goes by, and what can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.capture.sample import Obstacle, Probe
from edge.capture.tracking import TrackId
from edge.compare.claim import Claim
from edge.compare.gallery import Template
from edge.decide.verdict import Reason
from edge.enact.display import EnrolNote
from edge.enact.enrolling import Consents, EnrolConfig
from models.manifest import OperatingPoint
from wire.ids import ClaimId, SubjectId
from wire.values import AgreeBy


class Step(StrEnum):
    """Where an enrolment, or a withdrawal, is."""

    WELCOME = "welcome"
    CONSENT = "consent"
    AGE = "age"
    SAMPLES = "samples"
    AGAIN = "again"
    CHECKING = "checking"  # whether the new template is too much like another member's
    AGREE_BY = "agree_by"
    PIN = "pin"
    PIN_AGAIN = "pin_again"
    SENDING = "sending"
    DONE = "done"
    UNDER_AGE = "under_age"
    REFUSED = "refused"
    WITHDRAW_CLAIM = "withdraw_claim"
    WITHDRAW_LOOKUP = "withdraw_lookup"
    WITHDRAW_PIN = "withdraw_pin"
    WITHDRAW_CONFIRM = "withdraw_confirm"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    STAFF = "staff"
    OVER = "over"  # the next one may come


WITHDRAWING = frozenset(
    {
        Step.WITHDRAW_CLAIM,
        Step.WITHDRAW_LOOKUP,
        Step.WITHDRAW_PIN,
        Step.WITHDRAW_CONFIRM,
        Step.WITHDRAWING,
        Step.WITHDRAWN,
    }
)


@dataclass(frozen=True, slots=True)
class EnrolRules:
    """What an enrolment goes by. `points`: images a template -> operating point, for every number."""

    config: EnrolConfig
    consents: Consents
    points: Mapping[int, OperatingPoint]
    card_name: str


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """The state of one person's enrolment or withdrawal; instants are monotonic milliseconds.

    Nothing of it is kept anywhere else: to forget it is to drop it.
    """

    subject: SubjectId
    """Drawn for whoever enrols next."""
    claim_id: ClaimId = field(repr=False)
    step: Step = Step.WELCOME
    deadline_ms: int = 0
    language: str = ""
    consented_ms: int = 0
    samples: tuple[Probe, ...] = field(default=(), repr=False)
    track: TrackId | None = None
    sampled_ms: int | None = None
    obstacle: Obstacle | None = None
    template: Template | None = field(default=None, repr=False)
    claim_needed: tuple[SubjectId, ...] = ()
    agree_by: AgreeBy = AgreeBy.BUTTON
    pin: str = field(default="", repr=False)
    claim: Claim | None = field(default=None, repr=False)
    claim_ms: int = 0
    leaving: SubjectId | None = None
    """Who withdraws."""
    tries_left: int | None = None
    note: EnrolNote | None = None
    reasons: tuple[Reason, ...] = ()


def new_enrolment(subject: SubjectId, claim_id: ClaimId) -> Enrolment:
    """Nobody is enrolling yet; the ids are for whoever comes."""
    return Enrolment(subject, claim_id)


def wants_code(enrolment: Enrolment) -> bool:
    """Whether codes in the picture are to be read: only of somebody who wants to withdraw."""
    return enrolment.step is Step.WITHDRAW_CLAIM


def wants_face(enrolment: Enrolment) -> bool:
    """Whether faces are looked at; never before consent and age."""
    return enrolment.step is Step.SAMPLES


def wants_sample(enrolment: Enrolment, captured_ms: int, rules: EnrolRules) -> bool:
    """Whether the face of a frame is to be embedded: another moment than the last sample's."""
    last_ms = enrolment.sampled_ms
    distinct = last_ms is None or captured_ms - last_ms >= rules.config.sample_gap_ms
    return wants_face(enrolment) and distinct
