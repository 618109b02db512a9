"""The ledger in use: charges, refunds, top-ups, receipts, settlements, and what records say of money."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from central.errors import ConflictError, ProviderError, RefusedError, UnknownError
from central.rules.books import Books, Wanted
from central.rules.fares import DayOf
from central.rules.fleet import Kiosk
from central.rules.ledger import (
    FARES,
    AccountId,
    Charge,
    Day,
    Kind,
    OrderState,
    Outcome,
    ProviderOrder,
    Settlement,
    State,
    Transaction,
    debt,
    stored,
)
from central.rules.posting import (
    Rules,
    ask,
    hear,
    pay_out,
    provider_said,
    refund,
    settle,
    top_up,
    wanted_by,
)
from central.service.context import Context
from central.service.members import Members
from wire.claims import ClaimKind
from wire.fields import AMOUNT_MAX_MINOR
from wire.ids import ClaimDigest, KioskId, RecordId, SubjectId
from wire.records import PassRecord
from wire.requests import ChargeReason, ChargeRequest, RefundReason

log = logging.getLogger(__name__)

RECEIPTS_MAX = 100
"""Receipts in one answer; older ones by `before_ms`."""
FIRST_DAY, LAST_DAY = Day("0001-01-01"), Day("9999-12-31")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a change is made: UTC milliseconds, the ledger's local day, and dice for new accounts."""

    now_ms: int
    today: Day
    draw: Callable[[int], bytes] = field(repr=False)


class Postings(Protocol):
    """What the store asks of the ledger while it commits records."""

    def wanted(self, records: Sequence[PassRecord]) -> Wanted | None:
        """What posting them looks at; None when there is nothing to post."""
        ...

    def post(self, books: Books, records: Sequence[PassRecord]) -> None:
        """Post what they say; never raises for anything a record can say."""
        ...

    def moment(self) -> Moment:
        """When it is."""
        ...


class LedgerStore(Protocol):
    """Where the books are kept and read."""

    def books(self, wanted: Wanted, moment: Moment) -> AbstractContextManager[Books]:
        """The books of a change; all it posts is saved when the block ends, or nothing if it raises."""
        ...

    def post_by(self, postings: Postings) -> None:
        """Post what records say, with every commit of theirs from now on."""
        ...

    def provider_orders(self, state: OrderState) -> Sequence[ProviderOrder]:
        """Orders to the payment provider in a state, oldest first."""
        ...

    def account_of(self, subject: SubjectId) -> AccountId | None:
        """A member's account; None before their first money, and from their withdrawal on."""
        ...

    def balances(self, account: AccountId) -> Mapping[tuple[str, str], int]:
        """What an account has stored and owes, by the ledger's account and currency."""
        ...

    def charges_of(self, account: AccountId, before_ms: int, most: int) -> Sequence[Charge]:
        """An account's charges before an instant, newest first."""
        ...

    def charge(self, charge: RecordId) -> Charge | None:
        """A charge by its key."""
        ...

    def moved(self, merchant: str, day: Day) -> Mapping[tuple[str, Kind], int]:
        """What a merchant's account gained on a day, by currency and kind."""
        ...

    def transactions(self, first: Day, last: Day) -> Iterator[Transaction]:
        """Every transaction of some days, in the order in which it was posted."""
        ...

    def all_charges(self) -> Iterator[Charge]:
        """Every charge."""
        ...

    def unbalanced(self) -> Sequence[str]:
        """What does not sum to 0: transactions by key, currencies over all accounts."""
        ...


class PaymentProvider(Protocol):
    """Takes money from members beyond their stored value, and gives it back; each order once by its key."""

    @property
    def collects(self) -> bool:
        """Whether there is anything beyond stored value; if not, nothing is ever asked."""
        ...

    def perform(self, order: ProviderOrder) -> Outcome:
        """Do what is ordered, or say again what became of it; raises ProviderError without an answer."""
        ...

    def reports(self) -> Iterable[tuple[str, Outcome]]:
        """What became of orders that were awaited, by key; any may come late, twice and in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Balance:
    """What a member has stored and owes in one currency, in minor units; neither is below 0."""

    currency: str
    stored_minor: int
    debt_minor: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """What a member may know of their account. `more`: there are older ones, before the last one's instant.

    A charge whose `state` is not `stands` does not count: it was reversed.
    """

    account: AccountId | None
    balances: tuple[Balance, ...]
    charges: tuple[Charge, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the whole ledger found; `wrong` is empty when all of it holds."""

    transactions: int
    charges: int
    balances: Mapping[str, Mapping[str, int]]
    wrong: tuple[str, ...]
    waiting: int
    failed: tuple[str, ...]


