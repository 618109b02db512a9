"""A checkout: what a till asks a member to pay, and what becomes of it.

    OPEN --agreed, kept durably--> PAYING --charged--> PAID --all given back--> REFUNDED
     | ^                             | |
     | '--- nothing came of it ------' '--central said no, or another payment is needed--> NOT_CHARGED
     |--till--> CANCELLED
     `--time--> EXPIRED

An attempt that came to nothing before anybody said no leaves the checkout open for the next one. What is in
this table is decided by the records that the outbox keeps, in their own transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Final, assert_never

import msgspec
from msgspec import Meta

from edge.decide.standing import StandingView
from edge.decide.verdict import Age, Elsewhere, Payment
from wire.fields import AMOUNT_MAX_MINOR
from wire.ids import SLUG_PATTERN, PassageId, RecordId, SubjectId
from wire.readable import NAME_PATTERN
from wire.records import ChargeOutcome, PassRecord
from wire.requests import ChargeReason
from wire.values import AgreeBy

NAME_MAX: Final = 60
"""Characters of a merchant's name: a line of the screen."""


class PayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `pay`: who gets the money, and how long each part of a payment may take.

    `merchant_name`: what members read; None is `merchant`. `checkout_s`: how long a checkout stays open.
    `agree_ms`: for the member to agree. `charge_ms`, `refund_ms`: for central to answer, before it is silent.
    `receipt_ms`: how long the receipt stays on the screen.
    """

    merchant: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    merchant_name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=NAME_PATTERN)] | None = None
    checkout_s: Annotated[int, Meta(ge=30, le=86_400)] = 300
    agree_ms: Annotated[int, Meta(ge=5_000, le=120_000)] = 20_000
    charge_ms: Annotated[int, Meta(ge=200, le=30_000)] = 3_000
    refund_ms: Annotated[int, Meta(ge=200, le=30_000)] = 5_000
    receipt_ms: Annotated[int, Meta(ge=1_000, le=120_000)] = 15_000

    @property
    def shown_name(self) -> str:
        """The name that members read."""
        return self.merchant_name or self.merchant


class CheckoutState(StrEnum):
    """Where a checkout is; the table is at the top."""

    OPEN = "open"
    PAYING = "paying"
    PAID = "paid"
    NOT_CHARGED = "not_charged"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class NotCharged(StrEnum):
    """Why an attempt charged nothing, where the verdict does not say it; central's own words besides."""

    CALLED_OFF = "called_off"  # the member touched "not me" or called for help
    NOT_AGREED = "not_agreed"  # they did not agree in time
    CHECKOUT_CLOSED = "checkout_closed"  # the till cancelled it, or its time was up
    INTERRUPTED = "interrupted"  # the kiosk ended before it knew, and found that at its next start
    NOT_KEPT = "not_kept"  # the disk did not take the decision, so central was not asked


CENTRAL_SAID_NO: Final = frozenset(
    reason.value for reason in ChargeReason if reason not in {ChargeReason.CHARGED, ChargeReason.VOIDED}
)
"""Reasons that end a checkout: the member will not be charged for it. `voided` ends one key only."""


@dataclass(frozen=True, slots=True)
class Due:
    """What whoever pays now is asked for."""

    checkout: RecordId
    merchant: str
    merchant_name: str
    amount_minor: int
    currency: str
    reference: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """One checkout; instants are UTC milliseconds by the kiosk's best guess.

    `passage`: the attempt under way, or the one that paid, whose id is the charge's. `reason`: why it is
    not charged, or why the last attempt came to nothing.
    """

    due: Due
    state: CheckoutState
    created_ms: int
    expires_ms: int
    passage: PassageId | None = None
    outcome: ChargeOutcome | None = None
    agreed_by: AgreeBy | None = None
    settled_ms: int | None = None
    reason: str = ""
    refunded_minor: int = 0

    @property
    def left_minor(self) -> int:
        """What may still be given back."""
        paid = self.state in {CheckoutState.PAID, CheckoutState.REFUNDED}
        return self.due.amount_minor - self.refunded_minor if paid else 0


@dataclass(frozen=True, slots=True)
class ChargeAsk:
    """What central is asked to charge, under the passage's own id."""

    passage: PassageId
    subject: SubjectId
    due: Due


