"""Central's end of the broker: the addresses it listens to and speaks to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Sequence
from typing import NoReturn

from paho.mqtt.enums import MQTTProtocolVersion

from wire.topics import Address, parse_topic
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication
from wire.transport.supervision import Supervisor

BACKOFF_MAX_S = 5.0
"""Central is one client, and every kiosk waits for it."""


class MqttLink:
    """One connection. `on_message(address, payload)` runs on the loop; retained copies never reach it."""

    def __init__(
        self,
        client_id: str,
        filters: Sequence[str],
        on_message: Callable[[Address, bytes], None],
        on_connect: Callable[[], None],
    ) -> None:
        self._client_id = client_id
        self._filters = tuple((each, 1) for each in filters)
        self._on_message = on_message
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[NoReturn] | None = None
        self.connected = asyncio.Event()

    def open(
        self,
        host: str,
        port: int,
        tls: Callable[[], ssl.SSLContext] | None = None,
        server_name: str | None = None,
    ) -> None:
        """Begin to connect, and go on for ever; never waits. `tls` is called anew at each attempt."""
        endpoint = Endpoint(host, port, self._client_id, tls, server_name, backoff_max_s=BACKOFF_MAX_S)
        callbacks = Callbacks(None, self._connected, self.connected.clear, self._arrived)
        dice = random.SystemRandom()
        self._connection = Connection(endpoint, self._filters, callbacks, dice, retained=False)
        self._keeper = asyncio.create_task(
            Supervisor().keep(f"mqtt {host}:{port}", self._connection.run), name=f"mqtt {host}:{port}"
        )

    @property
    def version(self) -> MQTTProtocolVersion | None:
        """The protocol spoken, or tried next; None before `open`."""
        return None if self._connection is None else self._connection.version

    @property
    def trouble(self) -> str:
        """Why the broker is not there, or what it does not bear or refuses, in a sentence; else empty."""
        connection = self._connection
        return "" if connection is None else connection.trouble or connection.complaint

    def publish(self, address: Address, payload: bytes) -> bool:
        """Send as the topic's rule says; False when it did not leave, and nothing is kept."""
        rule = address.rule
        return self._publish(Publication(address.topic, payload, rule.qos, rule.retained))

    def publish_retained(self, topic: str, payload: bytes) -> bool:
        """Send to a topic that is none of the contract's: what others, not kiosks, read; at QoS 1."""
        return self._publish(Publication(topic, payload, 1, retained=True))

    def _publish(self, publication: Publication) -> bool:
        return self._connection is not None and self._connection.publish(publication)

    async def close(self) -> None:
        """Take leave of the broker and stop."""
        if self._connection is None or self._keeper is None:
            return
        await self._connection.close()
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._keeper = None

    def _connected(self) -> None:
        self.connected.set()
        self._on_connect()

    def _arrived(self, topic: str, payload: bytes, _retained: bool) -> None:
        address = parse_topic(topic)
        if address is not None:
            self._on_message(address, payload)
