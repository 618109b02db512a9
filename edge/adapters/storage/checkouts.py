"""Checkouts, what was taken offline, and refunds: durable, in the outbox's file and in its transactions.

A checkout changes in the transaction that keeps the record it changes by, so that no kill can part the two.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Final

import msgspec

from edge.adapters.storage.database import Database
from edge.adapters.storage.keyfile import RandomBytes, RowSealer
from edge.enact.charge import (
    Checkout,
    CheckoutState,
    Due,
    begun,
    cancelled,
    expired,
    refunded,
    settled,
)
from edge.errors import CheckoutError, StoreError
from wire.ids import RecordId, SubjectId
from wire.records import ChargeOutcome, PassRecord

KEEP_CHECKOUTS: Final = 10_000
"""Checkouts that are over are kept for the till's questions and refunds: a busy counter's month, 5 MB."""
KEEP_SPENT_MS: Final = 8 * 86_400_000
"""Past the longest `standing.grace_s`, seven days, no standing allows anything offline."""
SKEW_MS: Final = 120_000
"""Central's clock and this kiosk's may differ by so much; what it hides would be spent twice."""

TABLES = """
        CREATE TABLE checkout (
            checkout_id TEXT PRIMARY KEY, place INTEGER NOT NULL UNIQUE, till_key TEXT NOT NULL UNIQUE,
            asked BLOB NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL
        ) STRICT;
        CREATE INDEX checkout_under_way ON checkout (state) WHERE state IN ('open', 'paying');
        CREATE TABLE spent (
            sequence INTEGER PRIMARY KEY, who TEXT NOT NULL, at_ms INTEGER NOT NULL, sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX spent_by ON spent (who);
        CREATE TABLE refund (
            till_key TEXT PRIMARY KEY, refund_id TEXT NOT NULL, checkout_id TEXT NOT NULL,
            amount_minor INTEGER NOT NULL, accepted INTEGER, reason TEXT NOT NULL, asked_minor INTEGER
        ) STRICT;
"""
"""Part of the outbox's schema. `asked_minor`: as the till asked, 0 for all; NULL in rows of 0.1.0."""
UPGRADE = "ALTER TABLE refund ADD COLUMN asked_minor INTEGER;"
"""From the tables of 0.1.0."""


class Refund(msgspec.Struct, frozen=True):
    """One refund that a till asked for; `accepted` is None until central has answered."""

    refund_id: RecordId
    checkout_id: RecordId
    amount_minor: int
    accepted: bool | None
    reason: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Checkout)
_SPENT = msgspec.msgpack.Decoder(tuple[int, int])


def note_begun(connection: sqlite3.Connection, record: PassRecord) -> None:
    """In the transaction that keeps a decision: its checkout is being paid. Raises `CheckoutError`."""
    if record.charge is None:
        return
    checkout = _found(connection, record.charge.checkout)
    after = begun(checkout, record.passage)
    if after is None:
        raise CheckoutError(
            "checkout_closed", f"the checkout is {checkout.state.value}, so nothing is charged"
        )
    _put(connection, after)


def note_settled(
    connection: sqlite3.Connection, record: PassRecord, sequence: int, sealer: RowSealer
) -> None:
    """In the transaction that puts a final record into the chain: what its checkout came to."""
    if record.charge is None:
        return
    rows = _rows(connection, record.charge.checkout)
    if rows:
        _put(connection, settled(_DECODER.decode(rows[0][0]), record))
    if record.charge.outcome is not ChargeOutcome.OFFLINE or record.subject is None:
        return
    issued_at_ms = record.standing.issued_at_ms if record.standing else 0
    connection.execute(
        "INSERT INTO spent VALUES (?, ?, ?, ?)",
        (
            sequence,
            sealer.digest("subject", record.subject),
            record.settled_at_ms,
            sealer.seal(_ENCODER.encode((record.amount_minor, issued_at_ms)), "spent", str(sequence)),
        ),
    )
    connection.execute(
        "DELETE FROM spent WHERE at_ms < ? AND sequence <= (SELECT sequence FROM acknowledged)",
        (record.settled_at_ms - KEEP_SPENT_MS,),
    )


