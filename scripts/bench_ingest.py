"""How many records a second central commits: signed batches in, committed, signed receipts out; no network.

As central does it, payloads of several kiosks are answered on one event loop, one batch of each at a time.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from central.app import Desk, Switchboard, init_central, load_config, open_desk
from central.service.kiosks import BrokerAddress
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
BATCHES = 12
"""A kiosk, of 128 records each: 24,576 records in all, some 5 s."""
SEED = 20
NOBODY = BrokerAddress("127.0.0.1", 1)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What committing took."""

    records: int
    seconds: float

    def as_json(self) -> dict[str, float]:
        """The keys of the report."""
        per_s = round(self.records / self.seconds)
        return {"records": self.records, "seconds": round(self.seconds, 2), "records_per_s": per_s}


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


def _payloads(desk: Desk, name: str, dice: random.Random) -> list[tuple[topics.Address, bytes]]:
    """A kiosk paired with central, and its batches, signed."""
    code = desk.kiosks.add(KioskId(name), Purpose("ride"))
    signer = Signer.from_seed(dice.randbytes(32))
    box = box_public_key(dice.randbytes(32))
    desk.kiosks.pair(
        make_request(parse_code(code), dice.randbytes(16), signer.public_key, box, "bench"), NOBODY
    )
    kiosk, address = KioskId(name), topics.kiosk_topic(TopicKind.RECORD, desk.context.site, KioskId(name))
    link, payloads = chain.genesis(kiosk), []
    for first in range(1, BATCHES * BATCH_MAX_RECORDS, BATCH_MAX_RECORDS):
        records, before = [], link
        for number in range(first, first + BATCH_MAX_RECORDS):
            records.append(chain.chained(link, number, _record(kiosk, number, dice), dice.randbytes(16)))
            link = records[-1].link
        head = sign_chain_head(kiosk, records[-1].sequence, link, signer)
        batch = RecordBatch(kiosk, before, tuple(records), head)
        payloads.append((address, encode(address, batch, signer, desk.context.operator, "ride")))
    return payloads


def measure_ingest(folder: Path, database: str | None = None) -> Ingested:
    """Commit the batches into a new SQLite file in `folder`, or an empty PostgreSQL database at a URL."""
    config = load_config(init_central(folder, "bench", "north", "ride"))
    if database is not None:
        config = msgspec.structs.replace(
            config, settings=msgspec.structs.replace(config.settings, database=database)
        )
    with open_desk(config) as desk:
        dice = random.Random(SEED)  # noqa: S311 the same records in every run
        kiosks = [_payloads(desk, f"bench-{number}", dice) for number in range(KIOSKS)]
        switchboard = Switchboard(desk)
        started_s = time.perf_counter()
        asyncio.run(_answer_all(switchboard, kiosks))
        took_s = time.perf_counter() - started_s
        committed = sum(report.records for report in desk.records.verify() if report.broken_at is None)
    assert committed == KIOSKS * BATCHES * BATCH_MAX_RECORDS
    return Ingested(committed, took_s)


async def _answer_all(switchboard: Switchboard, kiosks: list[list[tuple[topics.Address, bytes]]]) -> None:
    async def one(payloads: list[tuple[topics.Address, bytes]]) -> None:
        for address, payload in payloads:
            assert await switchboard.answer(address, payload)

    async with asyncio.TaskGroup() as group:
        for payloads in kiosks:
            group.create_task(one(payloads))
