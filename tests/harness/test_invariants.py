"""What counts as a case and what does not, one decision at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scripts.harness.frames import acknowledgement, packet_type, published, take_frames, unacknowledged
from scripts.harness.invariants import Deceit, Exercised, Invariant, Span, Stored, Truth, judge
from scripts.harness.ledger import Begun, Decided, Kept, Ledger, Obeyed, read_ledgers
from scripts.harness.plan import Fault, Plan

NOW_MS = 1_000_000
GRANT = Decided(
    "r1", "gate-1", "ann", "grant", NOW_MS, 0, "fresh", "active", "none", False, 1, 7, NOW_MS - 500,
    "harness", "ride", "EUR",
)  # fmt: skip
STORED = Stored("r1", "p1", "gate-1", "ann")


def truth() -> Truth:
    return Truth({"gate-1": "ride", "gate-2": "ride"}, {"ride": "EUR"}, "harness", 2_000, 5_000)


def found(
    *entries: Any, stored: tuple[Stored, ...] = (STORED,), known: Truth | None = None
) -> dict[str, int]:
    findings = judge(entries, known or truth(), stored, [])
    return {name.value: count for name, count in findings.counts.items() if count}


def test_a_kept_record_at_central_once_is_as_it_should_be():
    assert found(GRANT, Begun("r1"), Kept("r1")) == {}


@pytest.mark.parametrize("promise", [Begun("r1"), Kept("r1")])
def test_what_an_outbox_said_it_keeps_must_be_at_central(promise: Begun | Kept):
    assert found(GRANT, promise, stored=()) == {"lost_records": 1}


def test_a_decision_that_no_outbox_had_kept_yet_may_be_lost_with_its_kiosk():
    assert found(GRANT, stored=()) == {}


def test_a_second_record_of_a_passage_and_one_that_never_was_count_too_much():
    again = replace(STORED, record="r2")
    assert found(GRANT, stored=(STORED, again)) == {"double_counted": 1}
    assert found(stored=(STORED,)) == {"double_counted": 1}


@pytest.mark.parametrize(
    ("changes", "cases"),
    [
        ({"issued_at_ms": NOW_MS - 5_000, "age": "stale"}, 0),
        ({"issued_at_ms": NOW_MS - 5_001, "age": "stale"}, 1),
        ({"issued_at_ms": NOW_MS - 5_001, "age": "stale", "lag_ms": 1}, 0),
        ({"issued_at_ms": NOW_MS - 10_001, "age": "stale", "lag_ms": 900_000}, 1),
        ({"age": "beyond_grace"}, 1),
        ({"age": "beyond_grace", "proven": True}, 0),
        ({"age": "beyond_grace", "verdict": "refer"}, 0),
        ({"age": "absent", "issued_at_ms": 0, "purpose": ""}, 1),
    ],
)
def test_beyond_grace_is_told_by_true_time_and_a_clock_is_forgiven_only_what_it_lags(changes, cases: int):
    entry = msgspec.structs.replace(GRANT, **changes)
    assert found(entry) == ({"stale_grants_beyond_grace": 1} if cases else {})


@pytest.mark.parametrize("changes", [{"purpose": "locker"}, {"operator": "bus"}, {"currency": "USD"}])
def test_a_standing_of_another_purpose_or_operator_is_one_too_many(changes):
    assert found(msgspec.structs.replace(GRANT, **changes)) == {"wrong_purpose_used": 1}


@pytest.mark.parametrize(
    ("span", "case"),
    [
        (Span(NOW_MS - 600, 9), True),  # issued since it was told
        (Span(NOW_MS - 100, 7), True),  # the version says so
        (Span(NOW_MS - 100, 8), False),  # neither: the kiosk could not know
        (Span(NOW_MS - 600, 7, NOW_MS - 500, 9), False),  # lifted when this was issued
        (Span(NOW_MS - 600, 6, NOW_MS - 100, 7), False),  # the version may say that it is over
        (Span(NOW_MS - 600, 6, NOW_MS - 100, 8), True),
    ],
)
def test_a_grant_counts_when_what_it_was_made_on_must_have_told_of_the_restriction(span: Span, case: bool):
    known = truth()
    known.restricted["ann", "ride"].append(span)
    assert found(GRANT, known=known) == ({"restricted_granted_fresh": 1} if case else {})
    older = msgspec.structs.replace(GRANT, at_ms=NOW_MS + 1_501)
    assert found(older, known=known) == ({"restricted_granted_stale": 1} if case else {})


@pytest.mark.parametrize(
    ("deceit", "case"),
    [
        (Deceit(8), True),  # of a later version than the one used
        (Deceit(7), False),  # the kiosk may have had this for the true version
        (Deceit(6, NOW_MS - 499), False),
        (Deceit(6, NOW_MS - 500), True),  # the head that vouched for it was of the true version, or later
    ],
)
def test_a_version_tells_nothing_while_central_itself_may_have_deceived_about_it(deceit: Deceit, case: bool):
    known = truth()
    known.restricted["ann", "ride"].append(Span(NOW_MS - 100, 7))
    known.withdrawn["bob"] = {"ride": Span(NOW_MS - 100, 7)}
    known.deceits["ride"].append(deceit)
    assert found(GRANT, known=known) == ({"restricted_granted_fresh": 1} if case else {})
    other = msgspec.structs.replace(GRANT, subject="bob")
    assert found(other, known=known) == ({"withdrawn_granted": 1} if case else {})
    told = msgspec.structs.replace(other, issued_at_ms=NOW_MS - 100)
    assert found(told, known=known) == {"withdrawn_granted": 1}


def test_a_refusal_of_somebody_who_was_never_restricted_and_a_grant_after_withdrawal_count():
    assert found(msgspec.structs.replace(GRANT, verdict="deny")) == {"denied_unrestricted": 1}
    assert found(msgspec.structs.replace(GRANT, membership="withdrawn")) == {"withdrawn_granted": 1}


def test_a_command_is_obeyed_in_time_once_and_by_whom_it_was_for():
    known = truth()
    known.commands["aa"] = ("gate-1", NOW_MS)
    good = Obeyed("gate-1", "aa", NOW_MS, 0)
    assert found(good, stored=(), known=known) == {}
    assert found(good, good, stored=(), known=known) == {"expired_commands_obeyed": 1}
    for bad in (
        Obeyed("gate-1", "aa", NOW_MS + 1, 0),
        Obeyed("gate-2", "aa", NOW_MS, 0),
        Obeyed("gate-1", "bb", 0, 0),
    ):
        assert found(bad, stored=(), known=known) == {"expired_commands_obeyed": 1}


def test_spending_is_summed_by_member_and_kiosk_against_what_was_signed():
    spent = [Stored(f"r{n}", f"p{n}", "gate-1", "ann", 600, 1_000) for n in (1, 2)]
    elsewhere = Stored("r3", "p3", "gate-2", "ann", 600, 1_000)
    entries = [msgspec.structs.replace(GRANT, record=f"r{n}") for n in (1, 2, 3)]
    assert found(*entries, stored=(*spent, elsewhere)) == {"offline_overspend": 1}
    assert judge(entries, truth(), [*spent, elsewhere], []).exercised[Exercised.OFFLINE_SPENDS] == 3
    assert found(*entries, stored=(spent[0], elsewhere)) == {}


def test_a_broken_chain_is_told():
    assert judge([], truth(), [], ["gate-1"]).counts[Invariant.BROKEN_CHAINS] == 1


def test_a_ledger_whose_writer_was_killed_within_a_line_goes_on_and_is_read(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    first.write(GRANT)
    first.close()
    with path.open("ab") as file:
        file.write(b'["kept","r')
    second = Ledger(path)
    second.write(Kept("r1"))
    second.close()
    assert list(read_ledgers([path])) == [GRANT, Kept("r1")]


def test_a_ledger_that_is_damaged_otherwise_is_not_believed(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'["kept","r\n["kept","r1"]\n')
    with pytest.raises(msgspec.DecodeError):
        list(read_ledgers([path]))


PUBLISH = bytes.fromhex("32 0e 00 03 612f62 0102 00") + b"hello!"


def test_frames_are_cut_out_however_they_arrive_and_a_copy_needs_no_acknowledgement():
    connect, buffer, got = bytes.fromhex("c000"), bytearray(), []
    for byte in PUBLISH + connect + PUBLISH:
        buffer.append(byte)
        got += take_frames(buffer)
    assert got == [PUBLISH, connect, PUBLISH]
    said = published(got[0])
    assert (said.topic, said.qos, said.packet_id, said.rest) == ("a/b", 1, b"\x01\x02", b"\x00hello!")
    copy = published(unacknowledged(PUBLISH, "c/d", retained=True))
    assert (copy.topic, copy.qos, copy.retained, copy.rest) == ("c/d", 0, True, b"\x00hello!")
    assert packet_type(acknowledgement(said.packet_id)) == 4


def test_a_partition_lasts_beyond_the_grace_where_there_is_time_and_every_kiosk_is_in_one_worker():
    plan = Plan(kiosks=60, duration_s=80, faults=tuple(Fault)).settled()
    assert (
        Plan(kiosks=60, duration_s=800, faults=tuple(Fault)).settled().hold_s(Fault.PARTITION) > plan.grace_s
    )
    names = [name for share in plan.shares() for name in share]
    assert sorted(names) == sorted(plan.names())
