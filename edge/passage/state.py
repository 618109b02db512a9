"""The state of one attempt to pass, what it goes by, and what can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from edge.capture.sample import Obstacle, Points, Probe
from edge.capture.tracking import TrackId
from edge.compare.bound import SearchConfig
from edge.compare.claim import CardClaim, Claim
from edge.compare.directory import strictest
from edge.compare.gallery import Template
from edge.compare.search import Comparison, NoMatch
from edge.confirm.agreement import Agreement
from edge.confirm.agreement import needs_probe as agreement_needs_probe
from edge.confirm.challenge import Challenge, Likeness
from edge.confirm.challenge import needs_probe as challenge_needs_probe
from edge.confirm.liveness import EMPTY, ConfirmConfig, Window
from edge.decide.passback import PassbackConfig
from edge.decide.standing import ABSENT, StandingView
from edge.decide.verdict import (
    Circumstances,
    Identification,
    Liveness,
    Membership,
    Passback,
    SecondFactor,
    Verdict,
)
from edge.enact.charge import Due, PayConfig
from edge.enact.receipt import Receipt
from edge.enact.record import Account, ChargeAccount
from edge.enact.release import ReleaseConfig
from edge.passage.approach import NOBODY, Approach
from edge.passage.observations import UNDISTURBED, Surroundings
from firmware_bridge.gate import Nonce
from models.manifest import OperatingPoint
from wire.ids import PassageId, SubjectId
from wire.records import ChargeOutcome, GateOutcome, IdentifiedBy
from wire.values import AgreeBy

ONE_TO_ONE = SearchConfig()
NO_PASSBACK = PassbackConfig()
IDENTIFIED = frozenset({Identification.MATCH, Identification.OTHER_WAY})


class Phase(StrEnum):
    """Where a passage is."""

    WAITING = "waiting"
    IDENTIFYING = "identifying"
    CHALLENGING = "challenging"
    SECOND_FACTOR = "second_factor"
    RELEASING = "releasing"
    AGREEING = "agreeing"
    PAYING = "paying"
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
    search: SearchConfig = ONE_TO_ONE
    passback: PassbackConfig = NO_PASSBACK
    pay: PayConfig | None = None
    """None at a kiosk that takes no money."""

    @property
    def strictest(self) -> OperatingPoint:
        """The operating point of a search, in which templates of every size compete."""
        return strictest(self.points)

    def point(self, template: Template) -> OperatingPoint:
        """The operating point for this template."""
        return self.points[template.images]

    def likeness(self, template: Template) -> Likeness:
        """How alike the challenged face must stay to the one that matched."""
        same = self.point(template).threshold
        return Likeness(same=same, turned=min(same, self.turned_likeness))


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """What was seen of a face, and what it was compared with."""

    seeking: bool = False
    """The passage began with a face and no claim."""
    sought: Probe | None = None
    """What is being searched for now."""
    window: Window = EMPTY
    windows_compared: int = 0
    comparison: Comparison | None = None
    live: float | None = None
    matched: Probe | None = None
    """Of the face that matched, for as long as gestures of it may be asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundMember:
    """Who was claimed, or found by a search, and what is remembered of them here."""

    subject: SubjectId | None = None
    template: Template | None = None
    enrol_again: bool = False
    agree_by: AgreeBy = AgreeBy.BUTTON
    membership: Membership = Membership.ACTIVE
    used_before: bool = False
    tries_exhausted: bool = False
    passback: Passback = Passback.CLEAR


@dataclass(frozen=True, slots=True, eq=False)
class Money:
    """What is to be paid, and what became of it; nothing of this at a gate."""

    due: Due | None = None
    offline_spent_minor: int = 0
    agreement: Agreement | None = None
    agreed_by: AgreeBy | None = None
    charge: ChargeOutcome = ChargeOutcome.NOT_CHARGED
    charge_reason: str = ""
    receipt: Receipt | None = None


