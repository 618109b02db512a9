"""The ledger in SQLite and PostgreSQL: the same books as in memory, posted with the records or not at all."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from central.adapters.db.store import Store
from central.adapters.payments import Fault, SandboxProvider
from central.app import Dice, init_central, load_config, open_desk
from central.config import parse_config
from central.errors import ConfigError, RefusedError, UnknownError
from central.rules.enrolment import Consent
from central.rules.ledger import Action, Day, OrderState, State, payable
from central.rules.posting import Asked
from tests.doubles.central_rig import CHEAP_HASHER, Clock
from tests.doubles.ledger_samples import asked, key, passage, told
from wire import chain
from wire.claims import ClaimKind, claim_digest
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


class Desk:
    """Central's use cases over a database of a test's own, and kiosks that sign records."""

    def __init__(self, folder: Path, database: str | None, provider: str = "ledger") -> None:
        self.clock, self.dice = Clock(), random.Random(7)
        self.path = init_central(folder, "metro", "north", "ride", dice=Dice(self.clock.now_ms))
        text = self.path.read_text() + MONEY.format(provider=provider)
        self.path.write_text(text.replace("central.db", database) if database else text)
        self.signer, self.link, self.sent = Signer.from_seed(b"k" * 32), {}, {}

    @contextmanager
    def open(self):
        dice = Dice(self.clock.now_ms, self.dice.randbytes, CHEAP_HASHER)
        with open_desk(load_config(self.path), dice) as desk:
            yield desk

    def member(self, desk) -> tuple[SubjectId, bytes]:
        subject = desk.members.new_subject_id()
        desk.members.enrol(subject, None, Consent("1", "en", self.clock.ms))
        code = desk.members.add_qr_claim(subject)
        return subject, claim_digest(desk.context.secrets.claim_key, ClaimKind.QR, code)

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

    def commit(self, desk, *records: PassRecord) -> RecordBatch:
        kiosk = records[0].kiosk
        if kiosk not in self.sent:
            desk.kiosks.add(kiosk, Purpose("ride"))
        batch = self.batch(*records)
        assert desk.records.ingest(batch, self.signer.public_key).fault is None
        return batch


@pytest.fixture
def rig(tmp_path: Path, database: str | None) -> Desk:
    return Desk(tmp_path, database)


def of(subject: SubjectId, number: int, amount: int = 500, **changes: object) -> Asked:
    return asked(number, amount, subject=subject, **changes)


def held(desk, subject: SubjectId) -> tuple[int, int]:
    found = desk.ledger.balances(desk.ledger.account_of(subject))
    return (found[0].stored_minor, found[0].debt_minor) if found else (0, 0)


def test_a_charge_is_committed_once_and_outlives_the_process(rig: Desk):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        desk.ledger.top_up(subject, 1000, "EUR", key(900))
        assert desk.ledger.charge(of(subject, 1)) is ChargeReason.CHARGED
    with rig.open() as desk:
        desk.ledger.top_up(subject, 1000, "EUR", key(900))
        assert desk.ledger.charge(of(subject, 1)) is ChargeReason.CHARGED
        batch = rig.commit(desk, told(of(subject, 1), ChargeOutcome.CAPTURED))
        desk.records.ingest(batch, rig.signer.public_key)
        assert held(desk, subject) == (500, 0)
        assert desk.ledger.check().wrong == ()


def test_records_post_with_their_commit_and_a_debt_is_no_events_business(rig: Desk):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        before = desk.standings.explain(subject, Purpose("ride")).standing.score
        rig.commit(
            desk,
            told(of(subject, 1), ChargeOutcome.OFFLINE),
            told(of(subject, 2), ChargeOutcome.NOT_CHARGED),
        )
        assert held(desk, subject) == (0, 500)
        assert desk.ledger.charge(of(subject, 2)) is ChargeReason.VOIDED
        assert desk.standings.explain(subject, Purpose("ride")).standing.score == before
        assert desk.ledger.check().balances["EUR"] == {"debt": -500, "stored": 0, "payable": 500}


def test_a_posting_that_fails_commits_no_record(rig: Desk, monkeypatch: pytest.MonkeyPatch):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        desk.kiosks.add(KioskId("till-1"), Purpose("ride"))
        batch = rig.batch(told(of(subject, 1), ChargeOutcome.OFFLINE))
        with monkeypatch.context() as broken:
            broken.setattr(Store, "_save", lambda *_: (_ for _ in ()).throw(OSError("full disk")))
            with pytest.raises(OSError, match="full disk"):
                desk.records.ingest(batch, rig.signer.public_key)
        receipt = desk.records.ingest(batch, rig.signer.public_key)
        assert (receipt.sequence, receipt.fault) == (1, None)
        assert held(desk, subject) == (0, 500)


def test_fares_keep_to_the_days_cap_in_any_order_over_many_batches(rig: Desk):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        records = [passage(number, kiosk=KioskId("gate-1"), subject=subject) for number in range(1, 8)]
        records += [passage(number, DAY_MS, kiosk=KioskId("gate-2"), subject=subject) for number in (11, 12)]
        rig.dice.shuffle(records)
        for record in records:
            rig.commit(desk, record)
        assert held(desk, subject) == (0, 600 + 100)


def test_a_members_receipts_are_shown_for_their_code_and_for_nothing_else(rig: Desk):
    with rig.open() as desk:
        subject, digest = rig.member(desk)
        assert desk.ledger.receipts(digest).account is None
        desk.ledger.top_up(subject, 1000, "EUR")
        desk.ledger.charge(of(subject, 1))
        rig.clock.advance(1000)
        rig.commit(desk, passage(2, rig.clock.ms, subject=subject))
        found = desk.ledger.receipts(digest)
        assert [(each.merchant, each.amount_minor) for each in found.charges] == [(None, 200), ("cafe", 500)]
        assert (found.balances[0].stored_minor, found.more) == (300, False)
        assert desk.ledger.receipts(digest, most=1).more
        assert found.account not in (None, subject)
        card = desk.members.add_claim(subject, ClaimKind.CARD, "1234")
        for useless in (card, b"?" * 32):
            with pytest.raises(UnknownError):
                desk.ledger.receipts(useless)
        desk.members.withdraw(subject)
        with pytest.raises(UnknownError):
            desk.ledger.receipts(digest)


def test_who_withdraws_leaves_entries_without_a_name_and_may_still_be_paid_out(rig: Desk):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        desk.ledger.top_up(subject, 1000, "EUR")
        account = desk.ledger.account_of(subject)
        assert account is not None
        desk.members.withdraw(subject)
        rig.commit(
            desk,
            told(of(subject, 1), ChargeOutcome.OFFLINE),
            passage(2, subject=subject, kiosk=KioskId("till-1")),
        )
        assert desk.ledger.balances(account)[0].stored_minor == 1000
        assert desk.ledger.check().balances["EUR"]["written-off"] == -700
        desk.ledger.pay_out(account, 1000, "EUR")
        assert desk.ledger.balances(account)[0].stored_minor == 0
        with pytest.raises(RefusedError):
            desk.ledger.pay_out(account, 1, "EUR")
        assert desk.ledger.check().wrong == ()


def test_a_settlement_is_paid_once_and_refunds_after_it_go_to_another_day(rig: Desk):
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        desk.ledger.top_up(subject, 1000, "EUR")
        desk.ledger.charge(of(subject, 1))
        today = desk.ledger.moment().today
        with pytest.raises(RefusedError, match="not over"):
            desk.ledger.settle("cafe", today)
        rig.clock.advance(DAY_MS)
        for _ in range(2):
            (found,) = desk.ledger.settle("cafe", today)
            assert found.net_minor == 500
        assert desk.ledger.refund(key(5), key(1), 200) is RefundReason.REFUNDED
        assert desk.ledger.refund(key(5), key(1), 200) is RefundReason.REFUNDED
        tomorrow = desk.ledger.moment().today
        rig.clock.advance(DAY_MS)
        assert [each.net_minor for each in desk.ledger.settle("cafe", tomorrow)] == [-200]
        rows = list(desk.ledger.transactions(today, tomorrow))
        assert sum(each.gained(payable("cafe")) for each in rows) == 0
        assert desk.ledger.check().wrong == ()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_provider_that_declines_delays_duplicates_and_loses_leaves_books_that_hold(
    tmp_path: Path, database: str | None, seed: int
):
    rig, dice = Desk(tmp_path, database, "sandbox"), random.Random(seed)
    with rig.open() as desk:
        provider = desk.ledger._provider
        assert isinstance(provider, SandboxProvider)
        subject, _ = rig.member(desk)
        made: list[Asked] = []
        for number in range(1, 31):
            rig.clock.advance(1000)
            if dice.random() < 0.6:
                provider.meet(dice.choice(list(Fault)))
            before = dice.choice(made) if made and dice.random() < 0.4 else None
            request = before or of(subject, number, dice.choice([100, 250]))
            if dice.random() < 0.2 and made:
                request = replace(dice.choice(made), charge=key(number), not_after_ms=number)
            desk.ledger.charge(request)
            made.append(request)
            if dice.random() < 0.3:
                outcome = dice.choice([ChargeOutcome.OFFLINE, ChargeOutcome.NOT_CHARGED])
                if request.charge not in rig.__dict__.setdefault("told", set()):
                    rig.told.add(request.charge)
                    rig.commit(desk, told(request, outcome))
            if dice.random() < 0.3:
                desk.ledger.refund(key(500 + number), request.charge, 100)
            if dice.random() < 0.5:
                desk.ledger.collect()
        for _ in range(3):
            provider.report()
            desk.ledger.collect()
        found = desk.ledger.check()
        assert (found.wrong, found.waiting) == ((), 0)
        failed = desk.ledger._store.provider_orders(OrderState.FAILED)
        kept = sum(each.amount_minor for each in failed if each.action is Action.GIVE_BACK)
        assert -found.balances["EUR"].get("clearing", 0) + kept == provider.taken_minor.get("EUR", 0)


def test_a_lost_answer_is_asked_for_again_and_charged_once(tmp_path: Path):
    rig = Desk(tmp_path, None, "sandbox")
    with rig.open() as desk:
        subject, _ = rig.member(desk)
        desk.ledger._provider.meet(Fault.LOSE)
        assert desk.ledger.charge(of(subject, 1)) is None
        desk.ledger.collect()
        assert desk.ledger.charge(of(subject, 1)) is ChargeReason.CHARGED
        assert desk.ledger._provider.taken_minor == {"EUR": 500}
        assert desk.ledger.charge_of(key(1)).state is State.STANDS


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
