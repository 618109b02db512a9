"""A Mosquitto whose limit is far below what Stile sends: batches are cut to fit, and both ends say why."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.adapters.broker.embedded import LOOPBACK, free_port
from tests.doubles.brokers import answers, mosquitto_program
from tests.doubles.central_rig import Clock, fix_ports, new_config, running
from tests.doubles.kiosk_rig import paired
from tests.doubles.waiting import eventually
from tests.doubles.wire_samples import pass_record
from wire.ids import KioskId, PassageId, RecordId
from wire.topics import PACKET_MAX_BYTES

PACKET_BYTES = 4000
RECORDS = 30


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """Where that Mosquitto listens, to anybody on this machine."""
    found = free_port()
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(
        f"listener {found} {LOOPBACK}\nallow_anonymous true\nmax_packet_size {PACKET_BYTES}\n"
    )
    program = mosquitto_program()
    process = await asyncio.to_thread(subprocess.Popen, [program, "-c", str(settings)])
    try:
        await answers(LOOPBACK, found)
        yield found
    finally:
        process.terminate()
        process.wait(10)


async def test_batches_are_cut_to_what_the_broker_takes_and_both_ends_say_its_limit(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    config = new_config(tmp_path, clock)
    fix_ports(config, port, 0)
    home = tmp_path / "kiosk"
    home.mkdir(mode=0o700)
    async with running(config, clock) as rig:
        kiosk = await paired(rig, home)
        async with kiosk.running() as uplink:
            await eventually(lambda: uplink.link.connected)
            for each in range(1, RECORDS + 1):
                token = f"{each:032x}"
                record = pass_record(
                    KioskId("gate-1"), 1, record_id=RecordId(token), passage=PassageId(token)
                )
                await uplink.outbox.settle(record)
            await eventually(lambda: uplink.outbox.backlog.waiting == 0)
            assert "broker_limited" in uplink.reporter.state().notes
            assert uplink.link.connection.connects == 1, "nothing was sent that ends the connection"
            async with rig.http() as http:
                said = (await http.get("/v1/state")).json()["broker_trouble"]
        for number in (PACKET_BYTES, PACKET_MAX_BYTES):
            assert str(number) in said
            assert str(number) in caplog.text
