"""`stile bench --cache N`: a kiosk's cache of N standings, filled from nothing by a central of its own.

Central with its broker runs in a process of its own, the kiosk's side of the wire in this one: two cores are
what it is meant for. The kiosk fills its gallery at the same time, of as many members without a face.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from central.app import init_central, load_config, open_use_cases
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.rules.standing import compute
from edge.adapters.central.pairing import pair
from edge.adapters.central.uplink import Uplink, UplinkConfig, open_uplink
from edge.errors import FixtureError, StileError
from scripts.output import EXIT_UNUSABLE, fail, tell_json
from wire.canonical import canonical
from wire.environment import utc_ms
from wire.ids import KioskId, Nonce, Purpose, SubjectId
from wire.requests import Request, StandingReply, StandingRequest

RIDE = Purpose("ride")
KIOSK = KioskId("bench-1")
RECIPE = "0" * 64
SEED = 20
INSERT_ROWS = 10_000
FILL_WITHIN_S = 600.0
POLL_S = 0.005
LOOKUPS, MISSES = 20_000, 1_000
ASK_MS = 2_000
KIB = 1024


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Median and 99th percentile."""

    p50: float
    p99: float

    @classmethod
    def of(cls, laps: list[float]) -> Percentiles:
        """At least one lap."""
        p50, p99 = np.percentile(laps, (50, 99))
        return cls(round(float(p50), 3), round(float(p99), 3))


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What a cache of `rows` standings costs; a look-up opens and decodes the sealed row."""

    rows: int
    fill_s: float
    kiosk_cpu_s: float
    central_cpu_s: float
    central_start_s: float
    central_peak_mb: float
    lookup_us: Percentiles
    miss_ms: Percentiles
    change_s: float

    def as_json(self) -> dict[str, object]:
        """The keys of the report."""
        return asdict(self)


def tell_cache(rows: int, *, as_json: bool) -> None:
    """Measure a cache of so many standings, and say what it costs."""
    try:
        with Console(stderr=True).status(f"filling a cache of {rows:,} standings"):
            report = measure_cache(rows).as_json()
    except StileError as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json({"cache": report})
        return
    table = Table(title=f"a cache of {rows:,} standings")
    for column in ("", "value"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in report.items():
        told = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
        table.add_row(name, str(told))
    Console().print(table)


def measure_cache(rows: int) -> CacheReport:
    """Everything about a cache of so many standings. Raises `FixtureError` when it is not filled in time."""
    with tempfile.TemporaryDirectory(prefix="stile-cache-") as folder:
        return asyncio.run(_measure(Path(folder), rows))


async def _measure(folder: Path, rows: int) -> CacheReport:
    config = init_central(folder / "central", "metro", "north", RIDE, mqtt_port=0, http_port=0)
    subjects = _populate(config, rows)
    started_s = time.perf_counter()
    with _central(config) as (http, process):
        start_s = time.perf_counter() - started_s
        with open_use_cases(load_config(config)) as use_cases:
            code = use_cases.kiosks.add(KIOSK, RIDE)
        await pair(http, code, folder / "kiosk", software="bench", random_bytes=os.urandom)
        central_cpu_s, kiosk_cpu_s = _cpu_s(process), time.process_time()
        began_s = time.perf_counter()
        async with open_uplink(folder / "kiosk", UplinkConfig("bench", RECIPE)) as uplink:
            await _filled(uplink, subjects[-1], rows)
            fill_s = time.perf_counter() - began_s
            kiosk_cpu_s = time.process_time() - kiosk_cpu_s
            central_cpu_s = _cpu_s(process) - central_cpu_s
            await _quiet(uplink)
            dice = random.Random(SEED)  # noqa: S311 - which rows are looked up, not a secret
            lookup_us = _lookups(uplink, [dice.choice(subjects) for _ in range(LOOKUPS)])
            miss_ms = await _misses(uplink, [dice.choice(subjects) for _ in range(MISSES)])
            change_s = await _change(config, uplink, dice.choice(subjects))
        peak_mb = psutil.Process(process.pid).memory_info().rss / KIB**2
    return CacheReport(
        rows,
        round(fill_s, 2),
        round(kiosk_cpu_s, 2),
        round(central_cpu_s, 2),
        round(start_s, 1),
        round(peak_mb, 1),
        lookup_us,
        miss_ms,
        round(change_s, 2),
    )


def _populate(config: Path, rows: int) -> list[SubjectId]:
    """Members with a standing each, straight into the database: enrolling them one by one takes an hour."""
    now_ms = utc_ms()
    loaded = load_config(config)
    card = loaded.scorecards[RIDE]
    with open_use_cases(loaded):
        pass  # the tables
    dice = random.Random(SEED)  # noqa: S311 - names of members who do not exist
    subjects = sorted(SubjectId(dice.randbytes(16).hex()) for _ in range(rows))
    with contextlib.closing(sqlite3.connect(config.parent / "central.db")) as database:
        for first in range(0, rows, INSERT_ROWS):
            some = subjects[first : first + INSERT_ROWS]
            database.executemany(
                "INSERT INTO subjects (subject, enrolled_at_ms, consent_version, consent_language,"
                " consent_at_ms) VALUES (?, ?, '1', 'en', ?)",
                ((subject, now_ms, now_ms) for subject in some),
            )
            standings = (
                compute(card, subject, [_event(subject, now_ms, number)], now_ms)
                for number, subject in enumerate(some)
            )
            database.executemany(
                "INSERT INTO standings (subject, purpose, body) VALUES (?, ?, ?)",
                ((each.subject, RIDE, canonical(each)) for each in standings),
            )
            database.commit()
    return subjects


def _event(subject: SubjectId, now_ms: int, number: int) -> Event:
    return Event(f"e-{subject}", subject, RIDE, EventKind.FARE, EventOutcome.KEPT, now_ms - number)


@contextlib.contextmanager
def _central(config: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A central of its own process; its HTTP address."""
    program = "from scripts.cli.main import main; main()"
    command = [sys.executable, "-c", program, "central", "run", "--json", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            if not told:
                raise FixtureError("central did not start; run `stile central run` to see why")
            yield json.loads(told)["http"], process
        finally:
            process.terminate()


def _cpu_s(process: subprocess.Popen[str]) -> float:
    """Processor time of a process and its children: central and its broker."""
    this = psutil.Process(process.pid)
    times = [each.cpu_times() for each in (this, *this.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


async def _filled(uplink: Uplink, last: SubjectId, rows: int) -> None:
    """Wait until every standing is in use, the last one too."""
    async with asyncio.timeout(FILL_WITHIN_S):
        while uplink.cache.standing(last) is None:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(POLL_S)
    if not all(feed.behind or feed.held for feed in uplink.feeds.values()):
        raise FixtureError(f"a feed is missing after {rows} standings")


async def _quiet(uplink: Uplink) -> None:
    """Wait until the gallery is there as well."""
    async with asyncio.timeout(FILL_WITHIN_S):
        while not all(feed.held and not feed.filling for feed in uplink.feeds.values()):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)


def _lookups(uplink: Uplink, subjects: list[SubjectId]) -> Percentiles:
    laps_us = []
    for subject in subjects:
        started_ns = time.perf_counter_ns()
        entry = uplink.cache.standing(subject)
        laps_us.append((time.perf_counter_ns() - started_ns) / 1_000)
        assert entry is not None
    return Percentiles.of(laps_us)


async def _misses(uplink: Uplink, subjects: list[SubjectId]) -> Percentiles:
    laps_ms = []
    for subject in subjects:

        def question(nonce: Nonce, not_after_ms: int, subject: SubjectId = subject) -> Request:
            return StandingRequest(nonce, not_after_ms, subject)

        started_s = time.perf_counter()
        reply = await uplink.link.ask(question, StandingReply, ASK_MS)
        laps_ms.append((time.perf_counter() - started_s) * 1_000)
        if reply is None or reply.entry is None:
            raise FixtureError("central did not answer a miss")
    return Percentiles.of(laps_ms)


async def _change(config: Path, uplink: Uplink, subject: SubjectId) -> float:
    """Seconds from a change at central until the kiosk has it, central's tick of a second included."""
    before = uplink.cache.standing(subject)
    started_s = time.perf_counter()
    with open_use_cases(load_config(config)) as use_cases:
        event = Event("late", subject, RIDE, EventKind.FARE, EventOutcome.KEPT, use_cases.context.now_ms())
        await asyncio.to_thread(use_cases.standings.record_event, event)
    async with asyncio.timeout(FILL_WITHIN_S):
        while uplink.cache.standing(subject) == before:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(POLL_S)
    return time.perf_counter() - started_s
