"""A member with no template to compare: the PIN at once, and, where it helps, a word to enrol again."""

from __future__ import annotations

from dataclasses import replace

from edge.compare.member import KnownMember
from edge.confirm.pin import PinOutcome
from edge.decide.verdict import Grant
from edge.enact.display import PinEntered, Prompt
from edge.passage.display import display
from edge.passage.effects import CheckPin, FetchStanding
from edge.passage.observations import ClaimResolved, ClaimSeen
from edge.passage.state import wants_face
from tests.doubles.attempt import (
    CARD,
    CLAIM,
    FRESH,
    KNOWN,
    KNOWN_BY_NAME_ONLY,
    PASSAGE,
    PASSED,
    SUBJECT,
    Attempt,
    face,
    judged,
    looked_up,
    looked_up_again,
)
from wire.records import IdentifiedBy

OUTDATED = ClaimResolved(PASSAGE, CLAIM, KnownMember(SUBJECT, None, enrol_again=True))


def claimed(resolved: ClaimResolved) -> Attempt:
    return Attempt().tell(ClaimSeen(CLAIM), resolved, looked_up(FRESH))


def test_whose_template_is_of_another_recipe_is_asked_for_the_pin_at_once_and_invited() -> None:
    attempt = claimed(OUTDATED)
    shown = display(attempt.passage)
    assert (shown.prompt, shown.enrol_again) == (Prompt.ENTER_PIN, True)
    assert attempt.did(FetchStanding)
    attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
    assert attempt.did(CheckPin)
    assert isinstance(attempt.passage.verdict, Grant)
    shown = display(attempt.passage)
    assert (shown.prompt, shown.enrol_again) == (Prompt.WELCOME, True)
    attempt.tell(PASSED)
    assert attempt.record.identified_by is IdentifiedBy.CLAIM_PIN
    assert attempt.record.subject == SUBJECT


def test_no_face_is_looked_at_where_there_is_nothing_to_compare_it_with() -> None:
    for resolved in (OUTDATED, KNOWN_BY_NAME_ONLY):
        attempt = claimed(resolved)
        assert not wants_face(attempt.passage)
        attempt.tell(face(), face(), face())
        assert attempt.passage.verdict is None


def test_who_enrolled_no_face_or_is_known_by_it_is_not_invited() -> None:
    for resolved, prompt in ((KNOWN_BY_NAME_ONLY, Prompt.ENTER_PIN), (KNOWN, Prompt.HOLD_STILL)):
        shown = display(claimed(resolved).passage)
        assert (shown.prompt, shown.enrol_again) == (prompt, False)


def test_the_wrong_pin_keeps_the_invitation_and_the_tries() -> None:
    attempt = claimed(OUTDATED).tell(PinEntered("1"), judged(PinOutcome.WRONG, 4))
    shown = display(attempt.passage)
    assert (shown.prompt, shown.tries_left, shown.enrol_again) == (Prompt.ENTER_PIN, 4, True)


def test_a_card_says_it_was_a_card() -> None:
    attempt = Attempt().tell(ClaimSeen(CARD), replace(OUTDATED, claim=CARD), looked_up(FRESH))
    attempt.tell(PinEntered("1"), judged(PinOutcome.RIGHT, 5), looked_up_again(FRESH))
    attempt.tell(PASSED)
    assert attempt.record.identified_by is IdentifiedBy.CARD_PIN
