"""What one change of the ledger looks at and adds to, loaded and saved in one database transaction. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from central.rules.ledger import (
    WRITTEN_OFF,
    AccountId,
    Charge,
    Day,
    Entry,
    Kind,
    ProviderOrder,
    Transaction,
    debt,
    merged,
    stored,
)
from wire.ids import Purpose, RecordId, SubjectId

FareSum = tuple[AccountId, Purpose, Day, str]
"""Whose fares of which purpose, day and currency."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a change is about, so that the store loads that and no more.

    Of `checkouts` every charge is loaded; of charges, their orders to the provider too; of subjects and
    charges, the accounts' balances. Active members get an account when they have none.
    """

    charges: frozenset[RecordId] = frozenset()
    checkouts: frozenset[RecordId] = frozenset()
    subjects: frozenset[SubjectId] = frozenset()
    accounts: frozenset[AccountId] = frozenset()
    postings: frozenset[str] = frozenset()
    fare_days: frozenset[Day] = frozenset()
    merchants: frozenset[str] = frozenset()


@dataclass(slots=True)
class Books:
    """What a change knows: whole for the accounts, charges and keys it is about, and `posted` by it.

    `accounts` has active members only. `balances` has every account whose balance a rule looks at.
    """

    now_ms: int
    today: Day
    charges: dict[RecordId, Charge] = field(default_factory=dict)
    accounts: dict[SubjectId, AccountId] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=dict)
    settled: dict[str, Day] = field(default_factory=dict)
    fares: dict[FareSum, int] = field(default_factory=dict)
    orders: dict[str, ProviderOrder] = field(default_factory=dict)
    known: dict[str, Transaction] = field(default_factory=dict)
    posted: list[Transaction] = field(default_factory=list)
    changed: set[RecordId] = field(default_factory=set)
    ordered: set[str] = field(default_factory=set)

    def balance(self, account: str, currency: str) -> int:
        """An account's balance, in minor units."""
        return self.balances.get((account, currency), 0)

    def save(self, charge: Charge) -> None:
        """Keep a charge as it is now."""
        self.charges[charge.charge] = charge
        self.changed.add(charge.charge)

    def order(self, order: ProviderOrder) -> None:
        """Keep an order to the provider as it is now."""
        self.orders[order.provider_order] = order
        self.ordered.add(order.provider_order)

    def booking_day(self, merchant: str | None) -> Day:
        """Today, or the first day that is not settled: what was settled stays as it was paid."""
        last = None if merchant is None else self.settled.get(merchant)
        if last is None or last < self.today:
            return self.today
        return Day((date.fromisoformat(last) + timedelta(days=1)).isoformat())

    def post(
        self,
        posting: str,
        kind: Kind,
        currency: str,
        entries: Iterable[Entry],
        *,
        account: AccountId | None = None,
        charge: Charge | None = None,
    ) -> None:
        """Post entries; nothing when they move nothing."""
        moved = merged(entries)
        if not moved:
            return
        merchant = None if charge is None else charge.merchant
        day, of = self.booking_day(merchant), None if charge is None else charge.charge
        made = Transaction(posting, kind, currency, day, self.now_ms, moved, account, merchant, of)
        self.add(made)

    def add(self, made: Transaction) -> None:
        """Take a transaction in."""
        assert made.posting not in self.known
        self.known[made.posting] = made
        self.posted.append(made)
        for entry in made.entries:
            place = (entry.account, made.currency)
            self.balances[place] = self.balances.get(place, 0) + entry.amount_minor

    def credited(self, account: AccountId | None, currency: str, amount_minor: int) -> list[Entry]:
        """Entries that give a member money: their debt first, then their stored value."""
        if account is None:
            return [Entry(WRITTEN_OFF, amount_minor)]
        repaid = min(amount_minor, -self.balance(debt(account), currency))
        return [Entry(debt(account), repaid), Entry(stored(account), amount_minor - repaid)]
