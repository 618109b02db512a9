"""Storage over SQLAlchemy: SQLite in WAL mode with synchronous=FULL. Each method is one transaction.

One class fulfils the small Protocols of `central.service`; `revision` rises with what feeds are made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Row, Table, bindparam, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from central.adapters import tables as t
from central.audit import Acceptable, Position, StoredLink
from central.enrolment import Consent
from central.fleet import Kiosk, PairingCode, Sighting
from central.scorecard import Event, EventKind, EventOutcome
from central.service.feeds import FeedVersion
from central.subjects import PinState, StoredClaim, Subject
from wire.canonical import canonical
from wire.chain import commitment, genesis
from wire.claims import ClaimKind
from wire.codec import Rejected, decode_record
from wire.ids import ClaimDigest, GalleryName, KioskId, PassageId, Purpose, RestrictionId, SiteId, SubjectId
from wire.records import ChainHead, RecordBody
from wire.values import Certificate, Restriction, SealedTemplate, Standing

BUSY_MS = 5000  # the command line may write beside a running central
_REVISION = "feeds"
_WRITES = "stile_writes"
Value = TypeVar("Value")


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, so that they lock at once
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # A writer locks at once: upgrading a reader's lock later can fail however long it waits.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _decoded(body: bytes, kind: type[Value]) -> Value:
    return msgspec.msgpack.decode(body, type=kind)


class Store:
    """Central's database."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _sqlite_pragmas)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        with self._writer.connect() as connection:
            settings = Config()
            settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            connection.commit()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _change(self, *, feeds: bool = False) -> Iterator[Connection]:
        with self._writer.begin() as connection:
            yield connection
            if feeds:
                bumped = connection.execute(
                    update(t.REVISIONS)
                    .where(t.REVISIONS.c.name == _REVISION)
                    .values(revision=t.REVISIONS.c.revision + 1)
                )
                if bumped.rowcount == 0:
                    connection.execute(insert(t.REVISIONS).values(name=_REVISION, revision=1))

    def _added(self, table: Table, *, feeds: bool = False, **values: object) -> bool:
        try:
            with self._change(feeds=feeds) as connection:
                connection.execute(insert(table).values(**values))
        except IntegrityError:
            return False
        return True

    def _replaced(self, connection: Connection, table: Table, **values: object) -> None:
        key = [column == values[column.name] for column in table.primary_key]
        if connection.execute(update(table).where(*key).values(**values)).rowcount == 0:
            connection.execute(insert(table).values(**values))

    def _one(self, table: Table, **key: object) -> Row[Any] | None:
        found = self._all(table, None, **key)
        return found[0] if found else None

    def _all(self, table: Table, order: str | None = None, **key: object) -> Sequence[Row[Any]]:
        query = select(table).where(*(table.c[name] == value for name, value in key.items()))
        if order is not None:
            query = query.order_by(table.c[order])
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    # Subjects, templates, claims, PINs

    def add_subject(self, subject: Subject, template: SealedTemplate | None, consent: Consent) -> bool:
        """Store a new subject whole; False when there is one of that id."""
        try:
            with self._change(feeds=True) as connection:
                connection.execute(
                    insert(t.SUBJECTS).values(
                        subject=subject.subject,
                        enrolled_at_ms=subject.enrolled_at_ms,
                        consent_version=consent.text_version,
                        consent_language=consent.language,
                        consent_at_ms=consent.at_ms,
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
        except IntegrityError:
            return False
        return True

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        row = self._one(t.SUBJECTS, subject=subject)
        return None if row is None else Subject(row.subject, row.enrolled_at_ms, row.withdrawn_at_ms)

    def subjects(self) -> Sequence[Subject]:
        """Every subject, withdrawn ones included."""
        rows = self._all(t.SUBJECTS)
        return [Subject(row.subject, row.enrolled_at_ms, row.withdrawn_at_ms) for row in rows]

    def templates(self) -> Mapping[SubjectId, SealedTemplate]:
        """Every template."""
        return {row.subject: _template(row) for row in self._all(t.TEMPLATES)}

    def template(self, subject: SubjectId) -> SealedTemplate | None:
        """A subject's template."""
        row = self._one(t.TEMPLATES, subject=subject)
        return None if row is None else _template(row)

    def withdraw(self, subject: SubjectId, now_ms: int) -> None:
        """Delete template, PIN, events, standings and restrictions; keep the fact and the claims' digests."""
        with self._change(feeds=True) as connection:
            for table in (t.TEMPLATES, t.PINS, t.EVENTS, t.STANDINGS, t.RESTRICTIONS):
                connection.execute(delete(table).where(table.c.subject == subject))
            gone = update(t.SUBJECTS).where(t.SUBJECTS.c.subject == subject)
            connection.execute(gone.values(withdrawn_at_ms=now_ms))

    def add_claim(self, claim: StoredClaim) -> bool:
        """Store a claim; False when its digest is taken."""
        return self._added(
            t.CLAIMS,
            feeds=True,
            digest=claim.digest,
            subject=claim.subject,
            kind=claim.kind.value,
            added_at_ms=claim.added_at_ms,
        )

    def claims_of(self, subject: SubjectId) -> Sequence[StoredClaim]:
        """A subject's claims, revoked ones included."""
        return [_claim(row) for row in self._all(t.CLAIMS, subject=subject)]

    def claims(self) -> Sequence[StoredClaim]:
        """Every claim, revoked ones included."""
        return [_claim(row) for row in self._all(t.CLAIMS)]

    def claim(self, digest: ClaimDigest) -> StoredClaim | None:
        """The claim of a digest."""
        row = self._one(t.CLAIMS, digest=digest)
        return None if row is None else _claim(row)

    def revoke_claim(self, digest: ClaimDigest, now_ms: int) -> None:
        """Mark a claim revoked."""
        with self._change(feeds=True) as connection:
            held = update(t.CLAIMS).where(t.CLAIMS.c.digest == digest, t.CLAIMS.c.revoked_at_ms.is_(None))
            connection.execute(held.values(revoked_at_ms=now_ms))

    def pin(self, subject: SubjectId) -> PinState | None:
        """A subject's PIN state."""
        row = self._one(t.PINS, subject=subject)
        return None if row is None else PinState(row.subject, row.verifier, row.tries_used, row.not_before_ms)

    def save_pin(self, state: PinState) -> None:
        """Store a PIN state, durably, before this returns."""
        with self._change() as connection:
            self._replaced(
                connection,
                t.PINS,
                subject=state.subject,
                verifier=state.verifier,
                tries_used=state.tries_used,
                not_before_ms=state.not_before_ms,
            )

    # Events, standings, restrictions

    def add_event(self, event: Event) -> bool:
        """Store an event; False when one of that id is there."""
        return self._added(
            t.EVENTS,
            feeds=True,
            event_id=event.event_id,
            subject=event.subject,
            purpose=event.purpose,
            kind=event.kind.value,
            outcome=event.outcome.value,
            at_ms=event.at_ms,
            incident=event.incident,
            disputed=event.disputed,
        )

    def events_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Event]:
        """A subject's events for one purpose."""
        return [_event(row) for row in self._all(t.EVENTS, "at_ms", subject=subject, purpose=purpose)]

    def events(self, purpose: Purpose) -> Sequence[Event]:
        """Every event of a purpose."""
        return [_event(row) for row in self._all(t.EVENTS, purpose=purpose)]

    def dispute(self, event_id: str, disputed: bool) -> Event | None:
        """Set or lift the dispute over an event; the event, or None when unknown."""
        with self._change(feeds=True) as connection:
            chosen = update(t.EVENTS).where(t.EVENTS.c.event_id == event_id)
            connection.execute(chosen.values(disputed=disputed))
        row = self._one(t.EVENTS, event_id=event_id)
        return None if row is None else _event(row)

    def standing(self, subject: SubjectId, purpose: Purpose) -> Standing | None:
        """The stored standing, without restrictions."""
        row = self._one(t.STANDINGS, subject=subject, purpose=purpose)
        return None if row is None else _decoded(row.body, Standing)

    def standings(self, purpose: Purpose) -> Sequence[Standing]:
        """The stored standings of a purpose, without restrictions."""
        return [_decoded(row.body, Standing) for row in self._all(t.STANDINGS, purpose=purpose)]

    def save_standing(self, standing: Standing) -> None:
        """Store a standing."""
        self.save_standings([standing])

    def save_standings(self, standings: Sequence[Standing]) -> None:
        """Store standings, all or none."""
        if not standings:
            return
        rows = [
            {"subject": each.subject, "purpose": each.purpose, "body": canonical(each)} for each in standings
        ]
        keys = [{"of": each.subject, "for": each.purpose} for each in standings]
        columns = t.STANDINGS.c
        earlier = delete(t.STANDINGS).where(
            columns.subject == bindparam("of"), columns.purpose == bindparam("for")
        )
        with self._change() as connection:
            connection.execute(earlier, keys)
            connection.execute(insert(t.STANDINGS), rows)

    def restrictions_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Restriction]:
        """Restrictions of a subject that were not lifted, expired ones included."""
        rows = self._all(t.RESTRICTIONS, subject=subject, purpose=purpose, lifted_at_ms=None)
        return [_decoded(row.body, Restriction) for row in rows]

    def restrictions(self) -> Sequence[Restriction]:
        """All that were not lifted."""
        rows = self._all(t.RESTRICTIONS, "restriction_id", lifted_at_ms=None)
        return [_decoded(row.body, Restriction) for row in rows]

    def add_restriction(self, restriction: Restriction) -> bool:
        """Store a restriction; False when one of that id or contest code is there."""
        return self._added(
            t.RESTRICTIONS,
            feeds=True,
            restriction_id=restriction.restriction_id,
            subject=restriction.subject,
            purpose=restriction.purpose,
            contest_code=restriction.contest_code,
            body=canonical(restriction),
        )

    def lift(self, restriction: RestrictionId, now_ms: int) -> bool:
        """Mark a restriction lifted; False when unknown."""
        with self._change(feeds=True) as connection:
            chosen = update(t.RESTRICTIONS).where(t.RESTRICTIONS.c.restriction_id == restriction)
            return connection.execute(chosen.values(lifted_at_ms=now_ms)).rowcount == 1

    # Kiosks

    def kiosk(self, kiosk: KioskId) -> Kiosk | None:
        """A kiosk, revoked ones included."""
        row = self._one(t.KIOSKS, kiosk=kiosk)
        return None if row is None else _kiosk(row)

    def kiosks(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        return [_kiosk(row) for row in self._all(t.KIOSKS, "kiosk")]

    def _save_kiosk(self, connection: Connection, kiosk: Kiosk) -> None:
        self._replaced(
            connection,
            t.KIOSKS,
            kiosk=kiosk.kiosk,
            site=kiosk.site,
            purpose=kiosk.purpose,
            gallery=kiosk.gallery,
            added_at_ms=kiosk.added_at_ms,
            certificate=None if kiosk.certificate is None else canonical(kiosk.certificate),
            box_public_key=kiosk.box_public_key,
            software=kiosk.software,
            revoked_at_ms=kiosk.revoked_at_ms,
        )

    def save_kiosk(self, kiosk: Kiosk) -> None:
        """Store or replace a kiosk."""
        with self._change() as connection:
            self._save_kiosk(connection, kiosk)

    def add_code(self, code: PairingCode) -> None:
        """Store a code, in place of the kiosk's earlier ones."""
        with self._change() as connection:
            connection.execute(delete(t.PAIRING_CODES).where(t.PAIRING_CODES.c.kiosk == code.kiosk))
            connection.execute(
                insert(t.PAIRING_CODES).values(
                    lookup=code.lookup,
                    kiosk=code.kiosk,
                    sealed_code=code.sealed_code,
                    expires_at_ms=code.expires_at_ms,
                )
            )

    def code(self, lookup: bytes) -> PairingCode | None:
        """The code of a lookup digest."""
        row = self._one(t.PAIRING_CODES, lookup=lookup)
        if row is None:
            return None
        return PairingCode(row.lookup, row.kiosk, row.sealed_code, row.expires_at_ms, row.used_at_ms)

    def use_code(self, lookup: bytes, paired: Kiosk, now_ms: int) -> bool:
        """Use a code up and store the paired kiosk, both or neither; False when it was used before."""
        codes = t.PAIRING_CODES
        with self._change() as connection:
            unused = update(codes).where(codes.c.lookup == lookup, codes.c.used_at_ms.is_(None))
            if connection.execute(unused.values(used_at_ms=now_ms)).rowcount != 1:
                return False
            self._save_kiosk(connection, paired)
        return True

    def saw(self, sighting: Sighting) -> None:
        """Store what a kiosk last said."""
        with self._change() as connection:
            self._replaced(
                connection,
                t.SIGHTINGS,
                kiosk=sighting.kiosk,
                presence=sighting.presence,
                boot_id=sighting.boot_id,
                seen_at_ms=sighting.seen_at_ms,
            )

    def sightings(self) -> Sequence[Sighting]:
        """The last words of each kiosk."""
        rows = self._all(t.SIGHTINGS)
        return [Sighting(row.kiosk, row.presence, row.boot_id, row.seen_at_ms) for row in rows]

    # Records

    def position(self, kiosk: KioskId) -> Position:
        """How far a kiosk's records are committed."""
        with self._engine.connect() as connection:
            return self._position(connection, kiosk)

    def _position(self, connection: Connection, kiosk: KioskId) -> Position:
        newest = (
            select(t.RECORDS.c.sequence, t.RECORDS.c.link)
            .where(t.RECORDS.c.kiosk == kiosk)
            .order_by(t.RECORDS.c.sequence.desc())
            .limit(1)
        )
        row = connection.execute(newest).first()
        return Position.start(kiosk) if row is None else Position(kiosk, row.sequence, row.link)

    def link_at(self, kiosk: KioskId, sequence: int) -> bytes | None:
        """The committed link at a sequence (0: genesis)."""
        if sequence == 0:
            return genesis(kiosk)
        row = self._one(t.RECORDS, kiosk=kiosk, sequence=sequence)
        return None if row is None else bytes(row.link)

    def commit(self, position: Position, accepted: Acceptable) -> bool:
        """Commit records after `position`, durably, all or none; False when something contradicts them."""
        rows = []
        for record in accepted.records:
            raw = bytes(record.body)
            body = decode_record(raw)
            if isinstance(body, Rejected):
                return False
            rows.append(
                {
                    "kiosk": position.kiosk,
                    "sequence": record.sequence,
                    "record_id": record.record_id,
                    "passage": body.passage,
                    "commitment": commitment(record.salt, raw),
                    "link": record.link,
                    "salt": record.salt,
                    "body": raw,
                }
            )
        head = accepted.head
        try:
            with self._change() as connection:
                if self._position(connection, position.kiosk) != position:
                    return False
                connection.execute(insert(t.RECORDS), rows)
                connection.execute(
                    insert(t.CHAIN_HEADS).values(
                        kiosk=head.kiosk, sequence=head.sequence, link=head.link, signature=head.signature
                    )
                )
        except IntegrityError:
            return False
        return True

    def stored_links(self, kiosk: KioskId) -> Sequence[StoredLink]:
        """A kiosk's chain from its first record."""
        rows = self._all(t.RECORDS, "sequence", kiosk=kiosk)
        return [StoredLink(row.sequence, row.commitment, row.link, row.salt, row.body) for row in rows]

    def chain_heads(self, kiosk: KioskId) -> Sequence[ChainHead]:
        """The heads a kiosk signed."""
        rows = self._all(t.CHAIN_HEADS, "sequence", kiosk=kiosk)
        return [ChainHead(row.kiosk, row.sequence, row.link, row.signature) for row in rows]

    def records_of_passage(self, passage: PassageId) -> Sequence[RecordBody]:
        """The records of one passage."""
        found = [decode_record(row.body) for row in self._all(t.RECORDS, passage=passage) if row.body]
        return [body for body in found if not isinstance(body, Rejected)]

    # Feeds, secrets

    def feed(self, kind: str, name: str) -> FeedVersion | None:
        """The version of a feed."""
        row = self._one(t.FEEDS, kind=kind, name=name)
        return None if row is None else FeedVersion(row.kind, row.name, row.epoch, row.version, row.digest)

    def save_feed(self, feed: FeedVersion) -> None:
        """Store the version of a feed."""
        with self._change() as connection:
            self._replaced(
                connection,
                t.FEEDS,
                kind=feed.kind,
                name=feed.name,
                epoch=feed.epoch,
                version=feed.version,
                digest=feed.digest,
            )

    def revision(self) -> int:
        """A number that rises with every change to what feeds are made of, whoever makes it."""
        row = self._one(t.REVISIONS, name=_REVISION)
        return 0 if row is None else int(row.revision)

    def secret(self, name: str) -> bytes | None:
        """A sealed secret."""
        row = self._one(t.SECRETS, name=name)
        return None if row is None else bytes(row.sealed)

    def save_secret(self, name: str, sealed: bytes) -> None:
        """Store a sealed secret."""
        with self._change() as connection:
            self._replaced(connection, t.SECRETS, name=name, sealed=sealed)


def _template(row: Row[Any]) -> SealedTemplate:
    return SealedTemplate(row.sealed, row.key_version, row.recipe_digest, row.images)


def _claim(row: Row[Any]) -> StoredClaim:
    return StoredClaim(
        ClaimDigest(row.digest), row.subject, ClaimKind(row.kind), row.added_at_ms, row.revoked_at_ms
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        row.event_id,
        row.subject,
        row.purpose,
        EventKind(row.kind),
        EventOutcome(row.outcome),
        row.at_ms,
        row.incident,
        row.disputed,
    )


def _kiosk(row: Row[Any]) -> Kiosk:
    return Kiosk(
        KioskId(row.kiosk),
        SiteId(row.site),
        Purpose(row.purpose),
        GalleryName(row.gallery),
        row.added_at_ms,
        None if row.certificate is None else _decoded(row.certificate, Certificate),
        row.box_public_key,
        row.software,
        row.revoked_at_ms,
    )
