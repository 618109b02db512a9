"""The one MQTT client: a connection driven from the running event loop, that comes back by itself.

It speaks MQTT 5, and 3.1.1 to a broker that knows no other.

No thread belongs to a connection, so one process can hold hundreds; only opening one (name look-up, TCP,
TLS) blocks, and runs in the shared pool of worker threads. Each attempt is a new paho client: what paho had
accepted and not sent is dropped on purpose, because outboxes and the deadlines of requests decide what is
sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from wire.errors import TransportError
from wire.tls import explained
from wire.topics import PACKET_MAX_BYTES
from wire.transport.outgoing import Outgoing, Publication, ServerLimits

KEEPALIVE_S = 15
"""A dead link is noticed after one and a half of these, by both sides."""
CONNECT_TIMEOUT_S = 5.0
CONNACK_TIMEOUT_S = 15.0
"""A cluster that has just lost a node takes ten seconds; who gives up earlier only begins from the start."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 15.0
"""The longest wait between attempts; a thousand kiosks spread over it when a broker returns."""
MISC_EVERY_S = 1.0
"""How often paho looks at its keep-alive."""
UNCONFIRMED_S = 2.0 * KEEPALIVE_S
"""A broker that has not confirmed a publication for so long is as good as gone, whatever else it says."""
GOODBYE_S = 2.0
"""How long closing waits for what is not confirmed, and again for the end of the connection."""
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Only Linux has it."""
UNSUPPORTED_VERSION = 132
"""Reason code of MQTT 5; paho gives it to what a 3.1.1 broker answers, too."""
SEND_NO_RETAINED = 2
"""Retain handling of MQTT 5 (3.8.3.1)."""
SESSION_TAKEN_OVER = 142
PACKET_TOO_LARGE = 149
"""Reason codes of MQTT 5 (3.14.2.1)."""
LOGGED_MAX = 100
"""Different sentences that one connection logs in its life."""
QOS_311 = 0
"""What subscriptions ask for in 3.1.1: sessions are clean, so QoS 1 would keep nothing when one is lost,
and NATS makes a replicated consumer of each, which takes seconds apiece when a node is gone."""

_DISCONNECTED = {
    SESSION_TAKEN_OVER: (
        "somebody else connects under this name and took the connection over: two machines use the same "
        "keys, see which of them is a copy"
    ),
    PACKET_TOO_LARGE: (
        "the broker ended the connection, since a packet was too large for it: set its limit to "
        f"{PACKET_MAX_BYTES} bytes (max_packet_size in Mosquitto)"
    ),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is, and who connects; `tls` None only on the same machine.

    `tls` is called in a worker thread at each attempt, and raises `TransportError` for files that cannot be
    used.
    """

    host: str
    port: int
    client_id: str
    tls: Callable[[], ssl.SSLContext] | None = None
    server_name: str | None = None
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    """The protocol tried first."""
    backoff_max_s: float = BACKOFF_MAX_S


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a connection tells its owner, all on the event loop; `message` gets topic, payload, retained.

    `will` makes what the broker says in the owner's name when the connection is lost; None for no will.
    """

    will: Callable[[], Publication] | None
    connected: Callable[[], None]
    lost: Callable[[], None]
    message: Callable[[str, bytes, bool], None]


class Connection:
    """`run` connects, and connects again, until cancelled; `publish` refuses while there is no connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        topics: tuple[tuple[str, int], ...],
        callbacks: Callbacks,
        dice: random.Random,
        *,
        retained: bool = True,
    ) -> None:
        """`topics` are filters, each with its QoS; `retained`: what the broker keeps of them is wanted."""
        self._endpoint, self._topics, self._callbacks, self._dice = endpoint, topics, callbacks, dice
        self._retained = retained
        self._client: paho.Client | None = None
        self._ready = False
        self._ended = asyncio.Event()
        self._version = endpoint.version
        self._outgoing = Outgoing(time.monotonic)
        self._limits = ServerLimits()
        self._confirmed = asyncio.Event()
        self._displaced = False
        self.connects = 0
        self.trouble = ""
        """Why the connection is not there, in a sentence."""
        self.complaint = ""
        """What the broker that is there does not bear or refuses, in a sentence."""
        self.pause_s = BACKOFF_FIRST_S
        """The longest wait before the next attempt."""
        self._logged: set[str] = set()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection and the subscriptions."""
        return self._ready

    @property
    def version(self) -> MQTTProtocolVersion:
        """The protocol spoken, or tried next."""
        return self._version

    @property
    def packet_max_bytes(self) -> int:
        """The largest packet that the broker takes of us."""
        return self._limits.packet_max_bytes

    def fail(self, said: str) -> None:
        """Keep why the connection is not there, in a sentence; logged once until it was of use again."""
        self.trouble = explained(said, self._endpoint.server_name or self._endpoint.host)
        self._log(self.trouble)

    def _complain(self, said: str) -> None:
        self.complaint = said
        self._log(said)

    def _log(self, said: str) -> None:
        if said and said not in self._logged and len(self._logged) < LOGGED_MAX:
            self._logged.add(said)
            log.warning("%s:%d: %s", self._endpoint.host, self._endpoint.port, said)

    def publish(self, publication: Publication) -> bool:
        """Have a publication sent; False when there is no connection, too much waits, or it is too large."""
        if self._client is None or not self._ready:
            return False
        if publication.packet_bytes > self._limits.packet_max_bytes:
            self._complain(
                f"{publication.topic}: a packet of {publication.packet_bytes} bytes, and the broker takes "
                f"at most {self._limits.packet_max_bytes}: raise its limit (max_packet_size in Mosquitto)"
            )
            return False
        if not self._outgoing.add(publication):
            return False
        self._send()
        return True

    def _send(self) -> None:
        client = self._client
        while client is not None and (due := self._outgoing.next()) is not None:
            sent = client.publish(due.topic, due.payload, due.qos, due.retained)
            self._outgoing.sent(sent.mid, due)

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        while True:
            if await self._one_life():
                self.pause_s = BACKOFF_FIRST_S
                self._logged.clear()
            await asyncio.sleep(self.pause_s * self._dice.uniform(0.5, 1.0))
            self.pause_s = min(self.pause_s * 2, self._endpoint.backoff_max_s)

    async def _one_life(self) -> bool:
        """Connect once and stay until the connection ends; whether it was of any use.

        It was when the broker confirmed something, or when it lasted without owing a confirmation. That a
        connection was accepted is no reason to come back soon.
        """
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        life = _Life(self, loop, self._ended)
        client, lasted = self._make_client(life), False
        self._displaced = False
        try:
            if self._endpoint.tls is not None:
                client.tls_set_context(await asyncio.to_thread(self._endpoint.tls))
                client.on_log = life.on_log
            # Before: the broker may have accepted the connection by the time that opening it is known here.
            self._client = client
            await self._open(client)
            async with asyncio.timeout(CONNACK_TIMEOUT_S):
                while not self._ready and not self._ended.is_set():
                    await life.progress()
            ready_at = loop.time()
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MISC_EVERY_S):
                        await self._ended.wait()
                if self._outgoing.unconfirmed_s() > UNCONFIRMED_S:
                    lasted = False
                    raise TransportError(
                        f"the broker has not confirmed for {UNCONFIRMED_S:.0f} s what it was sent: see its "
                        "health, and whether something between drops its answers"
                    )
                lasted = loop.time() - ready_at > UNCONFIRMED_S
                client.loop_misc()
        except TimeoutError as error:
            self.fail(str(error) or "the broker does not answer: see that it runs, and the way to it")
        except (OSError, ValueError, TransportError) as error:
            self.fail(str(error) or type(error).__name__)
        finally:
            useful = not self._displaced and (lasted or self._outgoing.confirmed_count > 0)
            life.close(client)
            self._client = None
            self._lost()
        return useful

    @staticmethod
    async def _open(client: paho.Client) -> None:
        opening = asyncio.ensure_future(asyncio.to_thread(client.reconnect))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError, ValueError):  # so that its socket is there to be closed
                await opening
            raise

    def _lost(self) -> None:
        self.complaint = ""
        if self._ready:
            self._ready = False
            log.info("%s:%d: not connected any more", self._endpoint.host, self._endpoint.port)
            self._callbacks.lost()

    async def close(self, last_word: Publication | None = None) -> None:
        """Say a last word and disconnect, so that no will is sent; bounded. Cancel `run` after it."""
        client = self._client
        if client is None or not self._ready:
            return
        if last_word is not None:
            self.publish(last_word)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while self.connected and not self._outgoing.empty:
                    self._confirmed.clear()
                    await self._confirmed.wait()
        client.disconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._ended.wait()

    def _make_client(self, life: _Life) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._endpoint.client_id,
            protocol=self._version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the window is ours: paho takes none from the broker's CONNACK
        if self._callbacks.will is not None:
            will = self._callbacks.will()
            client.will_set(will.topic, will.payload, will.qos, will.retained)
        client.on_socket_open = life.on_socket_open
        client.on_socket_close = life.on_socket_close
        client.on_socket_register_write = life.on_register_write
        client.on_socket_unregister_write = life.on_unregister_write
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = life.on_disconnect
        client.on_message = self._on_message
        host, port = self._endpoint.host, self._endpoint.port
        if self._version is not MQTTProtocolVersion.MQTTv5:
            client.connect_async(host, port, KEEPALIVE_S)  # with a clean session, paho's default
            return client
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # A larger packet is not delivered at all; wire.codec checks, and counts, the limit of each topic.
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        properties.SessionExpiryInterval = 0
        client.connect_async(host, port, KEEPALIVE_S, clean_start=True, properties=properties)
        return client

    def _on_connect(
        self, client: paho.Client, _user: object, _flags: object, reason: ReasonCode, properties: object
    ) -> None:
        self._limits = ServerLimits.of(properties)
        self._outgoing.begin(self._limits)
        if reason.is_failure:
            if reason.value == UNSUPPORTED_VERSION and self._version is MQTTProtocolVersion.MQTTv5:
                self._version = MQTTProtocolVersion.MQTTv311
                self.trouble = "the broker knows no MQTT 5: trying 3.1.1"
            else:
                self.fail(f"the broker refused the connection: {_worded(reason, properties)}")
            client.disconnect()
            return
        if self._version is MQTTProtocolVersion.MQTTv5:
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if self._retained else SEND_NO_RETAINED
            client.subscribe(
                [(topic, SubscribeOptions(qos=qos, retainHandling=handling)) for topic, qos in self._topics]
            )
        else:
            client.subscribe([(topic, QOS_311) for topic, _ in self._topics])

    def _on_subscribe(
        self, client: paho.Client, _user: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        for (topic, _), reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                self.fail(
                    f"the broker refused the subscription to {topic} ({reason}): see its ACL and health"
                )
                client.disconnect()
                return
        # Only now: a birth published before the subscriptions are in place could be answered into the void.
        self.connects += 1
        self.trouble = ""
        self._complain(self._limits.complaint())
        self._ready = True
        log.info("%s:%d: connected", self._endpoint.host, self._endpoint.port)
        self._callbacks.connected()

    def _on_publish(
        self, _client: object, _user: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        """The broker has confirmed a publication, or one of QoS 0 has left."""
        if reason.is_failure:
            self._complain(f"the broker refuses a publication ({reason}): see its ACL and health")
        self._outgoing.confirmed(mid)
        self._confirmed.set()
        self._send()

    def ended(self, reason: ReasonCode, properties: object, *, by_broker: bool) -> None:
        """The connection has ended; a broker of MQTT 5 says why it ended one."""
        if by_broker and reason.is_failure:
            self._displaced = reason.value == SESSION_TAKEN_OVER
            otherwise = f"the broker ended the connection: {_worded(reason, properties)}"
            self.fail(_DISCONNECTED.get(reason.value, otherwise))
        self.trouble = self.trouble or f"the connection ended: {reason}"

    def _on_message(self, _client: object, _user: object, message: paho.MQTTMessage) -> None:
        if self._retained or not message.retain:  # 3.1.1 gives what is retained to whoever subscribes
            self._callbacks.message(message.topic, bytes(message.payload), bool(message.retain))


def _worded(reason: ReasonCode, properties: object) -> str:
    """A reason code, and what the broker adds to it."""
    added = getattr(properties, "ReasonString", "")
    return f"{reason} ({added})" if added else str(reason)


class _Life:
    """One socket's registrations with the event loop; a worker thread may call in while the socket opens."""

    def __init__(self, owner: Connection, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        self._owner, self._loop, self._ended = owner, loop, ended
        self._moved = asyncio.Event()
        self._closed = False
        self._sock: Any = None

    async def progress(self) -> None:
        """Wait until something was read."""
        self._moved.clear()
        await self._moved.wait()

    def _on_loop(self, call: Callable[[], None]) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            call()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(call)

    def on_socket_open(self, client: paho.Client, _user: object, sock: Any) -> None:
        """Watch the socket."""
        # Without it, Nagle and delayed acknowledgement make a QoS 1 round trip 44 ms instead of 1.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_loop(lambda: self._watch(client, sock))

    def _watch(self, client: paho.Client, sock: Any) -> None:
        if self._closed or sock.fileno() < 0:
            return
        self._sock = sock
        self._loop.add_reader(sock, self._read, client, sock)

    def _read(self, client: paho.Client, sock: Any) -> None:
        client.loop_read()
        # TLS may hold decrypted packets that no selector will ever announce.
        while self._sock is sock and getattr(sock, "pending", int)() > 0:
            client.loop_read()
        # A broker that leaves Nagle on, as the embedded one does, holds a message back until its last bytes
        # are acknowledged, which Linux puts off for 40 ms; the option lasts for one read.
        if QUICK_ACK is not None and self._sock is sock:
            sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        self._moved.set()

    def on_socket_close(self, _client: object, _user: object, sock: Any) -> None:
        """Stop watching the socket, before it is closed."""
        self._on_loop(lambda: self._forget(sock))

    def _forget(self, sock: Any) -> None:
        self._sock = None
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def on_register_write(self, client: paho.Client, _user: object, sock: Any) -> None:
        """Write as soon as the socket takes something."""
        self._on_loop(lambda: self._want_write(client, sock))

    def _want_write(self, client: paho.Client, sock: Any) -> None:
        if not self._closed and sock.fileno() >= 0:
            self._loop.add_writer(sock, client.loop_write)

    def on_unregister_write(self, _client: object, _user: object, sock: Any) -> None:
        """Nothing to write for now."""
        self._on_loop(lambda: self._no_write(sock))

    def _no_write(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock)

    def on_disconnect(
        self,
        _client: object,
        _user: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: object,
    ) -> None:
        """The connection has ended, whoever ended it."""
        self._owner.ended(reason, properties, by_broker=flags.is_disconnect_packet_from_server)
        self._on_loop(self._end)

    def on_log(self, _client: object, _user: object, level: int, said: str) -> None:
        """With TLS 1.3 a broker says only after the handshake that it wants no such client."""
        _, ssl_error, alert = said.partition("[SSL")
        if level == LogLevel.MQTT_LOG_ERR and ssl_error:
            self._owner.fail(ssl_error + alert)

    def _end(self) -> None:
        self._ended.set()
        self._moved.set()

    def close(self, client: paho.Client) -> None:
        """Give up the socket whatever state it is in; nothing of this life reaches the loop afterwards."""
        self._closed = True
        sock = client.socket()
        if sock is not None:
            self._forget(sock)
            client.on_disconnect = None
            sock.close()
