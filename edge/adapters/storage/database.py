"""The kiosk's SQLite files: opened, checked and versioned; a table belongs to the module that uses it.

Two files, because durability is set per connection: `outbox.sqlite3` with synchronous=FULL holds what
nobody else has, `cache.sqlite3` with synchronous=NORMAL holds what central would send again. Writes run in
a worker thread under a lock (a commit waits for the disk), and those that come while one is under way share
the next commit; reads run where they are called, on a connection of their own, since one costs about 10 us
and a write-ahead log never makes a reader wait.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge.errors import StoreError

T = TypeVar("T")

V0_1_0 = 100
"""The schemas of version 0.1.0; lower numbers were those of files that no release has written."""

BUSY_MS = 5_000
"""How long one process waits for another that holds the file: an administrator's shell, a backup."""
PAGES_KIB = 8_192
"""Memory a connection may use for pages: the inner ones of a million rows take 3 MiB, and a look-up that has
them reads one page."""
GROUP_MAX_CHANGES = 256
"""Changes in one commit: none of them waits long for the others, and the log stays small."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must hold. `version` is raised when a table changes so that older code would misread it."""

    name: str
    version: int
    synchronous: Literal["FULL", "NORMAL"]
    tables: str
    on_damage: str
    upgrades: Mapping[int, str] = field(default_factory=dict)
    """What makes a file of an older version one of the next."""


class Database:
    """One SQLite file in WAL mode. Raises `StoreError` when it is damaged, foreign or of another version."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path, self.schema = path, schema
        self._guard = threading.Lock()
        self._queue: deque[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]] = deque()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Before SQLite opens it: the files it makes beside it get the same mode.
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._writer = self._open()
            self._prepare()
            self._reader = self._open()
            self._reader.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as error:
            raise self._trouble("cannot be opened", error) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = -{PAGES_KIB}")
        connection.execute(f"PRAGMA synchronous = {self.schema.synchronous}")
        return connection

    def _prepare(self) -> None:
        found = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            self._writer.executescript(
                f"BEGIN IMMEDIATE; {self.schema.tables} PRAGMA user_version = {self.schema.version}; COMMIT;"
            )
            found = self.schema.version
        while found in self.schema.upgrades:
            upgrade = self.schema.upgrades[found]
            found += 1
            self._writer.executescript(f"BEGIN IMMEDIATE; {upgrade} PRAGMA user_version = {found}; COMMIT;")
        if found != self.schema.version:
            raise StoreError(
                f"{self.path} has schema version {found}, this program reads {self.schema.version}: "
                "start the version of Stile that wrote it, or move the file away once its records are sent"
            )
        verdict = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreError(f"{self.path} is damaged ({verdict}): {self.schema.on_damage}")

    def _trouble(self, what: str, error: Exception) -> StoreError:
        remedy = self.schema.on_damage
        if isinstance(error, OSError) or "unable to open" in str(error) or "readonly" in str(error):
            remedy = "give the kiosk's user the right to write there"
        elif "full" in str(error):
            remedy = "free some space on this disk; the kiosk goes on when there is some"
        elif "locked" in str(error):
            remedy = "another program holds it open: end it"
        return StoreError(f"{self.path} {what} ({error}): {remedy}")

    def read(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of one quick query, on the calling thread."""
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._trouble("cannot be read", error) from error

    def write_now(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run `change` on the calling thread; durable on return. An exception undoes it, and it alone."""
        answer: Future[T] = Future()
        self._queue.append((change, answer))
        while not answer.done():
            with self._guard:
                self._commit_group()
        return answer.result()

    def _commit_group(self) -> None:
        """Commit the changes that wait, each undone by itself when it fails; answer every one of them."""
        group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_MAX_CHANGES))]
        if not group:
            return  # another thread has committed them
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(change) for change, _ in group]
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for _, answer in group:
                answer.set_exception(self._named(error))
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), (failure, found) in zip(group, outcomes, strict=True):
            if failure is None:
                answer.set_result(found)
            else:
                answer.set_exception(self._named(failure))

    def _attempt(self, change: Callable[[sqlite3.Connection], Any]) -> tuple[Exception | None, Any]:
        self._writer.execute("SAVEPOINT one")
        try:
            found = change(self._writer)
        except Exception as error:
            if not self._writer.in_transaction:
                raise  # the disk is full, and SQLite has undone the whole group
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return error, None
        self._writer.execute("RELEASE one")
        return None, found

    def _named(self, error: BaseException) -> BaseException:
        return self._trouble("cannot be written", error) if isinstance(error, sqlite3.Error) else error

    async def write(
        self, change: Callable[[sqlite3.Connection], T], then: Callable[[T], None] | None = None
    ) -> T:
        """`write_now` in a worker thread, and `then` with what it gave; completes even if the caller ends."""

        def write() -> T:
            found = self.write_now(change)
            if then is not None:
                then(found)
            return found

        return await asyncio.shield(asyncio.to_thread(write))

    async def scrub(self) -> None:
        """Empty the log beside the file, so that nothing deleted lies in it; a reader puts it off."""

        def truncate() -> None:
            with self._guard:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        try:
            await asyncio.shield(asyncio.to_thread(truncate))
        except sqlite3.Error as error:
            raise self._trouble("cannot be written", error) from error

    def close(self) -> None:
        """Close both connections; whatever was committed stays."""
        with self._guard:
            self._reader.close()
            self._writer.close()
