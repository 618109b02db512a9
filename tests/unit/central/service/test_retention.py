"""Retention: what goes, what stays, and that nothing anybody is told changes by it; on both databases."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from central.app import (
    UseCases,
    init_central,
    load_config,
    open_use_cases,
)
from central.errors import ConfigError, ConflictError, UnknownError
from central.rules.authority import certify
from central.rules.enrolment import Consent
from central.rules.export import verify_export
from central.rules.fleet import Kiosk
from central.rules.restriction import Terms
from central.rules.retention import Purged, RetentionConfig, due
from central.rules.review import Matter, Outcome
from central.rules.scorecard import Event, EventKind, EventOutcome, score
from central.trial import add_reviewer, issue_restriction, lift_restriction, settle
from scripts.cli.central.app import app
from tests.doubles.scorecards import ADA, NOW_MS, RIDE, card, events_drawn
from tests.doubles.wire_samples import pass_record
from wire import chain
from wire.canonical import canonical
from wire.environment import Environment, utc_ms
from wire.ids import GalleryName, KioskId, OperatorId, PassageId, ReasonCode, ReviewerId, SiteId, SubjectId
from wire.records import RecordBatch
from wire.signing import DAY_MS, Signer, sign_chain_head
from wire.values import Role, Tombstone

KIOSK, METRO = KioskId("gate-1"), OperatorId("metro")
SIGNER = Signer.from_seed(b"k" * 32)
NOTHING = Purged(0, 0, 0, 0, 0)


@dataclass
class Archive:
    """A central without network and one kiosk's records in it; the clock moves when a test says so."""

    use_cases: UseCases
    config: Path
    clock: list[int]
    sent: int = 0
    link: bytes = chain.genesis(KIOSK)

    def days_pass(self, days: int) -> None:
        self.clock[0] += days * DAY_MS

    def member(self) -> SubjectId:
        subject = self.use_cases.members.new_subject_id()
        self.use_cases.members.enrol(subject, None, Consent("1", "en", self.clock[0]))
        return subject

    def receive(self, *subjects: SubjectId) -> None:
        """A batch of records, one of each subject."""
        previous, records = self.link, []
        for number, subject in enumerate(subjects, start=self.sent + 1):
            body = pass_record(KIOSK, number, subject=subject)
            records.append(chain.chained(self.link, number, body, bytes([number]) * 16))
            self.link = records[-1].link
        self.sent += len(records)
        head = sign_chain_head(KIOSK, self.sent, self.link, SIGNER)
        receipt = self.use_cases.records.ingest(
            RecordBatch(KIOSK, previous, tuple(records), head), SIGNER.public_key
        )
        assert receipt.fault is None

    def verified(self) -> tuple[int, int, int | None]:
        """Records, how many of them purged, and the first break."""
        (report,) = self.use_cases.records.verify()
        (same,) = verify_export(self.use_cases.records.export()).kiosks
        assert same == report
        return report.records, report.purged, report.broken_at

    def event(self, subject: SubjectId, event_id: str, kind: EventKind = EventKind.FARE) -> None:
        at_ms = self.clock[0]
        self.use_cases.standings.record_event(
            Event(event_id, subject, RIDE, kind, EventOutcome.BROKEN, at_ms)
        )


@pytest.fixture
def archive(tmp_path: Path, where: Path | str) -> Iterator[Archive]:
    config = init_central(tmp_path / "central", "metro", "north", "ride")
    text = config.read_text().replace('database = "central.db"', f'database = "{where}"')
    config.write_text(
        text + "\n[retention]\nrecords_days = 90\nrestrictions_days = 60\nwithdrawn_days = 30\n"
    )
    dice, clock = random.Random(1), [utc_ms()]
    with open_use_cases(
        load_config(config), Environment(utc_ms=lambda: clock[0], random_bytes=dice.randbytes)
    ) as use_cases:
        identity = use_cases.context.identity
        own = certify(
            METRO,
            Role.KIOSK,
            name=KIOSK,
            site="north",
            public_key=SIGNER.public_key,
            now_ms=clock[0],
            by=identity.issuer,
        )
        use_cases.kiosks._store.save_kiosk(
            Kiosk(KIOSK, SiteId("north"), RIDE, GalleryName("members"), 1, own, identity.credentials.issuer)
        )
        yield Archive(use_cases, config, clock)


