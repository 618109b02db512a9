"""What the till's API takes in and gives out: every field bounded, every unknown one refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.enact.charge import NAME_MAX, Checkout
from wire.currency import CURRENCIES
from wire.fields import AMOUNT_MAX_MINOR, TEXT_MAX
from wire.ids import SLUG_MAX, SLUG_PATTERN, TOKEN_PATTERN

# pydantic's regular expressions are Rust's, in which \z ends the text.
SLUG_REGEX = SLUG_PATTERN.replace(r"\Z", r"\z")
TOKEN_REGEX = TOKEN_PATTERN.replace(r"\Z", r"\z")
KEY_REGEX = r"^[!-~]+\z"
KEY_MAX = 64
"""Characters of an Idempotency-Key: a UUID has 36."""


def _known(currency: str) -> str:
    if currency not in CURRENCIES:
        raise ValueError("give a currency of ISO 4217, as EUR")
    return currency


Amount = Annotated[int, Field(ge=1, le=AMOUNT_MAX_MINOR, strict=True)]


class CheckoutBody(BaseModel):
    """What a member is to pay: an amount in minor units of a currency, and what for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount_minor: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}\z", max_length=3), AfterValidator(_known)]
    reference: Annotated[str, Field(max_length=TEXT_MAX, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*\z")] = ""
    merchant: Annotated[str, Field(pattern=SLUG_REGEX, max_length=SLUG_MAX)] | None = None
    merchant_name: (
        Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=r"^[^\x00-\x1f\x7f]+\z")] | None
    ) = None


class RefundBody(BaseModel):
    """How much to give back; nothing is all that is left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount_minor: Amount | None = None


class CheckoutAnswer(BaseModel):
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


class RefundAnswer(BaseModel):
    """What was given back."""

    refund: str
    checkout: str
    amount_minor: int


class Problem(BaseModel):
    """An error: a code for programs, a sentence for people."""

    error: str
    detail: str


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