class Checkouts:
    """The till's side: one open checkout at a time, and what became of those before it."""

    def __init__(self, database: Database, sealer: RowSealer, random_bytes: RandomBytes) -> None:
        self._database, self._sealer, self._random_bytes = database, sealer, random_bytes

    def under_way(self) -> Checkout | None:
        """The one that is open or being paid."""
        rows = self._database.read("SELECT body FROM checkout WHERE state IN ('open', 'paying')")
        return _DECODER.decode(_blob(rows[0][0])) if rows else None

    def find(self, checkout_id: RecordId) -> Checkout | None:
        """A checkout by its id, while it is kept."""
        rows = self._database.read("SELECT body FROM checkout WHERE checkout_id = ?", checkout_id)
        return _DECODER.decode(_blob(rows[0][0])) if rows else None

    def offline_spent_minor(self, subject: SubjectId, standing_issued_at_ms: int) -> int:
        """What was taken offline from the subject, and still counts against an allowance issued then.

        That is what central has not confirmed, and what was taken since that allowance was made.
        """
        rows = self._database.read(
            "SELECT sequence, at_ms >= ? OR sequence > (SELECT sequence FROM acknowledged), sealed"
            " FROM spent WHERE who = ?",
            standing_issued_at_ms - SKEW_MS,
            self._sealer.digest("subject", subject),
        )
        spent_minor = 0
        for sequence, counts, sealed in rows:
            amount_minor, issued_at_ms = _SPENT.decode(
                self._sealer.open(_blob(sealed), "spent", str(sequence))
            )
            if counts or issued_at_ms >= standing_issued_at_ms:
                spent_minor += amount_minor
        return spent_minor

    async def open(
        self, till_key: str, asked: bytes, due: Due, now_ms: int, life_ms: int
    ) -> tuple[Checkout, bool]:
        """A new checkout, or the one this key made of the same request, and which. Raises `CheckoutError`.

        `asked`: a digest of the request; `due.checkout` is drawn here. Durable on return.
        """
        drawn = RecordId(self._random_bytes(16).hex())
        fresh = Checkout(replace(due, checkout=drawn), CheckoutState.OPEN, now_ms, now_ms + life_ms)

        def change(connection: sqlite3.Connection) -> tuple[Checkout, bool]:
            before = connection.execute(
                "SELECT asked, body FROM checkout WHERE till_key = ?", (till_key,)
            ).fetchone()
            if before is not None:
                if before[0] != asked:
                    raise CheckoutError(
                        "key_reused", "this Idempotency-Key made another checkout: draw a new key for each"
                    )
                return _DECODER.decode(before[1]), False
            _expire(connection, now_ms)
            if connection.execute("SELECT 1 FROM checkout WHERE state IN ('open', 'paying')").fetchone():
                raise CheckoutError(
                    "checkout_open", "another checkout is open: wait for it, or cancel it, before the next"
                )
            connection.execute(
                "INSERT INTO checkout "
                "VALUES (?, (SELECT ifnull(max(place), 0) + 1 FROM checkout), ?, ?, ?, ?)",
                (drawn, till_key, asked, fresh.state.value, _ENCODER.encode(fresh)),
            )
            connection.execute(
                "DELETE FROM checkout WHERE place <= (SELECT max(place) FROM checkout) - ?", (KEEP_CHECKOUTS,)
            )
            return fresh, True

        return await self._database.write(change)

    async def cancel(self, checkout_id: RecordId, now_ms: int) -> Checkout:
        """Take an open checkout back; once is as good as twice. Raises `CheckoutError`."""

        def change(connection: sqlite3.Connection) -> Checkout:
            _expire(connection, now_ms)
            checkout = _found(connection, checkout_id)
            after = cancelled(checkout, now_ms)
            if after is None:
                raise CheckoutError(
                    "not_open", f"the checkout is {checkout.state.value}: only an open one can be cancelled"
                )
            _put(connection, after)
            return after

        return await self._database.write(change)

    async def expire(self, now_ms: int) -> None:
        """End the open checkout if its time is up."""
        await self._database.write(lambda connection: _expire(connection, now_ms))

    # --- refunds

    async def begin_refund(self, till_key: str, checkout_id: RecordId, amount_minor: int | None) -> Refund:
        """A refund of so much (None: of all that is left) under the till's key. Raises `CheckoutError`.

        The same key and amount give the same refund, so that asking central again gives nothing back twice;
        another amount, or all in place of one, is refused.
        """
        drawn = RecordId(self._random_bytes(16).hex())

        def change(connection: sqlite3.Connection) -> Refund:
            before = _refund(connection, till_key)
            if before is not None:
                asked = {0 if amount_minor is None else amount_minor, None}
                if before.checkout_id != checkout_id or _asked(connection, till_key) not in asked:
                    raise CheckoutError(
                        "key_reused", "this Idempotency-Key made another refund: draw a new key for each"
                    )
                return before
            checkout = _found(connection, checkout_id)
            left_minor = checkout.left_minor
            wanted_minor = left_minor if amount_minor is None else amount_minor
            if wanted_minor < 1 or wanted_minor > left_minor:
                raise CheckoutError(
                    "above_charge", f"{left_minor} minor units of this checkout are left to give back"
                )
            connection.execute(
                "INSERT INTO refund VALUES (?, ?, ?, ?, NULL, '', ?)",
                (till_key, drawn, checkout_id, wanted_minor, amount_minor or 0),
            )
            return Refund(drawn, checkout_id, wanted_minor, None, "")

        return await self._database.write(change)

    async def end_refund(self, till_key: str, *, accepted: bool, reason: str) -> Refund:
        """Central has answered; an answer that is known stays."""

        def change(connection: sqlite3.Connection) -> Refund:
            refund = _refund(connection, till_key)
            if refund is None:
                raise StoreError(f"{self._database.path} has lost a refund: look for it at central")
            if refund.accepted is not None:
                return refund
            connection.execute(
                "UPDATE refund SET accepted = ?, reason = ? WHERE till_key = ?", (accepted, reason, till_key)
            )
            if accepted:
                _put(connection, refunded(_found(connection, refund.checkout_id), refund.amount_minor))
            return msgspec.structs.replace(refund, accepted=accepted, reason=reason)

        return await self._database.write(change)

    def central_has(self, checkout: Checkout) -> bool:
        """Whether central has the record of this payment: before that it cannot give anything back."""
        if checkout.outcome is ChargeOutcome.CAPTURED:
            return True
        waiting = self._database.read(
            "SELECT 1 FROM record WHERE record_id = ? AND sequence > (SELECT sequence FROM acknowledged)",
            checkout.passage,
        )
        return not waiting


