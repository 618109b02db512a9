"""The ledger's rules: whatever comes twice, late or out of order, the books balance and nobody pays twice."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from central.errors import ConflictError, RefusedError, UnbalancedError
from central.rules.books import Books
from central.rules.fares import FareConfig, Tariff
from central.rules.ledger import (
    CLEARING,
    FARES,
    WRITTEN_OFF,
    AccountId,
    Action,
    Day,
    Entry,
    Kind,
    Outcome,
    Source,
    State,
    Transaction,
    debt,
    payable,
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
from tests.doubles.examples import examples
from tests.doubles.ledger_samples import (
    ADA,
    BOB,
    GATE,
    OTHER_TILL,
    RIDE,
    TILL,
    WAY_OUT,
    ChargeAttempt,
    asked,
    key,
    passage,
    told,
)
from wire.ids import KioskId, Purpose, RecordId, SubjectId
from wire.records import ChargeOutcome, GateOutcome, IdentifiedBy, PassRecord
from wire.requests import ChargeReason, RefundReason

ACCOUNTS = {ADA: AccountId("1" * 32), BOB: AccountId("2" * 32)}
DAY_MS = 86_400_000


def day_of(at_ms: int) -> Day:
    return Day(f"2026-01-{at_ms // DAY_MS + 1:02d}")


TARIFF = Tariff(FareConfig(200, "EUR", exit_minor=50, day_cap_minor=600, exit_kiosks=(WAY_OUT,)), day_of)
RULES = Rules(10_000, collects=False, tariffs={RIDE: TARIFF})
WITH_PROVIDER = replace(RULES, collects=True)


def new_books() -> Books:
    return Books(0, day_of(0), accounts=dict(ACCOUNTS))


def balances(books: Books) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for each in books.posted:
        for entry in each.entries:
            found[entry.account, each.currency] += entry.amount_minor
    return found


# Few of each, so that they meet often.
AMOUNTS = st.sampled_from([0, 1, 100, 300, 500])
KIOSKS = st.sampled_from([TILL, TILL, TILL, OTHER_TILL])
CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "EUR", "CHF"])
SUBJECTS = st.sampled_from([ADA, ADA, ADA, BOB])


class Ledger(RuleBasedStateMachine):
    """Kiosks, a provider and staff, each of which says everything at any time and often."""

    requests = Bundle("requests")
    finals = Bundle("finals")
    fares = Bundle("fares")
    refunds = Bundle("refunds")
    top_ups = Bundle("top_ups")

    def __init__(self) -> None:
        super().__init__()
        self.rules = WITH_PROVIDER
        self.books = new_books()
        self.number = 0
        self.cash: Counter[tuple[AccountId, str]] = Counter()
        self.paid: dict[tuple[str, Day], dict[str, int]] = {}
        self.words: dict[RecordId, ChargeOutcome] = {}

    def fresh(self) -> int:
        self.number += 1
        return self.number

    @rule(
        target=requests,
        amount=AMOUNTS,
        kiosk=KIOSKS,
        currency=CURRENCIES,
        subject=SUBJECTS,
    )
    def new_request(self, amount: int, kiosk: KioskId, currency: str, subject: SubjectId) -> ChargeAttempt:
        request = asked(self.fresh(), amount, kiosk=kiosk, currency=currency, subject=subject)
        ask(self.books, *request, self.rules)
        return request

    @rule(target=requests, before=requests)
    def another_attempt(self, before: ChargeAttempt) -> ChargeAttempt:
        number = self.fresh()
        request = before.again(key(number), number)
        ask(self.books, *request, self.rules)
        return request

    @rule(target=requests, before=requests)
    def an_attempt_that_was_overtaken(self, before: ChargeAttempt) -> ChargeAttempt:
        request = before.again(key(self.fresh()), before.request.not_after_ms - 1)
        ask(self.books, *request, self.rules)
        return request

    @rule(request=requests)
    def the_same_again(self, request: ChargeAttempt) -> None:
        state = self.books.charges[request.charge].state if request.charge in self.books.charges else None
        said = ask(self.books, *request, self.rules)
        if state is State.STANDS:
            assert said is ChargeReason.CHARGED
        if self.words.get(request.charge) is ChargeOutcome.NOT_CHARGED:
            assert said in (ChargeReason.VOIDED, ChargeReason.NO_SUBJECT)

    @rule(target=finals, request=consumes(requests), outcome=st.sampled_from(list(ChargeOutcome)[:3]))
    def record(self, request: ChargeAttempt, outcome: ChargeOutcome) -> object:
        self.words[request.charge] = outcome
        record = told(request, outcome)
        hear(self.books, record, self.rules)
        return record

    @rule(target=finals, amount=AMOUNTS, kiosk=KIOSKS, subject=SUBJECTS)
    def taken_without_central(self, amount: int, kiosk: KioskId, subject: SubjectId) -> PassRecord:
        request = asked(self.fresh(), amount, kiosk=kiosk, subject=subject)
        self.words[request.charge] = ChargeOutcome.OFFLINE
        record = told(request, ChargeOutcome.OFFLINE)
        hear(self.books, record, self.rules)
        return record

    @rule(record=finals)
    def record_again(self, record: PassRecord) -> None:
        before = len(self.books.posted)
        hear(self.books, record, self.rules)
        assert len(self.books.posted) == before

    @rule(record=finals)
    def request_after_the_record(self, record: PassRecord) -> None:
        before = len(self.books.posted)
        assert record.charge is not None
        request = asked(
            0,
            record.amount_minor or 0,
            idempotency_key=record.record_id,
            kiosk=record.kiosk,
            subject=record.subject,
            currency=record.currency,
            checkout=record.charge.checkout,
            not_after_ms=2**40,
        )
        ask(self.books, *request, self.rules)
        assert len(self.books.posted) == before

    @rule(
        target=fares,
        hour=st.integers(0, 60),
        kiosk=st.sampled_from([GATE, WAY_OUT]),
        subject=SUBJECTS,
    )
    def member_passes(self, hour: int, kiosk: KioskId, subject: SubjectId) -> PassRecord:
        record = passage(self.fresh(), hour * 3_600_000, kiosk=kiosk, subject=subject)
        hear(self.books, record, self.rules)
        return record

    @rule(record=fares)
    def passage_again(self, record: PassRecord) -> None:
        before = len(self.books.posted)
        hear(self.books, record, self.rules)
        assert len(self.books.posted) == before

    @rule(target=refunds, request=requests, amount=AMOUNTS, right_kiosk=st.booleans())
    def give_back(self, request: ChargeAttempt, amount: int, right_kiosk: bool) -> object:
        refund_key = key(self.fresh())
        kiosk = request.kiosk.kiosk if right_kiosk else KioskId("till-9")
        said = refund(self.books, refund_key, request.charge, amount, kiosk)
        if not right_kiosk:
            assert said is not RefundReason.REFUNDED
        return multiple((refund_key, request.charge, amount)) if said is RefundReason.REFUNDED else multiple()

    @rule(target=refunds, record=finals | fares, amount=AMOUNTS)
    def desk_gives_back(self, record: PassRecord, amount: int) -> object:
        refund_key = key(self.fresh())
        said = refund(self.books, refund_key, record.record_id, amount, None)
        return (
            multiple((refund_key, record.record_id, amount)) if said is RefundReason.REFUNDED else multiple()
        )

    @rule(given=refunds)
    def give_back_again(self, given: tuple[RecordId, RecordId, int]) -> None:
        before = len(self.books.posted)
        assert refund(self.books, *given, None) is RefundReason.REFUNDED
        assert len(self.books.posted) == before

    @rule(
        target=top_ups,
        account=st.sampled_from(list(ACCOUNTS.values())),
        amount=st.sampled_from([1, 100, 400]),
        currency=CURRENCIES,
    )
    def brings_money(
        self, account: AccountId, amount: int, currency: str
    ) -> tuple[RecordId, AccountId, int, str]:
        given = (key(self.fresh()), account, amount, currency)
        top_up(self.books, *given)
        self.cash[account, currency] += amount
        return given

    @rule(given=top_ups)
    def top_up_again(self, given: tuple[RecordId, AccountId, int, str]) -> None:
        before = len(self.books.posted)
        top_up(self.books, *given)
        assert len(self.books.posted) == before

    @rule(account=st.sampled_from(list(ACCOUNTS.values())), amount=st.sampled_from([1, 100, 400]))
    def takes_money_out(self, account: AccountId, amount: int) -> None:
        try:
            pay_out(self.books, key(self.fresh()), account, amount, "EUR")
            self.cash[account, "EUR"] -= amount
        except RefusedError:
            assert self.books.balance(stored(account), "EUR") < amount

    @rule(subject=SUBJECTS)
    def withdraws(self, subject: SubjectId) -> None:
        self.books.accounts.pop(subject, None)

    @rule(pick=st.randoms(use_true_random=False), outcome=st.sampled_from(Outcome))
    def provider_reports(self, pick: random.Random, outcome: Outcome) -> None:
        if self.books.orders:
            provider_said(self.books, pick.choice(sorted(self.books.orders)), outcome, self.rules)

    @rule()
    def midnight(self) -> None:
        if self.books.now_ms < 20 * DAY_MS:
            self.books.now_ms += DAY_MS
            self.books.today = day_of(self.books.now_ms)

    @rule()
    def the_clock_is_set_back(self) -> None:
        self.books.now_ms = max(0, self.books.now_ms - DAY_MS)
        self.books.today = day_of(self.books.now_ms)

    def moved(self, merchant: str, day: Day) -> Counter[tuple[str, Kind]]:
        found: Counter[tuple[str, Kind]] = Counter()
        for each in self.books.posted:
            if each.day == day and each.gained(payable(merchant)):
                found[each.currency, each.kind] += each.gained(payable(merchant))
        return found

    @rule(back=st.integers(0, 3))
    def settles(self, back: int) -> None:
        day = day_of(max(0, self.books.now_ms - back * DAY_MS))
        if back == 0 or day >= self.books.today:
            with pytest.raises(RefusedError):
                settle(self.books, "cafe", day, self.moved("cafe", day))
            return
        for each in settle(self.books, "cafe", day, self.moved("cafe", day)):
            if each.net_minor:
                self.paid.setdefault(("cafe", day), {}).setdefault(each.currency, each.net_minor)
                assert self.paid["cafe", day][each.currency] == each.net_minor

    @invariant()
    def every_transaction_balances_and_so_do_all_accounts(self) -> None:
        assert all(sum(entry.amount_minor for entry in each.entries) == 0 for each in self.books.posted)
        totals: Counter[str] = Counter()
        for (_, currency), amount in balances(self.books).items():
            totals[currency] += amount
        assert set(totals.values()) <= {0}
        assert len({each.posting for each in self.books.posted}) == len(self.books.posted)

    @invariant()
    def no_charge_counts_twice_and_no_refund_exceeds_it(self) -> None:
        income: Counter[RecordId] = Counter()
        times: Counter[RecordId] = Counter()
        for each in self.books.posted:
            if each.charge is not None:
                income[each.charge] += each.gained(self.books.charges[each.charge].income)
                times[each.charge] += {Kind.CHARGE: 1, Kind.FARE: 1, Kind.REVERSAL: -1}.get(each.kind, 0)
        for charge in self.books.charges.values():
            assert 0 <= charge.refunded_minor <= charge.amount_minor
            stands = charge.state is State.STANDS
            assert income[charge.charge] == (charge.left_minor if stands else 0)
            assert times[charge.charge] in (0, 1)

    @invariant()
    def what_a_record_said_holds(self) -> None:
        for charge, outcome in self.words.items():
            wanted = State.BARRED if outcome is ChargeOutcome.NOT_CHARGED else State.STANDS
            assert self.books.charges[charge].state is wanted

    @invariant()
    def one_attempt_at_a_checkout_stands_unless_records_say_more(self) -> None:
        stand = Counter(
            (charge.kiosk, charge.checkout)
            for charge in self.books.charges.values()
            if charge.state is State.STANDS and charge.checkout is not None and not charge.confirmed
        )
        assert set(stand.values()) <= {1}

    @invariant()
    def members_have_what_they_brought_less_what_they_were_charged(self) -> None:
        now = balances(self.books)
        for account in ACCOUNTS.values():
            for currency in ("EUR", "CHF"):
                charged = sum(
                    charge.left_minor
                    for charge in self.books.charges.values()
                    if (charge.account, charge.currency) == (account, currency)
                    and charge.state is State.STANDS
                    and charge.source is Source.MEMBER
                )
                through_provider = sum(
                    each.gained(stored(account)) + each.gained(debt(account))
                    for each in self.books.posted
                    if each.posting.startswith(("paid/", "back/")) and each.currency == currency
                )
                assert now[stored(account), currency] >= 0
                assert now[debt(account), currency] <= 0
                has = now[stored(account), currency] + now[debt(account), currency]
                assert has == self.cash[account, currency] + through_provider - charged

    @invariant()
    def the_provider_gave_what_the_clearing_account_says(self) -> None:
        taken: Counter[str] = Counter()
        for order in self.books.orders.values():
            if order.action is Action.GIVE_BACK:
                taken[order.currency] -= order.amount_minor
            elif order.state.value == "done":
                taken[order.currency] += order.amount_minor
        for (_, currency), amount in self.cash.items():
            taken[currency] += amount
        now = balances(self.books)
        assert {c: -now[CLEARING, c] for c in ("EUR", "CHF")} == {c: taken[c] for c in ("EUR", "CHF")}

    @invariant()
    def a_settled_day_stays_as_it_was_paid(self) -> None:
        for (merchant, day), by_currency in self.paid.items():
            moved = self.moved(merchant, day)
            for currency, net in by_currency.items():
                kinds = (Kind.CHARGE, Kind.REFUND, Kind.REVERSAL)
                assert sum(moved[currency, kind] for kind in kinds) == net
                assert moved[currency, Kind.SETTLEMENT] == -net


class LedgerWithoutProvider(Ledger):
    """Stored value alone."""

    def __init__(self) -> None:
        super().__init__()
        self.rules = RULES


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=examples(60), stateful_step_count=50, deadline=None)
TestLedgerWithoutProvider = LedgerWithoutProvider.TestCase
TestLedgerWithoutProvider.settings = settings(
    max_examples=examples(40), stateful_step_count=50, deadline=None
)


def with_money(amount_minor: int = 1000) -> Books:
    books = new_books()
    top_up(books, key(9000), ACCOUNTS[ADA], amount_minor, "EUR")
    return books


def test_a_charge_by_request_and_by_record_is_one():
    books = with_money()
    assert ask(books, *asked(1), RULES) is ChargeReason.CHARGED
    hear(books, told(asked(1), ChargeOutcome.CAPTURED), RULES)
    assert ask(books, *asked(1), RULES) is ChargeReason.CHARGED
    assert books.balance(payable("cafe"), "EUR") == 500
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 500


def test_a_charge_taken_offline_after_the_reply_was_lost_is_one():
    books = with_money()
    ask(books, *asked(1), RULES)
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), RULES)
    assert books.balance(payable("cafe"), "EUR") == 500


def test_a_member_without_enough_is_declined_by_request_and_owes_by_record():
    books = with_money(300)
    assert ask(books, *asked(1), RULES) is ChargeReason.DECLINED
    assert ask(books, *asked(1), RULES) is ChargeReason.DECLINED
    assert books.balance(payable("cafe"), "EUR") == 0
    hear(books, told(asked(2), ChargeOutcome.OFFLINE), RULES)
    assert books.balance(payable("cafe"), "EUR") == 500
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 0
    assert books.balance(debt(ACCOUNTS[ADA]), "EUR") == -200
    assert [each.kind for each in books.posted] == [Kind.TOP_UP, Kind.DEBT, Kind.CHARGE]


def test_money_that_comes_pays_the_debt_first():
    books = new_books()
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), RULES)
    top_up(books, key(2), ACCOUNTS[ADA], 700, "EUR")
    assert books.balance(debt(ACCOUNTS[ADA]), "EUR") == 0
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 200


def test_not_charged_reverses_and_the_key_can_never_be_charged_again():
    books = with_money()
    ask(books, *asked(1), RULES)
    hear(books, told(asked(1), ChargeOutcome.NOT_CHARGED), RULES)
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 1000
    assert ask(books, *asked(1), RULES) is ChargeReason.VOIDED
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), RULES)
    assert books.balance(payable("cafe"), "EUR") == 0
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 1000


def test_not_charged_bars_a_key_that_was_never_asked_for():
    books = with_money()
    hear(books, told(asked(1), ChargeOutcome.NOT_CHARGED), RULES)
    assert ask(books, *asked(1), RULES) is ChargeReason.VOIDED


def test_a_later_attempt_at_a_checkout_reverses_an_earlier_one():
    books, checkout = with_money(), key(77)
    assert ask(books, *asked(1, checkout=checkout), RULES) is ChargeReason.CHARGED
    assert ask(books, *asked(2, checkout=checkout), RULES) is ChargeReason.CHARGED
    assert ask(books, *asked(1, checkout=checkout), RULES) is ChargeReason.VOIDED
    assert books.balance(payable("cafe"), "EUR") == 500


def test_an_earlier_attempt_that_arrives_late_is_void():
    books, checkout = with_money(), key(77)
    assert ask(books, *asked(2, checkout=checkout), RULES) is ChargeReason.CHARGED
    assert ask(books, *asked(1, checkout=checkout), RULES) is ChargeReason.VOIDED
    assert books.charges[key(2)].state is State.STANDS


def test_another_kiosks_checkout_of_the_same_number_is_another_checkout():
    books, checkout = with_money(), key(77)
    ask(books, *asked(1, checkout=checkout), RULES)
    ask(books, *asked(2, checkout=checkout, kiosk=OTHER_TILL), RULES)
    assert books.balance(payable("cafe"), "EUR") == 1000


def test_what_a_record_confirmed_is_not_reversed_by_another_request():
    books, checkout = with_money(), key(77)
    ask(books, *asked(1, checkout=checkout), RULES)
    hear(books, told(asked(1, checkout=checkout), ChargeOutcome.CAPTURED), RULES)
    assert ask(books, *asked(2, checkout=checkout), RULES) is ChargeReason.VOIDED
    assert books.balance(payable("cafe"), "EUR") == 500


def test_a_record_brings_back_what_a_later_attempt_had_reversed():
    books, checkout = with_money(), key(77)
    ask(books, *asked(1, checkout=checkout), RULES)
    ask(books, *asked(2, checkout=checkout), RULES)
    hear(books, told(asked(2, checkout=checkout), ChargeOutcome.NOT_CHARGED), RULES)
    hear(books, told(asked(1, checkout=checkout), ChargeOutcome.CAPTURED), RULES)
    assert books.balance(payable("cafe"), "EUR") == 500
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 500


def test_a_record_of_another_kiosk_touches_no_charge():
    books = with_money()
    ask(books, *asked(1), RULES)
    hear(books, told(asked(1, kiosk=OTHER_TILL), ChargeOutcome.NOT_CHARGED), RULES)
    assert books.charges[key(1)].state is State.STANDS


def test_a_key_that_is_taken_charges_nothing_else():
    books = with_money()
    ask(books, *asked(1), RULES)
    assert ask(books, *asked(1, 100), RULES) is ChargeReason.VOIDED
    assert ask(books, *asked(1, kiosk=OTHER_TILL), RULES) is ChargeReason.VOIDED
    assert books.balance(payable("cafe"), "EUR") == 500


def test_who_is_no_member_or_asks_for_too_much_is_told_so():
    books = with_money()
    stranger = SubjectId("c" * 32)
    assert ask(books, *asked(1, subject=stranger), RULES) is ChargeReason.NO_SUBJECT
    assert ask(books, *asked(2, 10_001), RULES) is ChargeReason.ABOVE_LIMIT
    assert [each.kind for each in books.posted] == [Kind.TOP_UP]


def test_stored_value_of_one_currency_pays_nothing_in_another():
    books = with_money()
    assert ask(books, *asked(1, currency="CHF"), RULES) is ChargeReason.DECLINED


def test_refunds_never_exceed_the_charge_and_a_reversal_returns_only_the_rest():
    books = with_money()
    ask(books, *asked(1), RULES)
    assert refund(books, key(2), key(1), 300, TILL) is RefundReason.REFUNDED
    assert refund(books, key(3), key(1), 300, TILL) is RefundReason.ABOVE_CHARGE
    assert refund(books, key(2), key(1), 300, TILL) is RefundReason.REFUNDED
    assert refund(books, key(2), key(1), 200, TILL) is RefundReason.DECLINED
    assert refund(books, key(4), key(1), 100, OTHER_TILL) is RefundReason.NO_CHARGE
    assert refund(books, key(5), key(1), 0, TILL) is RefundReason.DECLINED
    assert books.balance(payable("cafe"), "EUR") == 200
    hear(books, told(asked(1), ChargeOutcome.NOT_CHARGED), RULES)
    assert books.balance(payable("cafe"), "EUR") == 0
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 1000


def test_what_a_record_brings_back_after_a_refund_is_the_rest():
    books, checkout = with_money(), key(77)
    ask(books, *asked(1, checkout=checkout), RULES)
    refund(books, key(5), key(1), 300, TILL)
    ask(books, *asked(2, checkout=checkout), RULES)
    hear(books, told(asked(2, checkout=checkout), ChargeOutcome.NOT_CHARGED), RULES)
    hear(books, told(asked(1, checkout=checkout), ChargeOutcome.CAPTURED), RULES)
    assert books.balance(payable("cafe"), "EUR") == 200


def test_the_provider_is_asked_for_what_stored_value_does_not_cover_and_its_word_decides():
    books = with_money(300)
    assert ask(books, *asked(1), WITH_PROVIDER) is None
    assert ask(books, *asked(1), WITH_PROVIDER) is None
    (order,) = books.orders.values()
    provider_said(books, order.provider_order, Outcome.AWAITED, WITH_PROVIDER)
    assert books.balance(payable("cafe"), "EUR") == 0
    for _ in range(2):
        provider_said(books, order.provider_order, Outcome.DONE, WITH_PROVIDER)
    assert ask(books, *asked(1), WITH_PROVIDER) is ChargeReason.CHARGED
    assert books.balance(payable("cafe"), "EUR") == 500
    assert books.balance(CLEARING, "EUR") == -800
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 300


def test_the_provider_may_decline():
    books = new_books()
    ask(books, *asked(1), WITH_PROVIDER)
    provider_said(books, f"take/{key(1)}", Outcome.DECLINED, WITH_PROVIDER)
    assert ask(books, *asked(1), WITH_PROVIDER) is ChargeReason.DECLINED
    assert books.posted == []


def test_a_refund_of_the_providers_money_goes_back_to_the_provider():
    books = new_books()
    ask(books, *asked(1), WITH_PROVIDER)
    provider_said(books, f"take/{key(1)}", Outcome.DONE, WITH_PROVIDER)
    assert refund(books, key(2), key(1), 200, TILL) is RefundReason.REFUNDED
    order = books.orders[f"refund/{key(2)}"]
    assert (order.action, order.amount_minor) == (Action.GIVE_BACK, 200)
    assert books.balance(CLEARING, "EUR") == -300
    assert books.balance(stored(ACCOUNTS[ADA]), "EUR") == 0


def test_money_that_the_provider_took_after_the_charge_was_void_goes_back():
    books = new_books()
    ask(books, *asked(1), WITH_PROVIDER)
    hear(books, told(asked(1), ChargeOutcome.NOT_CHARGED), WITH_PROVIDER)
    provider_said(books, f"take/{key(1)}", Outcome.DONE, WITH_PROVIDER)
    assert [order.action for order in books.orders.values()] == [Action.TAKE, Action.GIVE_BACK]
    assert set(balances(books).values()) == {0}


def test_a_debt_is_collected_from_the_provider_once_and_a_decline_leaves_it():
    books = new_books()
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), WITH_PROVIDER)
    hear(books, told(asked(2), ChargeOutcome.OFFLINE), WITH_PROVIDER)
    assert sorted(books.orders) == [f"collect/{key(1)}", f"collect/{key(2)}"]
    for _ in range(2):
        provider_said(books, f"collect/{key(1)}", Outcome.DONE, WITH_PROVIDER)
    provider_said(books, f"collect/{key(2)}", Outcome.DECLINED, WITH_PROVIDER)
    assert books.balance(debt(ACCOUNTS[ADA]), "EUR") == -500
    assert books.balance(payable("cafe"), "EUR") == 1000


def test_what_is_taken_offline_while_the_provider_ponders_is_not_collected_twice():
    books = new_books()
    ask(books, *asked(1), WITH_PROVIDER)
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), WITH_PROVIDER)
    assert sorted(books.orders) == [f"take/{key(1)}"]
    provider_said(books, f"take/{key(1)}", Outcome.DONE, WITH_PROVIDER)
    assert books.balance(payable("cafe"), "EUR") == 500
    assert books.balance(CLEARING, "EUR") == -500
    assert books.balance(debt(ACCOUNTS[ADA]), "EUR") == 0


def test_a_member_who_withdrew_is_charged_nothing_and_it_is_written_off_in_the_open():
    books = new_books()
    del books.accounts[ADA]
    hear(books, told(asked(1), ChargeOutcome.OFFLINE), RULES)
    hear(books, passage(2), RULES)
    assert balances(books) == {
        (WRITTEN_OFF, "EUR"): -700,
        (payable("cafe"), "EUR"): 500,
        (FARES, "EUR"): 200,
    }
    assert refund(books, key(3), key(1), 500, TILL) is RefundReason.REFUNDED
    assert books.balance(WRITTEN_OFF, "EUR") == -200


def of_cafe(books: Books, day: Day) -> Counter[tuple[str, Kind]]:
    found: Counter[tuple[str, Kind]] = Counter()
    for each in books.posted:
        if each.day == day:
            found[each.currency, each.kind] += each.gained(payable("cafe"))
    return found


def test_a_settlement_is_charges_less_refunds_and_reversals_and_is_paid_once():
    books, today = with_money(), day_of(0)
    for number in (1, 2, 3):
        ask(books, *asked(number, 300), RULES)
    refund(books, key(10), key(1), 100, TILL)
    hear(books, told(asked(2, 300), ChargeOutcome.NOT_CHARGED), RULES)
    with pytest.raises(RefusedError, match="not over"):
        settle(books, "cafe", today, of_cafe(books, today))
    books.now_ms, books.today = DAY_MS, day_of(DAY_MS)
    for _ in range(2):
        (found,) = settle(books, "cafe", today, of_cafe(books, today))
        assert (found.charged_minor, found.refunded_minor, found.reversed_minor) == (900, 100, 300)
        assert (found.net_minor, found.settled) == (500, True)
    assert books.balance(payable("cafe"), "EUR") == 0


def test_what_comes_after_a_settlement_is_booked_on_a_day_that_is_not_settled():
    books = with_money()
    ask(books, *asked(1, 300), RULES)
    books.now_ms, books.today = DAY_MS, day_of(DAY_MS)
    settle(books, "cafe", day_of(0), of_cafe(books, day_of(0)))
    books.now_ms, books.today = 0, day_of(0)  # the clock was wrong, and is set back
    ask(books, *asked(2, 300), RULES)
    assert books.posted[-1].day == day_of(DAY_MS)
    books.now_ms, books.today = 2 * DAY_MS, day_of(2 * DAY_MS)
    (found,) = settle(books, "cafe", day_of(DAY_MS), of_cafe(books, day_of(DAY_MS)))
    assert found.net_minor == 300


def test_a_key_that_moved_other_money_before_is_refused():
    books = with_money(700)
    top_up(books, key(9000), ACCOUNTS[ADA], 700, "EUR")
    for account, amount, currency in (
        (ACCOUNTS[ADA], 701, "EUR"), (ACCOUNTS[BOB], 700, "EUR"), (ACCOUNTS[ADA], 700, "CHF")
    ):  # fmt: skip
        with pytest.raises(ConflictError, match="give a new one"):
            top_up(books, key(9000), account, amount, currency)
    pay_out(books, key(1), ACCOUNTS[ADA], 700, "EUR")
    pay_out(books, key(1), ACCOUNTS[ADA], 700, "EUR")
    with pytest.raises(RefusedError, match="holds 0"):
        pay_out(books, key(2), ACCOUNTS[ADA], 1, "EUR")


@pytest.mark.parametrize(
    "entries", [(Entry("a", 1),), (Entry("a", 1), Entry("a", -1)), (), (Entry("a", 0), Entry("b", 0))]
)
def test_a_transaction_that_does_not_balance_cannot_be_made(entries: tuple[Entry, ...]):
    with pytest.raises(UnbalancedError):
        Transaction("charge/1", Kind.CHARGE, "EUR", day_of(0), 0, entries)


@pytest.mark.parametrize("outcome", list(GateOutcome))
def test_a_fare_is_charged_for_a_passage_and_for_nothing_else(outcome: GateOutcome):
    books = new_books()
    hear(books, passage(1, gate_outcome=outcome), RULES)
    passed = outcome in (GateOutcome.PASSED, GateOutcome.TAILGATED)
    assert books.balance(FARES, "EUR") == (200 if passed else 0)


def test_staff_releases_and_other_purposes_cost_nothing():
    books = new_books()
    staff = {"identified_by": IdentifiedBy.STAFF, "staff": "ada", "comparison": None}
    hear(books, passage(1, **staff), RULES)
    hear(books, passage(2, subject=None, standing=None, **staff), RULES)
    hear(books, passage(3, purpose=Purpose("locker")), RULES)
    hear(books, passage(4, verdict="refer"), RULES)
    assert books.posted == []


def test_an_exit_costs_the_exit_fare():
    books = new_books()
    hear(books, passage(1), RULES)
    hear(books, passage(2, kiosk=WAY_OUT), RULES)
    assert books.balance(FARES, "EUR") == 250


PASSAGES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([GATE, WAY_OUT]), SUBJECTS), min_size=1, max_size=25
)


@given(PASSAGES, st.randoms(use_true_random=False))
@settings(max_examples=examples(150), deadline=None)
def test_a_days_fares_are_the_same_in_whatever_order_and_however_often_records_come(
    made: list[tuple[int, KioskId, SubjectId]], dice: random.Random
):
    records = [
        passage(number, quarter * DAY_MS // 2, kiosk=kiosk, subject=subject)
        for number, (quarter, kiosk, subject) in enumerate(made, start=1)
    ]
    wanted: Counter[tuple[SubjectId, Day]] = Counter()
    for quarter, kiosk, subject in made:
        wanted[subject, day_of(quarter * DAY_MS // 2)] += 50 if kiosk == WAY_OUT else 200
    capped = {place: min(600, total) for place, total in wanted.items()}
    arrived = [*records, *dice.choices(records, k=10)]
    dice.shuffle(arrived)
    books = new_books()
    for record in arrived:
        books.now_ms += 1000
        hear(books, record, RULES)
    subject_of = {account: subject for subject, account in ACCOUNTS.items()}
    found: Counter[tuple[SubjectId, Day]] = Counter()
    for charge in books.charges.values():
        assert charge.account is not None
        assert charge.fare_day is not None
        found[subject_of[charge.account], charge.fare_day] += charge.amount_minor
    assert dict(found) == capped
    assert books.balance(FARES, "EUR") == sum(capped.values())


def test_records_with_nothing_to_post_touch_no_books():
    assert wanted_by([passage(1, purpose=Purpose("locker")), passage(2, verdict="refer")], RULES) is None
