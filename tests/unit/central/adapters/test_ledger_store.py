"""The ledger in SQLite and PostgreSQL: the same books as in memory, posted with the records or not at all."""

from __future__ import annotations

import random
from contextlib import contextmanager
from pathlib import Path

import pytest

from central.adapters.db.store import Store
from central.adapters.payments import Fault, SandboxProvider
from central.app import init_central, load_config, open_use_cases
from central.config import parse_config
from central.errors import ConfigError, RefusedError, UnknownError
from central.rules.enrolment import Consent
from central.rules.ledger import Action, Day, OrderState, State, payable
from tests.doubles.central_rig import CHEAP_HASHER, Clock
from tests.doubles.ledger_samples import ChargeAttempt, asked, key, passage, told
from wire import chain
from wire.claims import ClaimKind, claim_digest
from wire.environment import Environment
from wire.ids import KioskId, Purpose, SubjectId
from wire.records import ChargeOutcome, PassRecord, RecordBatch
from wire.requests import ChargeReason, RefundReason
from wire.signing import Signer, sign_chain_head

DAY_MS = 86_400_000
MONEY = """
[payments]
provider = "{provider}"
charge_max_minor = 10000

[fares.ride]
entry_minor = 200
exit_minor = 50
currency = "EUR"
day_cap_minor = 600
exit_kiosks = ["gate-2"]
"""


class LedgerRig:
    """Central's use cases over a database of a test's own, and kiosks that sign records."""

    def __init__(self, folder: Path, database: str | None, provider: str = "ledger") -> None:
        self.clock, self.dice = Clock(), random.Random(7)
        self.path = init_central(
            folder, "metro", "north", "ride", environment=Environment(utc_ms=self.clock.now_ms)
        )
        text = self.path.read_text() + MONEY.format(provider=provider)
        self.path.write_text(text.replace("central.db", database) if database else text)
        self.signer, self.link, self.sent = Signer.from_seed(b"k" * 32), {}, {}

    @contextmanager
    def open(self):
        environment = Environment(
            utc_ms=self.clock.now_ms, random_bytes=self.dice.randbytes, hasher=CHEAP_HASHER
        )
        with open_use_cases(load_config(self.path), environment) as use_cases:
            yield use_cases

    def member(self, use_cases) -> tuple[SubjectId, bytes]:
        subject = use_cases.members.new_subject_id()
        use_cases.members.enrol(subject, None, Consent("1", "en", self.clock.ms))
        code = use_cases.members.add_qr_claim(subject)
        return subject, claim_digest(use_cases.context.secrets.claim_key, ClaimKind.QR, code)

    def batch(self, *records: PassRecord) -> RecordBatch:
        kiosk = records[0].kiosk
        first = previous = self.link.get(kiosk, chain.genesis(kiosk))
        made = []
        for record in records:
            number = self.sent[kiosk] = self.sent.get(kiosk, 0) + 1
            made.append(chain.chained(previous, number, record, self.dice.randbytes(16)))
            previous = made[-1].link
        self.link[kiosk] = previous
        head = sign_chain_head(kiosk, made[-1].sequence, previous, self.signer)
        return RecordBatch(kiosk, first, tuple(made), head)

    def commit(self, use_cases, *records: PassRecord) -> RecordBatch:
        kiosk = records[0].kiosk
        if kiosk not in self.sent:
            use_cases.kiosks.add(kiosk, Purpose("ride"))
        batch = self.batch(*records)
        assert use_cases.records.ingest(batch, self.signer.public_key).fault is None
        return batch


@pytest.fixture
def rig(tmp_path: Path, database: str | None) -> LedgerRig:
    return LedgerRig(tmp_path, database)


def of(subject: SubjectId, number: int, amount: int = 500, **changes: object) -> ChargeAttempt:
    return asked(number, amount, subject=subject, **changes)


def held(use_cases, subject: SubjectId) -> tuple[int, int]:
    found = use_cases.ledger.balances(use_cases.ledger.account_of(subject))
    return (found[0].stored_minor, found[0].debt_minor) if found else (0, 0)


