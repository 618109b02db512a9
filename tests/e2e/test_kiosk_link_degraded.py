"""A full disk and a replaced outbox: the kiosk goes on, says so, and loses nothing it still has."""

from __future__ import annotations

import pytest

from central.rules.audit import ChainReport
from edge.adapters.storage.outbox import Outbox
from edge.compare.member import KnownMember
from edge.decide.verdict import Age
from edge.errors import StoreError
from tests.doubles.central_rig import Rig
from tests.doubles.full_disk import fill_disk, free_disk
from tests.doubles.kiosk_rig import Kiosk, Watcher, enrol, filled
from tests.doubles.waiting import eventually
from tests.doubles.wire_samples import pass_record
from wire.fleet import Presence
from wire.ids import KioskId
from wire.topics import TopicKind

KIOSK = KioskId("gate-1")


async def test_with_a_full_disk_the_last_snapshot_stays_in_use_and_the_next_one_comes_when_there_is_space(
    rig: Rig,
    kiosk: Kiosk,
):
    subject, claim = enrol(rig)
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await filled(uplink, subject)
        fill_disk(uplink.cache._database)
        newcomers = [enrol(rig, seed)[0] for seed in range(2, 30)]
        rig.central.publish_heads()
        await watcher.state(lambda state: "cache_trouble" in state.notes)
        assert isinstance(await uplink.members.resolve(claim), KnownMember)
        assert (await uplink.members.standing(subject)).age is Age.FRESH
        assert uplink.supervisor.faults == {}
        free_disk(uplink.cache._database)
        await filled(uplink, newcomers[-1])
        seen = len(watcher.states)
        await eventually(
            lambda: any("cache_trouble" not in state.notes for state in watcher.states[seen - 1 :])
        )


async def has_room(outbox: Outbox, number: int) -> bool:
    try:
        await outbox.settle(pass_record(KIOSK, number))
    except StoreError as error:
        if "free some space" not in str(error):
            raise
        return False
    return True


async def test_with_a_full_disk_a_record_that_was_not_kept_is_an_error_and_the_others_are_sent(
    rig: Rig,
    kiosk: Kiosk,
):
    async with kiosk.running() as uplink:
        await uplink.outbox.settle(pass_record(KIOSK, 1))
        await eventually(lambda: uplink.outbox.backlog.waiting == 0)
        fill_disk(uplink.outbox._database)
        kept = 1
        while await has_room(uplink.outbox, kept + 1):
            kept += 1
        free_disk(uplink.outbox._database)
        await uplink.outbox.settle(pass_record(KIOSK, kept + 1))
        await eventually(lambda: uplink.outbox.backlog.acknowledged == kept + 1)
    assert report(rig).records == kept + 1


def report(rig: Rig) -> ChainReport:
    (found,) = rig.central.use_cases.records.verify()
    assert found.broken_at is None
    return found


async def test_a_kiosk_whose_outbox_was_replaced_says_so_and_central_keeps_what_it_has(
    rig: Rig, kiosk: Kiosk
):
    async with kiosk.running() as uplink:
        for number in range(1, 4):
            await uplink.outbox.settle(pass_record(KIOSK, number))
        await eventually(lambda: uplink.outbox.backlog.waiting == 0)
    for file in kiosk.folder.glob("outbox.*"):  # its mark too: that it is gone is noticed otherwise
        file.unlink()
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await uplink.outbox.settle(pass_record(KIOSK, 9))
        told = await watcher.state(lambda state: "records_conflict" in state.notes)
        assert told.presence is Presence.ALERT
        assert uplink.outbox.backlog.waiting == 1
    assert report(rig).records == 3


async def test_a_question_for_a_head_whose_answer_was_lost_is_asked_again_soon(
    rig: Rig, kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
):
    subject, _ = enrol(rig)
    rig.central.publish_heads()
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
    answer, lost = rig.central.router.answer, []

    async def losing(address, payload):
        if len(lost) < 2 and address.kind is TopicKind.REQUEST:
            lost.append(address)
            return []
        return await answer(address, payload)

    monkeypatch.setattr(rig.central.router, "answer", losing)
    # Its caches are full and no head changes: only the answer to a question of its own tells the time.
    async with kiosk.running() as uplink:
        await eventually(lambda: uplink.clock.sure, "central's answer tells the time")
    assert len(lost) == 2
