"""Requests for money, what kiosks tell of them, and passages that cost a fare."""

from __future__ import annotations

from central.rules.posting import (
    Asked,
)
from tests.doubles.wire_samples import pass_record
from wire.ids import KioskId, Purpose, RecordId, SubjectId
from wire.records import Charge as ChargeTold
from wire.records import ChargeOutcome, GateOutcome, PassRecord
from wire.values import AgreeBy

RIDE, SHOP = Purpose("ride"), Purpose("shop")
ADA, BOB = SubjectId("a" * 32), SubjectId("b" * 32)
TILL, OTHER_TILL = KioskId("till-1"), KioskId("till-2")
GATE, WAY_OUT = KioskId("gate-1"), KioskId("gate-2")


def key(number: int) -> RecordId:
    return RecordId(f"{number:032x}")


def asked(number: int, amount_minor: int = 500, **changes: object) -> Asked:
    fields: dict[str, object] = {
        "charge": key(number),
        "kiosk": TILL,
        "purpose": SHOP,
        "subject": ADA,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "merchant": "cafe",
        "checkout": key(1000 + number),
        "reference": "two coffees",
        "not_after_ms": number,
    }
    return Asked(**{**fields, **changes})  # type: ignore[arg-type]


def told(request: Asked, outcome: ChargeOutcome) -> PassRecord:
    """The record in which a kiosk tells what became of a request."""
    return pass_record(
        request.kiosk,
        record_id=request.charge,
        purpose=request.purpose,
        subject=request.subject,
        gate_outcome=GateOutcome.NOT_RELEASED,
        amount_minor=request.amount_minor,
        currency=request.currency,
        charge=ChargeTold(request.checkout, request.merchant, request.reference, outcome, AgreeBy.BUTTON),
    )


def passage(number: int, at_ms: int = 0, **changes: object) -> PassRecord:
    """A member seen to pass."""
    fields: dict[str, object] = {"kiosk": GATE, "subject": ADA, "settled_at_ms": at_ms, **changes}
    return pass_record(KioskId(str(fields.pop("kiosk"))), number, **fields)
