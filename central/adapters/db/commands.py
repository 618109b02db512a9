"""Orders given to kiosks, and the shadows of their configuration, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.rules.fleet import Order, Shadow
from wire.fleet import CommandAction, OrderOutcome
from wire.ids import KioskId, Nonce, PassageId

_DESIRED, _REPORTED, _REMARK = "desired", "reported", "remark"


class CommandTables(Database):
    """Kiosks' orders and desired settings, and what became of them."""

    def add_order(self, order: Order, forget_before_ms: int) -> None:
        """Store an order; those issued before an instant are forgotten."""
        with self._change() as connection:
            connection.execute(delete(t.ORDERS).where(t.ORDERS.c.issued_at_ms < forget_before_ms))
            connection.execute(insert(t.ORDERS).values(asdict(order)))

    def order(self, nonce: Nonce) -> Order | None:
        """An order, and what became of it."""
        row = self._one(t.ORDERS, nonce=nonce)
        return self._only(t.ORDERS, row, _order)

    def orders(self, kiosk: KioskId) -> Sequence[Order]:
        """A kiosk's orders, oldest first."""
        return self._each(t.ORDERS, self._all(t.ORDERS, "issued_at_ms", kiosk=kiosk), _order)

    def unsent_orders(self, now_ms: int) -> Sequence[Order]:
        """Those that are not sent yet and still good."""
        query = select(t.ORDERS).where(t.ORDERS.c.sent_at_ms.is_(None), t.ORDERS.c.not_after_ms >= now_ms)
        with self._engine.connect() as connection:
            return self._each(t.ORDERS, connection.execute(query.order_by(t.ORDERS.c.issued_at_ms)), _order)

    def sent_order(self, nonce: Nonce, now_ms: int) -> None:
        """Note that an order has left."""
        with self._change() as connection:
            connection.execute(update(t.ORDERS).where(t.ORDERS.c.nonce == nonce).values(sent_at_ms=now_ms))

    def answer_order(
        self, kiosk: KioskId, nonce: Nonce, outcome: OrderOutcome, passage: PassageId | None, now_ms: int
    ) -> None:
        """Note what a kiosk says became of an order of its own; its first word stands."""
        own = update(t.ORDERS).where(
            t.ORDERS.c.nonce == nonce, t.ORDERS.c.kiosk == kiosk, t.ORDERS.c.outcome.is_(None)
        )
        with self._change() as connection:
            connection.execute(own.values(outcome=outcome.value, passage=passage, answered_at_ms=now_ms))

    def shadow(self, kiosk: KioskId) -> Shadow:
        """A kiosk's shadow; an empty one of version 0 where nothing was desired or reported."""
        row = self._one(t.SHADOWS, kiosk=kiosk)
        if row is None:
            return Shadow(kiosk)
        parts: dict[str, dict[str, str]] = {_DESIRED: {}, _REPORTED: {}, _REMARK: {}}
        for each in self._all(t.SHADOW_SETTINGS, "key", kiosk=kiosk):
            parts[each.part][each.key] = each.value
        return Shadow(
            kiosk,
            row.desired_version,
            parts[_DESIRED],
            row.reported_version,
            parts[_REPORTED],
            parts[_REMARK],
            row.reported_at_ms,
        )

    def all_desired(self) -> Sequence[Shadow]:
        """The versions of every kiosk with desired settings, without the settings."""
        return [
            Shadow(
                KioskId(row.kiosk),
                desired_version=row.desired_version,
                reported_version=row.reported_version,
                reported_at_ms=row.reported_at_ms,
            )
            for row in self._all(t.SHADOWS)
            if row.desired_version
        ]

    def save_desired(self, kiosk: KioskId, version: int, settings: Mapping[str, str], before: int) -> bool:
        """Store desired settings in place of version `before`; False when that is another by now."""
        with self._change() as connection:
            row = connection.execute(select(t.SHADOWS).where(t.SHADOWS.c.kiosk == kiosk)).one_or_none()
            if (0 if row is None else row.desired_version) != before:
                return False
            if row is None:
                connection.execute(
                    insert(t.SHADOWS).values(kiosk=kiosk, desired_version=version, reported_version=0)
                )
            else:
                connection.execute(
                    update(t.SHADOWS).where(t.SHADOWS.c.kiosk == kiosk).values(desired_version=version)
                )
            _rewrite(connection, kiosk, _DESIRED, settings)
        return True

    def save_report(
        self,
        kiosk: KioskId,
        version: int,
        settings: Mapping[str, str],
        remarks: Mapping[str, str],
        now_ms: int,
    ) -> None:
        """Store what a kiosk reports, in place of what it reported before."""
        with self._change() as connection:
            told = {"reported_version": version, "reported_at_ms": now_ms}
            changed = update(t.SHADOWS).where(t.SHADOWS.c.kiosk == kiosk).values(**told)
            if connection.execute(changed).rowcount == 0:
                connection.execute(insert(t.SHADOWS).values(kiosk=kiosk, desired_version=0, **told))
            _rewrite(connection, kiosk, _REPORTED, settings)
            _rewrite(connection, kiosk, _REMARK, remarks)


def _rewrite(connection: Connection, kiosk: KioskId, part: str, settings: Mapping[str, str]) -> None:
    own = t.SHADOW_SETTINGS
    connection.execute(delete(own).where(own.c.kiosk == kiosk, own.c.part == part))
    rows = [{"kiosk": kiosk, "part": part, "key": key, "value": value} for key, value in settings.items()]
    if rows:
        connection.execute(insert(own), rows)


def _order(row: Row[Any]) -> Order:
    return Order(
        Nonce(row.nonce),
        KioskId(row.kiosk),
        CommandAction(row.action),
        row.staff,
        row.issued_at_ms,
        row.not_after_ms,
        row.sent_at_ms,
        None if row.outcome is None else OrderOutcome(row.outcome),
        None if row.passage is None else PassageId(row.passage),
        row.answered_at_ms,
    )
