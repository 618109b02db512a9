"""A node of a cluster is killed under load, and nothing is lost and nothing counted twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.adapters.central.uplink import Uplink
from tests.doubles.brokers import NatsCluster
from tests.doubles.central_rig import Clock, new_config, running
from tests.doubles.kiosk_rig import Kiosk, paired
from tests.doubles.waiting import WAIT_S, eventually
from tests.doubles.wire_samples import pass_record
from wire.environment import utc_ms
from wire.ids import PassageId, RecordId
from wire.requests import HeadReply, HeadRequest

KIOSKS = 12
EVERY_S = 0.05


async def passing(uplink: Uplink, number: int, passages: list[PassageId], closed: asyncio.Event) -> None:
    """People pass, until it is closed."""
    while not closed.is_set():
        token = f"{number:016x}{len(passages):016x}"
        record = pass_record(uplink.identity.kiosk, 1, record_id=RecordId(token), passage=PassageId(token))
        await uplink.outbox.settle(record)
        passages.append(PassageId(token))
        await asyncio.sleep(EVERY_S)


@contextlib.asynccontextmanager
async def load(uplinks: list[Uplink]) -> AsyncIterator[list[list[PassageId]]]:
    """People pass at every kiosk while the context lasts; their passages, kiosk by kiosk."""
    passages: list[list[PassageId]] = [[] for _ in uplinks]
    closed = asyncio.Event()
    tasks = [
        asyncio.create_task(passing(uplink, number, passages[number], closed))
        for number, uplink in enumerate(uplinks)
    ]
    try:
        yield passages
    finally:
        closed.set()
        await asyncio.gather(*tasks)


async def asked(uplink: Uplink) -> bool:
    """Whether central answers this kiosk."""
    reply = await uplink.link.ask(lambda nonce, until: HeadRequest(nonce, until, None), HeadReply, 2000)
    return reply is not None


async def everybody(uplinks: list[Uplink]) -> None:
    """Wait, bounded, until central answers every kiosk again."""
    async with asyncio.timeout(WAIT_S):
        for uplink in uplinks:
            while not await asked(uplink):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.1)


async def written(passages: list[list[PassageId]], more: int) -> None:
    """Wait until so many more people have passed at each kiosk."""
    wanted = [len(each) + more for each in passages]
    await eventually(lambda: all(len(each) >= goal for each, goal in zip(passages, wanted, strict=True)))


@pytest.mark.long
@pytest.mark.parametrize("node", [0, 1, 2])
async def test_a_node_of_three_is_killed_under_load_and_every_record_lands_once(tmp_path: Path, node: int):
    clock = Clock(utc_ms())
    config = new_config(tmp_path, clock)
    (tmp_path / "nats").mkdir()
    cluster = NatsCluster(tmp_path / "nats", spread=True)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        cluster.configure(config)
        rig = await stack.enter_async_context(running(config, clock))
        await eventually(rig.central.link.connected.is_set)
        uplinks: list[Uplink] = []
        for number in range(KIOSKS):
            (tmp_path / f"kiosk-{number}").mkdir()
            kiosk: Kiosk = await paired(rig, tmp_path / f"kiosk-{number}", f"kiosk-{number}")
            uplinks.append(await stack.enter_async_context(kiosk.running(receipt_timeout_s=2.0)))
        await everybody(uplinks)
        async with load(uplinks) as passages:
            await written(passages, 20)
            await asyncio.to_thread(cluster.kill_one, node)
            await written(passages, 40)
            await everybody(uplinks)
            cluster.start_one(node)
            await written(passages, 20)
        async with asyncio.timeout(WAIT_S):
            while any(uplink.outbox.backlog.waiting for uplink in uplinks):  # noqa: ASYNC110 - nor this
                await asyncio.sleep(0.1)
        await cluster.healthy()
        use_cases = rig.central.use_cases
        counts = {len(use_cases.records.of_passage(each)) for kiosk in passages for each in kiosk}
        assert counts == {1}
        assert all(report.broken_at is None for report in use_cases.records.verify())
        assert sum(report.records for report in use_cases.records.verify()) == sum(map(len, passages))
        assert all(uplink.outbox.standstill is None for uplink in uplinks)
