"""Records looked through for those that name one member. No index leads from a member to their passages."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.adapters.db.engines import holds_bytes
from wire.codec import decode_record
from wire.ids import SubjectId
from wire.records import PassRecord


class PassageTables(Database):
    """Passages of members."""

    def passages_of(self, subject: SubjectId, most: int, looked_at: int) -> Sequence[PassRecord]:
        """The newest records that name a subject, newest first, among so many of the site's newest."""
        columns, found = t.RECORDS.c, []
        newest = select(columns.kiosk, func.max(columns.sequence)).group_by(columns.kiosk)
        with self._engine.connect() as connection:
            reaches = connection.execute(newest).all()
            for kiosk, last in reaches:
                bodies = (
                    select(columns.body)
                    .where(
                        columns.kiosk == kiosk,
                        columns.sequence > last - looked_at // len(reaches),
                        columns.body.is_not(None),
                        holds_bytes(connection, columns.body, subject.encode()),
                    )
                    .order_by(columns.sequence.desc())
                    .limit(most)
                )
                found += [decode_record(body) for body in connection.execute(bodies).scalars()]
        named = [each for each in found if isinstance(each, PassRecord) and each.subject == subject]
        return sorted(named, key=lambda each: each.started_at_ms, reverse=True)[:most]
