"""An MQTT 5 client on the running event loop: paho without a thread, reconnecting by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from wire.topics import LARGEST_MESSAGE_BYTES, Address, parse_topic

KEEPALIVE_S = 20
CONNECT_S = 3.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
MISC_EVERY_S = 1.0  # paho's keep-alive and retries
INFLIGHT_MAX = 50
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_NO_RETAINED = 2  # retain handling of MQTT 5: send none at subscribing

log = logging.getLogger(__name__)


class MqttLink:
    """One connection. `on_message(address, payload)` runs on the loop; retained copies never reach it."""

    def __init__(
        self,
        client_id: str,
        filters: Sequence[str],
        on_message: Callable[[Address, bytes], None],
        on_connect: Callable[[], None],
    ) -> None:
        self._filters = tuple(filters)
        self._on_message = on_message
        self._on_connect = on_connect
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.connected = asyncio.Event()
        self.ignored_retained = 0
        self.ignored_topics = 0
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.connect_timeout = CONNECT_S
        client.on_socket_open = self._socket_opened
        client.on_socket_close = self._socket_closed
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_unregister_write = self._has_written
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        self._client = client

    # paho's socket, watched by the loop

    def _socket_opened(self, _client: Client, _userdata: object, opened: Any) -> None:
        assert self._loop is not None
        # Without it Nagle and delayed acknowledgement make a round trip of 40 ms (FACTS 5).
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(opened, self._readable, opened)

    def _readable(self, opened: socket.socket) -> None:
        self._client.loop_read()
        # The embedded broker leaves Nagle on: it holds a message back until its last bytes are acknowledged,
        # which Linux would put off for 40 ms. Asking for it after each read makes a round trip of 2 ms of 47.
        if _QUICK_ACK is not None and opened.fileno() != -1:
            opened.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _socket_closed(self, _client: Client, _userdata: object, closed: Any) -> None:
        assert self._loop is not None
        self._loop.remove_reader(closed)
        self._loop.remove_writer(closed)

    def _wants_to_write(self, _client: Client, _userdata: object, opened: Any) -> None:
        assert self._loop is not None
        self._loop.add_writer(opened, self._client.loop_write)

    def _has_written(self, _client: Client, _userdata: object, opened: Any) -> None:
        assert self._loop is not None
        self._loop.remove_writer(opened)

    # paho's events

    def _connected(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("the broker refused the connection: %s", reason)
            return
        options = SubscribeOptions(qos=1, retainHandling=_NO_RETAINED)
        client.subscribe([(each, options) for each in self._filters])
        self.connected.set()
        self._on_connect()

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.connected.clear()
        self._lost.set()

    def _arrived(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.retain:
            self.ignored_retained += 1
            return
        address = parse_topic(message.topic)
        if address is None:
            self.ignored_topics += 1
            return
        self._on_message(address, bytes(message.payload))

    # life

    def open(self, host: str, port: int) -> None:
        """Begin to connect, and go on for ever; never waits."""
        self._loop = asyncio.get_running_loop()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = LARGEST_MESSAGE_BYTES + 4096
        self._client.connect_async(host, port, KEEPALIVE_S, clean_start=True, properties=properties)
        self._keeper = asyncio.create_task(self._keep(host, port), name=f"mqtt {host}:{port}")

    async def _reachable(self, host: str, port: int) -> bool:
        """Whether somebody listens: asked without blocking, because paho's own connecting blocks."""
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def _keep(self, host: str, port: int) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            self._lost.clear()
            if await self._reachable(host, port) and self._reconnected():
                backoff_s = BACKOFF_FIRST_S
                await self._watch()
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    def _reconnected(self) -> bool:
        try:
            return self._client.reconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            return False

    async def _watch(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MISC_EVERY_S):
                    await self._lost.wait()
            self._client.loop_misc()

    def publish(self, address: Address, payload: bytes) -> bool:
        """Send as the topic's rule says; False, and nothing kept, while there is no connection."""
        if not self.connected.is_set():
            return False
        rule = address.rule
        sent = self._client.publish(address.topic, payload, qos=rule.qos, retain=rule.retained)
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    async def close(self) -> None:
        """Take leave of the broker and stop."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        if self.connected.is_set():
            self._client.disconnect()
            self._client.loop_write()
        self.connected.clear()
