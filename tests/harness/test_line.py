"""The line between kiosk and broker: what its faults do to a real client, and that it comes back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from scripts.harness.proxy import Proxy
from tests.doubles.scripted_broker import ScriptedBroker
from tests.doubles.waiting import eventually
from wire.transport import mqtt
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client waits for is a moment here."""
    for name, seconds in (
        ("UNCONFIRMED_S", 0.5),
        ("MISC_EVERY_S", 0.02),
        ("CONNACK_TIMEOUT_S", 0.3),
        ("BACKOFF_FIRST_S", 0.01),
    ):
        monkeypatch.setattr(mqtt, name, seconds)


@contextlib.asynccontextmanager
async def line() -> AsyncIterator[tuple[ScriptedBroker, Proxy, Connection]]:
    """A broker, the line to it, and a client at its end, connected."""
    broker = ScriptedBroker()
    async with broker.serving():
        proxy = Proxy("127.0.0.1", broker.port, random.Random(1))
        await proxy.open()
        endpoint = Endpoint("127.0.0.1", proxy.port, "test", backoff_max_s=0.05)
        callbacks = Callbacks(None, lambda: None, lambda: None, lambda *_: None)
        connection = Connection(endpoint, (("t", 1),), callbacks, random.Random(1))
        life = asyncio.create_task(connection.run())
        try:
            await eventually(lambda: connection.connected)
            yield broker, proxy, connection
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await proxy.close()


async def arrives(broker: ScriptedBroker, connection: Connection, payload: bytes) -> None:
    await eventually(lambda: connection.publish(Publication("t", payload, 1, retained=False)))
    await eventually(lambda: payload in broker.heard)


async def test_lost_confirmations_end_the_connection_and_messages_pass_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with line() as (broker, proxy, connection):
        proxy.lose_confirmations()
        await arrives(broker, connection, b"during")
        await eventually(lambda: "has not confirmed" in caplog.text)
        assert proxy.tampered["unconfirmed"] >= 1
        proxy.heal()
        await eventually(lambda: connection.connected)
        await arrives(broker, connection, b"after")
        await eventually(lambda: connection._outgoing.empty and connection.connected)


async def test_a_line_that_is_held_keeps_its_connection_until_the_client_gives_it_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with line() as (broker, proxy, connection):
        proxy.hold()
        assert connection.connected
        assert connection.publish(Publication("t", b"during", 1, retained=False))
        await eventually(lambda: "has not confirmed" in caplog.text)
        await eventually(lambda: "does not answer" in caplog.text)
        assert b"during" not in broker.heard
        assert broker.connects == 1
        proxy.heal()
        await arrives(broker, connection, b"after")


async def test_a_mute_line_ends_connections_and_answers_no_new_one(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as (broker, proxy, connection):
        proxy.mute()
        await eventually(lambda: not connection.connected)
        await eventually(lambda: "does not answer" in caplog.text)
        assert broker.connects == 1
        proxy.heal()
        await arrives(broker, connection, b"after")