class ChargeAnswer(StrEnum):
    """What became of asking central."""

    CHARGED = "charged"
    DECLINED = "declined"  # it said no; the reason beside it says why
    SILENT = "silent"  # no answer in time: it may have been charged, and the record settles that
    NOT_KEPT = "not_kept"  # it was not asked: the decision could not be kept first
    CHECKOUT_CLOSED = "checkout_closed"  # it was not asked: the checkout had ended meanwhile


@dataclass(frozen=True, slots=True)
class ChargeSaid:
    """An answer; `reason` is central's word for a no."""

    answer: ChargeAnswer
    reason: str = ""


def payment_of(due: Due, view: StandingView, *, central_answers: bool, spent_minor: int) -> Payment:
    """The amount against what the standing allows at its age.

    `spent_minor`: what this kiosk took offline from the member and may still count against the allowance.
    The allowance is the same in every tier. It holds online too, or cutting the network would gain something.
    """
    if view.standing is None or view.standing.limits.currency != due.currency:
        return Payment.ABOVE
    limits = view.standing.limits
    allowed_minor = limits.offline_allowance_minor - spent_minor
    if view.age is Age.FRESH and central_answers:
        allowed_minor = max(allowed_minor, limits.amount_minor)
    return Payment.WITHIN if due.amount_minor <= allowed_minor else Payment.ABOVE


def begun(checkout: Checkout, passage: PassageId) -> Checkout | None:
    """A member agreed, and central may be asked; None where the checkout is not open any more."""
    again = checkout.state is CheckoutState.PAYING and checkout.passage == passage
    if checkout.state is not CheckoutState.OPEN and not again:
        return None
    return replace(checkout, state=CheckoutState.PAYING, passage=passage, reason="")


def settled(checkout: Checkout, record: PassRecord) -> Checkout:
    """The checkout after the final record of an attempt; one that is over stays as it is."""
    charge = record.charge
    mine = checkout.state is CheckoutState.PAYING and checkout.passage == record.passage
    if charge is None or not (mine or checkout.state is CheckoutState.OPEN):
        return checkout
    match charge.outcome:
        case ChargeOutcome.CAPTURED | ChargeOutcome.OFFLINE:
            return replace(
                checkout,
                state=CheckoutState.PAID,
                passage=record.passage,
                outcome=charge.outcome,
                agreed_by=charge.agreed_by,
                settled_ms=record.settled_at_ms,
                reason="",
            )
        case ChargeOutcome.NOT_CHARGED:
            why = charge.reason or next(iter(record.reasons), "")
            final = why in CENTRAL_SAID_NO or record.refer_to == Elsewhere.OTHER_PAYMENT.value
            after = replace(checkout, passage=None, reason=why)
            if final:
                return replace(after, state=CheckoutState.NOT_CHARGED, settled_ms=record.settled_at_ms)
            return expired(replace(after, state=CheckoutState.OPEN), record.settled_at_ms)
        case ChargeOutcome.AWAITED:
            return checkout
        case _:
            assert_never(charge.outcome)


def cancelled(checkout: Checkout, now_ms: int) -> Checkout | None:
    """The till takes it back; None once somebody is paying, or it is over another way."""
    if checkout.state is CheckoutState.CANCELLED:
        return checkout
    if checkout.state is not CheckoutState.OPEN:
        return None
    return replace(checkout, state=CheckoutState.CANCELLED, settled_ms=now_ms)


def expired(checkout: Checkout, now_ms: int) -> Checkout:
    """The checkout at this instant: its time may be up, but never while somebody is paying."""
    if checkout.state is not CheckoutState.OPEN or now_ms < checkout.expires_ms:
        return checkout
    return replace(checkout, state=CheckoutState.EXPIRED, settled_ms=now_ms)


def refunded(checkout: Checkout, amount_minor: int) -> Checkout:
    """Central gave so much back."""
    given_minor = min(checkout.refunded_minor + amount_minor, checkout.due.amount_minor)
    state = CheckoutState.REFUNDED if given_minor == checkout.due.amount_minor else checkout.state
    return replace(checkout, refunded_minor=given_minor, state=state)


def bounded(amount_minor: int) -> int:
    """An amount as a record may name it."""
    return max(0, min(amount_minor, AMOUNT_MAX_MINOR))
