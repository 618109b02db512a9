"""The ledger's rules: from requests, records and the provider's word to transactions. Pure.

Every key is posted once, whatever comes twice, late or out of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from central.errors import ConflictError, RefusedError
from central.rules.books import Books, Wanted
from central.rules.fares import Tariff, is_passage
from central.rules.fleet import Kiosk
from central.rules.ledger import (
    CLEARING,
    SETTLEMENT,
    WRITTEN_OFF,
    AccountId,
    Action,
    Charge,
    Day,
    Entry,
    Kind,
    OrderState,
    Outcome,
    ProviderOrder,
    Settlement,
    Source,
    State,
    Transaction,
    debt,
    payable,
    stored,
)
from wire.ids import KioskId, Purpose, RecordId
from wire.records import ChargeOutcome, PassRecord
from wire.requests import ChargeReason, ChargeRequest, RefundReason


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator configured. `collects`: the provider can be asked for more than stored value."""

    charge_max_minor: int
    collects: bool
    tariffs: Mapping[Purpose, Tariff] = field(default_factory=dict)


def ask(books: Books, kiosk: Kiosk, request: ChargeRequest, rules: Rules) -> ChargeReason | None:
    """Charge a member now, or say why not; None: the provider has to be asked, under the charge's key."""
    known = books.charges.get(request.idempotency_key)
    if known is not None:
        return _said_before(known, kiosk.kiosk, request)
    account = books.accounts.get(request.subject)
    if account is None:
        return ChargeReason.NO_SUBJECT
    if request.amount_minor > rules.charge_max_minor:
        return ChargeReason.ABOVE_LIMIT
    charge = Charge(
        request.idempotency_key,
        kiosk.kiosk,
        kiosk.purpose,
        account,
        request.amount_minor,
        request.currency,
        books.now_ms,
        State.DECLINED,
        merchant=request.merchant,
        checkout=request.checkout,
        reference=request.reference,
        not_after_ms=request.not_after_ms,
    )
    rivals = [
        other
        for other in books.charges.values()
        if (other.kiosk, other.checkout) == (kiosk.kiosk, request.checkout)
        and other.state in (State.STANDS, State.ASKED)
    ]
    # The kiosk is serial: it knows that the earlier attempt does not count, unless this one overtook a later.
    if any(rival.confirmed or rival.not_after_ms > request.not_after_ms for rival in rivals):
        books.save(replace(charge, state=State.REVERSED))
        return ChargeReason.VOIDED
    for rival in rivals:
        _reverse(books, rival, State.REVERSED)
    if books.balance(stored(account), request.currency) >= request.amount_minor:
        _stand(books, charge, Source.MEMBER, rules)
        return ChargeReason.CHARGED
    if not rules.collects:
        books.save(charge)
        return ChargeReason.DECLINED
    books.save(replace(charge, state=State.ASKED))
    _tell_provider(books, f"take/{charge.charge}", Action.TAKE, charge, charge.amount_minor)
    return None


def _said_before(known: Charge, kiosk: KioskId, request: ChargeRequest) -> ChargeReason | None:
    """The same key gives the same answer; another charge under a key that is taken is no charge."""
    same = (known.kiosk, known.amount_minor, known.currency) == (
        kiosk,
        request.amount_minor,
        request.currency,
    )
    if not same or known.state in (State.REVERSED, State.BARRED):
        return ChargeReason.VOIDED
    if known.state is State.ASKED:
        return None
    return ChargeReason.CHARGED if known.state is State.STANDS else ChargeReason.DECLINED


def wanted_by(records: Iterable[PassRecord], rules: Rules) -> Wanted | None:
    """What posting these records looks at; None when there is nothing to post."""
    paying = [record for record in records if record.charge is not None or _owes_fare(record, rules)]
    if not paying:
        return None
    days = {
        rules.tariffs[record.purpose].day_of(record.settled_at_ms)
        for record in paying
        if record.charge is None
    }
    return Wanted(
        charges=frozenset(record.record_id for record in paying),
        subjects=frozenset(record.subject for record in paying if record.subject is not None),
        merchants=frozenset(record.charge.merchant for record in paying if record.charge is not None),
        fare_days=frozenset(days),
    )


