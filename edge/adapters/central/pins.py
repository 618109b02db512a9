"""Checks a PIN at central: sealed for central alone, bounded in time, and slowed down after wrong ones.

The back-off here is the kiosk's own and outlives a restart; central counts the tries of each subject besides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.adapters.central.link import Link
from edge.adapters.central.pairing import Identity
from edge.adapters.storage.keyfile import RandomBytes
from edge.confirm.pin import PinJudgement, PinOutcome
from wire.ids import Nonce, SubjectId
from wire.requests import PIN_MAX_DIGITS, PinReply, PinRequest, Request
from wire.requests import PinOutcome as CentralOutcome
from wire.sealing import pin_binding, seal_box

PIN_DEADLINE_MS = 2_000
"""argon2id takes central tens of milliseconds; longer than this nobody waits at a gate for it."""
FREE_WRONG = 3
"""Wrong PINs in a row that cost no wait at this kiosk: people mistype."""
WAIT_FIRST_MS = 1_000
WAIT_MAX_MS = 60_000
_WRONG = "pin_wrong_in_a_row"

_OUTCOMES = {
    CentralOutcome.RIGHT: PinOutcome.RIGHT,
    CentralOutcome.WRONG: PinOutcome.WRONG,
    CentralOutcome.LOCKED: PinOutcome.EXHAUSTED,
    CentralOutcome.WAIT: PinOutcome.WAIT,
    CentralOutcome.NO_PIN: PinOutcome.UNAVAILABLE,
}


class KeptNumbers(Protocol):
    """Small numbers that outlive a restart."""

    def kept(self, name: str) -> int:
        """A number; 0 when none was kept."""
        ...

    def keep(self, name: str, value: int) -> None:
        """Keep a number."""
        ...


class CentralPins:
    """Fulfils `edge.ports.Pins`. `uptime_ms` is monotonic."""

    def __init__(
        self,
        identity: Identity,
        link: Link,
        kept: KeptNumbers,
        uptime_ms: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> None:
        self._identity, self._link, self._kept = identity, link, kept
        self._uptime_ms, self._random_bytes = uptime_ms, random_bytes
        # How long ago the last wrong one was is not known after a restart, so the whole wait is due again.
        self._next_at_ms = uptime_ms() + self._due_ms()

    def wait_ms(self) -> int:
        """How long this kiosk looks at no PIN; 0 when it does."""
        return max(0, self._next_at_ms - self._uptime_ms())

    def _due_ms(self) -> int:
        over = self._kept.kept(_WRONG) - FREE_WRONG
        return 0 if over <= 0 else min(WAIT_FIRST_MS << min(over - 1, 16), WAIT_MAX_MS)

    async def check(self, subject: SubjectId, pin: str) -> PinJudgement:
        """Judge one try; bounded in time, never raises for a silent central."""
        if (wait_ms := self.wait_ms()) > 0:
            return PinJudgement(PinOutcome.WAIT, retry_after_ms=wait_ms)
        if not pin.isascii() or not pin.isdigit() or len(pin) > PIN_MAX_DIGITS:
            return PinJudgement(PinOutcome.WRONG)  # central would not count it either, nor need it be asked

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            binding = pin_binding(self._identity.kiosk, subject, nonce)
            box = seal_box(
                self._identity.central_box_public_key, self._random_bytes(32), pin.encode("ascii"), binding
            )
            return PinRequest(nonce, not_after_ms, subject, box)

        reply = await self._link.ask(question, PinReply, PIN_DEADLINE_MS)
        if reply is None:
            return PinJudgement(PinOutcome.UNAVAILABLE)
        if reply.outcome in {CentralOutcome.WRONG, CentralOutcome.RIGHT}:
            self.remember(right=reply.outcome is CentralOutcome.RIGHT)
        return PinJudgement(_OUTCOMES[reply.outcome], reply.tries_left, reply.retry_after_ms)

    def remember(self, *, right: bool) -> None:
        """Take into account what became of a try here."""
        wrong = self._kept.kept(_WRONG)
        if not right:
            self._kept.keep(_WRONG, wrong + 1)
            self._next_at_ms = self._uptime_ms() + self._due_ms()
        elif wrong:
            # Not forgotten at once: a thief with one good PIN could otherwise try others for ever.
            self._kept.keep(_WRONG, wrong // 2)
