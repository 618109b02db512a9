"""Records: committed before they are acknowledged, once, in a chain that cannot be bent."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from pathlib import Path

import msgspec
import pytest

from central.adapters.broker.embedded import EmbeddedBroker, free_port
from central.app import load_config, open_use_cases
from tests.doubles.central_rig import Clock, KioskEnd, Rig, fix_ports, new_config, pair, running
from tests.doubles.waiting import WAIT_S
from wire import chain
from wire.environment import utc_ms
from wire.ids import KioskId, PassageId
from wire.records import DroppedRecord, RecordFault
from wire.topics import TopicKind

SEED = 20261123


async def test_a_batch_delivered_twice_is_counted_once(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(5)
        first = await end.deliver(end.batch(1, 5))
        again = await end.deliver(end.batch(1, 5))
        assert (first.sequence, first.link, first.fault) == (5, end.chain[4].link, None)
        assert (again.sequence, again.link, again.fault) == (5, end.chain[4].link, None)
        (report,) = rig.central.use_cases.records.verify()
        assert (report.records, report.broken_at) == (5, None)


async def test_an_overlapping_batch_adds_only_what_is_new(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(9)
        await end.deliver(end.batch(1, 5))
        assert (await end.deliver(end.batch(3, 9))).sequence == 9
        assert [row.sequence for row in stored(rig)] == list(range(1, 10))


async def test_a_batch_past_a_gap_is_not_taken_and_the_receipt_says_where_to_go_on(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(6)
        await end.deliver(end.batch(1, 2))
        receipt = await end.deliver(end.batch(4, 6))
        assert (receipt.sequence, receipt.fault) == (2, RecordFault.GAP)
        assert (await end.deliver(end.batch(3, 6))).sequence == 6


async def test_a_record_the_kiosk_had_no_room_for_is_known_to_be_missing_and_the_chain_holds(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(3)
        batch = end.batch(1, 3)
        gone = batch.records[1]
        left = DroppedRecord(gone.sequence, gone.record_id, chain.commitment_of(gone), gone.link)
        receipt = await end.deliver(
            msgspec.structs.replace(batch, records=(batch.records[0], left, batch.records[2]))
        )
        assert (receipt.sequence, receipt.link, receipt.fault) == (3, end.chain[2].link, None)
        assert [(row.sequence, row.body is None) for row in stored(rig)] == [
            (1, False),
            (2, True),
            (3, False),
        ]
        (report,) = rig.central.use_cases.records.verify()
        assert (report.records, report.purged, report.broken_at) == (3, 1, None)
        bent = msgspec.structs.replace(left, sequence=4, commitment=b"x" * 32)
        end.write_records(1)
        wrong = end.batch(4, 4)
        refused = await end.deliver(msgspec.structs.replace(wrong, records=(bent,)))
        assert (refused.sequence, refused.fault) == (3, RecordFault.BROKEN_LINK)


async def test_a_changed_record_breaks_the_chain_and_nothing_of_its_batch_is_taken(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(3)
        batch = end.batch(1, 3)
        changed = msgspec.structs.replace(batch.records[1], salt=b"x" * 16)
        bent = msgspec.structs.replace(batch, records=(batch.records[0], changed, batch.records[2]))
        receipt = await end.deliver(bent)
        assert (receipt.sequence, receipt.fault) == (0, RecordFault.BROKEN_LINK)
        assert stored(rig) == []


async def test_another_past_at_a_committed_sequence_is_a_conflict(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(3)
        await end.deliver(end.batch(1, 3))
        end.chain.clear()
        end.write_records(4)
        receipt = await end.deliver(end.batch(1, 4))
        assert (receipt.sequence, receipt.fault) == (3, RecordFault.CONFLICT)
        assert len(stored(rig)) == 3


async def test_a_chain_head_signed_by_another_key_is_refused(rig: Rig):
    async with rig.kiosk() as end, rig.kiosk("gate-2") as other:
        end.write_records(1)
        batch = end.batch(1, 1)
        forged = msgspec.structs.replace(
            batch.head, signature=other.signer.sign(chain.genesis(KioskId("gate-1")))
        )
        receipt = await end.deliver(msgspec.structs.replace(batch, head=forged))
        assert receipt.fault is RecordFault.BROKEN_LINK


def stored(rig: Rig) -> list[object]:
    return list(rig.central.use_cases.records._store.stored_links(KioskId("gate-1")))


async def test_one_can_ask_why_of_a_passage(rig: Rig):
    async with rig.kiosk() as end:
        end.write_records(2)
        await end.deliver(end.batch(1, 2))
        async with rig.http() as client:
            answer = await client.get(f"/v1/passages/{2:032x}")
        (record,) = answer.json()
        assert (record["verdict"], record["reasons"]) == ("grant", ["tier_standard"])
        (same,) = rig.central.use_cases.records.of_passage(PassageId(f"{2:032x}"))
        assert same.record_id == f"{2:032x}"


async def test_the_audit_names_the_first_record_that_was_changed_in_the_database(config: Path, clock: Clock):
    async with running(config, clock) as rig, rig.kiosk() as end:
        end.write_records(6)
        await end.deliver(end.batch(1, 6))
    database = sqlite3.connect(config.parent / "central.db")
    first = "SELECT body FROM records WHERE sequence = 1"
    database.execute(f"UPDATE records SET body = ({first}) WHERE sequence = 4")
    database.commit()
    database.close()
    with open_use_cases(load_config(config)) as use_cases:
        (report,) = use_cases.records.verify()
    assert (report.broken_at, report.why) == (4, "a record was changed")


class CentralProcess:
    """`stile central run` in a process of its own, that can be killed in the middle."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        code = "from scripts.cli.central.app import app; app()"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            "run",
            "--config",
            str(self._config),
            "--json",
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            assert b'"http"' in await self._process.stdout.readline()

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.communicate()