def _owes_fare(record: PassRecord, rules: Rules) -> bool:
    return record.charge is None and record.purpose in rules.tariffs and is_passage(record)


def hear(books: Books, record: PassRecord, rules: Rules) -> None:
    """Post what a committed record says. Never raises for anything a kiosk can say: a record is a fact."""
    if record.charge is not None:
        if record.charge.outcome in (ChargeOutcome.CAPTURED, ChargeOutcome.OFFLINE):
            _confirm(books, record, rules)
        elif record.charge.outcome is ChargeOutcome.NOT_CHARGED:
            _bar(books, record)
    elif _owes_fare(record, rules):
        _charge_fare(books, record, rules)


def _of_record(books: Books, record: PassRecord) -> Charge:
    """The charge a record tells of, not posted yet."""
    told = record.charge
    return Charge(
        record.record_id,
        record.kiosk,
        record.purpose,
        None if record.subject is None else books.accounts.get(record.subject),
        record.amount_minor or 0,
        record.currency or "",
        record.decided_at_ms,
        State.BARRED,
        merchant=None if told is None else told.merchant,
        checkout=None if told is None else told.checkout,
        reference="" if told is None else told.reference,
    )


def _confirm(books: Books, record: PassRecord, rules: Rules) -> None:
    charge = books.charges.get(record.record_id) or replace(_of_record(books, record), state=State.DECLINED)
    if charge.kiosk != record.kiosk or charge.state is State.BARRED:
        return
    charge = replace(charge, confirmed=True)
    if charge.state is State.STANDS:
        books.save(charge)
    else:
        # The member was shown that they paid: central's own word (declined, reversed, lost) gives way.
        _stand(books, charge, Source.MEMBER, rules)


def _bar(books: Books, record: PassRecord) -> None:
    known = books.charges.get(record.record_id)
    if known is None:
        books.save(_of_record(books, record))
    elif known.kiosk == record.kiosk and known.state is State.STANDS:
        _reverse(books, known, State.BARRED)
    elif known.kiosk == record.kiosk:
        books.save(replace(known, state=State.BARRED))


def _charge_fare(books: Books, record: PassRecord, rules: Rules) -> None:
    tariff = rules.tariffs[record.purpose]
    if record.record_id in books.charges:
        return
    day, currency = tariff.day_of(record.settled_at_ms), tariff.config.currency
    charge = replace(_of_record(books, record), at_ms=record.settled_at_ms, fare_day=day, currency=currency)
    due_minor = tariff.fare_minor(record.kiosk)
    if charge.account is not None:
        place = (charge.account, record.purpose, day, currency)
        charged_minor = books.fares.get(place, 0)
        due_minor = tariff.due_minor(record.kiosk, charged_minor)
        books.fares[place] = charged_minor + due_minor
    if due_minor:
        _stand(books, replace(charge, amount_minor=due_minor, confirmed=True), Source.MEMBER, rules)


def _stand(books: Books, charge: Charge, source: Source, rules: Rules) -> None:
    """Post a charge. What a member's stored value does not cover is lent first, under the same key."""
    times = charge.postings + 1
    suffix = charge.charge if times == 1 else f"{charge.charge}/{times}"
    charge = replace(charge, state=State.STANDS, source=source, postings=times)
    amount_minor, account = charge.left_minor, charge.account
    payer = CLEARING if source is Source.PROVIDER else WRITTEN_OFF if account is None else stored(account)
    if source is Source.MEMBER and account is not None:
        lent_minor = max(0, amount_minor - books.balance(stored(account), charge.currency))
        lent = [Entry(debt(account), -lent_minor), Entry(stored(account), lent_minor)]
        books.post(f"debt/{suffix}", Kind.DEBT, charge.currency, lent, account=account, charge=charge)
        asked = books.orders.get(f"take/{charge.charge}")
        if rules.collects and (asked is None or asked.state is not OrderState.ASKED):
            _tell_provider(books, f"collect/{suffix}", Action.TAKE, charge, lent_minor)
    kind = Kind.FARE if charge.merchant is None else Kind.CHARGE
    entries = [Entry(payer, -amount_minor), Entry(charge.income, amount_minor)]
    books.post(f"charge/{suffix}", kind, charge.currency, entries, account=account, charge=charge)
    books.save(charge)


