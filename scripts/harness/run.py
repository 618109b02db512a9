"""One run: everything opened, people walking up, faults one after another, everything drained, judged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil

from scripts.harness.director import Director
from scripts.harness.faults import Faults
from scripts.harness.invariants import judge
from scripts.harness.ledger import read_ledgers
from scripts.harness.plan import Fault, Plan
from scripts.harness.reading import read_central
from scripts.harness.report import Outcome, Sample, Window
from scripts.harness.rig import GOODBYE_S, Rig

CONVERGE_MAX_S = 90.0
"""The longest that a run waits for everybody to be back after a fault: backing off ends at 15 s."""
DRAIN_MAX_S = 120.0
SAMPLE_S = 1.0
LATENCIES_MAX = 1_000_000

Show = Callable[["Progress"], None]


class Progress:
    """What is known while a run goes on."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.phase, self.fault = plan, "starting", ""
        self.began_s = time.monotonic()
        self.loaded_at_s: float | None = None
        self.verdicts: Counter[str] = Counter()
        self.ages: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.faults_of_its_own: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.windows: list[Window] = []
        self.peak_rss_mb = 0.0
        self._connected: dict[int, int] = {}
        self._decided_before = 0
        self._recent_ms: list[float] = []

    @property
    def decided(self) -> int:
        """Verdicts so far."""
        return sum(self.verdicts.values())

    def told(self, worker: int, said: dict[str, Any]) -> None:
        """Hear a worker."""
        if said["told"] == "fault":
            self.faults_of_its_own[said["error"]] += 1
            return
        self.verdicts.update(said["verdicts"])
        self.ages.update(said["ages"])
        self._connected[worker] = said["connected"]
        self._recent_ms += said["latencies_ms"]
        if len(self.latencies_ms) < LATENCIES_MAX:
            self.latencies_ms += said["latencies_ms"]

    def gone(self, worker: int) -> None:
        """A worker was killed."""
        self._connected[worker] = 0

    def enter(self, phase: str) -> None:
        """Another phase has begun."""
        self.phase = phase

    def at_s(self) -> float:
        """Seconds since the load began."""
        return 0.0 if self.loaded_at_s is None else time.monotonic() - self.loaded_at_s

    def sample(self, rss_mb: float) -> None:
        """Note this second."""
        self.peak_rss_mb = max(self.peak_rss_mb, rss_mb)
        recent = sorted(self._recent_ms)
        p95_ms = recent[len(recent) * 95 // 100] if recent else None
        decided, self._decided_before = self.decided - self._decided_before, self.decided
        self._recent_ms = []
        if self.loaded_at_s is not None:
            connected = sum(self._connected.values())
            self.samples.append(Sample(self.at_s(), decided, connected, p95_ms, rss_mb))


def _memory_mb() -> float:
    """Resident memory of this process and all below it; pages they share count for each of them."""
    total, me = 0, psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 1e6


def _processor_s() -> float:
    """Processor seconds of this process and all below it that run now."""
    total, me = 0.0, psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.asynccontextmanager
async def _during(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(progress: Progress, show: Show) -> None:
    while True:
        progress.sample(await asyncio.to_thread(_memory_mb))
        show(progress)
        await asyncio.sleep(SAMPLE_S)


async def run(plan: Plan, show: Show = lambda _: None, keep: Path | None = None) -> Outcome:
    """Run a plan, in `keep` or a folder that is removed; raises `HarnessError` when it cannot be run."""
    plan = plan.settled()
    progress = Progress(plan)
    with contextlib.ExitStack() as files:
        if keep is None:
            keep = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="stile-harness-")))
        keep.mkdir(parents=True, exist_ok=True)
        rig = Rig(plan, keep, progress.told)
        if Fault.BROKER_KILL in plan.faults and "://" in plan.broker:
            await rig.broker.kill()  # says that it cannot be
        try:
            async with _during(_watch(progress, show)):
                return await _run(rig, progress)
        finally:
            await asyncio.shield(rig.abort())


