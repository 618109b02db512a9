"""What is taken out of the database when its time is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from central.adapters.db import tables as t
from central.adapters.db.database import Database, decoded
from central.rules.retention import SpentEvents
from central.rules.review import Matter
from wire.ids import KioskId, SubjectId
from wire.values import Restriction

ROWS_AT_ONCE = 2000
"""Rows changed in one transaction: the longest that a running central waits."""
_LAST_RUN = "retention ran at ms"
_OF_SUBJECTS = (
    t.TEMPLATES,
    t.SPARE_TEMPLATES,
    t.PINS,
    t.CLAIMS,
    t.EVENTS,
    t.STANDINGS,
    t.CASES,
    t.RESTRICTIONS,
    t.MEMBER_ACCOUNTS,
    t.ALIKE,
    t.WITHDRAWALS,
    t.WITHDRAWAL_PLACES,
)


class _Named(msgspec.Struct, frozen=True, tag="pass"):
    subject: str | None


class RetentionTables(Database):
    """Deletes, in transactions small enough to work beside a running central."""

    def purge_records(self, before_ms: int) -> int:
        """Take body and salt of every record received before an instant; how many there were."""
        heads = t.CHAIN_HEADS.c
        old = (
            select(heads.kiosk, func.max(heads.sequence))
            .where(heads.received_at_ms < before_ms)
            .group_by(heads.kiosk)
        )
        with self._engine.connect() as connection:
            reaches = connection.execute(old).all()
        return sum(self._purge_up_to(kiosk, sequence) for kiosk, sequence in reaches)

    def _purge_up_to(self, kiosk: KioskId, last: int) -> int:
        columns, after, purged = t.RECORDS.c, 0, 0
        while True:
            whole = (columns.kiosk == kiosk, columns.sequence <= last, _there())
            page = (
                select(columns.sequence)
                .where(*whole, columns.sequence > after)
                .order_by(columns.sequence)
                .limit(ROWS_AT_ONCE)
            )
            with self._engine.connect() as connection:
                sequences = connection.execute(page).scalars().all()
            if not sequences:
                return purged
            with self._change(f"records/{kiosk}") as connection:
                between = columns.sequence.between(sequences[0], sequences[-1])
                purged += _emptied(connection, *whole, between)
            after = sequences[-1]

    def purge_records_of(self, subjects: Collection[SubjectId]) -> int:
        """Take body and salt of every record that names one of these subjects; how many there were."""
        if not subjects:
            return 0
        columns, purged = t.RECORDS.c, 0
        with self._engine.connect() as connection:
            kiosks = connection.execute(select(columns.kiosk).distinct()).scalars().all()
        for kiosk in kiosks:
            after = 0
            while True:
                page = (
                    select(columns.kiosk, columns.sequence, columns.body)
                    .where(columns.kiosk == kiosk, columns.sequence > after, columns.body.is_not(None))
                    .order_by(columns.sequence)
                    .limit(ROWS_AT_ONCE)
                )
                with self._engine.connect() as connection:
                    rows = connection.execute(page).all()
                if not rows:
                    break
                found = self._each(t.RECORDS, rows, _named)
                named = [sequence for sequence, subject in found if subject in subjects]
                if named:
                    with self._change(f"records/{kiosk}") as connection:
                        purged += _emptied(connection, columns.kiosk == kiosk, columns.sequence.in_(named))
                after = rows[-1].sequence
        return purged

    def purge_events(self, spent: SpentEvents) -> int:
        """Delete events that can count no more, and their cases; how many events there were."""
        columns = t.EVENTS.c
        named = [
            (columns.kind == kind.value) & (columns.outcome == outcome.value)
            for kind, outcome in spent.before_ms
        ]
        old = [
            rule & (columns.at_ms < before_ms)
            for rule, before_ms in zip(named, spent.before_ms.values(), strict=True)
        ]
        unnamed = (~or_(*named)) if named else columns.event_id.is_not(None)
        chosen = or_(*old, unnamed & (columns.at_ms < spent.others_before_ms))
        page = select(columns.event_id).where(columns.purpose == spent.purpose, chosen).limit(ROWS_AT_ONCE)
        purged = 0
        while True:
            with self._change() as connection:  # not told to kiosks: no standing changes with it
                event_ids = connection.execute(page).scalars().all()
                if not event_ids:
                    return purged
                self._forget_cases(connection, Matter.EVENT, event_ids)
                purged += connection.execute(delete(t.EVENTS).where(columns.event_id.in_(event_ids))).rowcount

    def purge_restrictions(self, before_ms: int) -> int:
        """Delete restrictions that were over before an instant, and their cases; how many there were."""
        columns = t.RESTRICTIONS.c
        with self._change() as connection:  # not told to kiosks: they were told when it was over
            rows = connection.execute(
                select(columns.restriction_id, columns.lifted_at_ms, columns.body)
            ).all()
            ends = self._each(t.RESTRICTIONS, rows, _end_of)
            over = [
                name
                for name, expires_at_ms, lifted_at_ms in ends
                if min(expires_at_ms, lifted_at_ms or before_ms) < before_ms
            ]
            for start in range(0, len(over), ROWS_AT_ONCE):
                some = over[start : start + ROWS_AT_ONCE]
                self._forget_cases(connection, Matter.RESTRICTION, some)
                connection.execute(delete(t.RESTRICTIONS).where(columns.restriction_id.in_(some)))
        return len(over)

    def _forget_cases(self, connection: Connection, matter: Matter, targets: Sequence[str]) -> None:
        columns = t.CASES.c
        connection.execute(delete(t.CASES).where(columns.matter == matter.value, columns.target.in_(targets)))

    def withdrawn_before(self, before_ms: int) -> Sequence[SubjectId]:
        """Subjects who withdrew before an instant, and whom nothing else refers to still."""
        columns = t.SUBJECTS.c
        chosen = select(columns.subject).where(columns.withdrawn_at_ms < before_ms)
        for table in t.METADATA.tables.values():
            if table in _OF_SUBJECTS:
                continue
            for column in table.columns:
                if column.references(columns.subject):
                    referred = select(column).where(column.is_not(None))
                    chosen = chosen.where(columns.subject.not_in(referred))
        with self._engine.connect() as connection:
            return [SubjectId(found) for found in connection.execute(chosen).scalars()]

    def forget_subjects(self, subjects: Sequence[SubjectId]) -> int:
        """Delete the last rows of subjects, tombstones included; how many there were."""
        forgotten = 0
        for start in range(0, len(subjects), ROWS_AT_ONCE):
            some = subjects[start : start + ROWS_AT_ONCE]
            with self._change(feeds=True, subjects=some) as connection:
                for table in _OF_SUBJECTS:
                    connection.execute(delete(table).where(table.c.subject.in_(some)))
                gone = delete(t.SUBJECTS).where(t.SUBJECTS.c.subject.in_(some))
                forgotten += connection.execute(gone).rowcount
        return forgotten

    def retention_ran(self, now_ms: int) -> None:
        """Note that retention has run."""
        self._saved(t.REVISIONS, name=_LAST_RUN, revision=now_ms)

    def retention_ran_at_ms(self) -> int | None:
        """When retention last ran to its end; None before the first time."""
        row = self._one(t.REVISIONS, name=_LAST_RUN)
        return None if row is None else int(row.revision)


def _named(row: Row[Any]) -> tuple[int, str | None]:
    return row.sequence, decoded(row.body, _Named).subject


def _end_of(row: Row[Any]) -> tuple[str, int, int | None]:
    return row.restriction_id, decoded(row.body, Restriction).expires_at_ms, row.lifted_at_ms


def _there() -> ColumnElement[bool]:
    return or_(t.RECORDS.c.body.is_not(None), t.RECORDS.c.salt.is_not(None))


def _emptied(connection: Connection, *chosen: ColumnElement[bool]) -> int:
    return connection.execute(update(t.RECORDS).where(*chosen).values(body=None, salt=None)).rowcount
