"""The database: bounded columns, a migration that makes exactly the tables, durable settings."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import LargeBinary, String, create_engine
from sqlalchemy.exc import DBAPIError

from central.adapters.db.engines import database_url, trouble
from central.adapters.db.store import Store
from central.adapters.db.tables import METADATA
from central.errors import StorageError
from central.rules.enrolment import Consent
from central.rules.fleet import Kiosk, Order, PairingCode, Shadow
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.rules.subjects import PinState, StoredClaim, Subject
from tests.doubles import wire_samples
from tests.doubles.postgres import NO_POSTGRES, Postgres
from tests.doubles.waiting import WAIT_S
from wire.claims import ClaimKind
from wire.fields import FIELD_MAX_BYTES
from wire.fleet import CommandAction, OrderOutcome
from wire.ids import (
    ClaimDigest,
    GalleryName,
    KioskId,
    Nonce,
    OperatorId,
    PassageId,
    Purpose,
    ReasonCode,
    SiteId,
    SubjectId,
)
from wire.values import Limits, Restriction, SealedTemplate, Standing

ADA, BOB = SubjectId("a" * 32), SubjectId("b" * 32)


def test_every_text_and_bytes_column_has_a_maximum_of_at_most_4_kib():
    lengths = {
        f"{table.name}.{column.name}": column.type.length
        for table in METADATA.tables.values()
        for column in table.columns
        if isinstance(column.type, String | LargeBinary)
    }
    assert len(lengths) > 40
    assert [name for name, length in lengths.items() if length is None or length > FIELD_MAX_BYTES] == []


def test_every_column_is_of_a_kind_that_has_a_bound():
    kinds = {type(column.type).__name__ for table in METADATA.tables.values() for column in table.columns}
    assert kinds == {"String", "LargeBinary", "BigInteger", "Integer", "Boolean"}


def test_no_column_is_named_for_an_image():
    names = {column.name for table in METADATA.tables.values() for column in table.columns}
    assert not {
        name for name in names if any(word in name for word in ("image_", "photo", "picture", "face"))
    }


def test_migrating_makes_exactly_the_tables(where: Path | str):
    Store(where).close()
    engine = create_engine(database_url(where))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


def test_opening_twice_changes_nothing_and_keeps_everything(where: Path | str):
    store = Store(where)
    store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    store.close()
    store = Store(where)
    assert store.subject(ADA) == Subject(ADA, 1)
    store.close()


def test_the_database_itself_refuses_what_is_longer_than_its_column(where: Path | str):
    store = Store(where)
    store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    with pytest.raises(DBAPIError, match=r"verifier_length|too long for type character varying\(256\)"):
        store.save_pin(PinState(ADA, "v" * 257))
    store.close()


def test_the_revision_rises_with_what_kiosks_are_told_and_with_nothing_else(where: Path | str):
    store = Store(where)
    seen = [store.revision()]
    store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    seen.append(store.revision())
    event = Event("e1", ADA, Purpose("ride"), EventKind.FARE, EventOutcome.KEPT, 1)
    assert store.add_event(event)
    seen.append(store.revision())
    assert not store.add_event(event)
    store.save_pin(PinState(ADA, "v"))
    seen.append(store.revision())
    store.withdraw(ADA, 2)
    seen.append(store.revision())
    store.close()
    assert seen == [0, 1, 2, 2, 3]


def test_a_writer_beside_a_running_central_waits_its_turn(tmp_path: Path):
    store = Store(tmp_path / "central.db")
    other = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.execute("BEGIN")
    other.execute("SELECT * FROM subjects").fetchall()
    assert store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    other.execute("COMMIT")
    other.close()
    store.close()


def test_a_pairing_code_is_used_up_once_even_if_two_ask_at_the_same_moment(where: Path | str):
    store = Store(where)
    kiosk = Kiosk(KioskId("gate-1"), SiteId("north"), Purpose("ride"), GalleryName("members"), 1)
    store.add_code(PairingCode(b"l" * 32, kiosk.kiosk, b"sealed", 10))
    assert store.use_code(b"l" * 32, replace(kiosk, software="first"), 2)
    assert not store.use_code(b"l" * 32, replace(kiosk, software="second"), 2)
    stored = store.kiosk(kiosk.kiosk)
    store.close()
    assert stored == replace(kiosk, software="first")


def test_withdrawing_leaves_the_fact_and_the_claims_digests_and_nothing_else(where: Path | str):
    store, ride = Store(where), Purpose("ride")
    template = SealedTemplate(b"sealed template", 1, "b" * 64, 3)
    store.add_subject(Subject(ADA, 1), template, Consent("1", "en", 1))
    claim = StoredClaim(ClaimDigest(b"d" * 32), ADA, ClaimKind.QR, 1)
    store.add_claim(claim)
    store.save_pin(PinState(ADA, "verifier"))
    store.add_event(Event("e1", ADA, ride, EventKind.FARE, EventOutcome.KEPT, 1))
    store.save_standing(standing(), store.revision())
    store.add_restriction(restriction(), 202611, lowest_tier=False)
    store.withdraw(ADA, 2)
    left = (store.template(ADA), store.pin(ADA), store.standing(ADA, ride), store.templates_among([ADA]))
    lists = (store.events_of(ADA, ride), store.restrictions(), store.standings_among(ride, [ADA]))
    found = (store.subject(ADA), store.claims_of(ADA))
    store.close()
    assert left == (None, None, None, {})
    assert lists == ([], [], [])
    assert found == (Subject(ADA, 1, 2), [claim])


def replace_subject(of: Standing, subject: SubjectId) -> Standing:
    return msgspec.structs.replace(of, subject=subject)


def standing() -> Standing:
    limits = Limits(1, 1, "EUR")
    return Standing(
        ADA, OperatorId("metro"), Purpose("ride"), 1, ReasonCode("standard"), (), limits, (), 1, 2
    )


def restriction() -> Restriction:
    return wire_samples.restriction(ADA)


def test_a_file_that_is_no_database_is_refused_by_name_and_left_alone(tmp_path: Path):
    file = tmp_path / "central.db"
    file.write_bytes(b"not a database, but somebody's notes\n" * 100)
    before = file.read_bytes()
    with pytest.raises(StorageError, match=r"central\.db: file is not a database; restore a backup"):
        Store(file)
    assert file.read_bytes() == before


def test_an_empty_database_is_refused_where_one_was_before(where: Path | str, tmp_path: Path):
    begun = tmp_path / "database.begun"
    Store(where, begun=begun).close()
    assert begun.exists()
    Store(where, begun=begun).close()
    told = "it is empty, and its keys have served a database before: restore a backup"
    with pytest.raises(StorageError, match=told):
        Store(tmp_path / "other.db", begun=begun)
    begun.unlink()
    Store(tmp_path / "other.db", begun=begun).close()


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (
            {"C": "28P01", "M": "password authentication failed"},
            "; correct the user in `database`, or the",
        ),
        ({"C": "3D000", "M": "database x does not exist"}, "; make that database"),
        ({"C": "57P03", "M": "the database system is starting up"}, "; wait until PostgreSQL has started"),
        ({"C": "XX000", "M": "no idea"}, ": no idea"),
        ("Can't create a connection to host h and port 1", "; see that PostgreSQL runs there"),
        ("database is locked", "; end the other program that uses it"),
        ("database or disk is full", "; make room on its disk"),
        ("database disk image is malformed", "; restore a backup, then run `stile central restored`"),
    ],
)
def test_a_database_that_cannot_be_opened_advises_what_fits_the_cause(cause: object, advice: str):
    told = str(trouble("there", DBAPIError("", None, Exception(cause))))
    assert advice in told
    assert ("restore" in told) == ("malformed" in told)


def test_a_server_that_is_not_there_advises_no_restore():
    with pytest.raises(StorageError) as refused:
        Store("postgresql://stile@127.0.0.1:1/central")
    assert "see that PostgreSQL runs there, and that `database` names it" in str(refused.value)
    assert "restore" not in str(refused.value)


def test_only_the_owner_may_read_the_database_and_the_files_beside_it(tmp_path: Path):
    store = Store(tmp_path / "central.db")
    store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    store.close()
    assert modes == dict.fromkeys(("central.db", "central.db-wal", "central.db-shm"), 0o600)


def test_a_database_that_others_could_read_is_closed_to_them_when_it_is_opened(tmp_path: Path):
    Store(tmp_path / "central.db").close()
    (tmp_path / "central.db").chmod(0o644)
    Store(tmp_path / "central.db").close()
    assert (tmp_path / "central.db").stat().st_mode & 0o777 == 0o600


def test_a_standing_computed_while_its_subject_withdrew_is_not_kept(where: Path | str):
    store = Store(where)
    store.add_subject(Subject(ADA, 1), None, Consent("1", "en", 1))
    store.withdraw(ADA, 2)
    store.save_standings([standing()], store.revision())
    assert store.standing(ADA, Purpose("ride")) is None
    store.close()


def test_a_standing_computed_while_an_event_of_its_subject_came_is_not_kept(where: Path | str):
    store, ride, bob = Store(where), Purpose("ride"), SubjectId("b" * 32)
    for subject in (ADA, bob):
        store.add_subject(Subject(subject, 1), None, Consent("1", "en", 1))
    read_at = store.revision()
    store.add_event(Event("e1", ADA, ride, EventKind.FARE, EventOutcome.BROKEN, 1))
    before = [standing(), replace_subject(standing(), bob)]
    store.save_standings(before, read_at)
    store.save_standing(standing(), read_at)
    kept = (store.standing(ADA, ride), store.standing(bob, ride))
    store.save_standing(standing(), store.revision())
    anew = store.standing(ADA, ride)
    store.forget_changes(store.revision())  # then it may have been anybody
    store.save_standings([replace_subject(before[1], SubjectId("c" * 32))], read_at)
    forgotten = store.standing(SubjectId("c" * 32), ride)
    store.close()
    assert kept == (None, before[1])
    assert (anew, forgotten) == (standing(), None)


def test_two_workers_that_start_at_once_migrate_once(where: Path | str):
    program = f"from pathlib import *; from central.adapters.db.store import Store; Store({where!r}).close()"
    workers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [worker.wait(WAIT_S) for worker in workers] == [0, 0]


@NO_POSTGRES
def test_a_server_that_crashed_is_named_and_what_was_committed_is_there_when_it_is_back(postgres: Postgres):
    store = Store(postgres.url)
    store.add_subject(Subject(BOB, 1), None, Consent("1", "en", 1))
    postgres.crash()
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        Store(postgres.url)
    postgres.start()
    assert store.subject(BOB) == Subject(BOB, 1)  # by the same store, over a new connection
    store.close()


@pytest.mark.parametrize(
    "url", ["mysql://root@127.0.0.1/central", "postgresql://127.0.0.1/central", "sqlite"]
)
def test_a_url_of_another_kind_is_refused_by_a_sentence(url: str):
    with pytest.raises(StorageError, match=r"postgresql://USER@HOST:PORT/NAME|URL"):
        Store(url)


def test_orders_and_shadows_are_kept_and_the_first_word_stands(where: Path | str):
    gate, other = KioskId("gate-1"), KioskId("gate-2")
    order = Order(Nonce(b"n" * 16), gate, CommandAction.RELEASE_EXIT, "ada", 1000, 11_000)
    store = Store(where)
    try:
        store.add_order(replace(order, nonce=Nonce(b"o" * 16), issued_at_ms=10, not_after_ms=900), 0)
        store.add_order(order, 500)
        assert store.order(Nonce(b"o" * 16)) is None, "too old to be asked about"
        assert list(store.unsent_orders(11_000)) == [order]
        assert list(store.unsent_orders(11_001)) == []
        store.sent_order(order.nonce, 1500)
        assert list(store.unsent_orders(2000)) == []
        store.answer_order(other, order.nonce, OrderOutcome.OBEYED, None, 1600)
        assert store.order(order.nonce).outcome is None
        store.answer_order(gate, order.nonce, OrderOutcome.OBEYED, PassageId("7" * 32), 1700)
        store.answer_order(gate, order.nonce, OrderOutcome.LATE, None, 1800)
        done = replace(
            order,
            sent_at_ms=1500,
            outcome=OrderOutcome.OBEYED,
            passage=PassageId("7" * 32),
            answered_at_ms=1700,
        )
        assert list(store.orders(gate)) == [done]

        assert store.shadow(gate) == Shadow(gate)
        store.save_report(gate, 0, {"camera.fps": "30"}, {}, 10)
        assert list(store.all_desired()) == []
        assert store.save_desired(gate, 1, {"camera.fps": "15", "screen.language": "de"}, 0)
        assert not store.save_desired(gate, 1, {"camera.fps": "20"}, 0), "somebody else was first"
        assert store.save_desired(gate, 2, {"camera.fps": "20"}, 1)
        store.save_report(gate, 2, {"camera.fps": "30"}, {"camera.fps": "needs_restart"}, 20)
        assert store.shadow(gate) == Shadow(
            gate, 2, {"camera.fps": "20"}, 2, {"camera.fps": "30"}, {"camera.fps": "needs_restart"}, 20
        )
        assert [(each.kiosk, each.desired_version) for each in store.all_desired()] == [(gate, 2)]
    finally:
        store.close()
