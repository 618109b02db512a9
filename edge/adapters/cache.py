"""What central said and would say again: each feed's rows, sealed, and the verified head behind them.

A new snapshot is staged beside the one in use and takes its place in one transaction, once it is complete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from edge.adapters.keyfile import RowSealer
from edge.adapters.store import Database, Schema
from edge.errors import StoreError
from wire.canonical import canonical
from wire.errors import SealBrokenError
from wire.ids import ClaimDigest, SubjectId
from wire.messages import GalleryEntry, GalleryRow, StandingEntry, Tombstone

SCHEMA = Schema(
    name="cache",
    version=1,
    synchronous="NORMAL",
    tables="""
        CREATE TABLE feed (
            name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
            issued_at_ms INTEGER NOT NULL, entries INTEGER NOT NULL, generation INTEGER NOT NULL
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
SWEEP_ROWS = 2_000
"""Rows of an old snapshot deleted in one transaction, so that no writer waits long behind it."""

_SWEEP_ENTRIES = f"""
    DELETE FROM entry WHERE (feed, generation, subject) IN
    (SELECT feed, generation, subject FROM entry WHERE feed = ? AND generation <> ? LIMIT {SWEEP_ROWS})
"""  # noqa: S608 - a constant of this module
_SWEEP_CLAIMS = f"""
    DELETE FROM claim WHERE (generation, digest, subject) IN
    (SELECT generation, digest, subject FROM claim WHERE generation <> ? LIMIT {SWEEP_ROWS})
"""  # noqa: S608 - a constant of this module


class FeedName(StrEnum):
    """The feeds a kiosk caches."""

    STANDING = "standing"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """The head of the snapshot in use: its place in the order of heads, and how many entries it has."""

    epoch: int
    version: int
    issued_at_ms: int
    entries: int = 0
    generation: int = 0


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
        self.unreadable = 0
        self.trouble = ""
        self._held: dict[FeedName, Held] = {}
        for row in self._database.read(
            "SELECT name, epoch, version, issued_at_ms, entries, generation FROM feed"
        ):
            name, *numbers = row
            self._held[FeedName(str(name))] = Held(*(_int(number) for number in numbers))
        self._kept = {
            str(name): _int(value) for name, value in self._database.read("SELECT name, value FROM kept")
        }

    def held(self, feed: FeedName) -> Held | None:
        """The head of the snapshot in use."""
        return self._held.get(feed)

    def standing(self, subject: SubjectId) -> StandingEntry | None:
        """The cached standing or tombstone of a subject."""
        plain = self._entry(FeedName.STANDING, subject)
        return None if plain is None else _STANDING.decode(plain)

    def member(self, subject: SubjectId) -> GalleryEntry | None:
        """The cached gallery entry of a subject."""
        plain = self._entry(FeedName.GALLERY, subject)
        return None if plain is None else _GALLERY.decode(plain)

    def members(self) -> Iterable[GalleryEntry]:
        """Every entry of the cached gallery."""
        held = self._held.get(FeedName.GALLERY)
        if held is None:
            return
        for subject, sealed in self._database.read(
            "SELECT subject, sealed FROM entry WHERE feed = ? AND generation = ? ORDER BY subject",
            FeedName.GALLERY.value,
            held.generation,
        ):
            plain = self._opened(FeedName.GALLERY, str(subject), sealed)
            if plain is not None:
                yield _GALLERY.decode(plain)

    def holders(self, digest: ClaimDigest) -> tuple[ClaimHolder, ...]:
        """Who holds a claim: one subject, or several who share the last digits of a telephone number."""
        held = self._held.get(FeedName.GALLERY)
        if held is None:
            return ()
        rows = self._database.read(
            "SELECT subject, ended FROM claim WHERE generation = ? AND digest = ?", held.generation, digest
        )
        return tuple(ClaimHolder(SubjectId(str(subject)), bool(ended)) for subject, ended in rows)

    def _entry(self, feed: FeedName, subject: SubjectId) -> bytes | None:
        held = self._held.get(feed)
        if held is None:
            return None
        rows = self._database.read(
            "SELECT sealed FROM entry WHERE feed = ? AND generation = ? AND subject = ?",
            feed.value,
            held.generation,
            subject,
        )
        return self._opened(feed, subject, rows[0][0]) if rows else None

    def _opened(self, feed: FeedName, subject: str, sealed: object) -> bytes | None:
        try:
            return self._sealer.open(sealed, feed.value, subject) if isinstance(sealed, bytes) else None
        except SealBrokenError:
            self.unreadable += 1
            return None

    async def begin(self, feed: FeedName) -> int:
        """Open an empty stage for a snapshot, sweeping an earlier attempt away; its generation."""
        held = self._held.get(feed)
        current = held.generation if held else 0
        await self._sweep(feed, current)
        return current + 1

    async def stage(
        self, feed: FeedName, generation: int, entries: Iterable[StandingEntry | GalleryEntry]
    ) -> None:
        """Put the rows of one verified chunk on the stage."""
        rows = tuple(entries)
        claims = [
            (generation, digest, row.subject, ended)
            for row in rows
            if feed is FeedName.GALLERY and isinstance(row, GalleryRow | Tombstone)
            for digest, ended in _claims(row)
        ]

        def change(connection: sqlite3.Connection) -> None:
            sealed = (
                (
                    feed.value,
                    generation,
                    row.subject,
                    self._sealer.seal(canonical(row), feed.value, row.subject),
                )
                for row in rows
            )
            connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", sealed)
            connection.executemany("INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)", claims)

        await self._database.write(change)

    async def install(self, feed: FeedName, head: Held) -> None:
        """Let the staged snapshot take the place of the one in use, in one transaction."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO feed VALUES (?, ?, ?, ?, ?, ?)",
                (feed.value, head.epoch, head.version, head.issued_at_ms, head.entries, head.generation),
            )

        await self._database.write(change)
        self._held[feed] = head
        await self._sweep(feed, head.generation)

    async def confirm(self, feed: FeedName, issued_at_ms: int) -> None:
        """The snapshot in use was vouched for again, later."""
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE feed SET issued_at_ms = ? WHERE name = ?", (issued_at_ms, feed.value)
            )
        )
        held = self._held[feed]
        self._held[feed] = Held(held.epoch, held.version, issued_at_ms, held.entries, held.generation)

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


def _claims(entry: GalleryEntry) -> Iterable[tuple[ClaimDigest, int]]:
    if isinstance(entry, Tombstone):
        return [(digest, 1) for digest in entry.claim_digests]
    return [(digest, 0) for digest in entry.claim_digests] + [(digest, 1) for digest in entry.revoked_digests]


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a number was expected in the cache, found {type(value).__name__}")
    return value
