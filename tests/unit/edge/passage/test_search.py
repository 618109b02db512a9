"""A passage that begins with a face instead of a claim, on a simulated clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.sample import FailureToAcquire, Obstacle
from edge.capture.tracking import TrackId
from edge.compare.bound import SearchConfig
from edge.compare.directory import Found
from edge.compare.search import Ambiguous, Comparison, Match, NoMatch
from edge.confirm.liveness import ConfirmConfig
from edge.decide.standing import ABSENT
from edge.decide.verdict import GateState, Grant, Reason, Refer, decide
from edge.enact.display import HelpAsked, NotMe, OtherWayAsked, Prompt
from edge.enact.record import circumstances_of
from edge.enact.release import ReleaseConfig
from edge.passage.approach import LEFT_MS
from edge.passage.display import display
from edge.passage.effects import FetchStanding, OpenGate, ResolveClaim, Search, Settle
from edge.passage.observations import (
    ClaimSeen,
    FaceMissed,
    Searched,
    Surroundings,
    Tick,
    ZoneSeen,
)
from edge.passage.state import (
    Passage,
    Phase,
    Rules,
    is_over,
    is_seeking,
    new_passage,
    wants_claim,
    wants_face,
    wants_gestures,
    wants_zone,
)
from tests.doubles.attempt import (
    CLAIM,
    FRESH,
    KNOWN,
    OTHER,
    OWN,
    PASSAGE,
    PASSED,
    POINT,
    SUBJECT,
    TEMPLATE,
    Attempt,
    face,
    looked_up,
)
from tests.doubles.examples import examples
from wire.ids import PassageId
from wire.records import IdentifiedBy

START_MS = 1_000
SEARCH = SearchConfig("one_to_many", start_ms=START_MS)
# Without a challenge a passage is shorter to tell; what follows a match is the same code as after a claim.
SHORT = Rules(ConfirmConfig(challenge="never"), ReleaseConfig(), {3: POINT}, search=SEARCH)
ALWAYS = replace(SHORT, confirm=ConfirmConfig(challenge="always"))
SEARCHING = Surroundings(searches=True)
ME, YOU = TrackId(1), TrackId(2)
NAMED = Found(Match(SUBJECT, 0.99, 0.3), TEMPLATE)
NOBODY = Found(NoMatch(0.4, 0.01))
TWO_ALIKE = Found(Ambiguous(0.97, 0.001))
ELSEWHERE = face().probe


class Visit(Attempt):
    """Somebody at a kiosk that searches."""

    def __init__(self, rules: Rules = SHORT, passage: Passage | None = None) -> None:
        super().__init__(passage, rules)
        self.phases: set[Phase] = set()
        if passage is None:
            self.tell(SEARCHING)

    def stands(self, ms: int, track: TrackId | None = ME) -> Visit:
        """Somebody is in the zone for so long, seen every 100 ms; facing the kiosk unless `track` is None."""
        return self._seen(ms, ZoneSeen(0, track))

    def leaves(self, ms: int = LEFT_MS) -> Visit:
        """The zone is empty for so long."""
        return self._seen(ms, ZoneSeen(0, empty=True))

    def _seen(self, ms: int, seen: ZoneSeen) -> Visit:
        until_ms = self.now_ms + 10 + ms
        while self.now_ms + 10 <= until_ms:
            self.tell(replace(seen, captured_ms=self.now_ms + 10))
            self.phases.add(self.passage.phase)
            self.now_ms += 90
        return self

    def looks(self, vector: np.ndarray = OWN, track: TrackId = ME) -> Visit:
        """Three frames of one face that agree."""
        self.tell(*(face(vector, track, self.now_ms) for _ in range(3)))
        return self

    def found(self, answer: Found) -> Visit:
        """What came of the last search that was asked for."""
        asked = self.did(Search)
        return self.tell(Searched(PASSAGE, asked[-1].probe if asked else ELSEWHERE, answer))

    def next_passage(self) -> Visit:
        """The passage after this one, at once."""
        return Visit(self.rules, new_passage(PassageId("4" * 32), b"87654321", self.passage)).at(self.now_ms)

    def at(self, now_ms: int) -> Visit:
        self.now_ms = now_ms
        return self


def begun(rules: Rules = SHORT) -> Visit:
    return Visit(rules).stands(START_MS)


def ended(answer: Found) -> Visit:
    visit = begun()
    while visit.passage.phase is Phase.IDENTIFYING:
        visit.looks().found(answer)
    return visit


def test_a_member_who_looks_at_the_kiosk_long_enough_passes_without_a_claim() -> None:
    visit = begun().looks().found(NAMED).tell(looked_up(FRESH))
    assert [type(effect) for effect in visit.effects][:2] == [Search, FetchStanding]
    assert isinstance(visit.passage.verdict, Grant)
    visit.tell(PASSED)
    record = visit.record
    assert (record.verdict, record.subject, record.identified_by) == ("grant", SUBJECT, IdentifiedBy.FACE)
    assert (record.comparison.similarity, record.comparison.margin) == (0.99, 0.3)
    assert visit.did(ResolveClaim) == []


def test_nothing_is_embedded_before_a_face_has_stood_there_long_enough() -> None:
    visit = Visit().stands(START_MS - 100)
    assert visit.passage.phase is Phase.WAITING
    assert not wants_face(visit.passage)
    assert visit.stands(100).passage.phase is Phase.IDENTIFYING
    assert wants_face(visit.passage)


def test_who_walks_past_or_looks_elsewhere_begins_nothing() -> None:
    visit = Visit()
    for _ in range(5):
        visit.stands(START_MS - 100).leaves(100)
        visit.stands(START_MS - 100, YOU).stands(100, None)
        visit.stands(START_MS - 100, ME).stands(START_MS - 100, YOU)
        visit.leaves(100)
    visit.stands(10 * START_MS, None)
    assert visit.phases == {Phase.WAITING}
    assert (visit.effects, wants_face(visit.passage)) == ([], False)


def test_a_kiosk_that_does_not_search_looks_at_nobody() -> None:
    visit = Visit().tell(Surroundings(searches=False))
    assert not wants_zone(visit.passage)
    assert visit.stands(10 * START_MS).passage.phase is Phase.WAITING


@pytest.mark.parametrize(
    "around", [Surroundings(GateState.FAULT, searches=True), Surroundings(emergency=True, searches=True)]
)
def test_nobody_is_searched_for_at_a_gate_that_does_not_work_or_is_free(around: Surroundings) -> None:
    visit = Visit().tell(around).stands(10 * START_MS)
    assert visit.passage.phase is Phase.WAITING
    assert visit.effects == []


def test_only_frames_that_agree_are_searched_for_and_once_each() -> None:
    visit = begun().tell(face(OWN), face(OTHER), face(OWN))
    assert visit.did(Search) == []
    visit.looks()
    assert len(visit.did(Search)) == 1
    assert not wants_face(visit.passage)
    assert len(visit.looks().did(Search)) == 1


def test_a_stranger_is_asked_for_a_code_and_leaves_no_number_in_the_record() -> None:
    visit = ended(NOBODY)
    assert len(visit.did(Search)) == visit.rules.confirm.attempts
    assert display(visit.passage).prompt is Prompt.CLAIM_NEEDED
    record = visit.record
    assert (record.verdict, record.refer_to, record.reasons) == ("refer", "other_way", (Reason.NO_MATCH,))
    assert (record.subject, record.identified_by, record.comparison, record.standing) == (None,) * 4
    assert decide(circumstances_of(record)) == visit.passage.verdict
    assert visit.did(FetchStanding) == []


def test_members_who_are_alike_are_asked_for_a_code_and_not_named() -> None:
    visit = ended(TWO_ALIKE)
    assert display(visit.passage).prompt is Prompt.CLAIM_NEEDED
    record = visit.record
    assert (record.verdict, record.reasons, record.subject) == ("refer", (Reason.AMBIGUOUS,), None)
    assert (record.comparison.margin, record.comparison.margin_floor) == (0.001, POINT.clash_margin)


def test_who_left_between_search_and_answer_is_nobody() -> None:
    visit = ended(Found(Match(SUBJECT, 0.99, None)))
    assert (visit.record.reasons, visit.record.subject) == ((Reason.NO_MATCH,), None)


def test_a_match_in_a_later_window_counts() -> None:
    visit = begun().looks().found(NOBODY).looks().found(NAMED).tell(looked_up(FRESH))
    assert visit.passage.phase is Phase.RELEASING


def test_a_match_is_challenged() -> None:
    visit = begun(ALWAYS).looks().found(NAMED)
    assert visit.passage.phase is Phase.CHALLENGING
    assert wants_gestures(visit.passage)
    assert visit.did(OpenGate) == []


def test_a_code_held_up_during_a_search_goes_before_it_and_has_every_attempt() -> None:
    visit = begun().looks().found(NOBODY).looks()
    assert wants_claim(visit.passage)
    visit.tell(ClaimSeen(CLAIM))
    assert (visit.did(ResolveClaim), is_seeking(visit.passage)) == ([ResolveClaim(PASSAGE, CLAIM)], False)
    visit.found(NAMED)  # the answer to the search comes too late
    assert (visit.passage.member.subject, visit.passage.face.windows_compared) == (None, 0)
    visit.tell(KNOWN, looked_up(FRESH)).looks(track=YOU)
    assert visit.passage.phase is Phase.RELEASING
    assert visit.tell(PASSED).record.comparison.margin is None


def test_another_way_out_of_a_search_asks_for_the_code() -> None:
    visit = begun().tell(OtherWayAsked())
    assert display(visit.passage).prompt is Prompt.ENTER_CLAIM
    assert visit.stands(10 * START_MS).passage.phase is Phase.WAITING
    visit.tell(ClaimSeen(CLAIM), KNOWN)
    assert display(visit.passage).prompt is Prompt.ENTER_PIN


def test_a_face_that_takes_the_place_of_the_one_that_began_waits_its_own_time() -> None:
    visit = begun().tell(face(OWN), face(OWN)).tell(ZoneSeen(0, YOU))
    assert (visit.passage.phase, visit.did(Search), visit.passage.face.window.probes) == (
        Phase.WAITING,
        [],
        (),
    )
    assert visit.stands(START_MS - 100, YOU).passage.phase is Phase.WAITING
    assert visit.stands(100, YOU).passage.phase is Phase.IDENTIFYING


def test_a_probe_of_another_face_is_never_searched_for() -> None:
    visit = begun().looks(OTHER, YOU)
    assert (visit.passage.phase, visit.did(Search)) == (Phase.WAITING, [])


def test_a_face_that_changes_once_something_was_compared_ends_the_passage() -> None:
    visit = begun().looks().found(NOBODY).tell(ZoneSeen(0, YOU))
    assert visit.passage.phase is Phase.SETTLED
    assert visit.record.reasons == (Reason.NO_MATCH,)


@pytest.mark.parametrize("touch", [NotMe(), HelpAsked()])
def test_a_search_that_is_called_off_leaves_no_record(touch: NotMe | HelpAsked) -> None:
    visit = begun().looks().tell(touch)
    assert (visit.passage.phase, visit.did(Settle), visit.passage.face.sought) == (Phase.SETTLED, [], None)
    visit.found(NAMED)
    assert visit.passage.member.subject is None


def test_who_began_and_went_away_leaves_no_name() -> None:
    visit = begun().tell(FaceMissed(FailureToAcquire(Obstacle.NO_FACE)))
    visit.wait(visit.rules.confirm.acquire_ms)
    assert (visit.record.reasons, visit.record.subject) == ((Reason.FAILURE_TO_ACQUIRE,), None)


def test_the_same_face_must_leave_the_zone_before_it_may_begin_again() -> None:
    again = ended(NOBODY).next_passage()
    assert display(again.passage).prompt is Prompt.SHOW_CLAIM
    again.stands(10 * START_MS).stands(10 * START_MS, YOU).leaves(LEFT_MS - 100).stands(10 * START_MS)
    assert again.passage.phase is Phase.WAITING
    assert display(again.leaves().passage).prompt is Prompt.LOOK_OR_CLAIM
    assert again.stands(START_MS).passage.phase is Phase.IDENTIFYING


def test_who_leaves_while_the_outcome_is_shown_has_left() -> None:
    visit = ended(NOBODY).leaves()
    assert visit.next_passage().stands(START_MS).passage.phase is Phase.IDENTIFYING


def test_who_passed_with_a_code_is_not_searched_for_while_they_stand_there() -> None:
    visit = Visit().tell(ClaimSeen(CLAIM), KNOWN, looked_up(FRESH)).looks()
    visit.tell(PASSED)
    assert visit.next_passage().stands(10 * START_MS).passage.phase is Phase.WAITING


def test_touches_do_not_buy_further_windows() -> None:
    visit = begun().looks().found(NOBODY).tell(OtherWayAsked(), NotMe())
    assert (visit.passage.phase, visit.passage.without_face) == (Phase.WAITING, False)
    assert visit.stands(10 * START_MS).passage.phase is Phase.WAITING
    assert len(visit.did(Search)) == 1


def test_a_search_that_is_no_longer_offered_ends_with_a_code() -> None:
    visit = begun().tell(Surroundings(searches=False))
    while visit.passage.phase is Phase.IDENTIFYING:
        visit.looks().found(Found(NoMatch(None, None)))
    assert display(visit.passage).prompt is Prompt.CLAIM_NEEDED
    assert not wants_zone(visit.passage)


ANSWERS: tuple[Comparison, ...] = (NoMatch(0.1, None), Ambiguous(0.96, 0.0), Match(SUBJECT, 0.99, 0.2))
EVENTS = st.one_of(
    st.builds(ZoneSeen, st.just(0), st.sampled_from([None, ME, YOU]), st.booleans()),
    st.builds(face, st.sampled_from([OWN, OTHER]), st.sampled_from([ME, YOU])),
    st.sampled_from([Found(answer) for answer in ANSWERS] + [NAMED]),
    st.sampled_from(
        [ClaimSeen(CLAIM), KNOWN, looked_up(FRESH), NotMe(), HelpAsked(), OtherWayAsked(), Tick()]
    ),
    st.sampled_from([SEARCHING, Surroundings(), Surroundings(emergency=True, searches=True)]),
    st.sampled_from([PASSED, FaceMissed(FailureToAcquire(Obstacle.NO_FACE))]),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from([0, 100, 500, 1_000])), max_size=60))
def test_whatever_happens_nobody_is_looked_at_who_did_not_begin_and_attempts_are_bounded(told: list) -> None:
    visit = Visit(ALWAYS)
    since_empty_ms = visit.now_ms  # the kiosk has just been started
    compared = 0
    for event, pause_ms in told:
        visit.now_ms += pause_ms
        before = visit.passage
        if isinstance(event, ZoneSeen):
            event = replace(event, captured_ms=visit.now_ms)
        searches = len(visit.did(Search))
        if isinstance(event, Found):
            visit.found(event)
        else:
            visit.tell(event)
        after = visit.passage
        if before.approach.served and not after.approach.served:
            compared = 0  # the zone was empty: it is somebody new, as far as anybody can tell
        compared += len(visit.did(Search)) - searches
        if is_seeking(after) and not is_seeking(before):
            assert before.phase is Phase.WAITING
            assert isinstance(event, ZoneSeen)
            assert event.captured_ms - since_empty_ms >= START_MS
        if len(visit.did(Search)) > searches:
            assert is_seeking(before)
            assert event.track == before.approach.track
        assert compared <= ALWAYS.confirm.attempts
        if isinstance(after.verdict, Refer) and after.face.seeking and after.member.subject is None:
            assert after.view is None
        if is_over(after, visit.now_ms):
            visit.passage = new_passage(PassageId("4" * 32), b"87654321", after)
            compared = 0
    for settle in visit.did(Settle):
        told_of = settle.account
        assert (told_of.subject is None) == (told_of.identified_by is None)


def test_a_standing_that_a_passage_without_a_name_did_not_ask_for_is_in_no_record() -> None:
    visit = begun().tell(looked_up(FRESH))
    assert visit.passage.view is None
    while visit.passage.phase is Phase.IDENTIFYING:
        visit.looks().found(NOBODY)
    assert (visit.passage.member.subject, visit.passage.view) == (None, None)
    assert visit.record.standing is None
    assert visit.did(Settle)[-1].account.view is ABSENT
