"""A connection is judged by what it does; and what a broker says of itself is read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.doubles.scripted_broker import (
    MAXIMUM_PACKET_SIZE,
    RECEIVE_MAXIMUM,
    ScriptedBroker,
    number,
)
from tests.doubles.waiting import eventually
from wire.transport import mqtt
from wire.transport.mqtt import BACKOFF_FIRST_S, Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication

TAKEN_OVER, TOO_LARGE, SHUTTING_DOWN, NOT_AUTHORISED = 142, 149, 139, 135


class Even(random.Random):
    """Dice without jitter, and with short pauses."""

    def uniform(self, a: float, b: float) -> float:
        return 0.02


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keep-alives are a moment here."""
    monkeypatch.setattr(mqtt, "UNCONFIRMED_S", 0.3)
    monkeypatch.setattr(mqtt, "MISC_EVERY_S", 0.02)


def said(payload: bytes = b"x") -> Publication:
    return Publication("t", payload, 1, retained=False)


@contextlib.asynccontextmanager
async def connected(broker: ScriptedBroker, *, greets: bool = True) -> AsyncIterator[Connection]:
    """A client of that broker, which publishes something each time it is connected if it `greets`."""

    def greet() -> None:
        if greets:
            connection.publish(said(b"birth"))

    async with broker.serving():
        connection = Connection(
            Endpoint("127.0.0.1", broker.port, "test"),
            (("t", 1),),
            Callbacks(None, greet, lambda: None, lambda *_: None),
            Even(1),
        )
        life = asyncio.create_task(connection.run())
        try:
            await eventually(lambda: connection.connects)
            yield connection
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)


async def test_a_broker_that_confirms_nothing_is_left_with_a_sentence_and_tried_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = ScriptedBroker(confirms=lambda _: False)
    async with connected(broker) as connection:
        await eventually(lambda: broker.connects >= 4)
        assert connection.pause_s >= 8 * BACKOFF_FIRST_S
        assert "has not confirmed for" in caplog.text
        assert caplog.text.count("has not confirmed for") == 1, "once, however often it is tried"
        broker.confirms = lambda _: True
        await eventually(lambda: connection.connected and connection._outgoing.confirmed_count)
        broker.disconnect(SHUTTING_DOWN)
        await eventually(lambda: connection.pause_s <= 2 * BACKOFF_FIRST_S)


async def test_one_publication_that_is_never_confirmed_ends_the_connection_however_many_others_are() -> None:
    broker = ScriptedBroker(confirms=lambda payload: payload != b"lost")
    async with connected(broker) as connection:
        connection.publish(said(b"lost"))
        while broker.connects < 2:
            connection.publish(said())
            await asyncio.sleep(0.01)
        assert broker.heard.count(b"x") > 5
        assert connection.connects in (1, 2)


async def test_a_connection_that_owes_nothing_stays_however_little_is_said() -> None:
    broker = ScriptedBroker()
    async with connected(broker, greets=False) as connection:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 2 * mqtt.UNCONFIRMED_S
        await eventually(lambda: loop.time() > until_s)
        assert (connection.connected, broker.connects, connection.trouble) == (True, 1, "")
        broker.disconnect(SHUTTING_DOWN)
        await eventually(lambda: broker.connects == 2)
        assert connection.pause_s <= 2 * BACKOFF_FIRST_S, "it had lasted"


async def test_no_more_is_under_way_than_the_broker_bears_and_all_arrives() -> None:
    broker = ScriptedBroker(number(RECEIVE_MAXIMUM, 3, 2), confirms=lambda _: False)
    async with connected(broker, greets=False) as connection:
        payloads = [bytes([each]) for each in range(10)]
        for payload in payloads:
            assert connection.publish(said(payload))
        while len(broker.heard) < len(payloads):
            await eventually(lambda: broker.held)
            broker.confirm_held()
        assert broker.heard == payloads
        assert broker.most_held == 3


async def test_a_packet_that_the_broker_does_not_take_is_not_sent_and_said_with_both_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = ScriptedBroker(number(MAXIMUM_PACKET_SIZE, 200, 4))
    async with connected(broker) as connection:
        assert "at most 200 bytes" in connection.complaint
        assert not connection.publish(said(bytes(300)))
        assert "317 bytes" in connection.complaint
        assert "at most 200" in connection.complaint
        assert connection.publish(said(b"small"))
        await eventually(lambda: b"small" in broker.heard)
        assert connection.connected
        assert max(map(len, broker.heard)) < 200
    assert "317 bytes" in caplog.text


@pytest.mark.parametrize(
    ("reason", "word"),
    [(TAKEN_OVER, "see which of them is a copy"), (TOO_LARGE, "too large"), (SHUTTING_DOWN, "shutting down")],
)
async def test_what_a_broker_says_as_it_ends_a_connection_is_told(
    reason: int, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = ScriptedBroker()
    async with connected(broker):
        broker.disconnect(reason)
        await eventually(lambda: word in caplog.text)


async def test_two_with_one_name_do_not_take_the_connection_from_each_other_without_a_pause() -> None:
    broker = ScriptedBroker()
    async with connected(broker) as connection:
        for life in range(1, 4):
            await eventually(lambda life=life: connection.connected and broker.connects == life)
            await eventually(lambda: connection._outgoing.confirmed_count)
            broker.disconnect(TAKEN_OVER)
            await eventually(lambda life=life: broker.connects > life)
        assert connection.pause_s >= 8 * BACKOFF_FIRST_S


async def test_a_publication_that_the_broker_refuses_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    broker = ScriptedBroker(reason=NOT_AUTHORISED)
    async with connected(broker) as connection:
        await eventually(lambda: "Not authorized" in connection.complaint)
        assert connection.connected
    assert "see its ACL" in caplog.text


async def test_what_is_said_at_the_very_beginning_leaves_though_the_thread_that_opened_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = asyncio.Event()

    async def slowly(client: Any) -> None:
        await asyncio.to_thread(client.reconnect)
        await opened.wait()  # the socket is there, and nobody has been told

    monkeypatch.setattr(Connection, "_open", staticmethod(slowly))
    broker = ScriptedBroker()
    async with connected(broker):
        await eventually(lambda: broker.heard == [b"birth"])
        opened.set()