def _reverse(books: Books, charge: Charge, state: State) -> None:
    """Undo what is left of a charge."""
    if charge.state is State.STANDS:
        left_minor, posting = charge.left_minor, f"reversal/{charge.charge}/{charge.postings}"
        entries = [Entry(charge.income, -left_minor), *_returned(books, charge, left_minor, posting)]
        books.post(posting, Kind.REVERSAL, charge.currency, entries, account=charge.account, charge=charge)
    books.save(replace(charge, state=state))


def _returned(books: Books, charge: Charge, amount_minor: int, posting: str) -> list[Entry]:
    """Entries that give back where a charge's money came from; the provider is told where it was theirs."""
    if charge.source is Source.MEMBER:
        return books.credited(charge.account, charge.currency, amount_minor)
    _tell_provider(books, posting, Action.GIVE_BACK, charge, amount_minor)
    return [Entry(CLEARING, amount_minor)]


def _tell_provider(books: Books, key: str, action: Action, charge: Charge, amount_minor: int) -> None:
    if charge.account is None or not amount_minor:
        return
    books.order(
        ProviderOrder(
            key,
            action,
            charge.charge,
            charge.account,
            amount_minor,
            charge.currency,
            OrderState.ASKED,
            books.now_ms,
        )
    )


def provider_said(books: Books, key: str, outcome: Outcome, rules: Rules) -> None:
    """Post what the provider says of an order; a second word of the same is nothing new."""
    order = books.orders.get(key)
    if order is None or order.state is OrderState.DONE or outcome is Outcome.AWAITED:
        return
    charge = books.charges[order.charge]
    done = outcome is Outcome.DONE
    books.order(replace(order, state=OrderState.DONE if done else OrderState.FAILED))
    if order.action is Action.GIVE_BACK:
        return
    if not done:
        if charge.state is State.ASKED:
            books.save(replace(charge, state=State.DECLINED))
        return
    if charge.state is State.ASKED:
        _stand(books, charge, Source.PROVIDER, rules)
        return
    account, currency, amount_minor = order.account, order.currency, order.amount_minor
    if charge.state is State.STANDS:  # taken offline meanwhile: the provider's money pays the debt
        entries = [Entry(CLEARING, -amount_minor), *books.credited(account, currency, amount_minor)]
        books.post(f"paid/{key}", Kind.TOP_UP, currency, entries, account=account)
        return
    came = [Entry(CLEARING, -amount_minor), Entry(stored(account), amount_minor)]
    went = [Entry(stored(account), -amount_minor), Entry(CLEARING, amount_minor)]
    books.post(f"paid/{key}", Kind.TOP_UP, currency, came, account=account)
    books.post(f"back/{key}", Kind.PAY_OUT, currency, went, account=account)
    _tell_provider(books, f"back/{key}", Action.GIVE_BACK, charge, amount_minor)


