"""A broker that is restarted, killed, or not there yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

from central.adapters.broker.embedded import EmbeddedBroker, free_port
from tests.doubles.central_rig import RIDE, Clock, Rig, fix_ports, running
from tests.doubles.waiting import eventually
from wire.fleet import RollCall
from wire.requests import HeadRequest


async def test_an_embedded_broker_that_is_killed_comes_back_and_everybody_with_it(rig: Rig):
    async with rig.kiosk() as end:
        assert rig.central.embedded is not None
        await asyncio.to_thread(rig.central.embedded.kill)
        await eventually(lambda: not end.link.connected.is_set() and not rig.central.link.connected.is_set())
        await eventually(lambda: end.link.connected.is_set() and rig.central.link.connected.is_set())
        assert (await end.ask(HeadRequest)).head.name == RIDE


async def test_central_starts_without_its_broker_and_finds_it_later(config: Path, clock: Clock):
    port = free_port()
    fix_ports(config, port, 0)
    broker = EmbeddedBroker(port)
    async with running(config, clock) as rig:
        async with rig.http() as client:
            assert (await client.get("/v1/kiosks")).status_code == 200
        try:
            await asyncio.to_thread(broker.start)
            async with rig.kiosk() as end:
                await eventually(rig.central.link.connected.is_set)
                assert (await end.ask(HeadRequest)).head.name == RIDE
        finally:
            await asyncio.to_thread(broker.stop)


async def test_central_calls_the_roll_and_tells_its_heads_again_when_the_broker_comes_back(rig: Rig):
    async with rig.kiosk() as end:
        assert rig.central.embedded is not None
        before = len(end.heard)
        await asyncio.to_thread(rig.central.embedded.restart)
        await eventually(lambda: end.link.connected.is_set() and rig.central.link.connected.is_set())
        if not any(isinstance(r.message, RollCall) for r in end.heard[before:]):
            # The kiosk may have come back after central's call; then it asks.
            rig.central.on_connect()
        await end.wait_for(
            lambda: next((r for r in end.heard[before:] if isinstance(r.message, RollCall)), None)
        )
        assert (await end.ask(HeadRequest)).head.name == RIDE