def test_a_charge_is_committed_once_and_outlives_the_process(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        use_cases.ledger.top_up(subject, 1000, "EUR", key(900))
        assert use_cases.ledger.charge(*of(subject, 1)) is ChargeReason.CHARGED
    with rig.open() as use_cases:
        use_cases.ledger.top_up(subject, 1000, "EUR", key(900))
        assert use_cases.ledger.charge(*of(subject, 1)) is ChargeReason.CHARGED
        batch = rig.commit(use_cases, told(of(subject, 1), ChargeOutcome.CAPTURED))
        use_cases.records.ingest(batch, rig.signer.public_key)
        assert held(use_cases, subject) == (500, 0)
        assert use_cases.ledger.check().wrong == ()


def test_records_post_with_their_commit_and_a_debt_is_no_events_business(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        before = use_cases.standings.explain(subject, Purpose("ride")).standing.score
        rig.commit(
            use_cases,
            told(of(subject, 1), ChargeOutcome.OFFLINE),
            told(of(subject, 2), ChargeOutcome.NOT_CHARGED),
        )
        assert held(use_cases, subject) == (0, 500)
        assert use_cases.ledger.charge(*of(subject, 2)) is ChargeReason.VOIDED
        assert use_cases.standings.explain(subject, Purpose("ride")).standing.score == before
        assert use_cases.ledger.check().balances["EUR"] == {"debt": -500, "stored": 0, "payable": 500}


def test_a_posting_that_fails_commits_no_record(rig: LedgerRig, monkeypatch: pytest.MonkeyPatch):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        use_cases.kiosks.add(KioskId("till-1"), Purpose("ride"))
        batch = rig.batch(told(of(subject, 1), ChargeOutcome.OFFLINE))
        with monkeypatch.context() as broken:
            broken.setattr(Store, "_save", lambda *_: (_ for _ in ()).throw(OSError("full disk")))
            with pytest.raises(OSError, match="full disk"):
                use_cases.records.ingest(batch, rig.signer.public_key)
        receipt = use_cases.records.ingest(batch, rig.signer.public_key)
        assert (receipt.sequence, receipt.fault) == (1, None)
        assert held(use_cases, subject) == (0, 500)


def test_fares_keep_to_the_days_cap_in_any_order_over_many_batches(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        records = [passage(number, kiosk=KioskId("gate-1"), subject=subject) for number in range(1, 8)]
        records += [passage(number, DAY_MS, kiosk=KioskId("gate-2"), subject=subject) for number in (11, 12)]
        rig.dice.shuffle(records)
        for record in records:
            rig.commit(use_cases, record)
        assert held(use_cases, subject) == (0, 600 + 100)


def test_a_members_receipts_are_shown_for_their_code_and_for_nothing_else(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, digest = rig.member(use_cases)
        assert use_cases.ledger.receipts(digest).account is None
        use_cases.ledger.top_up(subject, 1000, "EUR")
        use_cases.ledger.charge(*of(subject, 1))
        rig.clock.advance(1000)
        rig.commit(use_cases, passage(2, rig.clock.ms, subject=subject))
        found = use_cases.ledger.receipts(digest)
        assert [(each.merchant, each.amount_minor) for each in found.charges] == [(None, 200), ("cafe", 500)]
        assert (found.balances[0].stored_minor, found.more) == (300, False)
        assert use_cases.ledger.receipts(digest, most=1).more
        assert found.account not in (None, subject)
        card = use_cases.members.add_claim(subject, ClaimKind.CARD, "1234")
        for useless in (card, b"?" * 32):
            with pytest.raises(UnknownError):
                use_cases.ledger.receipts(useless)
        use_cases.members.withdraw(subject)
        with pytest.raises(UnknownError):
            use_cases.ledger.receipts(digest)


def test_who_withdraws_leaves_entries_without_a_name_and_may_still_be_paid_out(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        use_cases.ledger.top_up(subject, 1000, "EUR")
        account = use_cases.ledger.account_of(subject)
        assert account is not None
        use_cases.members.withdraw(subject)
        rig.commit(
            use_cases,
            told(of(subject, 1), ChargeOutcome.OFFLINE),
            passage(2, subject=subject, kiosk=KioskId("till-1")),
        )
        assert use_cases.ledger.balances(account)[0].stored_minor == 1000
        assert use_cases.ledger.check().balances["EUR"]["written-off"] == -700
        use_cases.ledger.pay_out(account, 1000, "EUR")
        assert use_cases.ledger.balances(account)[0].stored_minor == 0
        with pytest.raises(RefusedError):
            use_cases.ledger.pay_out(account, 1, "EUR")
        assert use_cases.ledger.check().wrong == ()


def test_a_settlement_is_paid_once_and_refunds_after_it_go_to_another_day(rig: LedgerRig):
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        use_cases.ledger.top_up(subject, 1000, "EUR")
        use_cases.ledger.charge(*of(subject, 1))
        today = use_cases.ledger.moment().today
        with pytest.raises(RefusedError, match="not over"):
            use_cases.ledger.settle("cafe", today)
        rig.clock.advance(DAY_MS)
        for _ in range(2):
            (found,) = use_cases.ledger.settle("cafe", today)
            assert found.net_minor == 500
        assert use_cases.ledger.refund(key(5), key(1), 200) is RefundReason.REFUNDED
        assert use_cases.ledger.refund(key(5), key(1), 200) is RefundReason.REFUNDED
        tomorrow = use_cases.ledger.moment().today
        rig.clock.advance(DAY_MS)
        assert [each.net_minor for each in use_cases.ledger.settle("cafe", tomorrow)] == [-200]
        rows = list(use_cases.ledger.transactions(today, tomorrow))
        assert sum(each.gained(payable("cafe")) for each in rows) == 0
        assert use_cases.ledger.check().wrong == ()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_provider_that_declines_delays_duplicates_and_loses_leaves_books_that_hold(
    tmp_path: Path, database: str | None, seed: int
):
    rig, dice = LedgerRig(tmp_path, database, "sandbox"), random.Random(seed)
    with rig.open() as use_cases:
        provider = use_cases.ledger._provider
        assert isinstance(provider, SandboxProvider)
        subject, _ = rig.member(use_cases)
        made: list[ChargeAttempt] = []
        for number in range(1, 31):
            rig.clock.advance(1000)
            if dice.random() < 0.6:
                provider.meet(dice.choice(list(Fault)))
            before = dice.choice(made) if made and dice.random() < 0.4 else None
            request = before or of(subject, number, dice.choice([100, 250]))
            if dice.random() < 0.2 and made:
                request = dice.choice(made).again(key(number), number)
            use_cases.ledger.charge(*request)
            made.append(request)
            if dice.random() < 0.3:
                outcome = dice.choice([ChargeOutcome.OFFLINE, ChargeOutcome.NOT_CHARGED])
                if request.charge not in rig.__dict__.setdefault("told", set()):
                    rig.told.add(request.charge)
                    rig.commit(use_cases, told(request, outcome))
            if dice.random() < 0.3:
                use_cases.ledger.refund(key(500 + number), request.charge, 100)
            if dice.random() < 0.5:
                use_cases.ledger.collect()
        for _ in range(3):
            provider.report()
            use_cases.ledger.collect()
        found = use_cases.ledger.check()
        assert (found.wrong, found.waiting) == ((), 0)
        failed = use_cases.ledger._store.provider_orders(OrderState.FAILED)
        kept = sum(each.amount_minor for each in failed if each.action is Action.GIVE_BACK)
        assert -found.balances["EUR"].get("clearing", 0) + kept == provider.taken_minor.get("EUR", 0)


def test_a_lost_answer_is_asked_for_again_and_charged_once(tmp_path: Path):
    rig = LedgerRig(tmp_path, None, "sandbox")
    with rig.open() as use_cases:
        subject, _ = rig.member(use_cases)
        use_cases.ledger._provider.meet(Fault.LOSE)
        assert use_cases.ledger.charge(*of(subject, 1)) is None
        use_cases.ledger.collect()
        assert use_cases.ledger.charge(*of(subject, 1)) is ChargeReason.CHARGED
        assert use_cases.ledger._provider.taken_minor == {"EUR": 500}
        assert use_cases.ledger.charge_of(key(1)).state is State.STANDS


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"payments": {"timezone": "Mars/North"}}, "payments.timezone"),
        ({"payments": {"provider": "bank"}}, "payments.provider"),
        ({"fares": {"hire": {"entry_minor": 1, "currency": "EUR"}}}, "fares.hire"),
        ({"fares": {"ride": {"entry_minor": -1, "currency": "EUR"}}}, "entry_minor"),
    ],
)
def test_what_cannot_be_used_is_named(section: dict, named: str, tmp_path: Path):
    init_central(tmp_path, "metro", "north", "ride")
    tree = {"operator": "metro", "site": "north", "purposes": {"ride": "ride.scorecard.toml"}, **section}
    with pytest.raises(ConfigError, match=named):
        parse_config(tree, tmp_path)


def test_a_day_ends_at_the_operators_midnight():
    from central.config import days_in

    summer_midnight_in_berlin_ms = 1_782_856_800_000  # 2026-06-30T22:00Z
    day_of = days_in("Europe/Berlin")
    assert day_of(summer_midnight_in_berlin_ms - 1) == Day("2026-06-30")
    assert day_of(summer_midnight_in_berlin_ms) == Day("2026-07-01")
