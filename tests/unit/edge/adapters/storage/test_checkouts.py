"""Checkouts in the outbox's file: whatever a kill leaves, one charge at most, no allowance spent twice."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.storage.outbox import Outbox
from edge.enact.charge import CheckoutState, Due
from edge.errors import CheckoutError
from edge.shell.settling import PassReport, Settling
from tests.doubles.examples import examples
from tests.doubles.outboxes import LIFE_MS, NOW_MS, attempt, opened, receipt, sent
from tests.doubles.wire_samples import SUBJECT
from wire.ids import RecordId
from wire.records import ChargeOutcome

DUE = Due(RecordId(""), "bistro", "Bistro", 250, "EUR", "tea")
DICE = random.Random(3)


def desk(outbox: Outbox) -> Checkouts:
    return Checkouts(outbox.database, outbox.sealer, DICE.randbytes)


class Uptime:
    def uptime_ms(self) -> int:
        return 0


async def restarted(outbox: Outbox, folder: Path) -> tuple[Outbox, Checkouts, list[PassReport]]:
    """The process is gone; the next one opens the file and takes over what it finds."""
    outbox.close()
    again, told = opened(folder), []
    await Settling(again, Uptime(), lambda _: None, told.append).take_over()
    return again, desk(again), told


async def test_one_checkout_at_a_time_and_one_for_each_key(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    tills = desk(outbox)
    first, fresh = await tills.open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    assert fresh
    assert await tills.open("k1", b"a", DUE, NOW_MS + 1, LIFE_MS) == (first, False)
    for key, asked, code in (("k1", b"b", "key_reused"), ("k2", b"a", "checkout_open")):
        with pytest.raises(CheckoutError) as refused:
            await tills.open(key, asked, DUE, NOW_MS, LIFE_MS)
        assert refused.value.code == code
    assert (await tills.cancel(first.due.checkout, NOW_MS)).state is CheckoutState.CANCELLED
    assert (await tills.cancel(first.due.checkout, NOW_MS)).state is CheckoutState.CANCELLED
    second, _ = await tills.open("k2", b"a", DUE, NOW_MS, LIFE_MS)
    third, _ = await tills.open("k3", b"a", DUE, NOW_MS + LIFE_MS, LIFE_MS)
    assert tills.find(second.due.checkout).state is CheckoutState.EXPIRED
    assert tills.under_way() == third
    outbox.close()


async def test_a_checkout_that_is_being_paid_cannot_be_cancelled_and_a_cancelled_one_not_paid(
    tmp_path: Path,
) -> None:
    outbox = opened(tmp_path)
    tills = desk(outbox)
    made, _ = await tills.open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    await outbox.begin(attempt(made.due.checkout, 1, ChargeOutcome.AWAITED))
    with pytest.raises(CheckoutError, match="paying"):
        await tills.cancel(made.due.checkout, NOW_MS)
    with pytest.raises(CheckoutError, match="paying"):
        await outbox.begin(attempt(made.due.checkout, 2, ChargeOutcome.AWAITED))
    await outbox.settle(attempt(made.due.checkout, 1, ChargeOutcome.NOT_CHARGED, reason="not_kept"))
    assert tills.find(made.due.checkout).state is CheckoutState.OPEN
    await tills.cancel(made.due.checkout, NOW_MS)
    with pytest.raises(CheckoutError, match="cancelled"):
        await outbox.begin(attempt(made.due.checkout, 3, ChargeOutcome.AWAITED))
    assert {record.record_id for record in await outbox.unsettled()} == set()
    outbox.close()


@pytest.mark.parametrize("killed", ["before_begin", "after_begin", "after_settle"])
@pytest.mark.parametrize("outcome", [ChargeOutcome.CAPTURED, ChargeOutcome.OFFLINE])
async def test_a_kiosk_killed_at_any_step_leaves_one_charge_or_none_and_the_next_attempt_can_pay(
    tmp_path: Path, killed: str, outcome: ChargeOutcome
) -> None:
    outbox = opened(tmp_path)
    made, _ = await desk(outbox).open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    checkout = made.due.checkout
    if killed != "before_begin":
        await outbox.begin(attempt(checkout, 1, ChargeOutcome.AWAITED))
    if killed == "after_settle":
        await outbox.settle(attempt(checkout, 1, outcome))
        await outbox.settle(attempt(checkout, 1, ChargeOutcome.NOT_CHARGED))  # a second one is the first
    outbox, tills, told = await restarted(outbox, tmp_path)
    if killed == "after_settle":
        assert told == []
        assert tills.find(checkout).outcome is outcome
        with pytest.raises(CheckoutError, match="paid"):
            await outbox.begin(attempt(checkout, 2, ChargeOutcome.AWAITED))
    else:
        assert [report.record.charge.outcome for report in told] == [ChargeOutcome.NOT_CHARGED] * len(told)
        assert [report.record.charge.reason for report in told] == (
            ["interrupted"] if killed == "after_begin" else []
        )
        assert tills.find(checkout).state is CheckoutState.OPEN
        await outbox.begin(attempt(checkout, 2, ChargeOutcome.AWAITED))
        await outbox.settle(attempt(checkout, 2, outcome))
    assert (await restarted(outbox, tmp_path))[2] == []
    again = opened(tmp_path)
    assert await desk(again).open("k1", b"a", DUE, NOW_MS, LIFE_MS) == (desk(again).find(checkout), False)
    charged = [
        body["charge"]["outcome"]
        for body in (msgspec.msgpack.decode(kept.body) for kept in sent(again).records)
        if body["charge"]["outcome"] != "not_charged"
    ]
    assert charged == [outcome.value]
    again.close()


@pytest.mark.parametrize("reason", ["declined", "above_limit", "no_subject"])
async def test_centrals_no_ends_a_checkout_and_the_till_reads_why(tmp_path: Path, reason: str) -> None:
    outbox = opened(tmp_path)
    made, _ = await desk(outbox).open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    await outbox.begin(attempt(made.due.checkout, 1, ChargeOutcome.AWAITED))
    await outbox.settle(attempt(made.due.checkout, 1, ChargeOutcome.NOT_CHARGED, reason=reason))
    ended = desk(outbox).find(made.due.checkout)
    assert (ended.state, ended.reason) == (CheckoutState.NOT_CHARGED, reason)
    outbox.close()


async def test_what_was_taken_offline_counts_until_central_has_it_and_a_newer_standing_came(
    tmp_path: Path,
) -> None:
    outbox = opened(tmp_path)
    made, _ = await desk(outbox).open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    await outbox.begin(attempt(made.due.checkout, 1, ChargeOutcome.AWAITED))
    await outbox.settle(attempt(made.due.checkout, 1, ChargeOutcome.OFFLINE))
    outbox, tills, _ = await restarted(outbox, tmp_path)
    later_ms = NOW_MS + 3_600_000
    assert tills.offline_spent_minor(SUBJECT, 900_000) == 250
    assert tills.offline_spent_minor(SUBJECT, later_ms) == 250  # central has not got it
    await outbox.receive(receipt(sent(outbox)))
    assert tills.offline_spent_minor(SUBJECT, 900_000) == 250  # the same standing allows it once
    assert tills.offline_spent_minor(SUBJECT, later_ms) == 0
    outbox.close()


@settings(max_examples=examples(8), deadline=None)
@given(story=st.lists(st.tuples(st.integers(1, 900), st.booleans(), st.booleans()), max_size=8))
async def test_no_restart_and_no_receipt_lets_more_than_the_allowance_be_taken_on_one_standing(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[int, bool, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("spent")
    outbox, allowance, taken = opened(folder), 2000, 0
    for number, (amount, restarts, acknowledges) in enumerate(story, 1):
        made, _ = await desk(outbox).open(f"k{number}", b"a", DUE, NOW_MS, LIFE_MS)
        if amount <= allowance - desk(outbox).offline_spent_minor(SUBJECT, 900_000):
            record = attempt(made.due.checkout, number, ChargeOutcome.OFFLINE)
            record = msgspec.structs.replace(record, amount_minor=amount)
            await outbox.begin(record)
            await outbox.settle(record)
            taken += amount
        else:
            await desk(outbox).cancel(made.due.checkout, NOW_MS)
        if acknowledges and (batch := outbox.next_batch()) is not None:
            outbox.mark_sent(batch)
            await outbox.receive(receipt(batch))
        if restarts:
            outbox, _, _ = await restarted(outbox, folder)
    assert taken <= allowance
    outbox.close()


async def test_the_same_key_gives_back_once_and_never_more_than_was_paid(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    tills = desk(outbox)
    made, _ = await tills.open("k1", b"a", DUE, NOW_MS, LIFE_MS)
    checkout = made.due.checkout
    with pytest.raises(CheckoutError, match="0 minor units"):
        await tills.begin_refund("r0", checkout, 1)
    await outbox.begin(attempt(checkout, 1, ChargeOutcome.AWAITED))
    await outbox.settle(attempt(checkout, 1, ChargeOutcome.CAPTURED))
    first = await tills.begin_refund("r1", checkout, 100)
    outbox, tills, _ = await restarted(outbox, tmp_path)
    assert await tills.begin_refund("r1", checkout, 100) == first
    with pytest.raises(CheckoutError, match="new key"):
        await tills.begin_refund("r1", checkout, 99)
    with pytest.raises(CheckoutError, match="new key"):
        await tills.begin_refund("r1", checkout, None)
    for _ in range(2):
        assert (await tills.end_refund("r1", accepted=True, reason="refunded")).accepted
    assert tills.find(checkout).refunded_minor == 100
    with pytest.raises(CheckoutError, match="150 minor units"):
        await tills.begin_refund("r2", checkout, 151)
    rest = await tills.begin_refund("r3", checkout, None)
    assert rest.amount_minor == 150
    assert await tills.begin_refund("r3", checkout, None) == rest
    with pytest.raises(CheckoutError, match="new key"):
        await tills.begin_refund("r3", checkout, 150)
    await tills.end_refund("r3", accepted=True, reason="refunded")
    assert tills.find(checkout).state is CheckoutState.REFUNDED
    outbox.close()
