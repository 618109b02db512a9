"""How a passage's record comes into the outbox, whatever the disk says, and what an earlier life left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from edge.enact.charge import NotCharged
from edge.ports import Clock, Records
from wire.ids import PassageId, ReasonCode
from wire.records import ChargeOutcome, GateOutcome, PassRecord

log = logging.getLogger(__name__)

ORPHAN_MS = 10_000
"""How long after a restart the gate may still say how a passage of the earlier life ended."""
STORE_AGAIN_S = 1.0
"""How often a disk that did not take a record is asked again."""
UNWRITTEN_MAX = 1_000
"""Records that may wait for a disk, 2 KB each; people come a few a minute."""


@dataclass(frozen=True, slots=True)
class PassReport:
    """One settled passage, for whoever watches: its record, and two instants of its own monotonic clock."""

    record: PassRecord
    first_face_ms: int | None
    released_ms: int | None


class Settling:
    """Keeps final records; `unwritten` of them wait for a disk that does not take them."""

    def __init__(
        self,
        records: Records,
        clock: Clock,
        on_settle: Callable[[PassRecord], None],
        on_report: Callable[[PassReport], None],
    ) -> None:
        """`on_settle` is told before a record is kept, `on_report` once it is."""
        self._records, self._clock = records, clock
        self._on_settle, self._on_report = on_settle, on_report
        self._orphans: dict[PassageId, PassRecord] = {}
        self._started_ms = clock.uptime_ms()
        self.unwritten = 0

    async def take_over(self) -> None:
        """Look for what an earlier life began: the gate may still end a passage, and nobody's money is taken.

        A charge that is not known to stand does not: central reverses what it may have committed.
        """
        for record in await self._records.unsettled():
            if record.charge is None:
                self._orphans[record.passage] = record
            else:
                await self.keep(PassReport(_uncharged(record), None, None))

    async def gate_ended(self, passage: PassageId, outcome: GateOutcome) -> None:
        """The gate said how a passage of an earlier life ended, if it is one."""
        if (orphan := self._orphans.pop(passage, None)) is not None:
            await self._settle_orphan(orphan, outcome)

    async def give_up_orphans(self) -> None:
        """What the gate has not ended by now, it does not know."""
        if self._orphans and self._clock.uptime_ms() - self._started_ms >= ORPHAN_MS:
            orphans, self._orphans = self._orphans, {}
            for orphan in orphans.values():
                await self._settle_orphan(orphan, GateOutcome.UNKNOWN)

    async def _settle_orphan(self, record: PassRecord, outcome: GateOutcome) -> None:
        await self.keep(PassReport(msgspec.structs.replace(record, gate_outcome=outcome), None, None))

    async def keep(self, report: PassReport) -> None:
        """Settle a record. While the disk does not take it, nobody passes by this kiosk and staff are called.

        Raises `StoreError` once `UNWRITTEN_MAX` records wait.
        """
        waits = False
        self._on_settle(report.record)
        while True:
            try:
                await self._records.settle(report.record)
                break
            except Exception as error:
                if not waits:
                    log.warning("a record waits for the disk: %s", error, exc_info=error)
                    if self.unwritten >= UNWRITTEN_MAX:
                        raise
                    self.unwritten, waits = self.unwritten + 1, True
                await asyncio.sleep(STORE_AGAIN_S)
        self.unwritten -= waits
        self._on_report(report)


def _uncharged(record: PassRecord) -> PassRecord:
    assert record.charge is not None
    why = ReasonCode(NotCharged.INTERRUPTED.value)
    charge = msgspec.structs.replace(record.charge, outcome=ChargeOutcome.NOT_CHARGED, reason=why)
    return msgspec.structs.replace(record, charge=charge)