def refund(
    books: Books, key: RecordId, charge: RecordId, amount_minor: int, kiosk: KioskId | None
) -> RefundReason:
    """Give back some or all of a charge that stands, of `kiosk` (None: of any), once under its key."""
    posting = f"refund/{key}"
    known, before = books.charges.get(charge), books.known.get(posting)
    if known is not None and before is not None:
        same = before.charge == charge and before.gained(known.income) == -amount_minor
        return RefundReason.REFUNDED if same else RefundReason.DECLINED
    if known is None or known.state is not State.STANDS or kiosk not in (None, known.kiosk):
        return RefundReason.NO_CHARGE
    if amount_minor < 1:
        return RefundReason.DECLINED
    if amount_minor > known.left_minor:
        return RefundReason.ABOVE_CHARGE
    entries = [Entry(known.income, -amount_minor), *_returned(books, known, amount_minor, posting)]
    books.post(posting, Kind.REFUND, known.currency, entries, account=known.account, charge=known)
    books.save(replace(known, refunded_minor=known.refunded_minor + amount_minor))
    return RefundReason.REFUNDED


def top_up(books: Books, key: RecordId, account: AccountId, amount_minor: int, currency: str) -> Transaction:
    """Money a member brings, once under its key: it pays their debt first; raises ConflictError."""
    posting = f"top-up/{key}"
    entries = [Entry(CLEARING, -amount_minor), *books.credited(account, currency, amount_minor)]
    return _once(books, posting, kind=Kind.TOP_UP, currency=currency, entries=entries, account=account)


def pay_out(books: Books, key: RecordId, account: AccountId, amount_minor: int, currency: str) -> Transaction:
    """Stored value a member takes back, once under its key; raises RefusedError or ConflictError."""
    posting = f"pay-out/{key}"
    entries = [Entry(stored(account), -amount_minor), Entry(CLEARING, amount_minor)]
    if posting not in books.known and amount_minor > (
        there := max(0, books.balance(stored(account), currency))
    ):
        raise RefusedError(f"the account holds {there} minor units of {currency}: pay out at most that")
    return _once(books, posting, kind=Kind.PAY_OUT, currency=currency, entries=entries, account=account)


def _once(
    books: Books, posting: str, *, kind: Kind, currency: str, entries: list[Entry], account: AccountId
) -> Transaction:
    before = books.known.get(posting)
    if before is None:
        books.post(posting, kind, currency, entries, account=account)
        return books.known[posting]
    moved = -sum(entry.amount_minor for entry in entries if entry.account == CLEARING)
    if (before.account, before.currency, -before.gained(CLEARING)) != (account, currency, moved):
        raise ConflictError("transaction", posting, "that key moved other money before: give a new one")
    return before


def settle(books: Books, merchant: str, day: Day, moved: Mapping[tuple[str, Kind], int]) -> list[Settlement]:
    """Pay a merchant what is owed of a day that is over, once; raises RefusedError.

    `moved`: what the merchant's account gained on that day, by currency and kind.
    """
    if day >= books.today:
        raise RefusedError(f"{day} is not over where the ledger's time zone is: settle it from tomorrow on")
    found = [of_day(merchant, day, currency, moved) for currency in sorted({each for each, _ in moved})]
    for each in found:
        if not each.settled and each.net_minor:
            entries = (
                Entry(payable(merchant), -each.net_minor),
                Entry(SETTLEMENT, each.net_minor),
            )
            posting = f"settlement/{merchant}/{day}/{each.currency}"
            books.add(
                Transaction(
                    posting, Kind.SETTLEMENT, each.currency, day, books.now_ms, entries, merchant=merchant
                )
            )
            books.settled[merchant] = max(day, books.settled.get(merchant, day))
    return [replace(each, settled=True) for each in found]


def of_day(merchant: str, day: Day, currency: str, moved: Mapping[tuple[str, Kind], int]) -> Settlement:
    """What a merchant's day comes to in one currency."""
    by = {kind: moved.get((currency, kind), 0) for kind in Kind}
    net_minor = by[Kind.CHARGE] + by[Kind.REFUND] + by[Kind.REVERSAL]
    return Settlement(
        merchant,
        day,
        currency,
        charged_minor=by[Kind.CHARGE],
        refunded_minor=-by[Kind.REFUND],
        reversed_minor=-by[Kind.REVERSAL],
        net_minor=net_minor,
        settled=by[Kind.SETTLEMENT] != 0,
    )
