"""A record answers for itself: why a passage ended as it did, and whether its decision can be made again."""

from __future__ import annotations

import msgspec

from edge.confirm.pin import PinOutcome
from edge.decide.standing import ABSENT
from edge.enact.display import PinEntered
from scripts.cli.central.explain import as_json, lines, replays, sentences
from tests.doubles.attempt import (
    PASSED,
    claimed,
    face,
    judged,
    looked_up_again,
)
from wire.records import PassRecord


def stepped_up() -> PassRecord:
    attempt = claimed(ABSENT).tell(face(), face(), face(), PinEntered("1"), judged(PinOutcome.RIGHT, 5))
    return attempt.tell(looked_up_again(ABSENT), PASSED).record


def test_why_was_i_stepped_up_is_answered_in_sentences() -> None:
    record = stepped_up()
    assert list(sentences(record)) == ["standing_absent", "second_factor_good"]
    told = "\n".join(lines(record, "then"))
    assert "The kiosk has no record of your membership yet. Your PIN is enough to continue." in told
    assert "similarity 1.0000, threshold 0.9000" in told
    assert told.endswith("the same verdict")


def test_a_record_replays_to_its_own_verdict() -> None:
    assert replays(stepped_up())
    assert as_json(stepped_up())["replays"] is True


def test_a_record_whose_verdict_was_changed_does_not_replay() -> None:
    assert not replays(msgspec.structs.replace(stepped_up(), verdict="deny"))


def test_a_record_whose_circumstances_were_changed_does_not_replay() -> None:
    record = stepped_up()
    changed = msgspec.structs.replace(record.circumstances, age="fresh", tier="standard")
    assert not replays(msgspec.structs.replace(record, circumstances=changed))


def test_a_record_with_a_word_this_version_does_not_know_says_that_it_does_not_replay() -> None:
    record = stepped_up()
    changed = msgspec.structs.replace(record.circumstances, tier="platinum")
    assert not replays(msgspec.structs.replace(record, circumstances=changed))


def test_a_record_of_nobody_names_nobody() -> None:
    attempt = claimed().wait(8_000)
    assert "nobody was identified" in "\n".join(lines(attempt.record, "then"))
