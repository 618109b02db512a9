"""Commands: what staff order kiosks to do, and what these say became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from central.errors import RefusedError, UnknownError
from central.rules.fleet import Order
from central.service.context import Context
from central.service.kiosks import Kiosks
from wire import fields as f
from wire.fleet import Command, CommandAction, KioskState, OrderOutcome
from wire.ids import NONCE_BYTES, SLUG_RULE, KioskId, Nonce, PassageId
from wire.signing import DAY_MS

LIFE_DEFAULT_S = 10
LIFE_MAX_S = 60
"""The longest life of an order; a kiosk obeys none with a longer one."""
KEPT_MS = 90 * DAY_MS
"""How long it stays known who had a gate opened: the question comes within weeks; records hold it as long
as they are kept."""


class CommandStore(Protocol):
    """Where orders and kiosks' answers are kept."""

    def add_order(self, order: Order, forget_before_ms: int) -> None:
        """Store an order; those issued before an instant are forgotten."""
        ...

    def order(self, nonce: Nonce) -> Order | None:
        """An order, and what became of it."""
        ...

    def unsent_orders(self, now_ms: int) -> Sequence[Order]:
        """Those that are not sent yet and still good."""
        ...

    def sent_order(self, nonce: Nonce, now_ms: int) -> None:
        """Note that an order has left."""
        ...

    def answer_order(
        self, kiosk: KioskId, nonce: Nonce, outcome: OrderOutcome, passage: PassageId | None, now_ms: int
    ) -> None:
        """Note what a kiosk says became of an order of its own; its first word stands."""
        ...


class Commands:
    """Give orders, send them while they are good, and hear what became of them."""

    def __init__(self, context: Context, kiosks: Kiosks, store: CommandStore) -> None:
        self._context, self._kiosks = context, kiosks
        self._store = store

    def order(self, kiosk: KioskId, action: CommandAction, staff: str, life_s: int = LIFE_DEFAULT_S) -> Order:
        """Have a kiosk ordered by a running central within `life_s` seconds, or never.

        Raises UnknownError, RefusedError for a life past the bound or a name that is none.
        """
        if self._kiosks.paired(kiosk) is None:
            raise UnknownError("paired kiosk", kiosk)
        if not 1 <= life_s <= LIFE_MAX_S:
            raise RefusedError(f"an order is good for 1 to {LIFE_MAX_S} seconds, not {life_s}")
        try:
            msgspec.convert(staff, f.Slug)
        except msgspec.ValidationError:
            raise RefusedError(f"the member of staff is named by {SLUG_RULE}, not {staff!r}") from None
        now_ms = self._context.now_ms()
        order = Order(
            Nonce(self._context.draw(NONCE_BYTES)), kiosk, action, staff, now_ms, now_ms + life_s * 1000
        )
        self._store.add_order(order, now_ms - KEPT_MS)
        return order

    def of(self, nonce: Nonce) -> Order:
        """An order, and what became of it; raises UnknownError."""
        order = self._store.order(nonce)
        if order is None:
            raise UnknownError("order", nonce.hex())
        return order

    def unsent(self) -> Sequence[Order]:
        """What is to be sent now."""
        return self._store.unsent_orders(self._context.now_ms())

    def sent(self, order: Order) -> None:
        """It has left."""
        self._store.sent_order(order.nonce, self._context.now_ms())

    def heard(self, state: KioskState) -> None:
        """Note what a kiosk says became of its orders."""
        for answer in state.orders:
            self._store.answer_order(
                state.kiosk, answer.nonce, answer.outcome, answer.passage, self._context.now_ms()
            )


def command_of(order: Order) -> Command:
    """The message that tells a kiosk an order, for its own gate."""
    return Command(
        nonce=order.nonce,
        issued_at_ms=order.issued_at_ms,
        not_after_ms=order.not_after_ms,
        action=order.action,
        gate=None,
        staff=order.staff,
    )