async def _run(rig: Rig, progress: Progress) -> Outcome:
    plan = rig.plan
    progress.phase = "starting broker and central"
    await rig.open_centre()
    progress.phase = f"pairing {plan.kiosks} kiosks"
    rig.on_phase = progress.enter
    await rig.open_kiosks()
    startup_s, startup_cpu_s = time.monotonic() - progress.began_s, _processor_s()
    director = Director(rig, random.Random(f"{plan.seed} director"))  # noqa: S311 - repeated from its seed
    faults = Faults(rig, random.Random(f"{plan.seed} faults"))  # noqa: S311
    progress.phase, progress.loaded_at_s = "people walk up", time.monotonic()
    await asyncio.gather(*map(rig.load, rig.crews))
    async with _during(director.act()):
        for place, fault in enumerate(plan.faults):
            await _one_fault(rig, faults, fault, progress)
            progress.phase, progress.fault = "people walk up", ""
            await asyncio.sleep(max(0.0, (place + 1) * plan.slot_s - progress.at_s()))
        await asyncio.sleep(max(0.0, plan.duration_s - progress.at_s()))
    loaded_s, load_average = progress.at_s(), os.getloadavg()
    progress.phase = "waiting for the last records"
    for proxy in rig.proxies:
        proxy.heal()
    await asyncio.gather(*(crew.child.ask("rest") for crew in rig.crews))
    await asyncio.gather(
        *(crew.child.ask("drained", within_s=DRAIN_MAX_S + 10, limit_s=DRAIN_MAX_S) for crew in rig.crews)
    )
    stats = await rig.central.ask("stats")
    left = await asyncio.gather(*(crew.child.ask("leave", within_s=GOODBYE_S) for crew in rig.crews))
    await asyncio.gather(*(crew.child.stop() for crew in rig.crews))
    await rig.central.stop()
    progress.phase = "judging"
    stored, broken = await asyncio.to_thread(read_central, rig.config)
    entries = read_ledgers(rig.folder / f"worker-{crew.number}" / "ledger.jsonl" for crew in rig.crews)
    findings = judge(entries, director.truth, stored, broken)
    outcome = Outcome(
        plan,
        findings,
        len(stored),
        loaded_s,
        startup_s,
        startup_cpu_s,
        progress.peak_rss_mb,
        progress.latencies_ms,
        progress.verdicts,
        progress.ages,
        progress.windows,
        progress.samples,
        ignored_by_central=stats["ignored"],
        faults_of_its_own=progress.faults_of_its_own,
        load_average=load_average,
    )
    for each in left:
        outcome.ignored_by_kiosks.update(each["ignored"])
        outcome.faults_of_its_own.update(
            {f"{name} task of a kiosk": count for name, count in each["faults"].items()}
        )
    for proxy in rig.proxies:
        outcome.tampered += proxy.tampered
    outcome.tampered["mislabelled_changes"] = director.mislabelled
    return outcome


async def _one_fault(rig: Rig, faults: Faults, fault: Fault, progress: Progress) -> None:
    """Begin a fault, hold it, end it, and wait until everybody is as before."""
    progress.phase, progress.fault = "fault", fault.value
    from_s = progress.at_s()
    await faults.begin(fault)
    await asyncio.sleep(rig.plan.hold_s(fault))
    ended_s = progress.at_s()
    progress.phase = "coming back"
    await faults.end(fault)
    answers = await asyncio.gather(
        *(
            crew.child.ask("recovered", within_s=CONVERGE_MAX_S + 10, limit_s=CONVERGE_MAX_S)
            for crew in rig.crews
        )
    )
    back = all(answer["seconds"] is not None for answer in answers)
    convergence_s = round(progress.at_s() - ended_s, 2) if back else None
    progress.windows.append(Window(fault.value, from_s, ended_s, convergence_s))
