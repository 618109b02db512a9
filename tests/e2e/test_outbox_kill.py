"""A kiosk killed with SIGKILL again and again while it writes and sends: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from edge.adapters.central.pairing import pair
from tests.doubles.central_rig import RIDE, Clock, Rig, new_config, running
from tests.doubles.outbox_child import drain, write_until_killed
from wire.codec import decode_record
from wire.ids import KioskId

KIOSK = KioskId("gate-1")
READY_S = 90.0
HEARD_MAX = 80
"""Of what one life is heard to say before it is killed: two lines a record."""


class Witness:
    """What the kiosk said it had made durable, through every life."""

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.settled: set[str] = set()
        self.last = 0

    def hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "begun":
            self.begun.add(rest)
        elif word == "settled":
            self.settled.add(rest)
        elif word == "last":
            self.last = int(rest)

    def hear_all(self, ear: Connection) -> None:
        """Everything said before the process died; a message torn by the kill was not said."""
        try:
            while ear.poll():
                self.hear(ear.recv())
        except (EOFError, OSError):
            pass


async def one_life(
    context, folder: Path, *, seed: int, life: int, dice: random.Random, witness: Witness
) -> None:
    """One start and its end: mostly while records are written, sometimes while the kiosk is still opening."""
    patient, lines, after_s = dice.random() < 0.8, dice.randint(0, HEARD_MAX), dice.uniform(0, 0.5)
    ear, mouth = context.Pipe(duplex=False)
    kiosk = context.Process(target=write_until_killed, args=(folder, seed, life, mouth))
    kiosk.start()
    mouth.close()
    try:
        async with asyncio.timeout(READY_S):
            line = "" if patient else "ready"
            while line != "ready":
                line = await asyncio.to_thread(ear.recv)
                witness.hear(line)
            for _ in range(lines if patient else 0):
                witness.hear(await asyncio.to_thread(ear.recv))
        if not patient:
            await asyncio.sleep(after_s)  # when it dies is what is being varied, not what is waited for
    finally:
        kiosk.kill()
        await asyncio.to_thread(kiosk.join)
        assert kiosk.exitcode == -9
        witness.hear_all(ear)
        ear.close()
        kiosk.close()


async def last_life(context, folder: Path, witness: Witness) -> None:
    ear, mouth = context.Pipe(duplex=False)
    kiosk = context.Process(target=drain, args=(folder, mouth))
    kiosk.start()
    mouth.close()
    while await asyncio.to_thread(ear.poll, 2 * READY_S):
        try:
            witness.hear(ear.recv())
        except EOFError:
            break
    await asyncio.to_thread(kiosk.join)
    assert kiosk.exitcode == 0
    ear.close()
    kiosk.close()


async def kill_and_count(tmp_path: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}, {kills} kills; repeat with STILE_KILL_SEED={seed}")
    dice = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.doubles.outbox_child"])
    witness = Witness()
    folder = tmp_path / "kiosk"
    clock = Clock()
    async with running(new_config(tmp_path / "central", clock), clock, seed) as rig:
        code = rig.central.use_cases.kiosks.add(KIOSK, RIDE)
        await pair(rig.central.http_url, code, folder, software="0.1.0", random_bytes=os.urandom)
        for life in range(1, kills + 1):
            await one_life(context, folder, seed=seed, life=life, dice=dice, witness=witness)
            if dice.random() < 0.15:
                await asyncio.to_thread(rig.central.embedded.restart)
        await last_life(context, folder, witness)
        await check(rig, witness)


async def check(rig: Rig, witness: Witness) -> None:
    use_cases = rig.central.use_cases
    (report,) = use_cases.records.verify()
    assert report.broken_at is None, report
    links = use_cases.records._store.stored_links(KIOSK)
    committed = Counter(decode_record(stored.body).record_id for stored in links)
    print(f"{len(committed)} records committed, {len(witness.settled)} heard to be settled")
    assert [record for record, times in committed.items() if times != 1] == []
    assert witness.settled - set(committed) == set(), "settled, and lost"
    assert witness.begun - set(committed) == set(), "begun, and lost"
    assert len(committed) == report.records == witness.last
    assert len(committed) > 100


async def test_records_survive_a_kiosk_that_is_killed_again_and_again(tmp_path: Path):
    await kill_and_count(tmp_path, 15, int(os.environ.get("STILE_KILL_SEED", random.randrange(10**6))))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_records_survive_a_hundred_and_fifty_kills(tmp_path: Path):
    await kill_and_count(tmp_path, 150, int(os.environ.get("STILE_KILL_SEED", random.randrange(10**6))))
