"""The receipt of a payment: a few lines that say the same in every language, and their QR code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import segno

from edge.enact.charge import Due
from wire.currency import format_amount
from wire.records import ChargeOutcome, PassRecord

QUIET_MODULES = 4
"""Around a QR code (ISO/IEC 18004, 9.1)."""

_TAKEN = {
    ChargeOutcome.CAPTURED: "charged",
    ChargeOutcome.OFFLINE: "taken offline, charged once central can be asked",
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the member may take with them; `qr_rows` are rows of "0" and "1", quiet zone included."""

    text: str
    qr_rows: tuple[str, ...]


def make_receipt(due: Due, record: PassRecord) -> Receipt:
    """The receipt of a payment whose record is kept."""
    charge = record.charge
    agreed = charge.agreed_by if charge else None
    lines = (
        f"merchant: {due.merchant_name}",
        f"for: {due.reference}",
        f"amount: {format_amount(due.amount_minor, due.currency)}",
        f"at: {datetime.fromtimestamp(record.settled_at_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"agreed by: {agreed.value if agreed else '-'}",
        f"paid: {_TAKEN.get(charge.outcome, '-') if charge else '-'}",
        f"record: {record.record_id}",
    )
    text = "\n".join(line for line in lines if not line.endswith(": "))
    return Receipt(text, qr_rows(text))


def qr_rows(text: str) -> tuple[str, ...]:
    """A QR code of the text, error correction M."""
    modules = segno.make(text, error="m", micro=False).matrix_iter(border=QUIET_MODULES)
    return tuple("".join("1" if dark else "0" for dark in row) for row in modules)
