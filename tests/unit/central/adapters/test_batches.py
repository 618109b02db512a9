"""What comes to central at once is committed at once, and nobody is the worse for somebody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from central.adapters.db import engines
from central.adapters.db.store import Store
from central.adapters.mqtt.batcher import Batcher
from central.app import RequestRouter, UseCases, init_central, load_config, open_use_cases
from central.service.kiosks import BrokerAddress
from tests.doubles.waiting import WAIT_S
from tests.doubles.wire_samples import pass_record
from wire import chain, topics
from wire.codec import decode, encode
from wire.fleet import KioskState, Presence
from wire.ids import BootId, KioskId, Purpose
from wire.pairing import make_request, parse_code
from wire.records import Receipt, RecordBatch, RecordFault, SequencedRecord
from wire.sealing import box_public_key
from wire.signing import Signer, sign_chain_head
from wire.topics import TopicKind

RIDE = Purpose("ride")


@pytest.fixture
def use_cases(database: str | None, tmp_path: Path) -> Iterator[UseCases]:
    """Central over each kind of database."""
    config = load_config(init_central(tmp_path, "metro", "north", "ride"))
    if database is not None:
        config = msgspec.structs.replace(
            config, settings=msgspec.structs.replace(config.settings, database=database)
        )
    with open_use_cases(config) as opened:
        yield opened


@dataclass
class Sender:
    """A paired kiosk and the records it has made."""

    kiosk: KioskId
    signer: Signer
    records: list[SequencedRecord]

    @classmethod
    def pair(cls, use_cases: UseCases, number: int) -> Sender:
        kiosk, signer = KioskId(f"gate-{number}"), Signer.from_seed(bytes([number]) * 32)
        code = parse_code(use_cases.kiosks.add(kiosk, RIDE))
        request = make_request(
            code,
            b"n" * 16,
            public_key=signer.public_key,
            box_public_key=box_public_key(b"b" * 32),
            software="1",
        )
        use_cases.kiosks.pair(request, BrokerAddress("127.0.0.1", 1))
        return cls(kiosk, signer, [])

    def batch(self, *numbers: int) -> RecordBatch:
        """The next records, whose ids are made of `numbers`."""
        before = self.records[-1].link if self.records else chain.genesis(self.kiosk)
        link, made = before, []
        for number in numbers:
            sequence = len(self.records) + len(made) + 1
            made.append(chain.chained(link, sequence, pass_record(self.kiosk, number), b"s" * 16))
            link = made[-1].link
        self.records += made
        head = sign_chain_head(self.kiosk, made[-1].sequence, link, self.signer)
        return RecordBatch(self.kiosk, before, tuple(made), head)

    def payload(self, use_cases: UseCases, kind: TopicKind, message: RecordBatch | KioskState):
        address = topics.kiosk_topic(kind, use_cases.context.site, self.kiosk)
        return address, encode(address, message, self.signer, use_cases.context.operator, RIDE)


def ingested(
    use_cases: UseCases, *batches: tuple[Sender, RecordBatch]
) -> list[tuple[int, RecordFault | None]]:
    receipts = use_cases.records.ingest_all([(batch, sender.signer.public_key) for sender, batch in batches])
    assert [receipt.kiosk for receipt in receipts] == [sender.kiosk for sender, _ in batches]
    return [(receipt.sequence, receipt.fault) for receipt in receipts]


def stored(use_cases: UseCases) -> dict[str, int]:
    reports = use_cases.records.verify()
    assert [report.broken_at for report in reports] == [None] * len(reports)
    return {str(report.kiosk): report.records for report in reports}


class Counted:
    """A store that counts commits; `hold` lets the first of them wait."""

    def __init__(self, store) -> None:
        self._store, self.groups = store, []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def commit(self, offers, now_ms):
        self.groups.append(len(offers))
        assert self.may_go_on.wait(WAIT_S)
        return self._store.commit(offers, now_ms)

    def saw(self, sightings):
        self.groups.append(len(sightings))
        assert self.may_go_on.wait(WAIT_S)
        return self._store.saw(sightings)


def test_batches_of_several_kiosks_share_a_commit_and_each_gets_its_own_receipt(use_cases: UseCases):
    senders = [Sender.pair(use_cases, number) for number in (1, 2, 3)]
    store = use_cases.records._store = Counted(use_cases.records._store)
    told = ingested(
        use_cases, *((sender, sender.batch(*range(1, at + 1))) for at, sender in enumerate(senders, 1))
    )
    assert told == [(1, None), (2, None), (3, None)]
    assert store.groups == [3]
    told = ingested(use_cases, *((sender, sender.batch(7, 8)) for sender in senders))
    assert told == [(3, None), (4, None), (5, None)]
    assert stored(use_cases) == {"gate-1": 3, "gate-2": 4, "gate-3": 5}


def test_a_batch_that_no_database_takes_fails_alone(use_cases: UseCases):
    good, bad, other = (Sender.pair(use_cases, number) for number in (1, 2, 3))
    ingested(use_cases, (bad, bad.batch(1)))
    twice = bad.batch(1)  # the id of a record that is there already: not to be inserted
    told = ingested(use_cases, (good, good.batch(1)), (bad, twice), (other, other.batch(1)))
    assert told == [(1, None), (1, RecordFault.CONFLICT), (1, None)]
    assert stored(use_cases) == {"gate-1": 1, "gate-2": 1, "gate-3": 1}


def test_a_broken_a_late_and_a_bent_batch_fail_alone(use_cases: UseCases):
    good, gap, broken, past = (Sender.pair(use_cases, number) for number in (1, 2, 3, 4))
    gap.batch(1)
    bent = broken.batch(1)
    bent = msgspec.structs.replace(bent, head=msgspec.structs.replace(bent.head, signature=b"x" * 64))
    ingested(use_cases, (past, past.batch(1)))
    other_past = Sender(past.kiosk, past.signer, []).batch(2)
    told = ingested(use_cases, (good, good.batch(1)), (gap, gap.batch(2)), (broken, bent), (past, other_past))
    assert told == [
        (1, None),
        (0, RecordFault.GAP),
        (0, RecordFault.BROKEN_LINK),
        (1, RecordFault.CONFLICT),
    ]
    assert stored(use_cases) == {"gate-1": 1, "gate-2": 0, "gate-3": 0, "gate-4": 1}


def test_a_copy_in_the_same_group_is_received_and_counts_once(use_cases: UseCases):
    one, other = Sender.pair(use_cases, 1), Sender.pair(use_cases, 2)
    first, second = one.batch(1, 2), one.batch(3)
    told = ingested(
        use_cases, (one, first), (one, first), (other, other.batch(1)), (one, second), (one, first)
    )
    assert told == [(2, None), (2, None), (1, None), (3, None), (3, None)]
    assert stored(use_cases) == {"gate-1": 3, "gate-2": 1}


async def test_what_comes_while_a_commit_is_under_way_shares_the_next(use_cases: UseCases):
    senders = [Sender.pair(use_cases, number) for number in range(1, 13)]
    store = use_cases.records._store = Counted(use_cases.records._store)
    store.may_go_on.clear()
    board = RequestRouter(use_cases)
    payloads = [sender.payload(use_cases, TopicKind.RECORD, sender.batch(1)) for sender in senders]
    answering = [asyncio.create_task(board.answer(*payload)) for payload in payloads]
    async with asyncio.timeout(WAIT_S):
        while not store.groups:  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)
    store.may_go_on.set()
    answers = await asyncio.gather(*answering)
    receipts = [decode(*outgoing).message for (outgoing,) in answers]
    assert receipts == [msgspec.structs.replace(each, sequence=1, fault=None) for each in receipts]
    assert [receipt.kiosk for receipt in receipts if isinstance(receipt, Receipt)] == [
        sender.kiosk for sender in senders
    ]
    assert sum(store.groups) == 12
    assert len(store.groups) <= 3
    assert stored(use_cases) == {str(sender.kiosk): 1 for sender in senders}


def state(sender: Sender, presence: Presence, boot: str) -> KioskState:
    return KioskState(
        kiosk=sender.kiosk,
        presence=presence,
        boot_id=BootId(boot * 32),
        issued_at_ms=1,
        clock_sure=True,
        software="1",
        pack_digest=None,
        recipe_digest=None,
        caches=(),
        ignored=(),
        notes=(),
    )


async def test_states_that_come_at_once_are_remembered_in_their_order_and_a_late_will_is_not(
    use_cases: UseCases,
):
    senders = [Sender.pair(use_cases, number) for number in range(1, 13)]
    store = use_cases.kiosks._store = Counted(use_cases.kiosks._store)
    board = RequestRouter(use_cases)
    said = [
        sender.payload(use_cases, TopicKind.STATE, state(sender, presence, boot))
        for presence, boot in ((Presence.READY, "a"), (Presence.INIT, "b"), (Presence.LOST, "a"))
        for sender in senders
    ]
    await asyncio.gather(*(board.answer(*payload) for payload in said))
    seen = use_cases.kiosks.sightings()
    assert {kiosk: (each.presence, each.boot_id) for kiosk, each in seen.items()} == {
        sender.kiosk: ("init", "b" * 32) for sender in senders
    }
    assert board.ignored == {"late_will": 12}
    assert len(store.groups) < 12


async def test_a_group_is_bounded_in_order_and_fails_together_alone():
    worked: list[list[int]] = []
    go_on = threading.Event()

    def work(items: Sequence[int]) -> list[int]:
        worked.append(list(items))
        assert go_on.wait(WAIT_S)
        if 5 in items:
            raise ValueError("five")
        return [item * 10 for item in items]

    together = Batcher(work, most=3)
    asked = [asyncio.create_task(together.answer(item)) for item in range(8)]
    async with asyncio.timeout(WAIT_S):
        while not worked:  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)
    asked[7].cancel()
    go_on.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert worked[0] == [0, 1, 2]
    assert [item for group in worked for item in group][:6] == [0, 1, 2, 3, 4, 5]
    assert all(len(group) <= 3 for group in worked)
    assert answers[:3] == [0, 10, 20]
    assert [type(each) for each in answers[3:6]] == [ValueError] * 3
    assert answers[6] == 60
    assert isinstance(answers[7], asyncio.CancelledError)


def test_a_pairing_or_revocation_by_another_program_is_noticed_and_nothing_else_read(use_cases: UseCases):
    one = Sender.pair(use_cases, 1)
    first = use_cases.kiosks.ring()
    use_cases.kiosks.look_again()
    assert use_cases.kiosks.ring() is first
    assert use_cases.kiosks.admitted(one.kiosk) == use_cases.kiosks.paired(one.kiosk)
    elsewhere = type(use_cases.kiosks)(use_cases.context, use_cases.kiosks._store)
    elsewhere.revoke(one.kiosk)
    assert use_cases.kiosks.ring() is first
    use_cases.kiosks.look_again()
    assert use_cases.kiosks.ring().keys == {}
    assert use_cases.kiosks.admitted(one.kiosk) is None


def test_a_writer_waits_for_another_of_its_process_longer_than_for_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "BUSY_MS", 1)
    store = Store(tmp_path / "central.db")
    ended = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        try:
            store.save_secret("other", b"1")
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)
        ended.set()

    with store._change():
        thread = threading.Thread(target=write)
        thread.start()
        assert not ended.wait(0.3), failed
    assert ended.wait(WAIT_S)
    thread.join()
    assert (failed, store.secret("other")) == ([], b"1")
    store.close()
