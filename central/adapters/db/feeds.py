"""What feeds are made of, for some subjects at a time, and who changed since a revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, case, delete, insert, select, update

from central.adapters.db import tables as t
from central.adapters.db.database import CHANGES_FLOOR, Database
from central.adapters.db.members import stored_claim, stored_subject, stored_template
from central.adapters.db.standings import stored_event, stored_restriction, stored_standing
from central.rules.scorecard import Event
from central.rules.subjects import StoredClaim, Subject
from central.service.feeds import FeedVersion
from wire.ids import Purpose, SubjectId
from wire.values import Restriction, SealedTemplate, Standing


class FeedTables(Database):
    """Feed versions, changes, and rows' parts in bulk."""

    def feed(self, kind: str, name: str) -> FeedVersion | None:
        """The version of a feed."""
        row = self._one(t.FEEDS, kind=kind, name=name)
        return None if row is None else FeedVersion(row.kind, row.name, row.epoch, row.version, row.digest)

    def save_feed(self, feed: FeedVersion) -> bool:
        """Store the version of a feed; False when a later epoch has begun meanwhile."""
        columns = t.FEEDS.c
        values = {"epoch": feed.epoch, "version": feed.version, "digest": feed.digest}
        with self._change() as connection:
            this = (columns.kind == feed.kind, columns.name == feed.name)
            if connection.execute(
                update(t.FEEDS).where(*this, columns.epoch <= feed.epoch).values(values)
            ).rowcount:
                return True
            if connection.execute(select(columns.epoch).where(*this)).first() is not None:
                return False
            connection.execute(insert(t.FEEDS).values(kind=feed.kind, name=feed.name, **values))
        return True

    def raise_epochs(self, at_least: int) -> None:
        """Begin a later epoch of every feed, no lower than `at_least`, and raise the revision."""
        next_epoch = t.FEEDS.c.epoch + 1
        with self._change(feeds=True, subjects=()) as connection:
            connection.execute(
                update(t.FEEDS).values(epoch=case((next_epoch > at_least, next_epoch), else_=at_least))
            )

    def changed_since(self, revision: int) -> Sequence[SubjectId] | None:
        """Subjects changed after a revision, sorted; None when it may be anybody."""
        with self._engine.connect() as connection:
            found = self._changed_since(connection, revision)
        return None if found is None else sorted(found)

    def forget_changes(self, revision: int) -> None:
        """Keep no longer who changed up to a revision: of whom retention takes the last, nothing stays."""
        with self._change() as connection:
            connection.execute(delete(t.FEED_CHANGES).where(t.FEED_CHANGES.c.revision <= revision))
            self._replaced(connection, t.REVISIONS, name=CHANGES_FLOOR, revision=revision)

    def subjects_after(self, after: str, most: int) -> Sequence[Subject]:
        """The next subjects in their order, withdrawn ones included."""
        columns = t.SUBJECTS.c
        query = select(t.SUBJECTS).where(columns.subject > after).order_by(columns.subject).limit(most)
        with self._engine.connect() as connection:
            return self._each(t.SUBJECTS, connection.execute(query), stored_subject)

    def subjects_among(self, subjects: Sequence[SubjectId]) -> Sequence[Subject]:
        """Those of the given ones that exist, in their order, withdrawn ones included."""
        rows = self._among(t.SUBJECTS, subjects)
        return sorted(self._each(t.SUBJECTS, rows, stored_subject), key=lambda each: each.subject)

    def templates_among(self, subjects: Sequence[SubjectId]) -> Mapping[SubjectId, SealedTemplate]:
        """The templates of some subjects."""
        return {row.subject: stored_template(row) for row in self._among(t.TEMPLATES, subjects)}

    def claims_among(self, subjects: Sequence[SubjectId]) -> Sequence[StoredClaim]:
        """The claims of some subjects, revoked ones included."""
        return self._each(t.CLAIMS, self._among(t.CLAIMS, subjects), stored_claim)

    def standings_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Standing]:
        """The stored standings of some subjects, without restrictions."""
        rows = self._among(t.STANDINGS, subjects, purpose=purpose)
        return self._each(t.STANDINGS, rows, stored_standing)

    def events_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Event]:
        """Every event of some subjects for one purpose."""
        return self._each(t.EVENTS, self._among(t.EVENTS, subjects, purpose=purpose), stored_event)

    def restrictions_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Restriction]:
        """Restrictions of some subjects that were not lifted, expired ones included."""
        rows = self._among(t.RESTRICTIONS, subjects, purpose=purpose, lifted_at_ms=None)
        return self._each(t.RESTRICTIONS, rows, stored_restriction)

    def _among(self, table: Table, subjects: Sequence[SubjectId], **key: object) -> Sequence[Row[Any]]:
        query = select(table).where(table.c.subject.in_(subjects))
        query = query.where(*(table.c[name] == value for name, value in key.items()))
        with self._engine.connect() as connection:
            return connection.execute(query).all()
