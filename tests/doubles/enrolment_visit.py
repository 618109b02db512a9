"""One person at an enrolment kiosk on a simulated clock, at any step."""

from __future__ import annotations

import numpy as np

from edge.capture.sample import FailureToAcquire, Obstacle, Probe
from edge.capture.tracking import TrackId
from edge.compare.claim import QrClaim
from edge.compare.member import KnownMember, UnknownMember, WithdrawnMember
from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    ConsentAnswered,
    EnrolBegun,
    EnrolNote,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    PinEntered,
    SamplesAgain,
    WithdrawAsked,
    WithdrawConfirmed,
)
from edge.enact.enrolling import Consents, EnrolAnswer, EnrolConfig, WithdrawAnswer, WithdrawJudgement
from edge.enrolling.advance import advance
from edge.enrolling.effects import Effect
from edge.enrolling.observations import (
    Answered,
    ClaimFound,
    ClaimRead,
    ClashesFound,
    FaceFound,
    Failed,
    Observation,
    SampleMissed,
    SampleSeen,
    Tick,
    WithdrawalJudged,
)
from edge.enrolling.state import (
    EnrolRules,
    Step,
    new_enrolment,
    wants_sample,
)
from models.manifest import OperatingPoint
from wire.ids import ClaimId, SubjectId
from wire.values import IMAGES_MAX, AgreeBy

RECIPE = "ab" * 32
SUBJECT, CLAIM = SubjectId("5" * 32), ClaimId("c" * 32)
ELDER = SubjectId("e" * 32)
PIN = "4815"


def point(images: int) -> OperatingPoint:
    return OperatingPoint(RECIPE, images, 1, "1e-4", 0.9, 1, 100_000, 475, 500, 0.02, "a test set")


CONFIG = EnrolConfig()
RULES = EnrolRules(
    CONFIG,
    Consents("2026-11", {"en": "Agree?", "de": "Einverstanden?"}),
    {images: point(images) for images in range(1, IMAGES_MAX + 1)},
    "Metro",
)


def probe(angle: float, person: int = 0) -> Probe:
    """Somebody's face; `angle` (radians) away from their own, `person` far from all others."""
    vector = np.zeros(16, np.float32)
    vector[2 * person], vector[2 * person + 1] = np.cos(angle), np.sin(angle)
    return Probe((vector,), (1.0,), RECIPE, 1)


class Visit:
    """One person before the kiosk, and all that followed."""

    def __init__(self, rules: EnrolRules = RULES) -> None:
        self.rules, self.now_ms = rules, 1_000
        self.enrolment = new_enrolment(SUBJECT, CLAIM)
        self.effects: list[Effect] = []

    def tell(self, *observations: Observation) -> Visit:
        for observation in observations:
            self.enrolment, effects = advance(self.enrolment, observation, self.now_ms, self.rules)
            self.effects += effects
        return self

    def wait(self, ms: int) -> Visit:
        self.now_ms += ms
        return self.tell(Tick())

    def sample(self, angle: float = 0.0, person: int = 0, track: int = 1) -> Visit:
        self.now_ms += CONFIG.sample_gap_ms
        assert wants_sample(self.enrolment, self.now_ms, self.rules)
        return self.tell(SampleSeen(TrackId(track), probe(angle, person), self.now_ms))

    @property
    def step(self) -> Step:
        return self.enrolment.step

    @property
    def note(self) -> EnrolNote | None:
        return self.enrolment.note

    @property
    def last(self) -> Effect:
        return self.effects[-1]


BEGUN = (EnrolBegun("de"), ConsentAnswered(True), AgeAnswered(True))
CHOSEN = (ClashesFound(SUBJECT, ()), AgreeByChosen(AgreeBy.NOD))
CODE = QrClaim(ClaimId("d" * 32))


def sampled() -> Visit:
    visit = Visit().tell(*BEGUN)
    for angle in (0.0, 0.1, -0.1):
        visit.sample(angle)
    return visit


def withdrawing() -> Visit:
    visit = Visit().tell(
        WithdrawAsked(), ClaimRead(CODE), ClaimFound(SUBJECT, CODE, KnownMember(ELDER, None, False))
    )
    return visit.tell(PinEntered(PIN), WithdrawConfirmed())


