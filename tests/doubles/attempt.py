"""A passage that is told things on a simulated clock, and what it is told."""

from __future__ import annotations

from itertools import count

import numpy as np

from edge.capture.sample import Probe
from edge.capture.tracking import TrackId
from edge.compare.claim import CardClaim, CardNumber, QrClaim
from edge.compare.gallery import Template
from edge.compare.member import KnownMember, UnknownMember, WithdrawnMember
from edge.confirm.liveness import ConfirmConfig
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.standing import StandingView
from edge.decide.verdict import (
    Age,
    Membership,
    RestrictionState,
    Tier,
)
from edge.enact.record import KioskIdentity, Stamp, pass_record
from edge.enact.release import ReleaseConfig
from edge.passage.advance import advance
from edge.passage.effects import Effect, Settle
from edge.passage.observations import (
    ClaimResolved,
    ClaimSeen,
    FaceSeen,
    GateAnswered,
    Observation,
    PinJudged,
    StandingSeen,
    Tick,
)
from edge.passage.state import Passage, Rules, new_passage
from models.manifest import OperatingPoint
from wire.ids import BootId, ClaimId, GateId, KioskId, PassageId, Purpose, SubjectId
from wire.records import GateOutcome, PassRecord

RECIPE = "ab" * 32
POINT = OperatingPoint(RECIPE, 3, 1, "1e-4", 0.9, 1e-4, 0.95, 1_000_000, 2_500, 0.0, "made for this test")
RULES = Rules(ConfirmConfig(), ReleaseConfig(), {3: POINT})
CLAIM = QrClaim(ClaimId("0" * 32))
CARD = CardClaim(CardNumber("12345"))
SUBJECT = SubjectId("1" * 32)
PASSAGE = PassageId("3" * 32)
KIOSK = KioskIdentity(KioskId("k1"), GateId("g1"), Purpose("entry"), BootId("2" * 32), "cd" * 32)
FRESH = StandingView(Age.FRESH, Tier.STANDARD, Membership.ACTIVE, RestrictionState.NONE)


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


OWN, OTHER = unit(1, 0, 0), unit(0, 1, 0)
TEMPLATE = Template(SUBJECT, OWN, RECIPE, 3)
PASSED = GateAnswered(PASSAGE, GateOutcome.PASSED)
KNOWN = ClaimResolved(PASSAGE, CLAIM, KnownMember(SUBJECT, TEMPLATE))
KNOWN_BY_NAME_ONLY = ClaimResolved(PASSAGE, CLAIM, KnownMember(SUBJECT, None))
UNKNOWN = ClaimResolved(PASSAGE, CLAIM, UnknownMember())
WITHDRAWN = ClaimResolved(PASSAGE, CLAIM, WithdrawnMember())


def judged(outcome: PinOutcome, tries_left: int) -> PinJudged:
    return PinJudged(PASSAGE, SUBJECT, PinJudgement(outcome, tries_left))


def looked_up(view: StandingView, spent_minor: int = 0) -> StandingSeen:
    return StandingSeen(PASSAGE, SUBJECT, False, view, spent_minor)


def looked_up_again(view: StandingView) -> StandingSeen:
    """After a good second factor."""
    return StandingSeen(PASSAGE, SUBJECT, True, view)


PICTURES = count()


def face(vector: np.ndarray = OWN, track: int = 1, at_ms: int = 0) -> FaceSeen:
    """A face in a picture of its own: no two are the same, as a camera's never are."""
    grain = np.array((0, 0, 1e-4 * (next(PICTURES) % 9)), np.float32)
    vector = unit(*(vector + grain))
    return FaceSeen(TrackId(track), Probe((vector,), (1.0,), RECIPE, 1), at_ms)


class Attempt:
    """A passage that is told things, one after the other, 10 ms apart."""

    def __init__(self, passage: Passage | None = None, rules: Rules = RULES) -> None:
        self.passage = passage or new_passage(PASSAGE, b"12345678")
        self.now_ms = 100_000
        self.rules = rules
        self.effects: list[Effect] = []

    def tell(self, *observations: Observation) -> Attempt:
        for observation in observations:
            self.now_ms += 10
            self.passage, effects = advance(self.passage, observation, self.now_ms, self.rules)
            self.effects.extend(effects)
        return self

    def wait(self, ms: int) -> Attempt:
        self.now_ms += ms
        return self.tell(Tick())

    def did(self, kind: type) -> list:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def record(self) -> PassRecord:
        (settle,) = self.did(Settle)
        return pass_record(settle.account, KIOSK, Stamp(1_000_000, True))


def claimed(view: StandingView | None = FRESH, template: Template | None = TEMPLATE) -> Attempt:
    attempt = Attempt().tell(ClaimSeen(CLAIM), ClaimResolved(PASSAGE, CLAIM, KnownMember(SUBJECT, template)))
    return attempt if view is None else attempt.tell(looked_up(view))
