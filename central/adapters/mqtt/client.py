"""Central's MQTT client on the running event loop: paho without a thread, reconnecting by itself.

It speaks MQTT 5, and 3.1.1 to a broker that knows no other. Opening a connection (name look-up, TCP, TLS)
blocks, and runs in a worker thread. Each attempt is a new paho client: what an earlier one had not sent is
dropped, and kiosks ask, or send, again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from central.errors import CentralError
from wire.tls import explained
from wire.topics import LARGEST_MESSAGE_BYTES, Address, parse_topic

KEEPALIVE_S = 20
CONNECT_S = 3.0
CONNACK_S = 15.0
"""A cluster that has just lost a node takes ten seconds; a client that gives up earlier begins from the
start."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
MISC_EVERY_S = 1.0
"""paho's keep-alive and retries."""
CLOSE_S = 1.0
INFLIGHT_MAX = 50
UNSUPPORTED_VERSION = 132
"""Reason code of MQTT 5; paho gives it to what a 3.1.1 broker answers, too."""
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Only Linux has it."""
_NO_RETAINED = 2
"""MQTT 5's retain handling: send no retained message at subscribing."""
# What subscriptions ask for in 3.1.1. Sessions are clean, so QoS 1 would keep nothing over a lost connection;
# and NATS makes a replicated consumer of each, which takes seconds apiece when a node is gone.
_QOS_311 = 0

