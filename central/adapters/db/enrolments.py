"""Members whom kiosks enrol, who look alike, and withdrawals on their way, in the database."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.rules.enrolment import Consent, Newcomer
from central.rules.fleet import FeedPlace
from central.rules.subjects import StoredClaim, Subject
from wire.ids import SubjectId
from wire.values import SealedTemplate


class EnrolTables(Database):
    """Newcomers, likenesses, withdrawals."""

    def add_newcomer(self, newcomer: Newcomer) -> bool:
        """Store a member whole; False when the id or the claim is taken."""
        subject, consent = newcomer.subject, newcomer.consent
        try:
            with self._change(feeds=True, subjects=(subject.subject, *newcomer.alike)) as connection:
                insert_member(connection, subject, newcomer.template, consent)
                connection.execute(insert(t.CLAIMS).values(claim_values(newcomer.claim)))
                connection.execute(insert(t.PINS).values(asdict(newcomer.pin)))
                self._note_alike(connection, subject.subject, newcomer.alike)
        except IntegrityError:
            return False
        return True

    def _note_alike(self, connection: Connection, subject: SubjectId, others: Sequence[SubjectId]) -> None:
        columns = t.SUBJECTS.c
        there = select(columns.subject).where(columns.subject.in_(others), columns.withdrawn_at_ms.is_(None))
        for other in connection.execute(there).scalars().all():
            if other != subject:
                connection.execute(insert(t.ALIKE).values(subject=subject, other=other))

    def alike_among(self, subjects: Sequence[SubjectId]) -> Set[SubjectId]:
        """Those who are too much like another member to be told apart by face."""
        columns = t.ALIKE.c
        query = select(columns.subject, columns.other)
        query = query.where(or_(columns.subject.in_(subjects), columns.other.in_(subjects)))
        with self._engine.connect() as connection:
            pairs = connection.execute(query).all()
        return {SubjectId(each) for pair in pairs for each in pair} & set(subjects)

    def all_alike(self) -> Sequence[tuple[SubjectId, SubjectId]]:
        """Every pair of members whose faces are too much alike, the later enrolled first."""
        return [(SubjectId(row.subject), SubjectId(row.other)) for row in self._all(t.ALIKE, "subject")]

    def untold_withdrawals(self) -> Sequence[SubjectId]:
        """Who withdrew and is perhaps not in the feeds as gone yet."""
        return [SubjectId(row.subject) for row in self._all(t.WITHDRAWALS, told_at_ms=None)]

    def told_withdrawals(
        self, subjects: Sequence[SubjectId], places: Sequence[tuple[str, str, FeedPlace]], now_ms: int
    ) -> None:
        """Note that feeds (kind, name) at these versions say that the subjects are gone."""
        columns = t.WITHDRAWALS.c
        with self._change() as connection:
            for subject in subjects:
                first = update(t.WITHDRAWALS).where(columns.subject == subject, columns.told_at_ms.is_(None))
                if not connection.execute(first.values(told_at_ms=now_ms)).rowcount:
                    continue  # told meanwhile by another thread, or retention took them
                for kind, name, place in places:
                    values = {"epoch": place.epoch, "version": place.version}
                    connection.execute(
                        insert(t.WITHDRAWAL_PLACES).values(subject=subject, kind=kind, name=name, **values)
                    )

    def withdrawal_places(self, subject: SubjectId) -> Sequence[tuple[str, str, FeedPlace]]:
        """From which versions on feeds (kind, name) say that somebody is gone; empty before they do."""
        rows = self._all(t.WITHDRAWAL_PLACES, subject=subject)
        return [(row.kind, row.name, FeedPlace(row.epoch, row.version)) for row in rows]


def insert_member(
    connection: Connection, subject: Subject, template: SealedTemplate | None, consent: Consent
) -> None:
    """Insert a new subject, and a template if there is one; raises IntegrityError when the id is taken."""
    connection.execute(
        insert(t.SUBJECTS).values(
            subject=subject.subject,
            enrolled_at_ms=subject.enrolled_at_ms,
            consent_version=consent.text_version,
            consent_language=consent.language,
            consent_at_ms=consent.at_ms,
            agree_by=subject.agree_by.value,
            enrolled_by=subject.enrolled_by,
        )
    )
    if template is not None:
        connection.execute(
            insert(t.TEMPLATES).values(
                subject=subject.subject,
                sealed=template.sealed,
                key_version=template.key_version,
                recipe_digest=template.recipe_digest,
                images=template.images,
            )
        )


def claim_values(claim: StoredClaim) -> dict[str, Any]:
    """What is inserted for a new claim."""
    return {
        "digest": claim.digest,
        "subject": claim.subject,
        "kind": claim.kind.value,
        "added_at_ms": claim.added_at_ms,
    }


def begin_withdrawal(connection: Connection, subject: SubjectId) -> list[str]:
    """Note a withdrawal as not told yet, and take the likenesses; whose rows that changes besides."""
    columns = t.ALIKE.c
    theirs = or_(columns.subject == subject, columns.other == subject)
    pairs = connection.execute(select(columns.subject, columns.other).where(theirs)).all()
    connection.execute(delete(t.ALIKE).where(theirs))
    begun = select(t.WITHDRAWALS.c.subject).where(t.WITHDRAWALS.c.subject == subject)
    if connection.execute(begun).first() is None:
        connection.execute(insert(t.WITHDRAWALS).values(subject=subject))
    return sorted({each for pair in pairs for each in pair} - {subject})
