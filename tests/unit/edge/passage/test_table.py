"""The table of a passage and the code are held to each other, by walks through every phase."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from typing import get_args

import msgspec
import pytest

from edge.capture.sample import FailureToAcquire, Obstacle
from edge.capture.tracking import TrackId
from edge.compare.bound import SearchConfig
from edge.compare.claim import QrClaim
from edge.compare.directory import Found
from edge.compare.member import KnownMember, UnknownMember, WithdrawnMember
from edge.compare.search import Ambiguous, Match, NoMatch
from edge.confirm.challenge import Sighting
from edge.confirm.liveness import ConfirmConfig
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.verdict import Age, GateState, Membership, Passback, Tier
from edge.enact.charge import ChargeAnswer, PayConfig
from edge.enact.display import AgreeByChosen, Agreed, Finished, HelpAsked, NotMe, OtherWayAsked, PinEntered
from edge.enact.release import ReleaseConfig
from edge.errors import NotInTableError
from edge.passage.advance import HANDLERS, advance
from edge.passage.deciding import Step
from edge.passage.effects import (
    CheckPin,
    Effect,
    FetchStanding,
    OpenGate,
    ResolveClaim,
    Search,
    Settle,
    TakeCharge,
)
from edge.passage.observations import (
    Answer,
    ChargeAnswered,
    ClaimResolved,
    ClaimSeen,
    FaceMissed,
    FaceMoved,
    GateAnswered,
    Kept,
    Observation,
    PinJudged,
    Searched,
    StaffReleases,
    StandingSeen,
    Surroundings,
    Tick,
    ZoneSeen,
)
from edge.passage.state import Phase, Rules, is_over, new_passage
from edge.passage.table import IGNORED, LEADS_TO
from tests.doubles.attempt import (
    CARD,
    CLAIM,
    FRESH,
    OTHER,
    OWN,
    PASSAGE,
    POINT,
    SUBJECT,
    TEMPLATE,
    face,
)
from tests.doubles.gesturing import Gesturing
from tests.doubles.paying import DUE, agreeing, nod
from tests.doubles.paying import view as paying_view
from tests.doubles.turning_head import head
from wire.ids import ClaimId, PassageId, SubjectId
from wire.records import GateOutcome
from wire.values import AgreeBy

EVENTS: tuple[type[Observation], ...] = get_args(Observation)
ME, YOU = TrackId(1), TrackId(2)
STRANGER = SubjectId("8" * 32)
OTHER_PASSAGE = PassageId("9" * 32)
SEARCH = SearchConfig("one_to_many", start_ms=500)
GATE = Rules(ConfirmConfig(challenge="never"), ReleaseConfig(), {3: POINT}, 0.8, search=SEARCH)
RULES = (
    GATE,
    replace(GATE, confirm=ConfirmConfig(challenge="always", attempts=1)),
    replace(GATE, live_min=0.5),
    replace(GATE, pay=PayConfig("bistro", "Bistro")),
    replace(GATE, pay=PayConfig("bistro", "Bistro"), confirm=ConfirmConfig(challenge="always")),
)
LATER_MS = 61_000
"""Past every time-out."""
ANSWERED_BY: dict[type[Effect], type[Answer]] = {
    ResolveClaim: ClaimResolved,
    Search: Searched,
    FetchStanding: StandingSeen,
    CheckPin: PinJudged,
    OpenGate: GateAnswered,
    TakeCharge: ChargeAnswered,
    Settle: Kept,
}
WALKS, STEPS = 100, 25
"""Walks a set of rules, and moves a walk: enough, with the seeds below, to see each pair of the table."""


PAID = agreeing().tell(Agreed(), ChargeAnswered(PASSAGE, ChargeAnswer.CHARGED)).record


class Walker(Gesturing):
    """A passage to which anything may happen; what it saw on its way is in `steps`."""

    def __init__(self, rules: Rules, dice: random.Random) -> None:
        self.rules, self.dice = rules, dice
        self.steps: set[tuple[Phase, type[Observation], Phase]] = set()
        self.embedded = 0
        self.passage = new_passage(PASSAGE, b"12345678")
        self.now_ms = 100_000
        self.effects = []
        self.tell(self.around(usual=1.0))

    def tell(self, *observations: Observation) -> Walker:
        for observation in observations:
            self.now_ms += 10
            if is_over(self.passage, self.now_ms):
                self.passage = new_passage(PASSAGE, b"12345678", self.passage)
                self.effects = []
            self.passage, effects = self.step(observation, self.now_ms)
            self.effects += effects
            if isinstance(observation, Answer):  # it has been answered now: once more is once too often
                assert advance(self.passage, observation, self.now_ms, self.rules) == (self.passage, ())
        return self

    def step(self, observation: Observation, now_ms: int) -> Step:
        """What would follow now; the passage stays where it is."""
        before = self.passage
        after, effects = advance(before, observation, now_ms, self.rules)
        self.steps.add((before.phase, type(observation), after.phase))
        if type(observation) in IGNORED[before.phase]:
            assert (after, effects) == (before, ())
        return after, effects

    def look_about(self) -> None:
        """Everything that could be told now, at once or later."""
        for observation in self.anything():
            self.step(observation, self.now_ms)
        self.step(Tick(), self.now_ms + LATER_MS)
        for foreign in self.foreign():
            assert advance(self.passage, foreign, self.now_ms, self.rules) == (self.passage, ())

    def foreign(self) -> list[Answer]:
        """Answers that nothing in this passage asked for."""
        named = self.passage.member.subject or SUBJECT
        return [
            *self.answers(OTHER_PASSAGE, named),
            StandingSeen(PASSAGE, STRANGER, False, FRESH),
            StandingSeen(PASSAGE, STRANGER, True, FRESH),
            PinJudged(PASSAGE, STRANGER, PinJudgement(PinOutcome.RIGHT)),
            Searched(PASSAGE, face().probe, Found(Match(SUBJECT, 0.99, 0.3), TEMPLATE)),
            ClaimResolved(PASSAGE, QrClaim(ClaimId("9" * 32)), KnownMember(STRANGER, TEMPLATE)),
        ]

    def answers(self, passage: PassageId, subject: SubjectId) -> list[Answer]:
        """One of each, to what was asked last where it was asked."""
        pick = self.dice.choice
        members = [KnownMember(subject, TEMPLATE), KnownMember(subject, TEMPLATE, agree_by=AgreeBy.NOD)]
        resolution = pick(
            [*members, *members, KnownMember(subject, None), UnknownMember(), WithdrawnMember()]
        )
        remembered = (
            self.dice.random() < 0.1,
            self.dice.random() < 0.1,
            pick([*[Passback.CLEAR] * 5, *Passback]),
        )
        found = pick(
            [
                Found(Match(subject, 0.99, 0.3), TEMPLATE),
                Found(NoMatch(0.4, 0.01)),
                Found(Ambiguous(0.97, 0.0)),
            ]
        )
        membership = pick([Membership.ACTIVE] * 5 + [Membership.WITHDRAWN])
        seen = replace(
            paying_view(limit=pick([5_000, 1]), offline=pick([1_000, 1])),
            age=pick(list(Age)),
            tier=pick(list(Tier)),
            membership=membership,
        )
        good = paying_view(offline=pick([1_000, 1]))
        usual = pick([seen, good, good, replace(good, tier=Tier.ASSISTED)])
        asked = {type(effect): effect for effect in self.effects}
        claim = asked[ResolveClaim].claim if ResolveClaim in asked else CLAIM
        probe = asked[Search].probe if Search in asked else face().probe
        proven = asked[FetchStanding].proven if FetchStanding in asked else False
        return [
            ClaimResolved(passage, claim, resolution, *remembered),
            Searched(passage, probe, found, *remembered),
            StandingSeen(passage, subject, proven, usual),
            PinJudged(passage, subject, PinJudgement(pick([PinOutcome.RIGHT, *PinOutcome]), 3)),
            GateAnswered(passage, pick([GateOutcome.PASSED, GateOutcome.REFUSED])),
            ChargeAnswered(passage, pick(list(ChargeAnswer))),
            Kept(msgspec.structs.replace(PAID, passage=passage)),
        ]

    def around(self, usual: float = 0.7) -> Surroundings:
        """What is around the kiosk; undisturbed as often as `usual` says."""
        pays, odd = self.rules.pay is not None, self.dice.random() >= usual
        return Surroundings(
            self.dice.choice(list(GateState)) if odd else GateState.READY,
            odd and self.dice.random() < 0.3,
            self.dice.random() < 0.6,
            searches=True,
            pays=pays,
            due=None if not pays or (odd and self.dice.random() < 0.3) else DUE,
        )

    def anything(self) -> list[Observation]:
        """One of each observation."""
        track, pick = self.dice.choice([ME, ME, ME, YOU]), self.dice.choice
        return [
            *self.answers(PASSAGE, self.passage.member.subject or SUBJECT),
            self.around(),
            ClaimSeen(pick([CLAIM, CARD])),
            ZoneSeen(self.now_ms, pick([track, None]), empty=self.dice.random() < 0.1),
            replace(face(pick([OWN, OWN, OTHER]), track), live=pick([0.9, 0.1])),
            FaceMoved(Sighting(track, head(), self.now_ms, face().probe)),
            FaceMissed(FailureToAcquire(Obstacle.NO_FACE)),
            PinEntered("4815"),
            OtherWayAsked(),
            NotMe(),
            HelpAsked(),
            StaffReleases("ada", "exit", self.now_ms + 60_000),
            Agreed(),
            AgreeByChosen(pick(list(AgreeBy))),
            Finished(),
            Tick(),
        ]

    def likely(self) -> None:
        """What usually follows: an answer to what was asked, or what the screen asks for."""
        phase, pick, even = self.passage.phase, self.dice.choice, self.dice.random() < 0.5
        told = {type(each): each for each in self.anything()}
        asked = next(
            (ANSWERED_BY[type(each)] for each in reversed(self.effects) if type(each) in ANSWERED_BY), Tick
        )
        by_pin = self.passage.without_face or phase is Phase.SECOND_FACTOR
        if phase is Phase.SETTLED:
            self.now_ms += LATER_MS
            self.tell(Tick())
        elif phase is Phase.WAITING:
            standing = [ZoneSeen(self.now_ms + 100 * each, ME) for each in range(7)]
            self.tell(*(standing if even else [ClaimSeen(CLAIM)]))
        elif phase is Phase.IDENTIFYING and even and not by_pin:
            live, vector = pick([0.9, 0.9, 0.1]), pick([OWN, OWN, OWN, OTHER])
            self.tell(*(replace(face(vector), live=live) for _ in range(3)))
        elif by_pin and even:
            self.tell(pick([PinEntered("4815"), OtherWayAsked()]))
        elif phase is Phase.CHALLENGING and even:
            self.rest()
            for gesture in self.passage.challenge.prompts if self.passage.challenge else ():
                self.do(gesture, pick([*[OWN] * 8, OTHER]))
        elif phase is Phase.AGREEING:
            self.tell(self.around(usual=0.9))
            self.look_about()
            self.tell(AgreeByChosen(AgreeBy.NOD))
            nod(self)
            nod(self)
        else:
            self.tell(told[asked])

    def walk(self) -> None:
        for _ in range(STEPS):
            self.look_about()
            if self.dice.random() < 0.75:
                self.likely()
            else:
                self.now_ms += self.dice.choice([0, 0, 0, 100, 9_000, LATER_MS])
                self.tell(self.dice.choice(self.anything()))


@pytest.fixture(scope="module")
def walked() -> set[tuple[Phase, type[Observation], Phase]]:
    steps = set()
    for number, (rules, seed) in enumerate(product(RULES, range(WALKS))):
        walker = Walker(rules, random.Random(f"{number} {seed}"))
        walker.walk()
        steps |= walker.steps
    return steps


def test_every_observation_in_every_phase_is_handled_or_named_as_ignored() -> None:
    assert LEADS_TO.keys() == IGNORED.keys() == HANDLERS.keys() == set(Phase)
    for phase in Phase:
        assert LEADS_TO[phase].keys().isdisjoint(IGNORED[phase])
        assert LEADS_TO[phase].keys() | IGNORED[phase] == set(EVENTS)


def test_the_code_leads_everywhere_that_the_table_names_and_nowhere_else(walked: set) -> None:
    handled = {step for step in walked if step[1] not in IGNORED[step[0]]}
    named = {(phase, kind, to) for phase in Phase for kind, leads in LEADS_TO[phase].items() for to in leads}
    assert handled == named


def test_every_observation_was_told_in_every_phase(walked: set) -> None:
    assert {step[:2] for step in walked} == set(product(Phase, EVENTS))


def test_an_observation_that_a_phase_neither_handles_nor_ignores_is_an_error() -> None:
    walker = Walker(GATE, random.Random(1))
    for phase in Phase:
        for told in walker.anything():
            if type(told) in IGNORED[phase]:
                with pytest.raises(NotInTableError, match=f"{type(told).__name__} is neither"):
                    HANDLERS[phase](walker.passage, told, walker.now_ms, GATE)
