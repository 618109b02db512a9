"""The ledger's values: accounts, balanced transactions, charges. Pure; what posts them is in `posting`.

An entry's amount is in minor units of one ISO 4217 currency: positive is owed by the operator, negative is
held by or owed to the operator. The entries of a transaction sum to 0, and so do all accounts of a currency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from central.errors import UnbalancedError
from wire.ids import KioskId, Purpose, RecordId

AccountId = NewType("AccountId", str)
"""A member's pseudonym in the ledger: 32 random hexadecimal digits, linked to the member in one place."""

Day = NewType("Day", str)
"""A local day as 2026-11-23; days compare as their texts do."""

FARES = "fares"
"""The operator's revenue."""
CLEARING = "clearing"
"""Money that came from, or went back to, a payment provider or a till."""
SETTLEMENT = "settlement"
"""Money that was paid to merchants."""
WRITTEN_OFF = "written-off"
"""Charges of members who withdrew: the operator bears them."""


class Kind(StrEnum):
    """Why money moves."""

    TOP_UP = "top_up"
    CHARGE = "charge"
    FARE = "fare"
    REFUND = "refund"
    REVERSAL = "reversal"  # a charge that does not count
    SETTLEMENT = "settlement"
    DEBT = "debt"  # what a charge takes that the stored value does not cover
    PAY_OUT = "pay_out"


class State(StrEnum):
    """Whether a charge counts."""

    ASKED = "asked"  # of the payment provider, who has not answered
    STANDS = "stands"
    DECLINED = "declined"
    REVERSED = (
        "reversed"  # a later attempt for the same checkout stands; the kiosk's record may say otherwise
    )
    BARRED = "barred"  # a record said that nothing is charged: it can never be charged again


class Source(StrEnum):
    """Where a charge's money came from, and goes back to."""

    MEMBER = "member"  # stored value, and a debt for what it does not cover
    PROVIDER = "provider"


class Action(StrEnum):
    """What a payment provider is asked to do."""

    TAKE = "take"
    GIVE_BACK = "give_back"


class Outcome(StrEnum):
    """What a payment provider says of an order."""

    DONE = "done"
    DECLINED = "declined"
    AWAITED = "awaited"  # it will be in its reports


class OrderState(StrEnum):
    """What became of an order to the payment provider."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one account gains (positive) or gives, in minor units."""

    account: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Balanced entries under a key that is never posted twice, booked on a local day; raises UnbalancedError.

    `account`, `merchant`, `charge`: whose it is and what it belongs to, for receipts and settlements.
    """

    posting: str
    kind: Kind
    currency: str
    day: Day
    at_ms: int
    entries: tuple[Entry, ...]
    account: AccountId | None = None
    merchant: str | None = None
    charge: RecordId | None = None

    def __post_init__(self) -> None:
        """Refuse entries that do not balance, or name an account twice, or move nothing."""
        accounts = {entry.account for entry in self.entries}
        if sum(entry.amount_minor for entry in self.entries) != 0 or len(accounts) != len(self.entries):
            raise UnbalancedError(self.posting)
        if not self.entries or any(entry.amount_minor == 0 for entry in self.entries):
            raise UnbalancedError(self.posting)

    def gained(self, account: str) -> int:
        """What an account gains by it."""
        return sum(entry.amount_minor for entry in self.entries if entry.account == account)


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge, by its key: a payment to a merchant at a checkout, or (no merchant) a fare.

    `account` is None when the member had withdrawn. `not_after_ms` orders the attempts of one kiosk.
    `confirmed`: a record says that it stands. `postings` counts how often it was posted, reversals between.
    """

    charge: RecordId
    kiosk: KioskId
    purpose: Purpose
    account: AccountId | None
    amount_minor: int
    currency: str
    at_ms: int
    state: State
    source: Source = Source.MEMBER
    merchant: str | None = None
    checkout: RecordId | None = None
    reference: str = ""
    fare_day: Day | None = None
    not_after_ms: int = 0
    confirmed: bool = False
    postings: int = 0
    refunded_minor: int = 0

    @property
    def left_minor(self) -> int:
        """What is not refunded."""
        return self.amount_minor - self.refunded_minor

    @property
    def income(self) -> str:
        """The account it pays."""
        return FARES if self.merchant is None else payable(self.merchant)


@dataclass(frozen=True, slots=True)
class ProviderOrder:
    """What a payment provider is to do, once, however often it is told: the key is its own."""

    provider_order: str
    action: Action
    charge: RecordId
    account: AccountId
    amount_minor: int
    currency: str
    state: OrderState
    at_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A merchant's day in one currency: what was charged, given back and is paid to them, in minor units."""

    merchant: str
    day: Day
    currency: str
    charged_minor: int
    refunded_minor: int
    reversed_minor: int
    net_minor: int
    settled: bool


def stored(account: AccountId) -> str:
    """A member's stored value; never below 0."""
    return f"stored:{account}"


def debt(account: AccountId) -> str:
    """What a member owes; never above 0."""
    return f"debt:{account}"


def payable(merchant: str) -> str:
    """What is owed to a merchant."""
    return f"payable:{merchant}"


def merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry an account, and none that moves nothing."""
    totals: dict[str, int] = {}
    for entry in entries:
        totals[entry.account] = totals.get(entry.account, 0) + entry.amount_minor
    return tuple(Entry(account, amount) for account, amount in totals.items() if amount)
