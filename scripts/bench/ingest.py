"""`stile bench --ingest`: how many records a second central commits, and the room they take.

Signed batches in, committed, signed receipts out; no network. As central does it, payloads of several kiosks
are answered on one event loop, one batch of each at a time.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, make_url, text

from central.app import RequestRouter, UseCases, init_central, load_config, open_use_cases
from central.errors import CentralError, RefusedError
from central.service.kiosks import BrokerAddress
from scripts.output import EXIT_UNUSABLE, fail, tell_json
from wire import chain, topics
from wire.codec import encode
from wire.ids import BootId, GateId, KioskId, PassageId, Purpose, ReasonCode, RecordId, SubjectId
from wire.pairing import make_request, parse_code
from wire.records import (
    BATCH_MAX_RECORDS,
    Comparison,
    GateOutcome,
    IdentifiedBy,
    PassRecord,
    RecordBatch,
    RecordedCircumstances,
    StandingUsed,
)
from wire.sealing import box_public_key
from wire.signing import Signer, sign_chain_head
from wire.topics import TopicKind

KIOSKS = 16
BATCHES: Mapping[int, int] = {BATCH_MAX_RECORDS: 12, 16: 24}
"""Records of a batch (a backlog's, and those of everyday), and how many such batches each kiosk sends."""
SEED = 20
NOBODY = BrokerAddress("127.0.0.1", 1)


@dataclass(frozen=True, slots=True)
class Rate:
    """What committing batches of one size took."""

    batch_records: int
    records: int
    seconds: float

    def as_json(self) -> dict[str, float]:
        """The keys of the report."""
        return {
            "batch_records": self.batch_records,
            "records": self.records,
            "seconds": round(self.seconds, 2),
            "records_per_s": round(self.records / self.seconds),
        }


@dataclass(frozen=True, slots=True)
class Ingested:
    """What committing took, by size of batch, and the bytes on disk that a record takes, with its indices."""

    rates: tuple[Rate, ...]
    disk_bytes_per_record: int

    def as_json(self) -> dict[str, object]:
        """The keys of the report; `records_per_s` is that of the largest batches."""
        told = [rate.as_json() for rate in self.rates]
        return {
            "records_per_s": told[0]["records_per_s"],
            "batches": told,
            "disk_bytes_per_record": self.disk_bytes_per_record,
        }


def _record(kiosk: KioskId, number: int, dice: random.Random) -> PassRecord:
    """A granted passage, with every number that such a record has."""
    token = dice.randbytes(16).hex()
    now_ms = 1_790_000_000_000 + 4000 * number
    was = RecordedCircumstances(
        emergency=False,
        gate=ReasonCode("ready"),
        membership=ReasonCode("active"),
        identification=ReasonCode("match"),
        liveness=ReasonCode("not_asked"),
        restriction=ReasonCode("none"),
        age=ReasonCode("fresh"),
        tier=ReasonCode("standard"),
        second_factor=ReasonCode("not_given"),
        payment=ReasonCode("none"),
        central_answers=True,
    )
    return PassRecord(
        RecordId(token),
        PassageId(token),
        kiosk,
        GateId("bench-1"),
        Purpose("ride"),
        BootId("b" * 32),
        now_ms,
        now_ms + 310,
        now_ms + 2900,
        True,
        IdentifiedBy.FACE,
        SubjectId(dice.randbytes(16).hex()),
        "grant",
        (ReasonCode("tier_standard"),),
        was,
        GateOutcome.PASSED,
        ReasonCode("standard"),
        comparison=Comparison(dice.uniform(0.95, 0.99), 0.95, "a" * 64, "c" * 64, agreeing_frames=3),
        standing=StandingUsed(1, number, now_ms - 30_000, now_ms + 10**9, 30_000, 600, 5000, 2000, 0),
    )


def _payloads(
    use_cases: UseCases, name: str, batch_records: int, dice: random.Random
) -> list[tuple[topics.Address, bytes]]:
    """A kiosk paired with central, and its batches, signed."""
    code = use_cases.kiosks.add(KioskId(name), Purpose("ride"))
    signer = Signer.from_seed(dice.randbytes(32))
    box = box_public_key(dice.randbytes(32))
    use_cases.kiosks.pair(
        make_request(
            parse_code(code),
            dice.randbytes(16),
            public_key=signer.public_key,
            box_public_key=box,
            software="bench",
        ),
        NOBODY,
    )
    kiosk, address = (
        KioskId(name),
        topics.kiosk_topic(TopicKind.RECORD, use_cases.context.site, KioskId(name)),
    )
    link, payloads = chain.genesis(kiosk), []
    for first in range(1, BATCHES[batch_records] * batch_records, batch_records):
        records, before = [], link
        for number in range(first, first + batch_records):
            records.append(chain.chained(link, number, _record(kiosk, number, dice), dice.randbytes(16)))
            link = records[-1].link
        head = sign_chain_head(kiosk, records[-1].sequence, link, signer)
        batch = RecordBatch(kiosk, before, tuple(records), head)
        payloads.append((address, encode(address, batch, signer, use_cases.context.operator, "ride")))
    return payloads


def measure_ingest(folder: Path, database: str | None = None) -> Ingested:
    """Commit batches into a new SQLite file in `folder`, or an empty PostgreSQL database at a URL.

    Raises RefusedError for a database that is in use, StorageError for one that cannot be opened.
    """
    config = load_config(init_central(folder, "bench", "north", "ride"))
    if database is not None:
        config = msgspec.structs.replace(
            config, settings=msgspec.structs.replace(config.settings, database=database)
        )
    with open_use_cases(config) as use_cases:
        if use_cases.kiosks.all():
            raise RefusedError("this database is in use: give an empty one, made for measuring")
        dice = random.Random(SEED)  # noqa: S311 the same records in every run
        rates = tuple(_rate(use_cases, batch_records, dice) for batch_records in BATCHES)
        committed = sum(report.records for report in use_cases.records.verify() if report.broken_at is None)
    assert committed == sum(rate.records for rate in rates)
    return Ingested(rates, _disk_bytes(config.database) // committed)


def _rate(use_cases: UseCases, batch_records: int, dice: random.Random) -> Rate:
    kiosks = [
        _payloads(use_cases, f"bench-{batch_records}-{number}", batch_records, dice)
        for number in range(KIOSKS)
    ]
    started_s = time.perf_counter()
    asyncio.run(_answer_all(RequestRouter(use_cases), kiosks))
    took_s = time.perf_counter() - started_s
    return Rate(batch_records, KIOSKS * BATCHES[batch_records] * batch_records, took_s)


async def _answer_all(router: RequestRouter, kiosks: list[list[tuple[topics.Address, bytes]]]) -> None:
    async def one(payloads: list[tuple[topics.Address, bytes]]) -> None:
        for address, payload in payloads:
            assert await router.answer(address, payload)

    async with asyncio.TaskGroup() as group:
        for payloads in kiosks:
            group.create_task(one(payloads))


def _disk_bytes(where: Path | str) -> int:
    """What the records and their chain heads take; in SQLite, all of the file."""
    if isinstance(where, Path):
        return where.stat().st_size
    engine = create_engine(make_url(where).set(drivername="postgresql+pg8000"))
    try:
        with engine.connect() as connection:
            sizes = "SELECT pg_total_relation_size('records') + pg_total_relation_size('chain_heads')"
            return int(connection.execute(text(sizes)).scalar_one())
    finally:
        engine.dispose()


def tell_ingest(database: str | None, *, as_json: bool) -> None:
    """Measure SQLite, and PostgreSQL where a database is given, and say what was found."""
    report: dict[str, dict[str, object]] = {}
    try:
        with Console(stderr=True).status("committing records, some 30 s"):
            for name, url in (("sqlite", None), ("postgresql", database)):
                if url is not None or name == "sqlite":
                    with tempfile.TemporaryDirectory(prefix="stile-ingest-") as folder:
                        report[name] = measure_ingest(Path(folder), url).as_json()
    except CentralError as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json({"ingest": report})
        return
    table = Table("database", "records a batch", "records a second", "bytes on disk each")
    for name, found in report.items():
        for rate in found["batches"]:  # type: ignore[attr-defined]
            each = (rate["batch_records"], rate["records_per_s"], found["disk_bytes_per_record"])
            table.add_row(name, *(f"{value:,}" for value in each))
    Console().print(table)
