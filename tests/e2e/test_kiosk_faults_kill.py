"""A kiosk killed with SIGKILL around a release: every passage is recorded once, as the gate saw it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from edge.compare.claim import qr_text
from firmware_bridge.messages import Event, Interrupted, Passed, TimedOut
from firmware_bridge.simulator.device import SimulatedGate
from scripts.stage.stage import Stage, open_stage
from tests.doubles.kiosk_child import finish, pass_until_killed
from tests.doubles.lane import FACES, RELEASE, SEED, records_of, staged
from wire.records import GateOutcome

READY_S = 90.0
KILLED_WITHIN_S = 1.4
"""From the welcome: decision kept, release sent, gate open, person through, event heard, record settled."""
OUTCOMES = {
    Passed: GateOutcome.PASSED,
    TimedOut: GateOutcome.TIMED_OUT,
    Interrupted: GateOutcome.INTERRUPTED,
}


@dataclass
class GateBook:
    """What the controller itself saw, whoever was listening: passage -> how its release ended."""

    ended: dict[str, GateOutcome] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    def watch(self, gate: SimulatedGate) -> None:
        """Note every event as the controller makes it."""
        transport = gate.controller.transport
        report = transport.report

        def noted(event: Event, now_ms: int) -> None:
            self._note(event)
            report(event, now_ms)

        transport.report = noted

    def _note(self, event: Event) -> None:
        if type(event) in OUTCOMES and any(event.passage_id):
            passage = event.passage_id.hex()
            if passage in self.ended:
                self.twice.append(passage)
            self.ended[passage] = OUTCOMES[type(event)]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Broker, central, gate and members; the kiosk of this process has left its place to others."""
    release = msgspec.structs.replace(RELEASE, open_ms=1_500)
    async with open_stage(tmp_path, SEED, staged(release=release, head_every_s=5)) as stage:
        await stage.stop_kiosk()
        yield stage


async def heard(ear, what: str) -> None:
    """Wait for a line that begins so; raises AssertionError with what was said instead."""
    said: list[str] = []
    try:
        async with asyncio.timeout(READY_S):
            while not said or not said[-1].startswith(what):
                if await asyncio.to_thread(ear.poll, 0.2):
                    said.append(ear.recv())
    except (TimeoutError, EOFError) as error:
        raise AssertionError(f"never heard {what!r} but {said[-20:]}") from error


async def one_life(stage: Stage, context, dice: random.Random) -> None:
    """A kiosk starts, a member is welcomed and perhaps walks, and within a moment the kiosk is dead."""
    people = {qr_text(stage.enrolled[name].claim): FACES[name] for name in ("birch", "amber")}
    welcomes, walks, after_s = dice.randint(1, 2), dice.random() < 0.7, dice.uniform(0, KILLED_WITHIN_S)
    ear, mouth = context.Pipe(duplex=False)
    kiosk = context.Process(target=pass_until_killed, args=(stage.config, SEED, people, mouth))
    kiosk.start()
    mouth.close()
    try:
        for number in range(welcomes):
            await heard(ear, "shows welcome")
            if walks or number + 1 < welcomes:
                stage.gate.do(SimulatedGate.walk_through)
        # When it dies is what is being varied, not what is waited for.
        await asyncio.sleep(after_s)
    finally:
        kiosk.kill()
        await asyncio.to_thread(kiosk.join)
        assert kiosk.exitcode == -9
        ear.close()
        kiosk.close()


async def last_life(stage: Stage, context) -> None:
    ear, mouth = context.Pipe(duplex=False)
    kiosk = context.Process(target=finish, args=(stage.config, SEED, mouth))
    kiosk.start()
    mouth.close()
    try:
        await asyncio.to_thread(kiosk.join, 2 * READY_S)
        assert kiosk.exitcode == 0
    finally:
        kiosk.kill()
        ear.close()


async def kill_and_count(stage: Stage, kills: int, seed: int) -> None:
    print(f"seed {seed}, {kills} kills; repeat with STILE_KILL_SEED={seed}")
    dice, book = random.Random(seed), GateBook()
    stage.gate.do(book.watch)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.doubles.kiosk_child"])
    for _ in range(kills):
        await one_life(stage, context, dice)
    await last_life(stage, context)
    records = records_of(stage)
    ended = {passage: record.gate_outcome for passage, record in records.items()}
    print(f"{len(records)} records, {len(book.ended)} releases: {sorted(book.ended.values())}")
    assert book.twice == []
    assert set(book.ended) <= set(ended), "the gate opened, and no record says so"
    assert {passage: ended[passage] for passage in book.ended} == book.ended
    # Kept but never sent; or refused, as the gate was still open for somebody of the life before.
    granted = {record.passage for record in records.values() if record.verdict == "grant"}
    assert {ended[passage] for passage in granted - set(book.ended)} <= {
        GateOutcome.UNKNOWN,
        GateOutcome.REFUSED,
    }
    # A slow machine may look too late, or claim before the gate answers: then nothing was opened.
    assert {ended[passage] for passage in set(ended) - granted} <= {GateOutcome.NOT_RELEASED}
    assert all(records[passage].subject for passage in granted)
    assert len(book.ended) >= kills // 2


def new_seed() -> int:
    return int(os.environ.get("STILE_KILL_SEED", random.randrange(10**6)))


async def test_a_kiosk_killed_around_a_release_records_each_passage_once_as_the_gate_saw_it(stage: Stage):
    await kill_and_count(stage, 4, new_seed())


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_forty_kills_around_a_release_lose_and_double_nothing(stage: Stage):
    await kill_and_count(stage, 40, new_seed())


@pytest.mark.long
async def test_a_release_whose_gate_forgot_it_while_the_kiosk_was_dead_is_recorded_as_unknown(stage: Stage):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.doubles.kiosk_child"])
    ear, mouth = context.Pipe(duplex=False)
    people = {qr_text(stage.enrolled["birch"].claim): FACES["birch"]}
    kiosk = context.Process(target=pass_until_killed, args=(stage.config, SEED, people, mouth))
    kiosk.start()
    try:
        await heard(ear, "shows welcome")
        async with asyncio.timeout(READY_S):
            while (opened := stage.gate.do(lambda gate: gate.open_passage)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    finally:
        kiosk.kill()
        await asyncio.to_thread(kiosk.join)
    stage.gate.do(SimulatedGate.reboot)
    await last_life(stage, context)
    assert {passage: record.gate_outcome for passage, record in records_of(stage).items()} == {
        opened.hex(): GateOutcome.UNKNOWN
    }
