"""What central said and would say again: each feed's rows, sealed, and the verified head behind them.

A new snapshot is staged beside the one in use and takes its place in one transaction, once it is complete.
A change from one version to the next is one transaction too, and a row is read together with its version: no
reader ever sees rows of two versions.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from edge.adapters.storage.database import V0_1_0, Database, Schema
from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.rolled import RolledKeys
from edge.errors import StoreError
from wire.canonical import canonical
from wire.errors import SealBrokenError
from wire.fleet import GalleryDelta, StandingDelta
from wire.ids import ClaimDigest, SubjectId
from wire.packing import EMPTY_ROWS_DIGEST, Checked, claims_of, row_number, rows_digest, rows_number
from wire.values import GalleryEntry, GalleryRow, StandingEntry, Tombstone

SCHEMA = Schema(
    name="cache",
    version=V0_1_0,
    synchronous="NORMAL",
    tables="""
        CREATE TABLE feed (
            name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
            issued_at_ms INTEGER NOT NULL, entries INTEGER NOT NULL, generation INTEGER NOT NULL,
            digest BLOB NOT NULL
        ) STRICT;
        CREATE TABLE entry (
            feed TEXT NOT NULL, generation INTEGER NOT NULL, subject TEXT NOT NULL, sealed BLOB NOT NULL,
            PRIMARY KEY (feed, generation, subject)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE claim (
            generation INTEGER NOT NULL, digest BLOB NOT NULL, subject TEXT NOT NULL, ended INTEGER NOT NULL,
            PRIMARY KEY (generation, digest, subject)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE kept (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    """,
    on_damage="central will send everything in it again, so remove cache.sqlite3* and start the kiosk",
)
KEYS_SUFFIX = ".keys"
"""Of the file beside the cache that holds its keys."""

SWEEP_ROWS = 2_000
"""Rows of an old snapshot deleted in one transaction, so that no writer waits long behind it."""
ROWS_A_STATEMENT = 128
"""Rows that one statement writes, in two thirds of the time of one statement each, and without Python's lock.
Two values a row stay below the 999 that an older SQLite takes."""

_PUT_ENTRY = "INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?, ?)"
_PUT_ENTRIES = _PUT_ENTRY + ", (?1, ?2, ?, ?)" * (ROWS_A_STATEMENT - 1)
_PUT_CLAIM = "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)"
_SWEEP_ENTRIES = f"""
    DELETE FROM entry WHERE (feed, generation, subject) IN
    (SELECT feed, generation, subject FROM entry WHERE feed = ? AND generation <> ? LIMIT {SWEEP_ROWS})
"""  # noqa: S608 - a constant of this module
_SWEEP_CLAIMS = f"""
    DELETE FROM claim WHERE (generation, digest, subject) IN
    (SELECT generation, digest, subject FROM claim WHERE generation <> ? LIMIT {SWEEP_ROWS})
"""  # noqa: S608 - a constant of this module
_PLACE = "SELECT epoch, version, issued_at_ms, entries, generation, digest FROM feed WHERE name = ?"
_ROW_AND_PLACE = """
    SELECT f.epoch, f.version, f.issued_at_ms, f.entries, f.generation, f.digest, e.sealed
    FROM feed f LEFT JOIN entry e ON e.feed = f.name AND e.generation = f.generation AND e.subject = ?
    WHERE f.name = ?
"""


Delta = StandingDelta | GalleryDelta


class FeedName(StrEnum):
    """The feeds a kiosk caches."""

    STANDING = "standing"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """The version in use: its place in the order of heads, and how many entries of which digest it has."""

    epoch: int
    version: int
    issued_at_ms: int
    entries: int = 0
    generation: int = 0
    digest: bytes = EMPTY_ROWS_DIGEST

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and version."""
        return self.epoch, self.version


@dataclass(frozen=True, slots=True)
class Staged:
    """The rows of one verified chunk, sealed and ready to be written, and the sum of their numbers."""

    feed: FeedName
    generation: int
    rows: Sequence[tuple[str, bytes]]
    claims: Sequence[tuple[int, bytes, str, int]]
    number: int


@dataclass(frozen=True, slots=True)
class ClaimHolder:
    """Who holds a claim, and whether that claim has been withdrawn or revoked."""

    subject: SubjectId
    ended: bool


_STANDING: msgspec.msgpack.Decoder[StandingEntry] = msgspec.msgpack.Decoder(StandingEntry)
_GALLERY: msgspec.msgpack.Decoder[GalleryEntry] = msgspec.msgpack.Decoder(GalleryEntry)


class Cache:
    """The cache file. Fulfils `clock.HighestTime`; a row that does not open counts as not there."""

    def __init__(self, path: Path, sealer: RowSealer) -> None:
        self._database = Database(path, SCHEMA)
        self._sealer = sealer
        self._keys = RolledKeys(path.with_suffix(KEYS_SUFFIX), sealer, sealer.random_bytes)
        self.unreadable = 0
        self.trouble = ""
        self.on_change: list[Callable[[FeedName, Delta | None], None]] = []
        """Each is told of a feed's change once it is in use; None: another snapshot is."""
        # Nobody else writes this file; it is asked for far more often than it changes.
        self._held = {feed: held for feed in FeedName if (held := self._stored(feed)) is not None}
        self._kept = {
            str(name): _int(value) for name, value in self._database.read("SELECT name, value FROM kept")
        }

    def held(self, feed: FeedName) -> Held | None:
        """The version in use; a read of its row may be of one that takes its place at this moment."""
        return self._held.get(feed)

    def _stored(self, feed: FeedName) -> Held | None:
        rows = self._database.read(_PLACE, feed.value)
        return _held(rows[0]) if rows else None

    def _hold(self, feed: FeedName, held: Held) -> None:
        self._held[feed] = held

    def standing(self, subject: SubjectId) -> StandingEntry | None:
        """The cached standing or tombstone of a subject."""
        return self.standing_at(subject)[0]

    def standing_at(self, subject: SubjectId) -> tuple[StandingEntry | None, Held | None]:
        """The cached standing or tombstone of a subject, and the very version it is of."""
        plain, held = self._entry(FeedName.STANDING, self._who(subject))
        return self._read(_STANDING, plain), held

    def member(self, subject: SubjectId) -> GalleryEntry | None:
        """The cached gallery entry of a subject."""
        return self._member(self._who(subject))

    def _member(self, who: str) -> GalleryEntry | None:
        plain, _ = self._entry(FeedName.GALLERY, who)
        entry: GalleryEntry | None = self._read(_GALLERY, plain)
        return entry

    def is_gone(self, who: str) -> bool:
        """Whether the gallery says that whoever `who` stands for has withdrawn, or knows them no more."""
        rows = self._database.read(_ROW_AND_PLACE, who, FeedName.GALLERY.value)
        if not rows:
            return False
        return rows[0][6] is None or isinstance(self._member(who), Tombstone)

    def _who(self, subject: str) -> str:
        return self._sealer.digest("subject", subject)

    def _claim(self, digest: bytes) -> bytes:
        return bytes.fromhex(self._sealer.digest("claim", digest.hex()))

    def _read(self, decoder: msgspec.msgpack.Decoder[Any], plain: bytes | None) -> Any:
        try:
            return None if plain is None else decoder.decode(plain)
        except msgspec.MsgspecError:
            self.unreadable += 1
            return None

    def members(self) -> Iterable[GalleryEntry]:
        """Every entry of the cached gallery."""
        for who, generation, sealed in self._database.read(
            "SELECT subject, generation, sealed FROM entry WHERE feed = ?1"
            " AND generation = (SELECT generation FROM feed WHERE name = ?1)",
            FeedName.GALLERY.value,
        ):
            plain = self._opened(FeedName.GALLERY, _int(generation), str(who), sealed)
            entry = self._read(_GALLERY, plain)
            if entry is not None:
                yield entry

    def holders(self, digest: ClaimDigest) -> tuple[ClaimHolder, ...]:
        """Who holds a claim: one subject, or several who share the last digits of a telephone number."""
        rows = self._database.read(
            "SELECT subject, ended FROM claim WHERE digest = ?"
            " AND generation = (SELECT generation FROM feed WHERE name = ?)",
            self._claim(digest),
            FeedName.GALLERY.value,
        )
        found = [(self._member(str(who)), bool(ended)) for who, ended in rows]
        return tuple(ClaimHolder(entry.subject, ended) for entry, ended in found if entry is not None)

    def _entry(self, feed: FeedName, who: str) -> tuple[bytes | None, Held | None]:
        rows = self._database.read(_ROW_AND_PLACE, who, feed.value)
        if not rows:
            return None, None
        sealed, held = rows[0][6], _held(rows[0])
        return None if sealed is None else self._opened(feed, held.generation, who, sealed), held

    def _opened(self, feed: FeedName, generation: int, who: str, sealed: object) -> bytes | None:
        sealer = self._keys.sealer(feed.value, generation)
        try:
            if sealer is not None and isinstance(sealed, bytes):
                return sealer.open(sealed, feed.value, who)
        except SealBrokenError:
            pass
        self.unreadable += 1
        return None

    async def begin(self, feed: FeedName) -> int:
        """Open an empty stage for a snapshot, sweeping an earlier attempt away; its generation."""
        await self.sweep(feed)
        held = self.held(feed)
        generation = held.generation + 1 if held else 1
        await asyncio.to_thread(self._keys.roll, feed.value, generation)
        return generation

    def sealed(self, feed: FeedName, generation: int, chunk: Checked) -> Staged:
        """A verified chunk made ready to be written; takes some milliseconds, so in a thread of its own."""
        whos = [self._who(subject) for subject in chunk.subjects]
        sealed = self._row_sealer(feed, generation).seal_all(feed.value, whos, chunk.encoded)
        rows = list(zip(whos, sealed, strict=True))
        claims = [
            (generation, self._claim(digest), self._who(subject), int(ended))
            for subject, digest, ended in chunk.claims
        ]
        return Staged(feed, generation, rows, claims, sum(map(row_number, chunk.encoded)))

    def _row_sealer(self, feed: FeedName, generation: int) -> RowSealer:
        sealer = self._keys.sealer(feed.value, generation)
        if sealer is None:
            self._keys.roll(feed.value, generation)
            sealer = self._keys.sealer(feed.value, generation)
            assert sealer is not None
        return sealer

    async def stage(self, staged: Staged) -> None:
        """Put the rows of one chunk on the stage."""
        await self._database.write(lambda connection: _put(connection, staged))

    async def install(self, feed: FeedName, head: Held) -> None:
        """Let the staged snapshot take the place of the one in use, in one transaction."""
        await self._database.write(
            lambda connection: _place(connection, feed, head), lambda _: self._hold(feed, head)
        )
        self._tell(feed, None)

    async def apply(self, feed: FeedName, delta: Delta) -> bool:
        """Make the version in use the next one by what changed, in one transaction.

        False, and nothing is changed, if what an entry takes the place of cannot be read.
        """
        before = self.held(feed)
        assert before is not None, "a change is of what is held"
        after = replace(before, version=delta.version)

        def taken_up(held: Held | None) -> None:
            if held is not None:
                self._hold(feed, held)

        applied = await self._database.write(
            lambda connection: self._changed(connection, feed, after, delta), taken_up
        )
        if applied is None:
            return False
        self._tell(feed, delta)
        if delta.gone or any(isinstance(row, Tombstone) for row in delta.rows):
            await self._database.scrub()
        return True

    def _changed(
        self,
        connection: sqlite3.Connection,
        feed: FeedName,
        after: Held,
        delta: Delta,
    ) -> Held | None:
        """Change rows and place; the place then, or None if an old row cannot be read."""
        number, count, generation = rows_number(after.digest), after.entries, after.generation
        olds: dict[SubjectId, bytes | None] = {}
        for subject in (*(row.subject for row in delta.rows), *delta.gone):
            who = self._who(subject)
            this = (feed.value, generation, who)
            found = connection.execute(
                "SELECT sealed FROM entry WHERE feed = ? AND generation = ? AND subject = ?", this
            ).fetchone()
            old = olds[subject] = None if found is None else self._opened(feed, generation, who, found[0])
            if found is not None and old is None:
                return None
        for subject, old in olds.items():
            if old is None:
                continue
            number -= row_number(old)
            count -= 1
            connection.execute(
                "DELETE FROM entry WHERE feed = ? AND generation = ? AND subject = ?",
                (feed.value, generation, self._who(subject)),
            )
            if feed is FeedName.GALLERY:
                entry = self._read(_GALLERY, old)
                if entry is None:
                    return None
                gone = [
                    (generation, self._claim(digest), self._who(subject)) for digest, _ in claims_of(entry)
                ]
                connection.executemany(
                    "DELETE FROM claim WHERE generation = ? AND digest = ? AND subject = ?", gone
                )
        newest = {row.subject: row for row in delta.rows}
        sealed: list[tuple[str, bytes]] = []
        claims: list[tuple[int, bytes, str, int]] = []
        for subject, row in newest.items():
            encoded = canonical(row)
            number += row_number(encoded)
            count += 1
            who = self._who(subject)
            sealed.append((who, self._row_sealer(feed, generation).seal(encoded, feed.value, who)))
            if feed is FeedName.GALLERY and isinstance(row, GalleryRow | Tombstone):
                claims += [
                    (generation, self._claim(digest), who, int(ended)) for digest, ended in claims_of(row)
                ]
        _put(connection, Staged(feed, generation, sealed, claims, number))
        made = replace(after, entries=count, digest=rows_digest(number))
        _place(connection, feed, made)
        return made

    def _tell(self, feed: FeedName, delta: Delta | None) -> None:
        for tell in self.on_change:
            tell(feed, delta)

    async def confirm(self, feed: FeedName, issued_at_ms: int) -> None:
        """The snapshot in use was vouched for again, later."""
        before = self.held(feed)
        assert before is not None, "it is in use"
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE feed SET issued_at_ms = ? WHERE name = ?", (issued_at_ms, feed.value)
            ),
            lambda _: self._hold(feed, replace(before, issued_at_ms=issued_at_ms)),
        )

    async def sweep(self, feed: FeedName) -> None:
        """Delete what is left of other snapshots than the one in use."""
        held = self.held(feed)
        keep = held.generation if held else 0
        await self._sweep(feed, keep)
        await asyncio.to_thread(self._keys.keep, feed.value, keep)
        await self._database.scrub()

    async def _sweep(self, feed: FeedName, keep: int) -> None:
        """Delete every generation of a feed but one, some rows at a time."""
        await self._sweep_all(_SWEEP_ENTRIES, feed.value, keep)
        if feed is FeedName.GALLERY:
            await self._sweep_all(_SWEEP_CLAIMS, keep)

    async def _sweep_all(self, statement: str, *values: object) -> None:
        while await self._database.write(lambda connection: connection.execute(statement, values).rowcount):
            pass

    # --- small numbers that outlive a restart

    def highest_central_ms(self) -> int:
        """The highest verified central time; 0 before the first."""
        return self.kept("highest_central_ms")

    def keep_highest_central_ms(self, instant_ms: int) -> None:
        """Keep a higher central time."""
        self.keep("highest_central_ms", instant_ms)

    def kept(self, name: str) -> int:
        """A number that was kept; 0 when none was."""
        return self._kept.get(name, 0)

    def keep(self, name: str, value: int) -> None:
        """Keep a number; one row, written without waiting for the disk."""
        self._kept[name] = value
        try:
            self._keep(name, value)
        except StoreError as error:
            self.trouble = str(error)  # it still holds for this life

    def _keep(self, name: str, value: int) -> None:
        self._database.write_now(
            lambda connection: connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _put(connection: sqlite3.Connection, staged: Staged) -> None:
    this, rows = (staged.feed.value, staged.generation), staged.rows
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT
    for first in range(0, whole, ROWS_A_STATEMENT):
        some = rows[first : first + ROWS_A_STATEMENT]
        connection.execute(_PUT_ENTRIES, (*this, *chain.from_iterable(some)))
    connection.executemany(_PUT_ENTRY, ((*this, *row) for row in rows[whole:]))
    connection.executemany(_PUT_CLAIM, staged.claims)


def _place(connection: sqlite3.Connection, feed: FeedName, head: Held) -> None:
    numbers = (head.epoch, head.version, head.issued_at_ms, head.entries, head.generation)
    connection.execute(
        "INSERT OR REPLACE INTO feed VALUES (?, ?, ?, ?, ?, ?, ?)", (feed.value, *numbers, head.digest)
    )


def _held(row: Sequence[object]) -> Held:
    digest = row[5]
    if not isinstance(digest, bytes):
        raise TypeError(f"bytes were expected in the cache, found {type(digest).__name__}")
    epoch, version, issued_at_ms, entries, generation = (_int(number) for number in row[:5])
    return Held(epoch, version, issued_at_ms, entries, generation, digest)


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a number was expected in the cache, found {type(value).__name__}")
    return value
