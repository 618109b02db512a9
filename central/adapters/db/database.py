"""The database under central's tables, SQLite or PostgreSQL: migrated, and changed in whole transactions.

`revision` rises with each change to what feeds are made of.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Row, Table, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.engines import POSTGRES, RESTORE, database_url, lock, open_engine, trouble, writer_of
from central.errors import SchemaError, StorageError
from wire.errors import SealBrokenError
from wire.ids import SubjectId

log = logging.getLogger(__name__)

_REVISION = "feeds"
CHANGES_FLOOR = "feed changes floor"
"""Names the revision up to which the list of changed subjects is no longer kept."""
_WHOLE = "stile"
"""What a change locks that names nothing smaller."""
ANYBODY = ""
"""Stands for the changed subject when every row of every feed may differ."""
_MIGRATING = threading.Lock()
"""Alembic keeps its context in a module, whichever thread asks."""
Value = TypeVar("Value")


def decoded(body: bytes, kind: type[Value]) -> Value:
    """A stored value; the tables hold only what was encoded from one."""
    return msgspec.msgpack.decode(body, type=kind)


class Database:
    """A SQLite file or a PostgreSQL URL: opened, migrated, and changed in whole transactions."""

    def __init__(self, where: Path | str, password: str | None = None, begun: Path | None = None) -> None:
        """`begun`: a file beside the keys that is there once a database has been made for them."""
        url = database_url(where)
        self._begun = begun
        self._engine = open_engine(url, password)
        self.unreadable: dict[str, str] = {}
        """Rows that cannot be read, by table and key, and why; each is left out."""
        self._writer = writer_of(self._engine)
        self._place = str(where) if isinstance(where, Path) else url.render_as_string()
        # SQLite's writers look again and again whether it is their turn, and some never are within BUSY_MS.
        # Threads of one process take turns here, and only other processes have to be waited for like that.
        one_writer = url.get_backend_name() != POSTGRES
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.Lock() if one_writer else contextlib.nullcontext()
        )
        try:
            self._migrate()
        except DBAPIError as error:
            self._engine.dispose()
            raise trouble(self._place, error) from None

    def _migrate(self) -> None:
        with self._writer.connect() as connection:
            lock(connection, _WHOLE)  # two workers may start at once
            settings = Config()
            settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            settings.attributes["connection"] = connection
            with _MIGRATING:
                self._check_schema(connection, ScriptDirectory.from_config(settings))
                command.upgrade(settings, "head")
            connection.commit()
        if self._begun is not None:
            self._begun.touch(mode=0o600)

    def _check_schema(self, connection: Connection, migrations: ScriptDirectory) -> None:
        found = MigrationContext.configure(connection).get_current_revision()
        known = [each.revision for each in migrations.walk_revisions()]
        if found is None and self._begun is not None and self._begun.exists():
            self._engine.dispose()
            why = "it is empty, and its keys have served a database before"
            raise StorageError(self._place, f"{why}: {RESTORE}; to begin anew, delete {self._begun}")
        if found is not None and found not in known:
            self._engine.dispose()
            raise SchemaError(self._place, found, known)

    def scrub(self) -> None:
        """Let nothing of what was taken lie in the log beside a SQLite file; PostgreSQL vacuums by itself."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.rollback()  # a checkpoint waits for readers, this one too
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _change(
        self, *whats: str, feeds: bool = False, subjects: Sequence[str] = (ANYBODY,)
    ) -> Iterator[Connection]:
        """One transaction; with `feeds` it raises the revision and notes whose rows may be others now."""
        with self._turn, self._writer.begin() as connection:
            lock(connection, *(whats or (_WHOLE,)))
            yield connection
            if feeds:
                bumped = connection.execute(
                    update(t.REVISIONS)
                    .where(t.REVISIONS.c.name == _REVISION)
                    .values(revision=t.REVISIONS.c.revision + 1)
                )
                if bumped.rowcount == 0:
                    connection.execute(insert(t.REVISIONS).values(name=_REVISION, revision=1))
                now = select(t.REVISIONS.c.revision).where(t.REVISIONS.c.name == _REVISION)
                revision = connection.execute(now).scalar_one()
                for subject in subjects:
                    self._replaced(connection, t.FEED_CHANGES, subject=subject, revision=revision)

    def _added(self, table: Table, *, feeds: bool = False, **values: object) -> bool:
        try:
            with self._change(feeds=feeds, subjects=(str(values.get("subject", ANYBODY)),)) as connection:
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

    def _each(self, table: Table, rows: Iterable[Any], made: Callable[[Any], Value]) -> list[Value]:
        """What rows hold. A row that cannot be read is named, once, and left out: the others are served."""
        found: list[Value] = []
        for row in rows:
            try:
                found.append(made(row))
            except (ValueError, TypeError, msgspec.MsgspecError, SealBrokenError) as error:
                self._leave_out(table, row, error)
        return found

    def _only(self, table: Table, row: Any, made: Callable[[Any], Value]) -> Value | None:
        found = [] if row is None else self._each(table, [row], made)
        return found[0] if found else None

    def _leave_out(self, table: Table, row: Any, error: Exception) -> None:
        keys = (getattr(row, column.name) for column in table.primary_key)
        key = " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in keys)
        if (name := f"{table.name} {key}") not in self.unreadable:
            self.unreadable[name] = str(error)
            log.error("%s %s cannot be read (%s) and is left out", table.name, key, error)

    def _changed_since(self, connection: Connection, revision: int) -> set[SubjectId] | None:
        """Who changed after a revision; None when it may be anybody."""
        changes, revisions = t.FEED_CHANGES.c, t.REVISIONS.c
        query = select(changes.subject).where(changes.revision > revision)
        found = set(connection.execute(query).scalars().all())
        # Looked at after the changes: what was forgotten meanwhile is then known to be.
        query = select(revisions.revision).where(revisions.name == CHANGES_FLOOR)
        floor = connection.execute(query).scalar_one_or_none()
        forgotten = floor is not None and floor > revision
        return None if forgotten or ANYBODY in found else {SubjectId(subject) for subject in found}

    def revision(self) -> int:
        """A number that rises with every change to what feeds are made of, whoever makes it."""
        row = self._one(t.REVISIONS, name=_REVISION)
        return 0 if row is None else int(row.revision)
