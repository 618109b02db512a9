"""Requests for money, what kiosks tell of them, and passages that cost a fare."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from central.rules.fleet import Kiosk
from tests.doubles.wire_samples import pass_record
from wire.ids import GalleryName, KioskId, Nonce, PassageId, Purpose, RecordId, SiteId, SubjectId
from wire.records import Charge as ChargeTold
from wire.records import ChargeOutcome, GateOutcome, PassRecord
from wire.requests import ChargeRequest
from wire.values import AgreeBy

RIDE, SHOP = Purpose("ride"), Purpose("shop")
ADA, BOB = SubjectId("a" * 32), SubjectId("b" * 32)
TILL, OTHER_TILL = KioskId("till-1"), KioskId("till-2")
GATE, WAY_OUT = KioskId("gate-1"), KioskId("gate-2")


def key(number: int) -> RecordId:
    return RecordId(f"{number:032x}")


class ChargeAttempt(NamedTuple):
    """A kiosk, and its request to charge."""

    kiosk: Kiosk
    request: ChargeRequest

    @property
    def charge(self) -> RecordId:
        return self.request.idempotency_key

    def again(self, charge: RecordId, not_after_ms: int) -> ChargeAttempt:
        again = msgspec.structs.replace(self.request, idempotency_key=charge, not_after_ms=not_after_ms)
        return ChargeAttempt(self.kiosk, again)


def asked(
    number: int, amount_minor: int = 500, *, kiosk: KioskId = TILL, purpose: Purpose = SHOP, **changes: Any
) -> ChargeAttempt:
    fields: dict[str, Any] = {
        "nonce": Nonce(bytes(16)),
        "idempotency_key": key(number),
        "passage": PassageId(key(number)),
        "subject": ADA,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "merchant": "cafe",
        "checkout": key(1000 + number),
        "reference": "two coffees",
        "not_after_ms": number,
    }
    till = Kiosk(kiosk, SiteId("north"), purpose, GalleryName("members"), 0)
    return ChargeAttempt(till, ChargeRequest(**{**fields, **changes}))


def told(attempt: ChargeAttempt, outcome: ChargeOutcome) -> PassRecord:
    """The record in which a kiosk tells what became of a request."""
    kiosk, request = attempt
    return pass_record(
        kiosk.kiosk,
        record_id=request.idempotency_key,
        purpose=kiosk.purpose,
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
