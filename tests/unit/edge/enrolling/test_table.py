"""The table of an enrolment and the code are held to each other, by walks through every step."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from edge.capture.tracking import TrackId
from edge.compare.claim import QrClaim
from edge.enrolling.advance import HANDLERS, advance
from edge.enrolling.observations import Answer, ClaimFound, Observation, SampleSeen, Tick
from edge.enrolling.state import Step, new_enrolment
from edge.enrolling.table import IGNORED, LEADS_TO
from edge.errors import NotInTableError
from tests.doubles.enrolment_visit import AT, CLAIM, CONFIG, REPORTS, RULES, SUBJECT, TOUCHES, probe
from wire.ids import SubjectId

EVENTS: tuple[type[Observation], ...] = get_args(Observation)
STRANGER = SubjectId("9" * 32)
LATER_MS = CONFIG.consent_ms + CONFIG.card_ms
WALKS = 10
"""Walks from every step, each until it is over: enough to see each pair of the table."""


def samples(now_ms: int) -> list[Observation]:
    """Faces that agree with each other, and faces that do not."""
    pairs = [(0.0, 0), (0.1, 0), (-0.1, 0), (0.0, 1), (0.0, 2), (0.0, 3), (0.0, 4)]
    return [SampleSeen(TrackId(1), probe(*pair), now_ms) for pair in pairs]


def walk(start: Step, dice: random.Random) -> set[tuple[Step, type[Observation], Step]]:
    """What may follow in every state of one visit, in which anything happens that keeps it going."""
    steps = set()
    visit = AT[start]()
    for _ in range(30):
        told = [*TOUCHES, *REPORTS, *samples(visit.now_ms)]
        onward = []
        for observation, later_ms in [*product(told, [0]), (Tick(), LATER_MS)]:
            now_ms, before = visit.now_ms + later_ms, visit.enrolment
            after, effects = advance(before, observation, now_ms, RULES)
            steps.add((before.step, type(observation), after.step))
            if type(observation) in IGNORED[before.step]:
                assert (after, effects) == (before, ())
            elif after.step is not Step.OVER:
                onward.append(observation)
            if isinstance(observation, Answer):
                foreign = replace(observation, enrolment=STRANGER)
                assert advance(before, foreign, now_ms, RULES) == (before, ())
        if not onward:
            break
        visit.now_ms += 2_000
        visit.tell(dice.choice(onward))
    return steps


@pytest.fixture(scope="module")
def walked() -> set[tuple[Step, type[Observation], Step]]:
    return set().union(*(walk(step, random.Random(f"{step} {seed}")) for step in AT for seed in range(WALKS)))


def test_every_observation_in_every_step_is_handled_or_named_as_ignored() -> None:
    assert LEADS_TO.keys() == IGNORED.keys() == HANDLERS.keys() == set(Step)
    for step in Step:
        assert LEADS_TO[step].keys().isdisjoint(IGNORED[step])
        assert LEADS_TO[step].keys() | IGNORED[step] == set(EVENTS)


def test_the_code_leads_everywhere_that_the_table_names_and_nowhere_else(walked: set) -> None:
    handled = {seen for seen in walked if seen[1] not in IGNORED[seen[0]]}
    named = {(step, kind, to) for step in Step for kind, leads in LEADS_TO[step].items() for to in leads}
    assert handled == named


def test_every_observation_was_told_in_every_step(walked: set) -> None:
    assert {seen[:2] for seen in walked} == set(product(Step, EVENTS))


def test_nothing_follows_once_it_is_over() -> None:
    over = replace(new_enrolment(SUBJECT, CLAIM), step=Step.OVER)
    for observation in (*TOUCHES, *REPORTS):
        assert advance(over, observation, LATER_MS, RULES) == (over, ())


def test_the_answer_to_another_code_changes_nothing() -> None:
    waiting = AT[Step.WITHDRAW_LOOKUP]().enrolment
    for answer in REPORTS:
        if isinstance(answer, ClaimFound):
            other = replace(answer, claim=QrClaim(CLAIM))
            assert advance(waiting, other, 2_000, RULES) == (waiting, ())


def test_an_observation_that_a_step_neither_handles_nor_ignores_is_an_error() -> None:
    for step, begin in AT.items():
        for told in (*TOUCHES, *REPORTS):
            if type(told) in IGNORED[step] - {Tick}:  # every handler takes the time
                with pytest.raises(NotInTableError, match=f"{type(told).__name__} is neither"):
                    HANDLERS[step](begin().enrolment, told, 2_000, RULES)
