"""What tells SQLite and PostgreSQL apart; everything above them is the same SQL.

SQLite: WAL, synchronous=FULL, one writer at a time, who locks at once. PostgreSQL: read committed, and a
writer takes an advisory lock first, so that what is read in a change holds until the change is committed.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pg8000.exceptions import DatabaseError
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    insert,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from central.errors import StorageError

BUSY_MS = 5000
"""How long a statement waits for a lock: the command line may write beside a running central."""
POSTGRES = "postgresql"
_WRITES = "stile_writes"
_COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


RESTORE = "restore a backup, then run `stile central restored`"
_REMEDIES = {
    "malformed": RESTORE,
    "not a database": RESTORE,
    "disk I/O error": "see the disk that it lies on",
    "full": "make room on its disk",
    "readonly": "give central's user the right to write there",
    "unable to open": "give central's user the right to write there",
    "locked": "end the other program that uses it",
    "Can't create a connection": "see that PostgreSQL runs there, and that `database` names it",
    "28": "correct the user in `database`, or the password in `database_password_file`",
    "3D": "make that database, or correct its name in `database`",
    "42501": "give its user the right to make tables",
    "53": "let PostgreSQL have more connections, memory or disk",
    "57P": "wait until PostgreSQL has started",
}
"""What to do, by a part of SQLite's or the driver's words, or by how PostgreSQL's error code begins."""


def trouble(place: str, error: DBAPIError) -> StorageError:
    """Why a database cannot be opened, with advice that fits the cause."""
    told = error.orig.args[0] if error.orig is not None and error.orig.args else str(error.orig)
    if isinstance(told, dict):
        code, said = str(told.get("C", "")), str(told.get("M", told))
        fitting = [remedy for start, remedy in _REMEDIES.items() if code.startswith(start)]
    else:
        said = str(told)
        fitting = [remedy for part, remedy in _REMEDIES.items() if not part[0].isdigit() and part in said]
    return StorageError(place, "; ".join((said, *fitting[:1])))


def database_url(where: Path | str) -> URL:
    """SQLAlchemy's URL for a SQLite file or a `postgresql://user@host/name`; raises StorageError."""
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
    except ArgumentError as error:
        raise StorageError("the database's URL", str(error)) from None
    if url.get_backend_name() != POSTGRES or not (url.username and url.database):
        raise StorageError(where, "give the path of a SQLite file, or postgresql://USER@HOST:PORT/NAME")
    return url.set(drivername=f"{POSTGRES}+pg8000")


def open_engine(url: URL, password: str | None = None) -> Engine:
    """The engine of a database. Nothing is connected yet; a SQLite file is made, for its owner alone."""
    if url.get_backend_name() == POSTGRES:
        url = url if password is None else url.set(password=password)
        engine = create_engine(
            url, pool_pre_ping=True, isolation_level="READ COMMITTED", hide_parameters=True
        )
        event.listen(engine, "connect", _without_delay)
        return engine
    path = Path(str(url.database))
    try:
        # Before SQLite opens it: the files it makes beside it get the same mode.
        path.touch(mode=0o600)
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(str(path), error.strerror or "cannot be opened") from None
    engine = create_engine(url, hide_parameters=True)  # neither logs nor errors show what is stored
    event.listen(engine, "connect", _sqlite_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def writer_of(engine: Engine) -> Engine:
    """The same engine for changes."""
    return engine.execution_options(**{_WRITES: True})


def lock(connection: Connection, *whats: str) -> None:
    """Be the only one to change these until this transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == POSTGRES:
        # In one order for everybody: whoever takes several never waits for one who waits for them.
        keys = sorted(_lock_key(what) for what in whats)
        taken = "SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key"
        connection.execute(text(taken), {"keys": keys})


def _lock_key(what: str) -> int:
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)


def holds_bytes(connection: Connection, column: Column[Any], part: bytes) -> ColumnElement[bool]:
    """Whether a column of bytes has these within it; both databases look for themselves."""
    if connection.dialect.name == POSTGRES:
        return column.op("LIKE")(b"%" + part + b"%")
    return func.instr(column, part) > 0


def insert_many(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, str | int | bytes | None]]
) -> None:
    """Insert rows that all name the same columns; raises IntegrityError.

    PostgreSQL gets them by COPY, six times as fast here as by INSERT, which its driver sends row by row.
    """
    if connection.dialect.name != POSTGRES:
        connection.execute(insert(table), rows)
        return
    names = list(rows[0])
    lines = ("\t".join(_copied(row[name]) for name in names) + "\n" for row in rows)
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"
    try:
        connection.connection.cursor().execute(statement, stream=BytesIO("".join(lines).encode()))  # type: ignore[call-arg]
    except DatabaseError as error:
        kind = IntegrityError if str(error.args[0].get("C", "")).startswith("23") else DBAPIError
        raise kind(statement, None, error) from error


def _copied(value: str | int | bytes | None) -> str:
    """A value as COPY's text format has it."""
    match value:
        case None:
            return "\\N"
        case bytes():
            return "\\\\x" + value.hex()
        case int():
            return str(value)
        case str():
            return value.translate(_COPY_ESCAPES)


def _without_delay(connection: Any, _record: object) -> None:
    # The driver says COPY in several small packets, and the kernel would hold the second back until the first
    # is acknowledged: 40 ms each.
    usock = getattr(connection, "_usock", None)
    if usock is not None and usock.family != socket.AF_UNIX:
        usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, so that they lock at once
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what was taken away is not to lie in free pages
        f"busy_timeout={BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # A writer locks at once: upgrading a reader's lock later can fail however long it waits.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
