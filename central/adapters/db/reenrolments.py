"""A change of the recipe in the database: the plan, and the templates beside those in use."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.rules.enrolment import Consent
from central.rules.reenrolment import Enrolled, Plan
from wire.ids import SubjectId
from wire.values import SealedTemplate

AT_ONCE = 500
"""Members moved in one statement; SQLite takes 32,766 parameters."""
_NAME = "members"
"""A site has one gallery, and so one change at a time."""


class ReEnrolTables(Database):
    """The one change under way, and what it moves."""

    def plan(self) -> Plan | None:
        """The change under way."""
        row = self._one(t.RE_ENROLMENTS, name=_NAME)
        if row is None:
            return None
        return Plan(row.pack, row.pack_digest, row.recipe_digest, row.begun_at_ms, row.switched_at_ms)

    def save_plan(self, plan: Plan) -> None:
        """Keep a change that began."""
        with self._change(feeds=True) as connection:
            self._replaced(connection, t.RE_ENROLMENTS, name=_NAME, **asdict(plan))

    def exchange(self, plan: Plan) -> None:
        """Store the plan, and put every spare template in the place of the one in use, and that beside it."""
        with self._change(feeds=True) as connection:
            self._replaced(connection, t.RE_ENROLMENTS, name=_NAME, **asdict(plan))
            waiting = select(t.SPARE_TEMPLATES.c.subject).order_by(t.SPARE_TEMPLATES.c.subject)
            subjects = connection.execute(waiting).scalars().all()
            for first in range(0, len(subjects), AT_ONCE):
                _exchange(connection, subjects[first : first + AT_ONCE])

    def end_plan(self, kept: str | None) -> int:
        """End the change: drop spare templates, and, given a recipe, those in use of any other; how many."""
        with self._change(feeds=True) as connection:
            connection.execute(delete(t.RE_ENROLMENTS))
            removed = connection.execute(delete(t.SPARE_TEMPLATES)).rowcount
            if kept is not None:
                other = delete(t.TEMPLATES).where(t.TEMPLATES.c.recipe_digest != kept)
                removed += connection.execute(other).rowcount
        return removed

    def invited_among(self, subjects: Sequence[SubjectId]) -> Set[SubjectId]:
        """Those who have a template, and none of the recipe that is being changed to."""
        plan = self.plan()
        if plan is None:
            return frozenset()
        query = (
            select(t.TEMPLATES.c.subject)
            .outerjoin(t.SPARE_TEMPLATES, t.SPARE_TEMPLATES.c.subject == t.TEMPLATES.c.subject)
            .where(t.TEMPLATES.c.subject.in_(subjects))
            .where(t.TEMPLATES.c.recipe_digest != plan.recipe_digest)
            .where(func.coalesce(t.SPARE_TEMPLATES.c.recipe_digest, "") != plan.recipe_digest)
        )
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def enrolled(self) -> Sequence[Enrolled]:
        """Every active member."""
        used, spare, pins = t.TEMPLATES, t.SPARE_TEMPLATES, t.PINS
        query = (
            select(
                t.SUBJECTS.c.subject,
                used.c.recipe_digest.label("used"),
                spare.c.recipe_digest.label("spare"),
                pins.c.subject.label("pin"),
            )
            .select_from(
                t.SUBJECTS.outerjoin(used, used.c.subject == t.SUBJECTS.c.subject)
                .outerjoin(spare, spare.c.subject == t.SUBJECTS.c.subject)
                .outerjoin(pins, pins.c.subject == t.SUBJECTS.c.subject)
            )
            .where(t.SUBJECTS.c.withdrawn_at_ms.is_(None))
            .order_by(t.SUBJECTS.c.subject)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Enrolled(row.subject, row.used, row.spare, row.pin is not None) for row in rows]

    def save_template(
        self, subject: SubjectId, template: SealedTemplate, consent: Consent, *, spare: bool
    ) -> None:
        """Keep a template in use, or beside it, and what was agreed to; nothing once they withdrew."""
        table = t.SPARE_TEMPLATES if spare else t.TEMPLATES
        with self._change(feeds=True, subjects=(subject,)) as connection:
            connection.execute(
                update(t.SUBJECTS)
                .where(t.SUBJECTS.c.subject == subject)
                .values(
                    consent_version=consent.text_version,
                    consent_language=consent.language,
                    consent_at_ms=consent.at_ms,
                )
            )
            self._keep(connection, table, subject, template)
            self._forget_withdrawn(connection, table)

    def _keep(
        self, connection: Connection, table: Table, subject: SubjectId, template: SealedTemplate
    ) -> None:
        self._replaced(
            connection,
            table,
            subject=subject,
            sealed=template.sealed,
            key_version=template.key_version,
            recipe_digest=template.recipe_digest,
            images=template.images,
        )


def _exchange(connection: Connection, subjects: Sequence[str]) -> None:
    tables = (t.TEMPLATES, t.SPARE_TEMPLATES)
    found = [
        connection.execute(select(table).where(table.c.subject.in_(subjects))).mappings().all()
        for table in tables
    ]
    for table, rows in zip(tables, reversed(found), strict=True):
        connection.execute(delete(table).where(table.c.subject.in_(subjects)))
        if rows:
            connection.execute(insert(table), [dict(row) for row in rows])