class Ledger:
    """Every use of the ledger. Its local days are those of `day_of`; see `posting` for the rules."""

    def __init__(
        self,
        context: Context,
        *,
        rules: Rules,
        day_of: DayOf,
        provider: PaymentProvider,
        members: Members,
        store: LedgerStore,
    ) -> None:
        self._context = context
        self._rules = rules
        self._day_of = day_of
        self._provider = provider
        self._members = members
        self._store = store
        store.post_by(self)

    def moment(self) -> Moment:
        """When it is."""
        now_ms = self._context.now_ms()
        return Moment(now_ms, self._day_of(now_ms), self._context.draw)

    def wanted(self, records: Sequence[PassRecord]) -> Wanted | None:
        """What posting records looks at; None when there is nothing to post."""
        return wanted_by(records, self._rules)

    def post(self, books: Books, records: Sequence[PassRecord]) -> None:
        """Post what records say, in the transaction that commits them."""
        for record in records:
            hear(books, record, self._rules)

    def charge(self, kiosk: Kiosk, request: ChargeRequest) -> ChargeReason | None:
        """Charge a member once under a key; None: not known yet, ask again under the same key."""
        wanted = Wanted(
            charges=frozenset({request.idempotency_key}),
            checkouts=frozenset({request.checkout}),
            subjects=frozenset({request.subject}),
            merchants=frozenset({request.merchant}),
        )
        with self._store.books(wanted, self.moment()) as books:
            said = ask(books, kiosk, request, self._rules)
            orders = [books.orders[key] for key in sorted(books.ordered)]
        if said is not None:
            return said
        # Outside of any transaction, as it may take its time; what it says is posted in one of its own.
        for order in orders:
            self._perform(order)
        with self._store.books(wanted, self.moment()) as books:
            return ask(books, kiosk, request, self._rules)

    def _perform(self, order: ProviderOrder) -> None:
        try:
            outcome = self._provider.perform(order)
        except ProviderError as error:
            log.warning("%s", error)
            return
        self._heard(order.provider_order, order.charge, outcome)

    def _heard(self, key: str, charge: RecordId, outcome: Outcome) -> None:
        if outcome is not Outcome.AWAITED:
            with self._store.books(Wanted(charges=frozenset({charge})), self.moment()) as books:
                provider_said(books, key, outcome, self._rules)

    def collect(self) -> None:
        """Take up what the payment provider reports, and ask for what it has not answered."""
        if not self._provider.collects:
            return
        for key, outcome in self._provider.reports():
            self._heard(key, _charge_in(key), outcome)
        for order in self._store.provider_orders(OrderState.ASKED):
            self._perform(order)

    def refund(
        self, key: RecordId, charge: RecordId, amount_minor: int, kiosk: KioskId | None = None
    ) -> RefundReason:
        """Give back some or all of a charge (of `kiosk`, if given), once under its key."""
        wanted = Wanted(charges=frozenset({charge}), postings=frozenset({f"refund/{key}"}))
        with self._store.books(wanted, self.moment()) as books:
            return refund(books, key, charge, amount_minor, kiosk)

    def charge_of(self, charge: RecordId) -> Charge:
        """A charge as it is now; raises UnknownError."""
        found = self._store.charge(charge)
        if found is None:
            raise UnknownError("charge", charge)
        return found

    def new_key(self) -> RecordId:
        """A fresh idempotency key."""
        return RecordId(self._context.draw(16).hex())

    def top_up(
        self, subject: SubjectId, amount_minor: int, currency: str, key: RecordId | None = None
    ) -> Transaction:
        """Money a member brings, their debt first; raises UnknownError, ConflictError, RefusedError."""
        self._members.active(subject)
        _check_amount(amount_minor, currency)
        made = key or self.new_key()
        wanted = Wanted(subjects=frozenset({subject}), postings=frozenset({f"top-up/{made}"}))
        with self._store.books(wanted, self.moment()) as books:
            if (account := books.accounts.get(subject)) is None:
                raise ConflictError("subject", subject, "has withdrawn")
            return top_up(books, made, account, amount_minor, currency)

    def pay_out(
        self, account: AccountId, amount_minor: int, currency: str, key: RecordId | None = None
    ) -> Transaction:
        """Stored value given back in cash, also of an account whose member withdrew; raises RefusedError."""
        _check_amount(amount_minor, currency)
        made = key or self.new_key()
        wanted = Wanted(accounts=frozenset({account}), postings=frozenset({f"pay-out/{made}"}))
        with self._store.books(wanted, self.moment()) as books:
            return pay_out(books, made, account, amount_minor, currency)

    def account_of(self, subject: SubjectId) -> AccountId | None:
        """A member's account, None before their first money; raises UnknownError or ConflictError."""
        self._members.active(subject)
        return self._store.account_of(subject)

    def balances(self, account: AccountId | None) -> tuple[Balance, ...]:
        """What an account holds and owes, by currency."""
        if account is None:
            return ()
        held = self._store.balances(account)
        return tuple(
            Balance(
                currency, held.get((stored(account), currency), 0), -held.get((debt(account), currency), 0)
            )
            for currency in sorted({currency for _, currency in held})
        )

    def receipts(
        self, claim_digest: ClaimDigest, before_ms: int | None = None, most: int = RECEIPTS_MAX
    ) -> Receipts:
        """What the holder of a claim code may know: balances and charges, newest first; raises UnknownError.

        Only QR codes count, which are 128 random bits: card numbers and telephone digits can be guessed. One
        answer for every code that shows nothing: unknown, revoked, withdrawn.
        """
        claim = self._members.claim(claim_digest)
        if claim is None or claim.kind is not ClaimKind.QR or claim.revoked_at_ms is not None:
            raise UnknownError("claim", claim_digest.hex()[:8])
        try:
            account = self.account_of(claim.subject)
        except ConflictError:
            raise UnknownError("claim", claim_digest.hex()[:8]) from None
        if account is None:
            return Receipts(None, (), (), more=False)
        until_ms = self._context.now_ms() + 1 if before_ms is None else before_ms
        found = self._store.charges_of(account, until_ms, min(most, RECEIPTS_MAX) + 1)
        shown = tuple(found[: min(most, RECEIPTS_MAX)])
        return Receipts(account, self.balances(account), shown, more=len(found) > len(shown))

    def settle(self, merchant: str, day: Day) -> list[Settlement]:
        """Pay a merchant what is owed of a day that is over, once; raises RefusedError."""
        with self._store.books(Wanted(merchants=frozenset({merchant})), self.moment()) as books:
            if day >= books.today:
                return settle(books, merchant, day, {})
            return settle(books, merchant, day, self._store.moved(merchant, day))

    def transactions(self, first: Day, last: Day) -> Iterator[Transaction]:
        """Every transaction of some days, both included, in the order in which it was posted."""
        return self._store.transactions(first, last)

    def check(self) -> Checked:
        """Walk the whole ledger: whether everything balances and every charge counts as it stands."""
        wrong = [f"{each} does not balance" for each in self._store.unbalanced()]
        income: dict[RecordId, int] = {}
        totals: dict[str, dict[str, int]] = {}
        transactions = 0
        for each in self._store.transactions(FIRST_DAY, LAST_DAY):
            transactions += 1
            for entry in each.entries:
                group = entry.account.partition(":")[0]
                held = totals.setdefault(each.currency, {})
                held[group] = held.get(group, 0) + entry.amount_minor
                if each.charge is not None and (group == "payable" or entry.account == FARES):
                    income[each.charge] = income.get(each.charge, 0) + entry.amount_minor
        charges = 0
        for charge in self._store.all_charges():
            charges += 1
            counts = charge.left_minor if charge.state is State.STANDS else 0
            if income.get(charge.charge, 0) != counts:
                wrong.append(f"charge {charge.charge} is booked with {income.get(charge.charge, 0)}")
        failed = self._store.provider_orders(OrderState.FAILED)
        waiting = self._store.provider_orders(OrderState.ASKED)
        return Checked(
            transactions,
            charges,
            totals,
            tuple(wrong),
            len(waiting),
            tuple(each.provider_order for each in failed),
        )


def _check_amount(amount_minor: int, currency: str) -> None:
    if not 1 <= amount_minor <= AMOUNT_MAX_MINOR:
        raise RefusedError(f"an amount is 1 to {AMOUNT_MAX_MINOR} minor units")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise RefusedError(f"{currency!r}: give an ISO 4217 currency, such as EUR")


def _charge_in(provider_order: str) -> RecordId:
    """The charge an order of ours is about, or its refund: a key's first part of 32 digits."""
    parts = [part for part in provider_order.split("/") if len(part) == 32]
    return RecordId(parts[0] if parts else "")
