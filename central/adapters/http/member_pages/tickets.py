"""Tickets: what somebody proved a moment ago, so that the next form need not carry their PIN."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from wire.ids import SubjectId

LIFE_MS = 600_000
"""Long enough to read twice what a withdrawal means."""
KEPT_MAX = 1000
"""Tickets kept; beyond it the oldest go."""
TICKET_BYTES = 16
TICKET_CHARS = 2 * TICKET_BYTES


class Step(StrEnum):
    """What a ticket is for."""

    WITHDRAW = "withdraw"  # the PIN was right; confirming is the next step
    HEARD = "heard"  # they withdrew; how many kiosks know it is asked


@dataclass(frozen=True, slots=True)
class _Ticket:
    step: Step
    subject: SubjectId
    until_ms: int


class Tickets:
    """Kept in memory: a restart ends them, and nothing was done."""

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()
        self._guard = threading.Lock()  # routes run in threads

    def give(self, step: Step, subject: SubjectId, now_ms: int) -> str:
        """A new ticket."""
        drawn = self._draw(TICKET_BYTES).hex()
        with self._guard:
            self._tickets[drawn] = _Ticket(step, subject, now_ms + LIFE_MS)
            while len(self._tickets) > KEPT_MAX:
                self._tickets.popitem(last=False)
        return drawn

    def use(self, ticket: str, step: Step, now_ms: int) -> SubjectId | None:
        """Whose ticket it is, once; None when it is none, for another step, or too old."""
        with self._guard:
            found = self._tickets.pop(ticket, None)
        if found is None or found.step is not step or found.until_ms < now_ms:
            return None
        return found.subject
