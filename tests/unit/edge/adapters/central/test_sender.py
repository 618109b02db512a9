"""The sender: patient while central is silent, and quick once it is back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.adapters.central import sender as sender_module
from edge.adapters.central.sender import Sender
from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.outbox import Outbox, Standstill
from tests.doubles.waiting import WAIT_S
from tests.doubles.wire_samples import pass_record
from wire.ids import KioskId
from wire.records import RecordBatch
from wire.signing import Signer
from wire.topics import LARGEST_MESSAGE_BYTES, TopicKind

KIOSK = KioskId("gate-1")


class SilentLink:
    """A connection on which central says nothing; `sent` is what went out."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[RecordBatch] = []
        self.on_connected: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []

    def room(self, kind: TopicKind) -> int:
        return LARGEST_MESSAGE_BYTES

    def listen(self, kind: TopicKind, listener: object) -> None:
        assert kind is TopicKind.RECEIPT

    def say(self, kind: TopicKind, message: RecordBatch) -> bool:
        self.sent.append(message)
        return True


@pytest.mark.parametrize("standstill", [None, Standstill.CONFLICT])
async def test_records_that_wait_for_a_later_try_go_at_once_when_central_is_back_but_not_at_a_standstill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standstill: Standstill | None
):
    monkeypatch.setattr(sender_module, "RETRY_MAX_S", 1e6)
    dice = random.Random(7)
    sealer = RowSealer(b"d" * 32, dice.randbytes)
    outbox = Outbox(
        tmp_path / "outbox.sqlite3",
        KIOSK,
        signer=Signer.from_seed(b"s" * 32),
        sealer=sealer,
        random_bytes=dice.randbytes,
    )
    link = SilentLink()
    sender = Sender(link, outbox, receipt_timeout_s=0.01)  # type: ignore[arg-type]
    running = asyncio.create_task(sender.run())
    await outbox.settle(pass_record(KIOSK, 1))
    async with asyncio.timeout(WAIT_S):
        while len(link.sent) < 2:  # noqa: ASYNC110 nobody announces it
            await asyncio.sleep(0.001)
    sender._wait_s, sender._again_at = 1e6, asyncio.get_running_loop().time() + 1e6
    before, outbox.standstill = len(link.sent), standstill
    sender.hurry()
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10 if standstill is None else 0.2):
            while len(link.sent) == before:  # noqa: ASYNC110 nobody announces it
                await asyncio.sleep(0.001)
        assert standstill is None
        assert link.sent[-1].records == link.sent[0].records
    except TimeoutError:
        assert standstill is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    outbox.close()
