"""What the till's API takes in and gives out: every field bounded, every unknown one refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from edge.enact.charge import NAME_MAX, Checkout
from wire.currency import CURRENCIES
from wire.fields import AMOUNT_MAX_MINOR, TEXT_MAX
from wire.ids import SLUG_MAX, SLUG_PATTERN
from wire.readable import LINE_PATTERN, NAME_PATTERN

KEY_PATTERN = r"^[!-~]+\Z"
KEY_MAX = 64
"""Characters of an Idempotency-Key: a UUID has 36."""

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX_MINOR)]
Key = Annotated[str, Meta(pattern=KEY_PATTERN, min_length=1, max_length=KEY_MAX)]


class CheckoutBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a member is to pay: an amount in minor units of a currency, and what for."""

    amount_minor: Amount
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]
    reference: Annotated[str, Meta(max_length=TEXT_MAX, pattern=LINE_PATTERN)] = ""
    merchant: Annotated[str, Meta(pattern=SLUG_PATTERN, max_length=SLUG_MAX)] | None = None
    merchant_name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)] | None = None

    def __post_init__(self) -> None:
        """Refuse a currency that is none."""
        if self.currency not in CURRENCIES:
            raise ValueError("give a currency of ISO 4217, as EUR")


class RefundBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How much to give back; nothing is all that is left."""

    amount_minor: Amount | None = None


class CheckoutAnswer(Struct, frozen=True):
    """A checkout as it is now; instants are UTC milliseconds. `record` is the payment's, when it is paid."""

    checkout: str
    state: str
    amount_minor: int
    currency: str
    reference: str
    merchant: str
    merchant_name: str
    created_at_ms: int
    expires_at_ms: int
    settled_at_ms: int | None
    record: str | None
    charge: str | None
    agreed_by: str | None
    reason: str
    refunded_minor: int


class RefundAnswer(Struct, frozen=True):
    """What was given back."""

    refund: str
    checkout: str
    amount_minor: int


def shown(checkout: Checkout) -> CheckoutAnswer:
    """A checkout as tills see it: nothing of who paid."""
    due = checkout.due
    paid = checkout.outcome is not None
    return CheckoutAnswer(
        checkout=due.checkout,
        state=checkout.state.value,
        amount_minor=due.amount_minor,
        currency=due.currency,
        reference=due.reference,
        merchant=due.merchant,
        merchant_name=due.merchant_name,
        created_at_ms=checkout.created_ms,
        expires_at_ms=checkout.expires_ms,
        settled_at_ms=checkout.settled_ms,
        record=checkout.passage if paid else None,
        charge=checkout.outcome.value if checkout.outcome is not None else None,
        agreed_by=checkout.agreed_by.value if checkout.agreed_by is not None else None,
        reason=checkout.reason,
        refunded_minor=checkout.refunded_minor,
    )