log = logging.getLogger(__name__)
OpenTls = Callable[[], ssl.SSLContext]


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
        self._filters = tuple(filters)
        self._on_message = on_message
        self._on_connect = on_connect
        self._where, self._name = "", ""
        self._client: Client | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._opened = False
        self.version = MQTTProtocolVersion.MQTTv5
        self.trouble = ""
        self.connected = asyncio.Event()
        self.ignored_retained = 0
        self.ignored_topics = 0

    def open(self, host: str, port: int, tls: OpenTls | None = None, server_name: str | None = None) -> None:
        """Begin to connect, and go on for ever; never waits. `tls` is called anew at each attempt."""
        self._where, self._name = f"{host}:{port}", server_name or host
        self._keeper = asyncio.create_task(self._keep(host, port, tls), name=f"mqtt {self._where}")

    def publish(self, address: Address, payload: bytes) -> bool:
        """Send as the topic's rule says; False, and nothing kept, while there is no connection."""
        client = self._client
        if client is None or not self.connected.is_set():
            return False
        rule = address.rule
        sent = client.publish(address.topic, payload, qos=rule.qos, retain=rule.retained)
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def publish_retained(self, topic: str, payload: bytes) -> bool:
        """Send to a topic that is none of the contract's: what others, not kiosks, read; at QoS 1."""
        client = self._client
        if client is None or not self.connected.is_set():
            return False
        return client.publish(topic, payload, qos=1, retain=True).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    async def close(self) -> None:
        """Take leave of the broker and stop."""
        client = self._client
        if client is not None and self.connected.is_set():
            client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    while client.want_write():
                        client.loop_write()
                        await asyncio.sleep(0)
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self.connected.clear()

    async def _keep(self, host: str, port: int, tls: OpenTls | None) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            if await self._one_life(host, port, tls):
                backoff_s = BACKOFF_FIRST_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _one_life(self, host: str, port: int, tls: OpenTls | None) -> bool:
        """Connect once and stay until the connection ends; whether it ever was accepted."""
        life = _Life(asyncio.get_running_loop(), self._failed)
        client = self._made(life)
        self._opened = False
        properties = None
        if self.version is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_MESSAGE_BYTES + 4096
        try:
            if tls is not None:
                client.tls_set_context(await asyncio.to_thread(tls))
                client.on_log = life.logged
            client.connect_async(host, port, KEEPALIVE_S, properties=properties)
            await _opened(client)
            self._client = client
            async with asyncio.timeout(CONNACK_S):
                await life.until(lambda: self.connected.is_set())
            while not life.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MISC_EVERY_S):
                        await life.ended.wait()
                client.loop_misc()
        except (OSError, ValueError, CentralError) as error:
            self._failed(str(error) or "the broker does not answer: see that it runs, and the way to it")
        finally:
            life.close(client)
            self._client = None
            self.connected.clear()
        return self._opened

    def _failed(self, said: str) -> None:
        trouble = explained(said, self._name)
        if trouble != self.trouble:  # once, however often it is tried
            self.trouble = trouble
            log.warning("%s: %s", self._where, trouble)

    def _made(self, life: _Life) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self.version,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.connect_timeout = CONNECT_S
        client.on_socket_open = life.socket_opened
        client.on_socket_close = life.socket_closed
        client.on_socket_register_write = life.wants_to_write
        client.on_socket_unregister_write = life.has_written
        client.on_disconnect = life.disconnected
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._arrived
        return client

    def _connected(
        self, client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            if reason.value == UNSUPPORTED_VERSION and self.version is MQTTProtocolVersion.MQTTv5:
                self.version = MQTTProtocolVersion.MQTTv311
            else:
                self._failed(f"the broker refused the connection: {reason}")
            client.disconnect()
            return
        if self.version is MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(qos=1, retainHandling=_NO_RETAINED)
            client.subscribe([(each, options) for each in self._filters])
        else:
            client.subscribe([(each, _QOS_311) for each in self._filters])

    def _subscribed(
        self, client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        for each, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self._failed(
                    f"the broker refused the subscription to {each} ({reason}): see its ACL and health"
                )
                client.disconnect()
                return
        # Only now: an answer to the roll-call may come at once.
        self.trouble = ""
        self._opened = True
        self.connected.set()
        self._on_connect()

    def _arrived(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.retain:
            self.ignored_retained += 1
            return
        address = parse_topic(message.topic)
        if address is None:
            self.ignored_topics += 1
            return
        self._on_message(address, bytes(message.payload))


async def _opened(client: Client) -> None:
    opening = asyncio.ensure_future(asyncio.to_thread(client.reconnect))
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):  # so that its socket is there to be closed
            await opening
        raise


class _Life:
    """One socket's place in the event loop; a worker thread calls in while the socket opens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[str], None]) -> None:
        self._loop, self._failed = loop, failed
        self._moved = asyncio.Event()
        self._closed = False
        self._watched: Any = None
        self.ended = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, or the connection has ended."""
        while not holds() and not self.ended.is_set():
            self._moved.clear()
            await self._moved.wait()

    def _on_loop(self, call: Callable[[], None]) -> None:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            call()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(call)

    def socket_opened(self, client: Client, _userdata: object, opened: Any) -> None:
        # Without it Nagle and delayed acknowledgement make a round trip of 40 ms.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_loop(lambda: self._watch(client, opened))

    def _watch(self, client: Client, opened: Any) -> None:
        if not self._closed and opened.fileno() >= 0:
            self._watched = opened
            self._loop.add_reader(opened, self._readable, client, opened)

    def _readable(self, client: Client, opened: Any) -> None:
        client.loop_read()
        # TLS may hold decrypted packets that no selector will ever announce.
        while self._watched is opened and getattr(opened, "pending", int)() > 0:
            client.loop_read()
        # The embedded broker leaves Nagle on: it holds a message back until its last bytes are acknowledged,
        # which Linux would put off for 40 ms. Asking for it after each read makes a round trip of 2 ms of 47.
        if _QUICK_ACK is not None and self._watched is opened:
            opened.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        self._moved.set()

    def socket_closed(self, _client: object, _userdata: object, closed: Any) -> None:
        self._on_loop(lambda: self._forget(closed))

    def _forget(self, closed: Any) -> None:
        self._watched = None
        if closed.fileno() >= 0:
            self._loop.remove_reader(closed)
            self._loop.remove_writer(closed)

    def wants_to_write(self, client: Client, _userdata: object, opened: Any) -> None:
        self._on_loop(lambda: self._write(client, opened))

    def _write(self, client: Client, opened: Any) -> None:
        if not self._closed and opened.fileno() >= 0:
            self._loop.add_writer(opened, client.loop_write)

    def has_written(self, _client: object, _userdata: object, opened: Any) -> None:
        self._on_loop(lambda: self._written(opened))

    def _written(self, opened: Any) -> None:
        if opened.fileno() >= 0:
            self._loop.remove_writer(opened)

    def disconnected(self, *_: object) -> None:
        self._on_loop(self._end)

    def _end(self) -> None:
        self.ended.set()
        self._moved.set()

    def logged(self, _client: object, _userdata: object, level: int, said: str) -> None:
        # With TLS 1.3 a broker says only after the handshake that it wants no such client.
        _, ssl_error, alert = said.partition("[SSL")
        if level == LogLevel.MQTT_LOG_ERR and ssl_error:
            self._failed(ssl_error + alert)

    def close(self, client: Client) -> None:
        """Give up the socket whatever state it is in; nothing of this life reaches the loop afterwards."""
        self._closed = True
        sock = client.socket()
        if sock is not None:
            self._forget(sock)
            client.on_disconnect = None
            sock.close()
