"""A kiosk that writes and sends records until it is killed; it tells of each once that is durable."""

from __future__ import annotations

import asyncio
import random
from multiprocessing.connection import Connection
from pathlib import Path

from edge.adapters.central.uplink import UplinkConfig, open_uplink
from tests.doubles.wire_samples import pass_record
from wire.environment import Environment
from wire.ids import PassageId, RecordId

CONFIG = UplinkConfig(software="0.1.0", recipe_digest="ab" * 32, receipt_timeout_s=0.5)


def write_until_killed(folder: Path, seed: int, life: int, said: Connection) -> None:
    """The body of the process: begin, settle, sometimes twice, and say so; SIGKILL ends it."""
    asyncio.run(_write(folder, random.Random(seed * 1000 + life), life, said))


def drain(folder: Path, said: Connection) -> None:
    """Settle what an earlier life left, send everything, and leave."""
    asyncio.run(_drain(folder, said))


async def _write(folder: Path, dice: random.Random, life: int, said: Connection) -> None:
    async with open_uplink(folder, CONFIG, environment=Environment(ntp=lambda: None)) as uplink:
        await _settle_leftovers(uplink.outbox, said)
        kiosk, number = uplink.identity.kiosk, life * 1_000_000
        said.send("ready")
        while True:
            for _ in range(dice.randint(1, 6)):
                number += 1
                token = f"{number:032x}"
                record = pass_record(kiosk, 1, record_id=RecordId(token), passage=PassageId(token))
                await uplink.outbox.begin(record)
                said.send(f"begun {token}")
                await uplink.outbox.settle(record)
                if dice.random() < 0.1:
                    await uplink.outbox.settle(record)
                said.send(f"settled {token}")
            await asyncio.sleep(dice.uniform(0, 0.01))


async def _settle_leftovers(outbox, said: Connection) -> None:
    for record in await outbox.unsettled():
        await outbox.settle(record)
        said.send(f"settled {record.record_id}")


async def _drain(folder: Path, said: Connection) -> None:
    async with open_uplink(folder, CONFIG, environment=Environment(ntp=lambda: None)) as uplink:
        await _settle_leftovers(uplink.outbox, said)
        async with asyncio.timeout(120):
            while uplink.outbox.backlog.waiting:  # noqa: ASYNC110 - as a person watching it would
                await asyncio.sleep(0.02)
        said.send(f"last {uplink.outbox.backlog.last}")