def disagreeing() -> Visit:
    visit = Visit().tell(*BEGUN)
    for person in (0, 1, 2, 3, 4):
        visit.sample(person=person)
    return visit


AT = {
    Step.WELCOME: Visit,
    Step.CONSENT: lambda: Visit().tell(BEGUN[0]),
    Step.AGE: lambda: Visit().tell(*BEGUN[:2]),
    Step.SAMPLES: lambda: Visit().tell(*BEGUN).sample(),
    Step.AGAIN: disagreeing,
    Step.CHECKING: sampled,
    Step.AGREE_BY: lambda: sampled().tell(CHOSEN[0]),
    Step.PIN: lambda: sampled().tell(*CHOSEN),
    Step.PIN_AGAIN: lambda: sampled().tell(*CHOSEN, PinEntered(PIN)),
    Step.SENDING: lambda: sampled().tell(*CHOSEN, PinEntered(PIN), PinEntered(PIN)),
    Step.DONE: lambda: AT[Step.SENDING]().tell(Answered(SUBJECT, EnrolAnswer.ENROLLED)),
    Step.UNDER_AGE: lambda: Visit().tell(*BEGUN[:2], AgeAnswered(False)),
    Step.REFUSED: lambda: AT[Step.SENDING]().tell(Answered(SUBJECT, EnrolAnswer.REFUSED)),
    Step.WITHDRAW_CLAIM: lambda: Visit().tell(WithdrawAsked()),
    Step.WITHDRAW_LOOKUP: lambda: Visit().tell(WithdrawAsked(), ClaimRead(CODE)),
    Step.WITHDRAW_PIN: lambda: AT[Step.WITHDRAW_LOOKUP]().tell(
        ClaimFound(SUBJECT, CODE, KnownMember(ELDER, None, False))
    ),
    Step.WITHDRAW_CONFIRM: lambda: AT[Step.WITHDRAW_PIN]().tell(PinEntered(PIN)),
    Step.WITHDRAWING: withdrawing,
    Step.WITHDRAWN: lambda: withdrawing().tell(
        WithdrawalJudged(SUBJECT, WithdrawJudgement(WithdrawAnswer.WITHDRAWN))
    ),
    Step.STAFF: lambda: Visit().tell(HelpAsked()),
}
ANSWERS: dict[Step, tuple[Observation, ...]] = {
    Step.CHECKING: (ClashesFound(SUBJECT, ()), ClashesFound(SUBJECT, (ELDER,)), Failed(SUBJECT)),
    Step.SENDING: (*(Answered(SUBJECT, each) for each in EnrolAnswer), Failed(SUBJECT)),
    Step.WITHDRAW_LOOKUP: (
        *(
            ClaimFound(SUBJECT, CODE, each)
            for each in (KnownMember(ELDER, None, False), UnknownMember(), WithdrawnMember())
        ),
        Failed(SUBJECT),
    ),
    Step.WITHDRAWING: (
        *(WithdrawalJudged(SUBJECT, WithdrawJudgement(each, 3)) for each in WithdrawAnswer),
        Failed(SUBJECT),
    ),
}
TOUCHES: tuple[Observation, ...] = (
    EnrolBegun("en"),
    EnrolBegun("xx"),
    ConsentAnswered(True),
    ConsentAnswered(False),
    AgeAnswered(True),
    AgeAnswered(False),
    AgreeByChosen(AgreeBy.SMILE),
    PinEntered(PIN),
    PinEntered("1111"),
    PinEntered("2749"),
    OtherWayAsked(),
    WithdrawAsked(),
    WithdrawConfirmed(),
    Finished(),
    SamplesAgain(),
    NotMe(),
    HelpAsked(),
)
REPORTS: tuple[Observation, ...] = (
    SampleSeen(TrackId(1), probe(0.05), 5_000),
    SampleSeen(TrackId(2), probe(0.0, 3), 9_000),
    FaceFound(),
    SampleMissed(FailureToAcquire(Obstacle.BLURRED)),
    ClaimRead(CODE),
    Tick(),
    *(answer for answers in ANSWERS.values() for answer in answers),
)
LAST = {Step.DONE, Step.UNDER_AGE, Step.REFUSED, Step.WITHDRAWN, Step.STAFF}