def _rows(connection: sqlite3.Connection, checkout_id: RecordId) -> list[tuple[bytes]]:
    return connection.execute("SELECT body FROM checkout WHERE checkout_id = ?", (checkout_id,)).fetchall()


def _found(connection: sqlite3.Connection, checkout_id: RecordId) -> Checkout:
    rows = _rows(connection, checkout_id)
    if not rows:
        raise CheckoutError("unknown", "there is no such checkout here")
    return _DECODER.decode(rows[0][0])


def _put(connection: sqlite3.Connection, checkout: Checkout) -> None:
    connection.execute(
        "UPDATE checkout SET state = ?, body = ? WHERE checkout_id = ?",
        (checkout.state.value, _ENCODER.encode(checkout), checkout.due.checkout),
    )


def _expire(connection: sqlite3.Connection, now_ms: int) -> None:
    for (body,) in connection.execute("SELECT body FROM checkout WHERE state = 'open'").fetchall():
        checkout = _DECODER.decode(body)
        if (after := expired(checkout, now_ms)) is not checkout:
            _put(connection, after)


def _refund(connection: sqlite3.Connection, till_key: str) -> Refund | None:
    row = connection.execute(
        "SELECT refund_id, checkout_id, amount_minor, accepted, reason FROM refund WHERE till_key = ?",
        (till_key,),
    ).fetchone()
    if row is None:
        return None
    return Refund(row[0], row[1], row[2], None if row[3] is None else bool(row[3]), row[4])


def _asked(connection: sqlite3.Connection, till_key: str) -> int | None:
    row = connection.execute("SELECT asked_minor FROM refund WHERE till_key = ?", (till_key,)).fetchone()
    return None if row is None else row[0]


def _blob(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
