"""The ledger in the database. A change loads its books, and saves what was posted, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select

from central.adapters.db import tables as t
from central.adapters.db.database import Database
from central.adapters.db.engines import insert_many, lock
from central.rules.books import Books, Wanted
from central.rules.ledger import (
    AccountId,
    Action,
    Charge,
    Day,
    Entry,
    Kind,
    OrderState,
    ProviderOrder,
    Source,
    State,
    Transaction,
    debt,
    payable,
    stored,
)
from central.service.ledger import Moment, Postings
from wire.ids import RecordId, SubjectId
from wire.records import PassRecord

RECORDS_AT_ONCE = 500
"""Records of one commit that are posted together, so that no statement has too many parameters."""
_LEDGER = "ledger"


class LedgerTables(Database):
    """Accounts, charges, transactions, orders to the payment provider."""

    postings: Postings | None = None

    def post_by(self, postings: Postings) -> None:
        """Post what records say, with every commit of theirs from now on."""
        self.postings = postings

    def post_records(self, connection: Connection, records: Sequence[PassRecord]) -> None:
        """Post what records say, in the transaction that commits them."""
        if self.postings is None:
            return
        for start in range(0, len(records), RECORDS_AT_ONCE):
            some = records[start : start + RECORDS_AT_ONCE]
            if (wanted := self.postings.wanted(some)) is not None:
                with self._books(connection, wanted, self.postings.moment()) as books:
                    self.postings.post(books, some)

    @contextmanager
    def books(self, wanted: Wanted, moment: Moment) -> Iterator[Books]:
        """The books of a change; all it posts is saved when the block ends, or nothing if it raises."""
        with self._change(_LEDGER) as connection, self._books(connection, wanted, moment) as books:
            yield books

    @contextmanager
    def _books(self, connection: Connection, wanted: Wanted, moment: Moment) -> Iterator[Books]:
        lock(connection, _LEDGER)  # after the records' own lock; nobody takes those in the other order
        books = Books(moment.now_ms, moment.today)
        self._load_charges(connection, books, wanted)
        self._load_accounts(connection, books, wanted, moment.draw)
        for posting in wanted.postings:
            if (found := self._transaction(connection, posting)) is not None:
                books.known[posting] = found
        loaded = frozenset(books.known)
        yield books
        assert not loaded & {each.posting for each in books.posted}
        self._save(connection, books)

    def _load_charges(self, connection: Connection, books: Books, wanted: Wanted) -> None:
        columns, orders = t.CHARGES.c, t.PROVIDER_ORDERS.c
        chosen = or_(columns.charge.in_(wanted.charges), columns.checkout.in_(wanted.checkouts))
        for row in connection.execute(select(t.CHARGES).where(chosen)):
            books.charges[row.charge] = _charge(row)
        about = select(t.PROVIDER_ORDERS).where(orders.charge.in_(list(books.charges)))
        books.orders |= {row.provider_order: _order(row) for row in connection.execute(about)}
        merchants = wanted.merchants | {each.merchant for each in books.charges.values() if each.merchant}
        last = (
            select(t.TRANSACTIONS.c.merchant, func.max(t.TRANSACTIONS.c.day))
            .where(t.TRANSACTIONS.c.kind == Kind.SETTLEMENT, t.TRANSACTIONS.c.merchant.in_(merchants))
            .group_by(t.TRANSACTIONS.c.merchant)
        )
        if merchants:
            books.settled |= {row[0]: row[1] for row in connection.execute(last)}

    def _load_accounts(
        self, connection: Connection, books: Books, wanted: Wanted, draw: Callable[[int], bytes]
    ) -> None:
        # Shared locks: nobody withdraws between this look and the commit.
        active = (
            select(t.SUBJECTS.c.subject, t.MEMBER_ACCOUNTS.c.account)
            .join_from(t.SUBJECTS, t.MEMBER_ACCOUNTS, isouter=True)
            .where(t.SUBJECTS.c.subject.in_(wanted.subjects), t.SUBJECTS.c.withdrawn_at_ms.is_(None))
            .order_by(t.SUBJECTS.c.subject)
            .with_for_update(read=True, of=t.SUBJECTS)
        )
        if wanted.subjects:
            for subject, account in connection.execute(active).all():
                if account is None:
                    account = draw(16).hex()
                    connection.execute(insert(t.MEMBER_ACCOUNTS).values(subject=subject, account=account))
                books.accounts[subject] = AccountId(account)
        accounts = {*books.accounts.values(), *wanted.accounts}
        accounts |= {each.account for each in books.charges.values() if each.account is not None}
        books.balances |= _balances(connection, accounts)
        if wanted.fare_days and accounts:
            books.fares |= self._fares(connection, accounts, wanted.fare_days)

    def _fares(
        self, connection: Connection, accounts: Collection[AccountId], days: Collection[Day]
    ) -> dict[Any, int]:
        columns = t.CHARGES.c
        place = (columns.account, columns.purpose, columns.fare_day, columns.currency)
        query = (
            select(*place, func.sum(columns.amount_minor))
            .where(columns.account.in_(accounts), columns.fare_day.in_(days))
            .group_by(*place)
        )
        return {tuple(row[:4]): int(row[4]) for row in connection.execute(query)}

    def _transaction(self, connection: Connection, posting: str) -> Transaction | None:
        row = connection.execute(
            select(t.TRANSACTIONS).where(t.TRANSACTIONS.c.posting == posting)
        ).one_or_none()
        if row is None:
            return None
        entries = connection.execute(select(t.ENTRIES).where(t.ENTRIES.c.posting == posting))
        return _made(row, [Entry(each.account, each.amount_minor) for each in entries])

    def _save(self, connection: Connection, books: Books) -> None:
        charges = [asdict(books.charges[each]) for each in sorted(books.changed)]
        orders = [asdict(books.orders[each]) for each in sorted(books.ordered)]
        if charges:
            connection.execute(delete(t.CHARGES).where(t.CHARGES.c.charge.in_(books.changed)))
            insert_many(connection, t.CHARGES, charges)
        if orders:
            key = t.PROVIDER_ORDERS.c.provider_order
            connection.execute(delete(t.PROVIDER_ORDERS).where(key.in_(books.ordered)))
            insert_many(connection, t.PROVIDER_ORDERS, orders)
        if books.posted:
            made = [
                {name: value for name, value in asdict(each).items() if name != "entries"}
                for each in books.posted
            ]
            insert_many(connection, t.TRANSACTIONS, made)
            entries: list[dict[str, str | int | bytes | None]] = [
                {
                    "posting": each.posting,
                    "account": entry.account,
                    "currency": each.currency,
                    "amount_minor": entry.amount_minor,
                }
                for each in books.posted
                for entry in each.entries
            ]
            insert_many(connection, t.ENTRIES, entries)

    def account_of(self, subject: SubjectId) -> AccountId | None:
        """A member's account; None before their first money, and from their withdrawal on."""
        row = self._one(t.MEMBER_ACCOUNTS, subject=subject)
        return None if row is None else AccountId(row.account)

    def balances(self, account: AccountId) -> Mapping[tuple[str, str], int]:
        """What an account has stored and owes, by the ledger's account and currency."""
        with self._engine.connect() as connection:
            return _balances(connection, {account})

    def charges_of(self, account: AccountId, before_ms: int, most: int) -> Sequence[Charge]:
        """An account's charges before an instant, newest first."""
        columns = t.CHARGES.c
        query = (
            select(t.CHARGES)
            .where(columns.account == account, columns.at_ms < before_ms, columns.postings > 0)
            .order_by(columns.at_ms.desc(), columns.charge)
            .limit(most)
        )
        with self._engine.connect() as connection:
            return [_charge(row) for row in connection.execute(query)]

    def moved(self, merchant: str, day: Day) -> Mapping[tuple[str, Kind], int]:
        """What a merchant's account gained on a day, by currency and kind."""
        columns, entries = t.TRANSACTIONS.c, t.ENTRIES.c
        query = (
            select(columns.currency, columns.kind, func.sum(entries.amount_minor))
            .join_from(t.TRANSACTIONS, t.ENTRIES)
            .where(columns.day == day, entries.account == payable(merchant))
            .group_by(columns.currency, columns.kind)
        )
        with self._engine.connect() as connection:
            return {
                (currency, Kind(kind)): int(amount) for currency, kind, amount in connection.execute(query)
            }

    def charge(self, charge: RecordId) -> Charge | None:
        """A charge by its key."""
        row = self._one(t.CHARGES, charge=charge)
        return None if row is None else _charge(row)

    def all_charges(self) -> Iterator[Charge]:
        """Every charge."""
        with self._engine.connect() as connection:
            for row in connection.execute(select(t.CHARGES).execution_options(yield_per=1000)):
                yield _charge(row)

    def transactions(self, first: Day, last: Day) -> Iterator[Transaction]:
        """Every transaction of some days, in the order in which it was posted."""
        columns, entries = t.TRANSACTIONS.c, t.ENTRIES.c
        query = (
            select(t.TRANSACTIONS, entries.account.label("entry"), entries.amount_minor)
            .join_from(t.TRANSACTIONS, t.ENTRIES)
            .where(columns.day >= first, columns.day <= last)
            .order_by(columns.day, columns.at_ms, columns.posting, entries.account)
            .execution_options(yield_per=1000)
        )
        with self._engine.connect() as connection:
            held: list[Entry] = []
            before: Row[Any] | None = None
            for row in connection.execute(query):
                if before is not None and row.posting != before.posting:
                    yield _made(before, held)
                    held = []
                held.append(Entry(row.entry, row.amount_minor))
                before = row
            if before is not None:
                yield _made(before, held)

    def unbalanced(self) -> Sequence[str]:
        """What does not sum to 0: transactions by key, currencies over all accounts."""
        columns, total = t.ENTRIES.c, func.sum(t.ENTRIES.c.amount_minor)
        found: list[str] = []
        with self._engine.connect() as connection:
            for place in (columns.posting, columns.currency):
                query = select(place).group_by(place).having(total != 0)
                found += connection.execute(query).scalars().all()
        return found

    def provider_orders(self, state: OrderState) -> Sequence[ProviderOrder]:
        """Orders to the payment provider in a state, oldest first."""
        return [_order(row) for row in self._all(t.PROVIDER_ORDERS, "at_ms", state=state.value)]


def _balances(connection: Connection, accounts: Collection[AccountId]) -> dict[tuple[str, str], int]:
    columns = t.ENTRIES.c
    names = [name for account in accounts for name in (stored(account), debt(account))]
    query = (
        select(columns.account, columns.currency, func.sum(columns.amount_minor))
        .where(columns.account.in_(names))
        .group_by(columns.account, columns.currency)
    )
    if not names:
        return {}
    return {(account, currency): int(amount) for account, currency, amount in connection.execute(query)}


def _charge(row: Row[Any]) -> Charge:
    fields = {name: getattr(row, name) for name in Charge.__dataclass_fields__}
    return Charge(**{**fields, "state": State(row.state), "source": Source(row.source)})


def _order(row: Row[Any]) -> ProviderOrder:
    fields = {name: getattr(row, name) for name in ProviderOrder.__dataclass_fields__}
    return ProviderOrder(**{**fields, "action": Action(row.action), "state": OrderState(row.state)})


def _made(row: Row[Any], entries: Sequence[Entry]) -> Transaction:
    return Transaction(
        row.posting,
        Kind(row.kind),
        row.currency,
        Day(row.day),
        row.at_ms,
        tuple(entries),
        row.account,
        row.merchant,
        row.charge,
    )