@pytest.mark.parametrize("seed", [SEED, pytest.param(SEED + 1, marks=pytest.mark.long)])
async def test_nothing_acknowledged_is_lost_when_central_is_killed_in_the_middle(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
):
    with capsys.disabled():
        print(f" seed {seed}", end="", flush=True)
    dice, clock = random.Random(seed), Clock(utc_ms())
    config = new_config(tmp_path, clock)
    with open_use_cases(load_config(config)) as use_cases:
        code = use_cases.kiosks.add(KioskId("gate-1"), "ride")
    broker, process = EmbeddedBroker(), CentralProcess(config)
    await asyncio.to_thread(broker.start)
    try:
        http_port = free_port()
        fix_ports(config, broker.port, http_port)
        await process.start()
        end = await pair(f"http://127.0.0.1:{http_port}", code, clock, dice)
        async with end.connected():
            for _ in range(3):
                await send_until_killed(end, process, dice)
                await process.start()
            acknowledged = end.receipts()[-1].sequence
            # Central knows at least what it acknowledged, and says so on any batch sent again.
            receipt = await deliver_patiently(end, 1, 1)
            assert receipt.sequence >= acknowledged
            while receipt.sequence < len(end.chain):
                last = min(len(end.chain), receipt.sequence + 100)
                receipt = await deliver_patiently(end, receipt.sequence + 1, last)
        await process.kill()
    finally:
        await asyncio.to_thread(broker.stop)
    with open_use_cases(load_config(config)) as use_cases:
        (report,) = use_cases.records.verify()
    assert (report.records, report.broken_at) == (len(end.chain), None)


async def send_until_killed(end: KioskEnd, process: CentralProcess, dice: random.Random) -> None:
    """Send batches without waiting; after some receipts kill central, with others on their way."""
    enough = len(end.receipts()) + dice.randint(2, 12)
    next_sequence = end.receipts()[-1].sequence + 1 if end.receipts() else 1
    end.write_records(400)
    for first in range(next_sequence, len(end.chain), 10):
        end.send(TopicKind.RECORD, end.batch(first, min(first + 9, len(end.chain))))
    await end.wait_for(lambda: True if len(end.receipts()) >= enough else None)
    await process.kill()


async def deliver_patiently(end: KioskEnd, first: int, last: int):
    """Deliver to a central that may be subscribing only now: send again until a receipt comes."""
    for _ in range(20):
        try:
            async with asyncio.timeout(1):
                return await end.deliver(end.batch(first, last))
        except TimeoutError:
            continue
    raise AssertionError("no receipt")
