"""Members in the database: subjects, templates, claims, PINs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.adapters.db.enrolments import begin_withdrawal, claim_values, insert_member
from central.rules.enrolment import Consent
from central.rules.subjects import PinState, StoredClaim, Subject
from wire.claims import ClaimKind
from wire.ids import ClaimDigest, KioskId, SubjectId
from wire.values import AgreeBy, SealedTemplate


class MemberTables(Database):
    """Subjects and what is theirs."""

    def add_subject(self, subject: Subject, template: SealedTemplate | None, consent: Consent) -> bool:
        """Store a new subject whole; False when there is one of that id."""
        try:
            with self._change(feeds=True, subjects=(subject.subject,)) as connection:
                insert_member(connection, subject, template, consent)
        except IntegrityError:
            return False
        return True

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        row = self._one(t.SUBJECTS, subject=subject)
        return self._only(t.SUBJECTS, row, stored_subject)

    def template(self, subject: SubjectId) -> SealedTemplate | None:
        """A subject's template."""
        row = self._one(t.TEMPLATES, subject=subject)
        return None if row is None else stored_template(row)

    def sealed_before(self, key_version: int, most: int) -> Sequence[tuple[SubjectId, SealedTemplate]]:
        """Templates, in use and spare, sealed under an earlier key version, at most so many."""
        found: list[tuple[SubjectId, SealedTemplate]] = []
        with self._engine.connect() as connection:
            for table in (t.TEMPLATES, t.SPARE_TEMPLATES):
                older = select(table).where(table.c.key_version < key_version).limit(most - len(found))
                found += [(row.subject, stored_template(row)) for row in connection.execute(older)]
        return found

    def replace_seals(self, changes: Sequence[tuple[SubjectId, SealedTemplate, SealedTemplate]]) -> None:
        """Put each second template where exactly the first is still kept; one transaction."""
        changed = {subject for subject, _, _ in changes}
        with self._change(feeds=True, subjects=sorted(changed)) as connection:
            for subject, before, after in changes:
                for table in (t.TEMPLATES, t.SPARE_TEMPLATES):
                    kept = update(table).where(table.c.subject == subject, table.c.sealed == before.sealed)
                    connection.execute(kept.values(sealed=after.sealed, key_version=after.key_version))

    def withdraw(self, subject: SubjectId, now_ms: int) -> None:
        """Delete template, PIN, events, standings, restrictions, and whose account it is.

        The fact and the claims' digests stay.
        """
        changed: list[str] = [subject]  # noted once all is done
        with self._change(feeds=True, subjects=changed) as connection:
            changed += begin_withdrawal(connection, subject)
            for table in (
                t.TEMPLATES,
                t.SPARE_TEMPLATES,
                t.PINS,
                t.EVENTS,
                t.STANDINGS,
                t.CASES,
                t.RESTRICTIONS,
            ):
                connection.execute(delete(table).where(table.c.subject == subject))
            gone = update(t.SUBJECTS).where(t.SUBJECTS.c.subject == subject)
            connection.execute(gone.values(withdrawn_at_ms=now_ms))
            # Last: whoever posts to the account meanwhile holds the subject's row until they have committed.
            connection.execute(delete(t.MEMBER_ACCOUNTS).where(t.MEMBER_ACCOUNTS.c.subject == subject))
        self.scrub()

    def add_claim(self, claim: StoredClaim) -> bool:
        """Store a claim; False when its digest is taken."""
        return self._added(t.CLAIMS, feeds=True, **claim_values(claim))

    def claims_of(self, subject: SubjectId) -> Sequence[StoredClaim]:
        """A subject's claims, revoked ones included."""
        return self._each(t.CLAIMS, self._all(t.CLAIMS, subject=subject), stored_claim)

    def claim(self, digest: ClaimDigest) -> StoredClaim | None:
        """The claim of a digest."""
        row = self._one(t.CLAIMS, digest=digest)
        return self._only(t.CLAIMS, row, stored_claim)

    def revoke_claim(self, digest: ClaimDigest, now_ms: int) -> None:
        """Mark a claim revoked."""
        row = self._one(t.CLAIMS, digest=digest)
        if row is None:
            return
        with self._change(feeds=True, subjects=(row.subject,)) as connection:
            held = update(t.CLAIMS).where(t.CLAIMS.c.digest == digest, t.CLAIMS.c.revoked_at_ms.is_(None))
            connection.execute(held.values(revoked_at_ms=now_ms))

    def pin(self, subject: SubjectId) -> PinState | None:
        """A subject's PIN state."""
        row = self._one(t.PINS, subject=subject)
        return None if row is None else PinState(row.subject, row.verifier, row.tries_used, row.not_before_ms)

    def save_pin(self, state: PinState) -> None:
        """Store a PIN state, durably, before this returns."""
        with self._change() as connection:
            self._replaced(connection, t.PINS, **asdict(state))
            self._forget_withdrawn(connection, t.PINS)

    def change_pin(self, before: PinState, after: PinState) -> bool:
        """Store `after` in the place of exactly `before`, durably; False when that is no longer there."""
        with self._change() as connection:
            unchanged = (t.PINS.c[name] == value for name, value in asdict(before).items())
            changed = update(t.PINS).where(*unchanged).values(**asdict(after))
            return connection.execute(changed).rowcount == 1


def stored_subject(row: Row[Any]) -> Subject:
    """A subject out of its row."""
    enrolled_by = None if row.enrolled_by is None else KioskId(row.enrolled_by)
    agree_by = AgreeBy(row.agree_by)
    return Subject(row.subject, row.enrolled_at_ms, row.withdrawn_at_ms, agree_by, enrolled_by)


def stored_template(row: Row[Any]) -> SealedTemplate:
    """A template out of its row."""
    return SealedTemplate(row.sealed, row.key_version, row.recipe_digest, row.images)


def stored_claim(row: Row[Any]) -> StoredClaim:
    """A claim out of its row."""
    return StoredClaim(
        ClaimDigest(row.digest), row.subject, ClaimKind(row.kind), row.added_at_ms, row.revoked_at_ms
    )
