"""The database under central's tables: SQLite in WAL mode with synchronous=FULL.

`revision` rises with each change to what feeds are made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Row, Table, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError

from central.adapters import tables as t
from central.errors import StorageError

BUSY_MS = 5000  # the command line may write beside a running central
_REVISION = "feeds"
_WRITES = "stile_writes"
Value = TypeVar("Value")


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, so that they lock at once
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # A writer locks at once: upgrading a reader's lock later can fail however long it waits.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def decoded(body: bytes, kind: type[Value]) -> Value:
    """A stored value; the tables hold only what was encoded from one."""
    return msgspec.msgpack.decode(body, type=kind)


class Database:
    """One SQLite file: opened, migrated, and changed in whole transactions."""

    def __init__(self, path: Path) -> None:
        try:
            # Before SQLite opens it: the files it makes beside it get the same mode.
            path.touch(mode=0o600)
            path.chmod(0o600)
        except OSError as error:
            raise StorageError(str(path), error.strerror or "cannot be opened") from None
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _sqlite_pragmas)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        try:
            self._migrate()
        except DatabaseError as error:
            self._engine.dispose()
            raise StorageError(str(path), str(error.orig)) from None

    def _migrate(self) -> None:
        with self._writer.connect() as connection:
            settings = Config()
            settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            connection.commit()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _change(self, *, feeds: bool = False) -> Iterator[Connection]:
        with self._writer.begin() as connection:
            yield connection
            if feeds:
                bumped = connection.execute(
                    update(t.REVISIONS)
                    .where(t.REVISIONS.c.name == _REVISION)
                    .values(revision=t.REVISIONS.c.revision + 1)
                )
                if bumped.rowcount == 0:
                    connection.execute(insert(t.REVISIONS).values(name=_REVISION, revision=1))

    def _added(self, table: Table, *, feeds: bool = False, **values: object) -> bool:
        try:
            with self._change(feeds=feeds) as connection:
                connection.execute(insert(table).values(**values))
        except IntegrityError:
            return False
        return True

    def _replaced(self, connection: Connection, table: Table, **values: object) -> None:
        key = [column == values[column.name] for column in table.primary_key]
        if connection.execute(update(table).where(*key).values(**values)).rowcount == 0:
            connection.execute(insert(table).values(**values))

    def _saved(self, table: Table, **values: object) -> None:
        with self._change() as connection:
            self._replaced(connection, table, **values)

    def _forget_withdrawn(self, connection: Connection, table: Table) -> None:
        """Undo what was written, meanwhile, of somebody who withdrew."""
        gone = select(t.SUBJECTS.c.subject).where(t.SUBJECTS.c.withdrawn_at_ms.is_not(None))
        connection.execute(delete(table).where(table.c.subject.in_(gone)))

    def _one(self, table: Table, **key: object) -> Row[Any] | None:
        found = self._all(table, None, **key)
        return found[0] if found else None

    def _all(self, table: Table, order: str | None = None, **key: object) -> Sequence[Row[Any]]:
        query = select(table).where(*(table.c[name] == value for name, value in key.items()))
        if order is not None:
            query = query.order_by(table.c[order])
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def revision(self) -> int:
        """A number that rises with every change to what feeds are made of, whoever makes it."""
        row = self._one(t.REVISIONS, name=_REVISION)
        return 0 if row is None else int(row.revision)
