"""Outboxes of one kiosk, their receipts, and payments that stand in them."""

from __future__ import annotations

import random
from pathlib import Path

from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.outbox import Outbox
from tests.doubles.wire_samples import pass_record
from wire.ids import KioskId, RecordId
from wire.records import (
    Charge,
    ChargeOutcome,
    PassRecord,
    Receipt,
    RecordBatch,
    RecordFault,
    StandingUsed,
)
from wire.signing import Signer
from wire.values import AgreeBy

KIOSK = KioskId("gate-1")
SIGNER = Signer.from_seed(b"s" * 32)
DEVICE_KEY = b"d" * 32


def opened(
    folder: Path, kiosk: KioskId = KIOSK, device_key: bytes = DEVICE_KEY, max_bytes: int = 10**9
) -> Outbox:
    dice = random.Random(7)
    sealer = RowSealer(device_key, dice.randbytes)
    return Outbox(
        folder / "outbox.sqlite3",
        kiosk,
        signer=SIGNER,
        sealer=sealer,
        random_bytes=dice.randbytes,
        max_bytes=max_bytes,
    )


def record(number: int, **changes: object) -> PassRecord:
    return pass_record(KIOSK, number, **changes)


def receipt(batch: RecordBatch, fault: RecordFault | None = None) -> Receipt:
    return Receipt(KIOSK, batch.head.sequence, batch.head.link, 1, fault)


def sent(outbox: Outbox) -> RecordBatch:
    batch = outbox.next_batch()
    assert batch is not None
    outbox.mark_sent(batch)
    return batch


NOW_MS, LIFE_MS = 1_000_000, 300_000


def attempt(checkout: RecordId, number: int, outcome: ChargeOutcome, **changes: object) -> PassRecord:
    agreed = None if changes.pop("agreed", True) is None else AgreeBy.BUTTON
    reason = changes.pop("reason", None)
    charge = Charge(checkout, "bistro", "tea", outcome, agreed, reason)
    at_ms = changes.pop("at_ms", NOW_MS)
    return pass_record(
        KIOSK,
        number,
        amount_minor=250,
        currency="EUR",
        charge=charge,
        gate_outcome="not_released",
        settled_at_ms=at_ms,
        standing=StandingUsed(1, 1, changes.pop("issued_at_ms", 900_000), 9_000_000, 100, 500, 5000, 2000, 0),
        **changes,
    )
