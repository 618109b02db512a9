"""Payment providers: stored value alone, and a sandbox that declines, delays and duplicates.

A provider of the operator's own is another class of two methods and a property: `PaymentProvider`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

from central.errors import ProviderError
from central.rules.ledger import Action, Outcome, ProviderOrder
from central.service.ledger import PaymentProvider

REMEMBERED_MAX = 100_000
"""Orders remembered; a sandbox left running forgets the oldest."""


class StoredValue:
    """The ledger itself: what members paid in before, and a debt where a record says they owe it."""

    @property
    def collects(self) -> bool:
        """There is nothing beyond stored value."""
        return False

    def perform(self, order: ProviderOrder) -> Outcome:
        """Nothing can be taken."""
        return Outcome.DECLINED

    def reports(self) -> Sequence[tuple[str, Outcome]]:
        """Nothing is awaited."""
        return ()


class Fault(StrEnum):
    """What a sandbox can do to an order."""

    DECLINE = "decline"
    DELAY = "delay"  # the answer comes with the reports
    DUPLICATE = "duplicate"  # the answer is reported again, twice
    LOSE = "lose"  # done, and the answer is lost


FAULT_OF_AMOUNT = {1: Fault.DECLINE, 2: Fault.DELAY, 3: Fault.DUPLICATE, 4: Fault.LOSE}
"""Amounts that end in these two digits meet a fault, as sandboxes of real providers have it."""


class SandboxProvider:
    """A provider that moves no money. `taken_minor` is what it holds; each key counts once, as it must."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._late: list[tuple[str, Outcome]] = []
        self._ready: list[tuple[str, Outcome]] = []
        self._next: deque[Fault] = deque()
        self.taken_minor: dict[str, int] = {}

    @property
    def collects(self) -> bool:
        """It can be asked."""
        return True

    def meet(self, *faults: Fault) -> None:
        """The next orders meet these faults, in this order, before amounts are looked at."""
        self._next.extend(faults)

    def report(self) -> None:
        """Let the delayed answers be in the next reports."""
        with self._lock:
            self._ready += self._late
            self._late.clear()

    def perform(self, order: ProviderOrder) -> Outcome:
        """Do what is ordered; raises ProviderError when the answer is lost."""
        with self._lock:
            key = order.provider_order
            if key in self._outcomes:
                waits = any(key == late for late, _ in (*self._late, *self._ready))
                return Outcome.AWAITED if waits else self._outcomes[key]
            fault = self._fault(order)
            outcome = Outcome.DECLINED if fault is Fault.DECLINE else Outcome.DONE
            self._remember(order, outcome)
            match fault:
                case Fault.DELAY:
                    self._late.append((key, outcome))
                    return Outcome.AWAITED
                case Fault.DUPLICATE:
                    self._ready += [(key, outcome)] * 2
                case Fault.LOSE:
                    raise ProviderError(key, "no answer")
            return outcome

    def _fault(self, order: ProviderOrder) -> Fault | None:
        if self._next:
            return self._next.popleft()
        return FAULT_OF_AMOUNT.get(order.amount_minor % 100) if order.action is Action.TAKE else None

    def _remember(self, order: ProviderOrder, outcome: Outcome) -> None:
        if len(self._outcomes) >= REMEMBERED_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        self._outcomes[order.provider_order] = outcome
        if outcome is Outcome.DONE:
            sign = 1 if order.action is Action.TAKE else -1
            held = self.taken_minor.get(order.currency, 0)
            self.taken_minor[order.currency] = held + sign * order.amount_minor

    def reports(self) -> Sequence[tuple[str, Outcome]]:
        """Answers that are ready; delayed ones are ready the time after."""
        with self._lock:
            ready, self._ready = self._ready, self._late
            self._late = []
            return ready


PROVIDERS: dict[str, Callable[[], PaymentProvider]] = {"ledger": StoredValue, "sandbox": SandboxProvider}
"""By what `payments.provider` says."""