NO_FACE, NO_MEMBER, NO_MONEY = SeenFace(), FoundMember(), Money()


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The state of one attempt; instants are monotonic milliseconds."""

    passage_id: PassageId
    nonce: Nonce
    phase: Phase = Phase.WAITING
    surroundings: Surroundings = UNDISTURBED
    approach: Approach = NOBODY
    claim: Claim | None = None
    claim_seen_ms: int = 0
    started_ms: int = 0
    deadline_ms: int = 0
    member: FoundMember = NO_MEMBER
    view: StandingView | None = None
    without_face: bool = False
    other_way_next: bool = False
    face: SeenFace = NO_FACE
    identification: Identification | None = None
    challenge: Challenge | None = None
    liveness: Liveness = Liveness.NOT_ASKED
    obstacle: Obstacle | None = None
    evidence_ms: int = 0
    checking_pin: bool = False
    tries_left: int | None = None
    second_factor: SecondFactor = SecondFactor.NOT_GIVEN
    gestured: bool = False
    """Gestures were asked for as the second factor; a challenge is that from then on."""
    help_asked: bool = False
    staff: str | None = None
    """Who has the gate released for whoever stands there."""
    direction: Literal["entry", "exit"] | None = None
    """Which way, where it is not as configured."""
    money: Money = NO_MONEY
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
        # Tracks are counted anew in each passage.
        approach=replace(before.approach, track=None, facing_since_ms=None),
        claim=before.claim,
        claim_seen_ms=before.claim_seen_ms,
        without_face=before.other_way_next,
        deadline_ms=before.deadline_ms,
    )


def nothing_due(passage: Passage) -> bool:
    """Whether this kiosk takes money and no till asks for any: then nobody can begin anything."""
    return passage.surroundings.pays and passage.surroundings.due is None


def wants_claim(passage: Passage) -> bool:
    """Whether codes in the picture are to be read; in an emergency nothing is.

    Also while a face is searched for: a claim goes before it.
    """
    unclaimed = passage.phase in {Phase.WAITING, Phase.SETTLED} or is_seeking(passage)
    return unclaimed and not passage.surroundings.emergency and not nothing_due(passage)


def wants_zone(passage: Passage) -> bool:
    """Whether it matters who stands in the zone while nobody has claimed; faces are located, not embedded."""
    around = passage.surroundings
    free = passage.phase in {Phase.WAITING, Phase.SETTLED} and not nothing_due(passage)
    return free and around.searches and not around.emergency


def is_seeking(passage: Passage) -> bool:
    """Whether a face is being searched for, and nobody found or claimed yet."""
    return passage.face.seeking and passage.phase is Phase.IDENTIFYING and passage.identification is None


def wants_face(passage: Passage) -> bool:
    """Whether a face may be embedded now: only within an interaction, and only until it is compared.

    While `is_seeking`, of one face only: the track in `approach`, which began it.
    """
    return (
        passage.phase is Phase.IDENTIFYING
        and not passage.without_face
        and passage.identification is None
        and passage.face.sought is None
        and not passage.surroundings.emergency
    )


def wants_gestures(passage: Passage) -> bool:
    """Whether gestures are watched for: faces are located, and embedded only where `needs_probe` says so."""
    agreeing = passage.money.agreement is not None and passage.money.agreement.watches
    watched = passage.phase is Phase.CHALLENGING or (passage.phase is Phase.AGREEING and agreeing)
    return watched and not passage.surroundings.emergency


def needs_probe(passage: Passage, track: TrackId, points: Points, captured_ms: int) -> bool:
    """Whether this frame can only be judged knowing whose face it is."""
    if passage.phase is Phase.CHALLENGING and passage.challenge is not None:
        return challenge_needs_probe(passage.challenge, track, points)
    if passage.phase is Phase.AGREEING and passage.money.agreement is not None:
        return agreement_needs_probe(passage.money.agreement, track, points, captured_ms)
    return False


def is_over(passage: Passage, now_ms: int) -> bool:
    """Whether the outcome has been on the screen long enough for the next person."""
    return passage.phase is Phase.SETTLED and (now_ms >= passage.deadline_ms or passage.other_way_next)


def account(passage: Passage, rules: Rules, settled_ms: int) -> Account | None:
    """What the record of a passage is made of; None while there is no verdict to record.

    A subject is in it only when somebody was identified; a search that named nobody leaves no numbers.
    """
    if passage.verdict is None or passage.circumstances is None:
        return None
    identified = passage.identification in IDENTIFIED
    compared = passage.face.comparison
    unnamed = passage.face.seeking and isinstance(compared, NoMatch)
    return Account(
        passage_id=passage.passage_id,
        started_ms=passage.started_ms,
        decided_ms=passage.decided_ms,
        settled_ms=settled_ms,
        verdict=passage.verdict,
        circumstances=passage.circumstances,
        gate_outcome=passage.gate_outcome,
        identified_by=_identified_by(passage) if identified or passage.staff else None,
        subject=passage.member.subject if identified else None,
        comparison=None if unnamed else compared,
        point=_point(passage, rules),
        agreeing_frames=rules.confirm.frames,
        view=passage.view or ABSENT,
        live=passage.face.live,
        live_min=rules.live_min,
        staff=passage.staff,
        charge=_charge(passage),
    )


def _charge(passage: Passage) -> ChargeAccount | None:
    if passage.money.due is None:
        return None
    return ChargeAccount(
        passage.money.due,
        passage.money.charge,
        passage.money.agreed_by,
        passage.money.charge_reason,
        passage.money.offline_spent_minor,
    )


def _point(passage: Passage, rules: Rules) -> OperatingPoint | None:
    if passage.face.seeking:
        return rules.strictest
    return None if passage.member.template is None else rules.point(passage.member.template)


def _identified_by(passage: Passage) -> IdentifiedBy:
    if passage.staff is not None:
        return IdentifiedBy.STAFF
    if passage.identification is Identification.MATCH:
        return IdentifiedBy.FACE
    return IdentifiedBy.CARD_PIN if isinstance(passage.claim, CardClaim) else IdentifiedBy.CLAIM_PIN