def test_bodies_and_salts_go_after_their_time_and_the_chain_verifies_as_purged(archive: Archive):
    member = archive.member()
    archive.receive(member, member, member)
    archive.days_pass(60)
    archive.receive(member, member)
    archive.days_pass(30)
    assert archive.use_cases.retention.run() == NOTHING, "ninety days are not over"
    archive.clock[0] += 1
    assert archive.use_cases.retention.run().records == 3
    assert archive.verified() == (5, 3, None)
    assert archive.use_cases.retention.run() == NOTHING, "they go once"
    with pytest.raises(UnknownError):
        archive.use_cases.records.of_passage(PassageId(f"{1:032x}"))
    assert len(archive.use_cases.records.of_passage(PassageId(f"{4:032x}"))) == 1


def test_a_kiosks_chain_goes_on_after_a_purge(archive: Archive):
    member = archive.member()
    archive.receive(member)
    archive.days_pass(91)
    archive.use_cases.retention.run()
    archive.receive(member, member)
    assert archive.verified() == (3, 1, None)


SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""PostgreSQL vacuums by itself, in its own time."""


@SQLITE
def test_nothing_of_a_purged_record_is_left_in_the_files(archive: Archive):
    member = archive.member()
    archive.receive(member)
    body = canonical(pass_record(KIOSK, 1, subject=member))
    assert found_in_files(archive, body)
    archive.days_pass(91)
    archive.use_cases.retention.run()
    assert not found_in_files(archive, body)
    assert not found_in_files(archive, bytes([1]) * 16), "nor its salt"


def found_in_files(archive: Archive, needle: bytes) -> bool:
    database = load_config(archive.config).database
    assert isinstance(database, Path)
    return any(needle in file.read_bytes() for file in database.parent.glob("central.db*"))


def test_what_is_left_of_who_withdrew_goes_with_the_records_that_name_them(archive: Archive):
    gone, stays = archive.member(), archive.member()
    archive.use_cases.members.add_qr_claim(gone)
    archive.receive(gone, stays, gone)
    archive.use_cases.members.withdraw(gone)
    archive.days_pass(30)
    assert archive.use_cases.retention.run() == NOTHING
    assert isinstance(archive.use_cases.standings.issued(gone, RIDE), Tombstone)
    archive.clock[0] += 1
    assert archive.use_cases.retention.run() == Purged(0, 2, 0, 0, 1)
    assert archive.use_cases.standings.issued(gone, RIDE) is None
    assert [row.subject for row in archive.use_cases.standings.everybody(RIDE)] == [stays]
    assert archive.verified() == (3, 2, None)
    assert archive.use_cases.records.of_passage(PassageId(f"{2:032x}"))[0].subject == stays


def test_events_go_when_they_can_count_no_more_and_a_dispute_of_them_too(archive: Archive):
    member = archive.member()
    archive.event(member, "fare-1")
    archive.event(member, "booking-1", EventKind.BOOKING)
    archive.use_cases.reviews.dispute("booking-1", "That was not me.")
    archive.days_pass(600)
    archive.clock[0] += 1
    assert archive.use_cases.retention.run().events == 1, "a booking's half-life is 60 days, a fare's 90"
    assert [each.event_id for each, _ in archive.use_cases.reviews.events(member, RIDE)] == ["fare-1"]
    assert list(archive.use_cases.reviews.open_cases()) == []
    archive.days_pass(300)
    assert archive.use_cases.retention.run().events == 1


def test_restrictions_go_when_they_have_been_over_for_long_enough(archive: Archive):
    member = archive.member()
    reviewers = [add_reviewer(load_config(archive.config), ReviewerId(name)) for name in ("rita", "bea")]
    archive.clock[0] = utc_ms()
    ends_ms = archive.clock[0] + 10 * DAY_MS
    terms = Terms(member, METRO, RIDE, ReasonCode("assault"), "Incident 12", ends_ms)
    made = [issue_restriction(archive.use_cases, terms, reviewers) for _ in range(2)]
    lift_restriction(archive.use_cases, made[0].restriction_id, reviewers[0])
    archive.days_pass(60)
    archive.clock[0] += 1
    assert archive.use_cases.retention.run().restrictions == 1, "lifted ten days before the other was over"
    assert [each.held.restriction for each in archive.use_cases.reviews.histories()] == [made[1]]
    archive.days_pass(10)
    assert archive.use_cases.retention.run().restrictions == 1
    assert archive.use_cases.reviews.report().overall.issued == 2, "the report outlasts them"


@given(events_drawn, st.integers(0, 3000))
def test_a_purge_of_events_changes_no_score_then_or_later(events: list[Event], days: int):
    now_ms = NOW_MS + days * DAY_MS
    (spent,) = due(RetentionConfig(), [card()], now_ms).events
    kept = [
        event
        for event in events
        if event.at_ms >= spent.before_ms.get((event.kind, event.outcome), spent.others_before_ms)
    ]
    for at_ms in (now_ms, now_ms + 1, now_ms + 100 * DAY_MS):
        assert score(card(), ADA, kept, at_ms) == score(card(), ADA, events, at_ms)


def test_a_tombstone_outlasts_the_longest_grace_of_a_kiosk(tmp_path: Path):
    config = init_central(tmp_path / "central", "metro", "north", "ride")
    config.write_text(config.read_text() + "\n[retention]\nwithdrawn_days = 7\n")
    with pytest.raises(ConfigError, match=r"retention.withdrawn_days = 7: .*>= 8"):
        load_config(config)


@SQLITE
def test_one_byte_changed_in_the_database_is_named_by_kiosk_and_sequence(archive: Archive):
    database = load_config(archive.config).database
    assert isinstance(database, Path)
    member = archive.member()
    archive.receive(*[member] * 3)
    archive.receive(*[member] * 3)
    dice, tried = random.Random(7), 0
    raw = sqlite3.connect(database, isolation_level=None)
    for column in ("commitment", "link", "salt", "body", "record_id", "passage"):
        sequence = dice.randint(1, 6)
        (kept,) = raw.execute(f"SELECT {column} FROM records WHERE sequence = {sequence}").fetchone()
        bent = bytearray(kept if isinstance(kept, bytes) else kept.encode())
        bent[dice.randrange(len(bent))] ^= 1
        changed = bytes(bent) if isinstance(kept, bytes) else bent.decode()
        raw.execute(f"UPDATE records SET {column} = ? WHERE sequence = {sequence}", (changed,))
        assert archive.verified() == (sequence - 1, 0, sequence), column
        raw.execute(f"UPDATE records SET {column} = ? WHERE sequence = {sequence}", (kept,))
        tried += 1
    (signature,) = raw.execute("SELECT signature FROM chain_heads WHERE sequence = 3").fetchone()
    raw.execute("UPDATE chain_heads SET signature = ? WHERE sequence = 3", (signature[::-1],))
    assert archive.verified()[2] == 3
    raw.close()
    assert tried == 6
    command = ["audit", "verify", "--config", str(archive.config), "--json"]
    found = CliRunner().invoke(app, command)
    told = {"kiosk": "gate-1", "sequence": 3, "why": "the kiosk's signature does not hold"}
    assert (found.exit_code, json.loads(found.stdout)["first_break"]) == (1, told)


def test_a_case_is_opened_once_settled_once_and_does_what_was_ruled(archive: Archive):
    rita, bea, cas = (
        add_reviewer(load_config(archive.config), ReviewerId(name)) for name in ("rita", "bea", "cas")
    )
    archive.clock[0] = utc_ms()
    member, use_cases = archive.member(), archive.use_cases
    archive.event(member, "fare-1")
    use_cases.reviews.dispute("fare-1", "That was not me.")
    with pytest.raises(ConflictError):
        use_cases.reviews.dispute("fare-1", "Again.")
    closed = settle(
        use_cases,
        Matter.EVENT,
        target="fare-1",
        outcome=Outcome.STRUCK,
        note="Indeed.",
        by=rita,
    )
    assert not use_cases.reviews._store.settle_case(closed), "another program was faster"
    assert use_cases.standings.explain(member, RIDE).events_struck == 1
    ends_ms = archive.clock[0] + DAY_MS
    terms = Terms(member, METRO, RIDE, ReasonCode("assault"), "Incident 12", ends_ms)
    made = issue_restriction(use_cases, terms, (rita, bea))
    opened = use_cases.reviews.contest(made.contest_code, "I was not there.")
    assert not use_cases.reviews._store.open_case(opened), "another program was faster"
    settle(
        use_cases,
        Matter.RESTRICTION,
        target=made.restriction_id,
        outcome=Outcome.STRUCK,
        note="Right.",
        by=cas,
    )
    assert use_cases.reviews.history(made.restriction_id).state == "struck"
    use_cases.reviews.revoke(ReviewerId("rita"))
    assert [each.revoked_at_ms for each in use_cases.reviews.reviewers()] == [archive.clock[0], None, None]
