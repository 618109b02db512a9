"""Sends the outbox: one batch under way, the next one when central's receipt for it has come."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from edge.adapters.central.link import Link
from edge.adapters.storage.outbox import Outbox
from edge.errors import StoreError
from wire.codec import Received
from wire.records import Receipt, RecordFault
from wire.topics import TopicKind

RECEIPT_TIMEOUT_S = 5.0
"""A receipt that has not come by then is lost, or central is busy: sending again changes nothing."""
RETRY_MAX_S = 60.0
BATCH_AROUND_BYTES = 1024
"""Of a batch besides its records: the envelope with its signature, kiosk, link, and the signed head."""
TROUBLE_RETRY_S = 5.0
RECEIPTS_MAX = 16
"""Receipts waiting to be acted on; one batch is under way, so more are repetitions and may be dropped."""


class Sender:
    """Moves records from the outbox to central until cancelled; `trouble` names a disk that fails."""

    def __init__(self, link: Link, outbox: Outbox, receipt_timeout_s: float = RECEIPT_TIMEOUT_S) -> None:
        self._link, self._outbox, self._timeout_s = link, outbox, receipt_timeout_s
        self._wait_s = receipt_timeout_s
        self._wake = asyncio.Event()
        self._receipts: deque[Receipt] = deque(maxlen=RECEIPTS_MAX)
        self._under_way: int | None = None
        self._again_at = 0.0
        self.trouble = ""
        outbox.wake = self._wake.set
        link.listen(TopicKind.RECEIPT, self._hear)
        link.on_connected.append(self._start_over)
        link.on_lost.append(self._start_over)

    def _start_over(self) -> None:
        self._under_way, self._again_at, self._wait_s = None, 0.0, self._timeout_s
        self._outbox.rewind()
        self._wake.set()

    def hurry(self) -> None:
        """Central has just come back: what waits for a later try is sent now, but not at a standstill."""
        if self._wait_s > self._timeout_s and self._outbox.standstill is None:
            self._start_over()

    def _hear(self, received: Received, retained: bool) -> None:
        if isinstance(received.message, Receipt) and not retained:
            self._receipts.append(received.message)
            self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sleep_s(loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while self._receipts:
                    await self._take(self._receipts.popleft(), loop.time())
                self._send(loop.time())
                self.trouble = ""
            except StoreError as error:
                self.trouble = str(error)
                await asyncio.sleep(TROUBLE_RETRY_S)
                self._wake.set()

    def _sleep_s(self, now: float) -> float | None:
        if not self._link.connected or self._again_at == 0.0:
            return None
        return max(self._again_at - now, 0.0)

    async def _take(self, receipt: Receipt, now: float) -> None:
        await self._outbox.receive(receipt)
        if self._under_way is not None and self._outbox.backlog.acknowledged >= self._under_way:
            self._under_way, self._again_at, self._wait_s = None, 0.0, self._timeout_s
        elif self._outbox.standstill is not None:
            # A person has to look; until then it costs one batch a minute to see whether they have.
            self._outbox.rewind()
            self._under_way, self._again_at, self._wait_s = None, now + RETRY_MAX_S, RETRY_MAX_S
        elif receipt.fault is RecordFault.GAP and self._under_way is not None:
            # The outbox has rewound to where central is. Sent at once the first time, then ever later:
            # a central that answers every batch with a gap must not be flooded.
            self._under_way = None
            self._again_at = 0.0 if self._wait_s == self._timeout_s else now + self._wait_s
            self._wait_s = min(self._wait_s * 2, RETRY_MAX_S)

    def _send(self, now: float) -> None:
        if not self._link.connected or now < self._again_at:
            return
        if self._under_way is not None:
            self._outbox.rewind()
            self._wait_s = min(self._wait_s * 2, RETRY_MAX_S)
        self._under_way, self._again_at = None, 0.0
        batch = self._outbox.next_batch(self._link.room(TopicKind.RECORD) - BATCH_AROUND_BYTES)
        if batch is None:
            return
        self._again_at = now + self._wait_s
        if self._link.say(TopicKind.RECORD, batch):
            self._outbox.mark_sent(batch)
            self._under_way = batch.head.sequence
