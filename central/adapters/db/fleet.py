"""Kiosks, pairing codes and sealed secrets in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from central.adapters.db import tables as t
from central.adapters.db.database import Database, decoded
from central.adapters.db.engines import insert_many
from central.rules.fleet import Kiosk, PairingCode, Sighting
from wire.canonical import canonical
from wire.ids import GalleryName, KioskId, Purpose, SiteId
from wire.values import Certificate


class FleetTables(Database):
    """The fleet, and what central tells it."""

    def kiosk(self, kiosk: KioskId) -> Kiosk | None:
        """A kiosk, revoked ones included."""
        row = self._one(t.KIOSKS, kiosk=kiosk)
        return self._only(t.KIOSKS, row, _kiosk)

    def kiosks(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        return self._each(t.KIOSKS, self._all(t.KIOSKS, "kiosk"), _kiosk)

    def kiosks_mark(self) -> tuple[int, int]:
        """Another value after each pairing and each revocation, by whichever program: no kiosk is deleted."""
        columns = t.KIOSKS.c
        query = select(func.count(columns.certificate), func.count(columns.revoked_at_ms))
        with self._engine.connect() as connection:
            paired, revoked = connection.execute(query).one()
        return int(paired), int(revoked)

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
            issuer=None if kiosk.issuer is None else canonical(kiosk.issuer),
            box_public_key=kiosk.box_public_key,
            software=kiosk.software,
            revoked_at_ms=kiosk.revoked_at_ms,
            enrols=kiosk.enrols,
        )

    def save_kiosk(self, kiosk: Kiosk) -> None:
        """Store or replace a kiosk."""
        with self._change() as connection:
            self._save_kiosk(connection, kiosk)

    def add_code(self, code: PairingCode) -> None:
        """Store a code, in place of the kiosk's earlier ones."""
        with self._change() as connection:
            connection.execute(delete(t.PAIRING_CODES).where(t.PAIRING_CODES.c.kiosk == code.kiosk))
            connection.execute(insert(t.PAIRING_CODES).values(asdict(code)))

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

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Store what kiosks last said, one of each, in one transaction."""
        named = [sighting.kiosk for sighting in sightings]
        with self._change() as connection:
            connection.execute(delete(t.SIGHTINGS).where(t.SIGHTINGS.c.kiosk.in_(named)))
            insert_many(connection, t.SIGHTINGS, [asdict(sighting) for sighting in sightings])

    def sightings_among(self, kiosks: Sequence[KioskId]) -> Sequence[Sighting]:
        """The last words of some kiosks."""
        query = select(t.SIGHTINGS).where(t.SIGHTINGS.c.kiosk.in_(kiosks))
        with self._engine.connect() as connection:
            return self._each(t.SIGHTINGS, connection.execute(query), _sighting)

    def sightings(self) -> Sequence[Sighting]:
        """The last words of each kiosk."""
        return self._each(t.SIGHTINGS, self._all(t.SIGHTINGS), _sighting)

    def secret(self, name: str) -> bytes | None:
        """A sealed secret."""
        row = self._one(t.SECRETS, name=name)
        return None if row is None else bytes(row.sealed)

    def save_secret(self, name: str, sealed: bytes) -> None:
        """Store a sealed secret."""
        self._saved(t.SECRETS, name=name, sealed=sealed)


def _sighting(row: Row[Any]) -> Sighting:
    return Sighting(
        row.kiosk,
        row.presence,
        row.boot_id,
        row.seen_at_ms,
        row.pack_digest,
        row.recipe_digest,
        row.gallery_epoch,
        row.gallery_version,
        row.standings_epoch,
        row.standings_version,
    )


def _kiosk(row: Row[Any]) -> Kiosk:
    return Kiosk(
        KioskId(row.kiosk),
        SiteId(row.site),
        Purpose(row.purpose),
        GalleryName(row.gallery),
        row.added_at_ms,
        None if row.certificate is None else decoded(row.certificate, Certificate),
        None if row.issuer is None else decoded(row.issuer, Certificate),
        row.box_public_key,
        row.software,
        row.revoked_at_ms,
        row.enrols,
    )
