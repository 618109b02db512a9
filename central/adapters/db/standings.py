"""Events, standings and restrictions in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.database import decoded
from central.adapters.db.reviews import ReviewTables
from central.rules.restriction import Held
from central.rules.review import Lifting
from central.rules.scorecard import Event, EventKind, EventOutcome
from wire.canonical import canonical
from wire.ids import ContestCode, Purpose, RestrictionId, SubjectId
from wire.values import Restriction, Standing


class StandingTables(ReviewTables):
    """What standings are made of."""

    def add_event(self, event: Event) -> bool:
        """Store an event; False when one of that id is there."""
        values = {
            "event_id": event.event_id,
            "subject": event.subject,
            "purpose": event.purpose,
            "kind": event.kind.value,
            "outcome": event.outcome.value,
            "at_ms": event.at_ms,
            "incident": event.incident,
            "disputed": event.disputed,
            "struck": event.struck,
        }
        try:
            with self._change(feeds=True, subjects=(event.subject,)) as connection:
                connection.execute(insert(t.EVENTS).values(**values))
                self._forget_standing(connection, event)
        except IntegrityError:
            return False
        return True

    def event(self, event_id: str) -> Event | None:
        """An event, disputed and struck ones included."""
        row = self._one(t.EVENTS, event_id=event_id)
        return self._only(t.EVENTS, row, stored_event)

    def events_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Event]:
        """A subject's events for one purpose."""
        rows = self._all(t.EVENTS, "at_ms", subject=subject, purpose=purpose)
        return self._each(t.EVENTS, rows, stored_event)

    def standing(self, subject: SubjectId, purpose: Purpose) -> Standing | None:
        """The stored standing, without restrictions."""
        row = self._one(t.STANDINGS, subject=subject, purpose=purpose)
        return self._only(t.STANDINGS, row, stored_standing)

    def save_standing(self, standing: Standing, as_of: int) -> None:
        """Store a standing, unless its subject changed after revision `as_of`; feeds take it up."""
        with self._change(feeds=True, subjects=(standing.subject,)) as connection:
            self._put_standings(connection, [standing], as_of)

    def save_standings(self, standings: Sequence[Standing], as_of: int) -> None:
        """Store standings, but none of a subject who changed after revision `as_of`.

        Feeds, which had them computed, know them already.
        """
        if standings:
            with self._change() as connection:
                self._put_standings(connection, standings, as_of)

    def _put_standings(self, connection: Connection, standings: Sequence[Standing], as_of: int) -> None:
        """Put them in, but none of anybody who changed, or withdrew, while they were computed."""
        changed = self._changed_since(connection, as_of)
        if changed is None or not (standings := [each for each in standings if each.subject not in changed]):
            return  # whoever asks next computes them, with what is there then
        rows = [
            {"subject": each.subject, "purpose": each.purpose, "body": canonical(each)} for each in standings
        ]
        keys = [{"of": each.subject, "for": each.purpose} for each in standings]
        columns = t.STANDINGS.c
        earlier = delete(t.STANDINGS).where(
            columns.subject == bindparam("of"), columns.purpose == bindparam("for")
        )
        connection.execute(earlier, keys)
        connection.execute(insert(t.STANDINGS), rows)
        self._forget_withdrawn(connection, t.STANDINGS)

    def restrictions_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Restriction]:
        """Restrictions of a subject that were not lifted, expired ones included."""
        rows = self._all(t.RESTRICTIONS, subject=subject, purpose=purpose, lifted_at_ms=None)
        return self._each(t.RESTRICTIONS, rows, stored_restriction)

    def restrictions(self) -> Sequence[Restriction]:
        """All that were not lifted."""
        rows = self._all(t.RESTRICTIONS, "restriction_id", lifted_at_ms=None)
        return self._each(t.RESTRICTIONS, rows, stored_restriction)

    def add_restriction(self, restriction: Restriction, month: int, *, lowest_tier: bool) -> bool:
        """Store and tally a restriction; False when one of that id or contest code is there."""
        values = {
            "restriction_id": restriction.restriction_id,
            "subject": restriction.subject,
            "purpose": restriction.purpose,
            "contest_code": restriction.contest_code,
            "body": canonical(restriction),
        }
        try:
            with self._change(feeds=True, subjects=(restriction.subject,)) as connection:
                connection.execute(insert(t.RESTRICTIONS).values(**values))
                self._tally(connection, restriction, month, lowest=lowest_tier)
        except IntegrityError:
            return False
        return True

    def held(self, key: RestrictionId | ContestCode) -> Held | None:
        """A restriction by its id or contest code, lifted and expired ones included."""
        columns = t.RESTRICTIONS.c
        chosen = select(t.RESTRICTIONS).where(or_(columns.restriction_id == key, columns.contest_code == key))
        with self._engine.connect() as connection:
            row = connection.execute(chosen).first()
        return self._only(t.RESTRICTIONS, row, _held)

    def all_held(self) -> Sequence[Held]:
        """Every restriction that is kept, lifted and expired ones included."""
        rows = self._all(t.RESTRICTIONS, "restriction_id")
        return self._each(t.RESTRICTIONS, rows, _held)

    def lift(self, lifting: Lifting, now_ms: int) -> bool:
        """Mark a restriction lifted, and by whom; False when unknown, or lifted before."""
        columns = t.RESTRICTIONS.c
        row = self._one(t.RESTRICTIONS, restriction_id=lifting.restriction_id)
        if row is None:
            return False
        with self._change(feeds=True, subjects=(row.subject,)) as connection:
            chosen = update(t.RESTRICTIONS).where(
                columns.restriction_id == lifting.restriction_id, columns.lifted_at_ms.is_(None)
            )
            lifted = {"lifted_at_ms": now_ms, "lifting": canonical(lifting)}
            return connection.execute(chosen.values(**lifted)).rowcount == 1


def stored_standing(row: Row[Any]) -> Standing:
    """A standing out of its row."""
    return decoded(row.body, Standing)


def stored_restriction(row: Row[Any]) -> Restriction:
    """A restriction out of its row."""
    return decoded(row.body, Restriction)


def _held(row: Row[Any]) -> Held:
    lifting = None if row.lifting is None else decoded(row.lifting, Lifting)
    return Held(stored_restriction(row), row.lifted_at_ms, None if lifting is None else lifting.reviewer)


def stored_event(row: Row[Any]) -> Event:
    """An event out of its row."""
    return Event(
        row.event_id,
        row.subject,
        row.purpose,
        EventKind(row.kind),
        EventOutcome(row.outcome),
        row.at_ms,
        row.incident,
        row.disputed,
        row.struck,
    )
