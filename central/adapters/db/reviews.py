"""Reviewers, cases and the tallies of restrictions in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.database import Database, decoded
from central.rules.restriction import Tally
from central.rules.review import Case, Matter, Outcome, Reviewer, Ruling
from central.rules.scorecard import Event
from wire.canonical import canonical
from wire.ids import KeyId, Purpose, ReasonCode, ReviewerId, SubjectId
from wire.values import Certificate, Restriction


class ReviewTables(Database):
    """Who may review, what they are asked, and what they said."""

    def reviewers(self) -> Sequence[Reviewer]:
        """Every reviewer's key, revoked ones included."""
        return self._each(t.REVIEWERS, self._all(t.REVIEWERS, "added_at_ms"), _reviewer)

    def add_reviewer(self, reviewer: Reviewer) -> bool:
        """List a reviewer's key; False when their name has another that is not revoked, or it is listed."""
        columns = t.REVIEWERS.c
        active = select(columns.key_id).where(
            columns.reviewer == reviewer.reviewer, columns.revoked_at_ms.is_(None)
        )
        try:
            with self._change() as connection:
                if connection.execute(active).first() is not None:
                    return False
                connection.execute(
                    insert(t.REVIEWERS).values(
                        key_id=reviewer.key_id,
                        reviewer=reviewer.reviewer,
                        certificate=canonical(reviewer.certificate),
                        added_at_ms=reviewer.added_at_ms,
                        revoked_at_ms=reviewer.revoked_at_ms,
                    )
                )
        except IntegrityError:
            return False
        return True

    def renew_reviewer(self, key_id: KeyId, certificate: Certificate) -> bool:
        """Keep a newer certificate of a listed key; False when it is not listed, or revoked."""
        columns = t.REVIEWERS.c
        active = update(t.REVIEWERS).where(columns.key_id == key_id, columns.revoked_at_ms.is_(None))
        with self._change() as connection:
            return connection.execute(active.values(certificate=canonical(certificate))).rowcount == 1

    def revoke_reviewer(self, reviewer: ReviewerId, now_ms: int) -> bool:
        """Revoke whatever key of a reviewer is not; False when there is none."""
        columns = t.REVIEWERS.c
        active = update(t.REVIEWERS).where(columns.reviewer == reviewer, columns.revoked_at_ms.is_(None))
        with self._change(feeds=True) as connection:
            return connection.execute(active.values(revoked_at_ms=now_ms)).rowcount > 0

    def cases_about(self, matter: Matter, target: str) -> Sequence[Case]:
        """The cases about an event or restriction, in their order."""
        rows = self._all(t.CASES, "number", matter=matter.value, target=target)
        return self._each(t.CASES, rows, _case)

    def open_cases(self, matter: Matter | None = None) -> Sequence[Case]:
        """The cases that nobody settled, oldest first."""
        key: dict[str, object] = {} if matter is None else {"matter": matter.value}
        rows = self._all(t.CASES, "opened_at_ms", settled_at_ms=None, **key)
        return self._each(t.CASES, rows, _case)

    def open_case(self, case: Case) -> bool:
        """Store a case, and stop a disputed event from counting, both or neither; False when it is there."""
        values = {
            "matter": case.matter.value,
            "target": case.target,
            "number": case.number,
            "subject": case.subject,
            "purpose": case.purpose,
            "opened_at_ms": case.opened_at_ms,
            "opened_by": case.opened_by,
            "note": case.note,
        }
        try:
            with self._change(feeds=True, subjects=(case.subject,)) as connection:
                connection.execute(insert(t.CASES).values(**values))
                if case.matter is Matter.EVENT:
                    chosen = update(t.EVENTS).where(t.EVENTS.c.event_id == case.target)
                    connection.execute(chosen.values(disputed=True))
                    self._forget_standing(connection, case)
        except IntegrityError:
            return False
        return True

    def settle_case(self, case: Case) -> bool:
        """Store the ruling on a case and do as it says, both or neither; False when it is settled already."""
        assert case.ruling is not None
        columns = t.CASES.c
        unsettled = update(t.CASES).where(
            columns.matter == case.matter.value,
            columns.target == case.target,
            columns.number == case.number,
            columns.settled_at_ms.is_(None),
        )
        struck = case.ruling.outcome is Outcome.STRUCK
        with self._change(feeds=True, subjects=(case.subject,)) as connection:
            ruling = {"settled_at_ms": case.settled_at_ms, "ruling": canonical(case.ruling)}
            if connection.execute(unsettled.values(**ruling)).rowcount != 1:
                return False
            if case.matter is Matter.EVENT:
                chosen = update(t.EVENTS).where(t.EVENTS.c.event_id == case.target)
                connection.execute(chosen.values(disputed=False, struck=struck))
                self._forget_standing(connection, case)
            elif struck:
                held = t.RESTRICTIONS.c
                lifting = update(t.RESTRICTIONS).where(
                    held.restriction_id == case.target, held.lifted_at_ms.is_(None)
                )
                connection.execute(lifting.values(lifted_at_ms=case.settled_at_ms))
        return True

    def _forget_standing(self, connection: Connection, of: Case | Event) -> None:
        """Whoever asks next computes it anew, though this program should end before it has."""
        columns = t.STANDINGS.c
        connection.execute(
            delete(t.STANDINGS).where(columns.subject == of.subject, columns.purpose == of.purpose)
        )

    def _tally(self, connection: Connection, restriction: Restriction, month: int, *, lowest: bool) -> None:
        """Count a restriction in statistics that name nobody, and outlast it."""
        columns = t.RESTRICTION_TALLIES.c
        key = {
            "purpose": restriction.purpose,
            "reviewers": "+".join(sorted(restriction.reviewers)),
            "reason": restriction.reason,
            "month": month,
        }
        counted = update(t.RESTRICTION_TALLIES).where(
            *(columns[name] == value for name, value in key.items())
        )
        more = {"issued": columns.issued + 1, "lowest_tier": columns.lowest_tier + int(lowest)}
        if connection.execute(counted.values(**more)).rowcount == 0:
            first = insert(t.RESTRICTION_TALLIES).values(**key, issued=1, lowest_tier=int(lowest))
            connection.execute(first)

    def tallies(self) -> Sequence[Tally]:
        """How many restrictions were issued, month by month."""
        return [
            Tally(
                Purpose(row.purpose),
                tuple(map(ReviewerId, row.reviewers.split("+"))),
                ReasonCode(row.reason),
                row.month,
                row.issued,
                row.lowest_tier,
            )
            for row in self._all(t.RESTRICTION_TALLIES, "month")
        ]


def _reviewer(row: Row[Any]) -> Reviewer:
    certificate = decoded(row.certificate, Certificate)
    return Reviewer(
        ReviewerId(row.reviewer), KeyId(row.key_id), certificate, row.added_at_ms, row.revoked_at_ms
    )


def _case(row: Row[Any]) -> Case:
    return Case(
        Matter(row.matter),
        row.target,
        row.number,
        SubjectId(row.subject),
        Purpose(row.purpose),
        row.opened_at_ms,
        row.opened_by,
        row.note,
        row.settled_at_ms,
        None if row.ruling is None else decoded(row.ruling, Ruling),
    )
