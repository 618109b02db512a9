"""The state of one attempt to pass, what it goes by, and what can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.capture.sample import Obstacle
from edge.compare.claim import CardClaim, Claim
from edge.compare.gallery import Template
from edge.compare.search import Comparison
from edge.confirm.challenge import Challenge, Likeness
from edge.confirm.liveness import EMPTY, ConfirmConfig, Window
from edge.decide.standing import ABSENT, StandingView
from edge.decide.verdict import (
    Circumstances,
    Identification,
    Liveness,
    Membership,
    SecondFactor,
    Verdict,
)
from edge.enact.record import Account
from edge.enact.release import ReleaseConfig
from edge.passage.observations import UNDISTURBED, Surroundings
from firmware_bridge.gate import Nonce
from models.manifest import OperatingPoint
from wire.ids import PassageId, SubjectId
from wire.messages import GateOutcome, IdentifiedBy

IDENTIFIED = frozenset({Identification.MATCH, Identification.OTHER_WAY})


class Phase(StrEnum):
    """Where a passage is."""

    WAITING = "waiting"
    IDENTIFYING = "identifying"
    CHALLENGING = "challenging"
    SECOND_FACTOR = "second_factor"
    RELEASING = "releasing"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a passage goes by: the sections of the config and the operating point per template size."""

    confirm: ConfirmConfig
    release: ReleaseConfig
    points: Mapping[int, OperatingPoint]
    """Images a template -> operating point, for every number of images a template may have."""
    turned_likeness: float = 1.0
    """Similarity to the matched probe below which a face seen in a challenge is another one.

    Never more than the operating point's threshold is asked for.
    """
    live_min: float | None = None
    """The least mean live score of the agreeing frames; None where no passive detection runs."""

    def point(self, template: Template) -> OperatingPoint:
        """The operating point for this template."""
        return self.points[template.images]

    def likeness(self, template: Template) -> Likeness:
        """How alike the challenged face must stay to the one that matched."""
        same = self.point(template).threshold
        return Likeness(same=same, turned=min(same, self.turned_likeness))


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The state of one attempt; instants are monotonic milliseconds."""

    passage_id: PassageId
    nonce: Nonce
    phase: Phase = Phase.WAITING
    surroundings: Surroundings = UNDISTURBED
    claim: Claim | None = None
    claim_seen_ms: int = 0
    started_ms: int = 0
    deadline_ms: int = 0
    subject: SubjectId | None = None
    template: Template | None = None
    outdated: bool = False
    membership: Membership = Membership.ACTIVE
    view: StandingView | None = None
    without_face: bool = False
    other_way_next: bool = False
    window: Window = EMPTY
    windows_compared: int = 0
    comparison: Comparison | None = None
    identification: Identification | None = None
    used_before: bool = False
    tries_exhausted: bool = False
    challenge: Challenge | None = None
    liveness: Liveness = Liveness.NOT_ASKED
    live: float | None = None
    obstacle: Obstacle | None = None
    evidence_ms: int = 0
    checking_pin: bool = False
    tries_left: int | None = None
    second_factor: SecondFactor = SecondFactor.NOT_GIVEN
    help_asked: bool = False
    circumstances: Circumstances | None = None
    verdict: Verdict | None = None
    decided_ms: int = 0
    gate_outcome: GateOutcome = GateOutcome.NOT_RELEASED


def new_passage(passage_id: PassageId, nonce: Nonce, before: Passage | None = None) -> Passage:
    """A passage in the surroundings of the one before, which also says what code is still held up."""
    if before is None:
        return Passage(passage_id, nonce)
    return Passage(
        passage_id,
        nonce,
        surroundings=before.surroundings,
        claim=before.claim,
        claim_seen_ms=before.claim_seen_ms,
        without_face=before.other_way_next,
        deadline_ms=before.deadline_ms,
    )


def wants_claim(passage: Passage) -> bool:
    """Whether codes in the picture are to be read; in an emergency nothing is."""
    return passage.phase in {Phase.WAITING, Phase.SETTLED} and not passage.surroundings.emergency


def wants_face(passage: Passage) -> bool:
    """Whether a face may be embedded now: only after a claim, and only until it is compared."""
    return (
        passage.phase is Phase.IDENTIFYING
        and not passage.without_face
        and passage.identification is None
        and not passage.surroundings.emergency
    )


def wants_gestures(passage: Passage) -> bool:
    """Whether a challenge is under way: faces are located, and embedded only where it needs a probe."""
    return passage.phase is Phase.CHALLENGING and not passage.surroundings.emergency


def is_over(passage: Passage, now_ms: int) -> bool:
    """Whether the outcome has been on the screen long enough for the next person."""
    return passage.phase is Phase.SETTLED and (now_ms >= passage.deadline_ms or passage.other_way_next)


def account(passage: Passage, rules: Rules, settled_ms: int) -> Account | None:
    """What the record of a passage is made of; None while there is no verdict to record.

    A subject is in it only when somebody was identified.
    """
    if passage.verdict is None or passage.circumstances is None:
        return None
    identified = passage.identification in IDENTIFIED
    template = passage.template
    return Account(
        passage_id=passage.passage_id,
        started_ms=passage.started_ms,
        decided_ms=passage.decided_ms,
        settled_ms=settled_ms,
        verdict=passage.verdict,
        circumstances=passage.circumstances,
        gate_outcome=passage.gate_outcome,
        identified_by=_identified_by(passage) if identified else None,
        subject=passage.subject if identified else None,
        comparison=passage.comparison,
        point=rules.point(template) if template is not None else None,
        agreeing_frames=rules.confirm.frames,
        view=passage.view or ABSENT,
        live=passage.live,
        live_min=rules.live_min,
    )


def _identified_by(passage: Passage) -> IdentifiedBy:
    if passage.identification is Identification.MATCH:
        return IdentifiedBy.FACE
    return IdentifiedBy.CARD_PIN if isinstance(passage.claim, CardClaim) else IdentifiedBy.CLAIM_PIN
