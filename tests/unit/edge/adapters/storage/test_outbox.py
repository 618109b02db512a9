"""The outbox: durable, chained, idempotent; a receipt moves it only if it fits its own chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.storage import outbox as outbox_module
from edge.adapters.storage.outbox import Outbox, Standstill
from edge.errors import StoreError
from tests.doubles.outboxes import KIOSK, SIGNER, opened, receipt, record, sent
from wire.chain import genesis, joins
from wire.codec import encode
from wire.ids import KioskId, OperatorId, RecordId, SiteId
from wire.records import (
    Charge,
    ChargeOutcome,
    DroppedRecord,
    GateOutcome,
    Receipt,
    RecordFault,
)
from wire.signing import chain_head_holds
from wire.topics import TopicKind, kiosk_topic
from wire.values import AgreeBy


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = opened(tmp_path)
    yield box
    box.close()


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("outbox*"))


async def fill(outbox: Outbox, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        await outbox.settle(record(number))


async def test_settled_records_form_a_signed_chain_from_the_kiosks_genesis(outbox: Outbox):
    await fill(outbox, 3)
    batch = sent(outbox)
    previous = genesis(KIOSK)
    assert batch.previous_link == previous
    for sequence, placed in enumerate(batch.records, 1):
        assert (placed.sequence, placed.record_id) == (sequence, record(sequence).record_id)
        assert joins(previous, placed)
        previous = placed.link
    assert (batch.head.sequence, batch.head.link) == (3, previous)
    assert chain_head_holds(batch.head, SIGNER.public_key)


async def test_settling_a_record_twice_is_settling_it_once(outbox: Outbox):
    await outbox.settle(record(1))
    await outbox.settle(record(1, lane="priority"))
    assert outbox.backlog.last == 1
    assert b"priority" not in bytes(sent(outbox).records[0].body)


async def test_what_was_begun_and_not_settled_is_there_after_a_restart_in_its_order(tmp_path: Path):
    box = opened(tmp_path)
    for number in (2, 1, 3):
        await box.begin(record(number))
    await box.settle(record(1))
    box.close()
    again = opened(tmp_path)
    assert await again.unsettled() == (record(2), record(3))
    await again.settle(record(2))
    await again.settle(record(3))
    assert await again.unsettled() == ()
    assert again.backlog.last == 3
    again.close()


async def test_beginning_a_settled_record_again_does_not_reopen_it(outbox: Outbox):
    await outbox.settle(record(1))
    await outbox.begin(record(1))
    assert await outbox.unsettled() == ()


async def test_a_receipt_that_fits_moves_the_cursor_and_survives_a_restart(tmp_path: Path):
    box = opened(tmp_path)
    await fill(box, 5)
    await box.receive(receipt(sent(box)))
    assert (box.backlog.acknowledged, box.backlog.waiting, box.next_batch()) == (5, 0, None)
    box.close()
    again = opened(tmp_path)
    assert (again.backlog.acknowledged, again.next_batch()) == (5, None)
    await fill(again, 1, first=6)
    batch = sent(again)
    assert [placed.sequence for placed in batch.records] == [6]
    assert joins(batch.previous_link, batch.records[0])
    again.close()


async def test_a_receipt_with_another_link_another_kiosk_or_from_the_future_is_ignored_and_counted(
    outbox: Outbox,
):
    await fill(outbox, 3)
    batch = sent(outbox)
    await outbox.receive(Receipt(KIOSK, 3, b"x" * 32, 1))
    await outbox.receive(Receipt(KioskId("gate-2"), 3, batch.head.link, 1))
    await outbox.receive(Receipt(KIOSK, 2, batch.head.link, 1))
    assert outbox.standstill is None
    await outbox.receive(Receipt(KIOSK, 9, batch.head.link, 1))
    assert outbox.backlog.acknowledged == 0
    assert outbox.ignored == {"receipt_mismatch": 4}
    assert outbox.standstill is Standstill.CONFLICT  # central holds what was never written here


async def test_an_older_receipt_never_moves_the_cursor_back(outbox: Outbox):
    await fill(outbox, 2)
    early = sent(outbox)
    await fill(outbox, 2, first=3)
    late = sent(outbox)
    await outbox.receive(receipt(late))
    await outbox.receive(receipt(early))
    assert (outbox.backlog.acknowledged, outbox.ignored) == (4, {"older_receipt": 1})


async def test_a_lost_receipt_is_healed_by_sending_the_same_bytes_again(outbox: Outbox):
    await fill(outbox, 3)
    first = sent(outbox)
    assert outbox.next_batch() is None
    outbox.rewind()
    assert sent(outbox) == first


async def test_a_gap_rewinds_to_where_central_is_even_behind_what_it_had_acknowledged(outbox: Outbox):
    await fill(outbox, 2)
    early = sent(outbox)
    await fill(outbox, 3, first=3)
    await outbox.receive(receipt(sent(outbox)))
    await outbox.receive(receipt(early, RecordFault.GAP))  # central was restored from a backup
    again = sent(outbox)
    assert [placed.sequence for placed in again.records] == [3, 4, 5]
    assert again.previous_link == early.head.link
    assert outbox.backlog.acknowledged == 5


async def test_a_gap_before_what_is_kept_is_named_and_nothing_wrong_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox_module, "KEEP_ACKNOWLEDGED", 2)
    box = opened(tmp_path)
    await fill(box, 5)
    await box.receive(receipt(sent(box)))
    await box.receive(Receipt(KIOSK, 0, genesis(KIOSK), 1, RecordFault.GAP))
    assert (box.next_batch(), box.standstill) == (None, Standstill.PRUNED)
    box.close()


@pytest.mark.parametrize(
    ("fault", "standstill"),
    [(RecordFault.BROKEN_LINK, Standstill.BROKEN_LINK), (RecordFault.CONFLICT, Standstill.CONFLICT)],
)
async def test_a_disagreement_about_the_past_is_named_until_a_receipt_ends_it(
    outbox: Outbox, fault: RecordFault, standstill: Standstill
):
    await fill(outbox, 2)
    batch = sent(outbox)
    await outbox.receive(Receipt(KIOSK, 0, genesis(KIOSK), 1, fault))
    assert (outbox.standstill, outbox.backlog.waiting) == (standstill, 2)
    await outbox.receive(receipt(batch))
    assert (outbox.standstill, outbox.backlog.waiting) == (None, 0)


async def test_batches_are_bounded_in_number_and_always_fit_their_topic(outbox: Outbox):
    codes = tuple(f"{'reason' * 7}_{number:02}" for number in range(16))
    await fill(outbox, 150)
    for number in range(151, 401):
        await outbox.settle(record(number, reasons=codes))
    address = kiosk_topic(TopicKind.RECORD, SiteId("north"), KIOSK)
    sizes = []
    while (batch := outbox.next_batch()) is not None:
        outbox.mark_sent(batch)
        encode(address, batch, SIGNER, OperatorId("metro"), "ride")
        sizes.append(len(batch.records))
    assert (sum(sizes), sizes[0], max(sizes)) == (400, 128, 128)
    assert min(sizes[:-1]) < 128, "large records make smaller batches"


async def test_new_records_wake_the_sender(outbox: Outbox):
    calls = []
    outbox.wake = lambda: calls.append("wake")
    await outbox.settle(record(1))
    assert calls == ["wake"]


async def test_records_are_not_readable_on_the_disk(tmp_path: Path):
    box = opened(tmp_path)
    subject = record(1).subject
    await box.begin(record(1))
    await box.settle(record(2))
    box.close()
    content = on_disk(tmp_path)
    assert subject is not None
    assert subject.encode() not in content


async def test_another_kiosks_outbox_is_refused(tmp_path: Path):
    opened(tmp_path).close()
    with pytest.raises(StoreError, match="records of kiosk 'gate-1', not of 'gate-2'"):
        opened(tmp_path, KioskId("gate-2"))


async def test_a_lost_device_key_is_named_and_loses_no_record(tmp_path: Path):
    box = opened(tmp_path)
    await fill(box, 1)
    box.close()
    with pytest.raises(StoreError, match=r"put back the device\.key"):
        opened(tmp_path, device_key=b"e" * 32)
    again = opened(tmp_path)
    assert len(sent(again).records) == 1
    again.close()


async def test_a_record_past_its_bound_is_refused_before_it_is_kept(outbox: Outbox):
    with pytest.raises(StoreError, match="does not fit"):
        await outbox.settle(record(1, **PAID | {"amount_minor": 10**12}))
    assert outbox.backlog.last == 0


REFERRED: dict[str, object] = {
    "identified_by": None,
    "subject": None,
    "standing": None,
    "verdict": "refer",
    "gate_outcome": GateOutcome.NOT_RELEASED,
    "lane": None,
}
DENIED: dict[str, object] = {"verdict": "deny", "gate_outcome": GateOutcome.NOT_RELEASED, "lane": None}
PAID: dict[str, object] = {
    "amount_minor": 250,
    "currency": "EUR",
    "charge": Charge(RecordId("c" * 32), "bistro", "tea", ChargeOutcome.CAPTURED, AgreeBy.NOD),
}
TIMED_OUT: dict[str, object] = {"gate_outcome": GateOutcome.TIMED_OUT}
STEPPED_UP: dict[str, object] = {"verdict": "step_up", "lane": None}
KINDS = (DENIED, REFERRED, {}, PAID, TIMED_OUT, STEPPED_UP)


async def test_without_room_bodies_go_in_their_order_and_payments_and_denials_never(tmp_path: Path):
    roomy = opened(tmp_path)
    for number in range(1, 61):
        await roomy.settle(record(number, **KINDS[number % len(KINDS)]))
    held = roomy.backlog.held_bytes
    roomy.close()
    gone: list[set[int]] = []
    for share in (0.9, 0.7, 0.55, 0.4, 0.01):
        (folder := tmp_path / str(share)).mkdir()
        outbox = opened(folder, max_bytes=int(held * share))
        for number in range(1, 61):
            await outbox.settle(record(number, **KINDS[number % len(KINDS)]))
        batch = sent(outbox)
        previous = batch.previous_link
        for placed in batch.records:
            assert joins(previous, placed)
            previous = placed.link
        gone.append({each.sequence for each in batch.records if isinstance(each, DroppedRecord)})
        assert outbox.backlog.dropped == len(gone[-1])
        assert outbox.backlog.over_budget == (share == 0.01)
        if share != 0.01:
            assert outbox.backlog.held_bytes <= held * share
        outbox.close()
    order = [
        [number for number in range(1, 61) if KINDS[number % 6] is kind] for kind in (REFERRED, STEPPED_UP)
    ]
    assert gone[0] == set(order[0][: len(gone[0])])
    assert set(order[0]) < gone[1] <= {*order[0], *order[1]}
    kept = {number for number in range(1, 61) if KINDS[number % 6] in (DENIED, PAID)}
    assert gone[-1] == set(range(1, 61)) - kept


async def test_room_is_made_from_what_central_has_before_anything_it_has_not(tmp_path: Path):
    outbox = opened(tmp_path)
    await fill(outbox, 20)
    await outbox.receive(receipt(sent(outbox)))
    held = outbox.backlog.held_bytes
    outbox.close()
    outbox = opened(tmp_path, max_bytes=held)
    await fill(outbox, 10, first=21)
    assert (outbox.backlog.dropped, outbox.backlog.waiting) == (0, 10)
    assert outbox.backlog.held_bytes <= held
    assert [placed.sequence for placed in sent(outbox).records] == list(range(21, 31))
    outbox.close()
