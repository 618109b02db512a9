"""The kiosk's files: damaged, foreign or open to others, they are refused by a sentence that helps."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.adapters.storage import database as store
from edge.adapters.storage.database import Database, Schema
from edge.adapters.storage.keyfile import RowSealer, read_secret, write_secret
from edge.errors import StoreError
from tests.doubles.waiting import WAIT_S
from wire.errors import SealBrokenError

SCHEMA = Schema("notes", 3, "FULL", "CREATE TABLE note (text TEXT NOT NULL) STRICT;", "copy it aside")


def write(database: Database, text: str) -> None:
    database.write_now(lambda connection: connection.execute("INSERT INTO note VALUES (?)", (text,)))


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    write(database, "kept")
    database.close()
    again = Database(tmp_path / "notes.sqlite3", SCHEMA)
    assert again.read("SELECT text FROM note") == [("kept",)]
    again.close()


def test_each_file_has_the_durability_its_schema_names(tmp_path: Path):
    for word, number in (("FULL", 2), ("NORMAL", 1)):
        schema = Schema("notes", 1, word, SCHEMA.tables, "")
        database = Database(tmp_path / f"{word}.sqlite3", schema)
        assert database.write_now(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (number,)
        assert database.read("PRAGMA journal_mode") == [("wal",)]
        database.close()


def test_a_change_that_fails_half_way_is_undone(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('half')")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        database.write_now(half)
    write(database, "whole")
    assert database.read("SELECT text FROM note") == [("whole",)]
    database.close()


async def test_changes_that_wait_for_a_commit_share_the_next_and_one_that_fails_is_undone_alone(
    tmp_path: Path,
):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    commits: list[str] = []
    database.write_now(lambda c: c.set_trace_callback(lambda line: commits.append(line)))
    entered, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        entered.set()
        assert go_on.wait(WAIT_S)

    def note(text: str) -> Callable[[sqlite3.Connection], str]:
        def change(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT INTO note VALUES (?)", (text,))
            if text == "4":
                raise ValueError("no more")
            return text

        return change

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(entered.wait, 10)
    others = [asyncio.create_task(database.write(note(str(number)))) for number in range(5)]
    async with asyncio.timeout(WAIT_S):
        while len(database._queue) < len(others):  # noqa: ASYNC110 threads put them there
            await asyncio.sleep(0)
        commits.clear()
        go_on.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
    assert found[:4] == ["0", "1", "2", "3"]
    assert isinstance(found[4], ValueError)
    assert commits.count("COMMIT") == 2
    assert database.read("SELECT text FROM note ORDER BY text") == [("0",), ("1",), ("2",), ("3",)]
    database.close()


def test_a_file_that_another_program_holds_is_said_to_be_and_nobody_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "BUSY_MS", 50)
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program holds it open"):
        write(database, "kept")
    other.execute("ROLLBACK")
    write(database, "kept")
    assert database.read("SELECT text FROM note") == [("kept",)]
    other.close()
    database.close()


async def test_a_write_completes_though_its_caller_is_cancelled(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    entered, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        connection.execute("INSERT INTO note VALUES ('slow')")

    task = asyncio.create_task(database.write(slow))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await database.write(lambda connection: None)  # behind the first one
    assert database.read("SELECT text FROM note") == [("slow",)]
    database.close()


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "notes.sqlite3"
    path.write_bytes(b"this is no database at all, though it is long enough to look like one" * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="copy it aside"):
        Database(path, SCHEMA)
    assert path.read_bytes() == before


def test_a_file_with_a_torn_page_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "notes.sqlite3"
    database = Database(path, SCHEMA)
    notes = [(f"note {number}",) for number in range(2000)]
    database.write_now(lambda connection: connection.executemany("INSERT INTO note VALUES (?)", notes))
    database.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 4] = random.Random(1).randbytes(4096 * 2)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="copy it aside"):
        Database(path, SCHEMA)
    assert path.read_bytes() == bytes(content)


def test_a_file_of_another_schema_version_is_refused_by_both_versions(tmp_path: Path):
    Database(tmp_path / "notes.sqlite3", SCHEMA).close()
    with pytest.raises(StoreError, match="schema version 3, this program reads 4"):
        Database(tmp_path / "notes.sqlite3", Schema("notes", 4, "FULL", SCHEMA.tables, "copy it aside"))


def test_a_full_disk_is_an_error_that_says_so_and_the_file_goes_on_when_there_is_space(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    write(database, "before")
    pages = database.write_now(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="free some space"):
        write(database, "x" * 100_000)
    database._writer.execute("PRAGMA max_page_count = 1000000")
    write(database, "after")
    texts = [text for (text,) in database.read("SELECT text FROM note")]
    assert (texts[0], texts[-1]) == ("before", "after")
    database.close()


def test_only_the_owner_may_read_a_database_or_a_secret(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    write_secret(tmp_path / "device.key", b"k" * 32)
    assert (tmp_path / "notes.sqlite3").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "device.key").stat().st_mode & 0o777 == 0o600
    assert read_secret(tmp_path / "device.key", "") == b"k" * 32
    database.close()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path):
    write_secret(tmp_path / "device.key", b"k" * 32)
    for mode in (0o640, 0o604, 0o620, 0o644):
        (tmp_path / "device.key").chmod(mode)
        with pytest.raises(StoreError, match="chmod 600"):
            read_secret(tmp_path / "device.key", "")


def test_a_sealed_row_opens_only_as_what_it_was_sealed_as_and_only_with_its_key():
    dice = random.Random(1)
    sealer = RowSealer(b"k" * 32, dice.randbytes)
    sealed = sealer.seal(b"plain", "standing", "a")
    assert sealer.open(sealed, "standing", "a") == b"plain"
    assert b"plain" not in sealed
    for names in (("standing", "b"), ("gallery", "a"), ("standing",), ("standinga",)):
        with pytest.raises(SealBrokenError):
            sealer.open(sealed, *names)
    with pytest.raises(SealBrokenError):
        RowSealer(b"l" * 32, dice.randbytes).open(sealed, "standing", "a")


def test_rows_sealed_together_are_those_sealed_one_by_one():
    names = [f"{number:032x}" for number in range(20)] + ["", "é"]
    rows = [bytes([number]) * number for number in range(22)]
    together = RowSealer(b"k" * 32, random.Random(7).randbytes).seal_all("standing", names, rows)
    nonces = random.Random(7).randbytes(12 * len(rows))
    drawn = iter([nonces[at : at + 12] for at in range(0, len(nonces), 12)])
    one_by_one = RowSealer(b"k" * 32, lambda _: next(drawn))
    assert together == [one_by_one.seal(row, "standing", name) for name, row in zip(names, rows, strict=True)]


def test_a_device_key_of_the_wrong_length_is_refused():
    with pytest.raises(StoreError, match="31 bytes"):
        RowSealer(b"k" * 31, random.Random(1).randbytes)


def test_the_files_beside_an_open_database_are_for_its_owner_alone_as_well(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    write(database, "one")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    database.close()
    assert modes == dict.fromkeys(("notes.sqlite3", "notes.sqlite3-wal", "notes.sqlite3-shm"), 0o600)


def test_a_file_of_an_older_version_is_upgraded_step_by_step_and_keeps_its_rows(tmp_path: Path):
    database = Database(tmp_path / "notes.sqlite3", SCHEMA)
    write(database, "before")
    database.close()
    steps = {
        SCHEMA.version: "ALTER TABLE note ADD COLUMN read INTEGER NOT NULL DEFAULT 0;",
        SCHEMA.version + 1: "UPDATE note SET read = 1;",
    }
    newest = Schema("notes", SCHEMA.version + 2, "FULL", SCHEMA.tables, "copy it aside", steps)
    for _ in range(2):
        database = Database(tmp_path / "notes.sqlite3", newest)
        assert database.read("SELECT text, read FROM note") == [("before", 1)]
        database.close()
