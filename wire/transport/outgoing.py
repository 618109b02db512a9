"""What a connection still has to send, or waits to have confirmed: bounded, in order, and never for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wire.topics import PACKET_MAX_BYTES

INFLIGHT_MAX = 50
"""Publications sent before the first of them is confirmed; a broker may bear fewer."""
WAITING_MAX = 4096
"""Publications that are not confirmed yet; beyond it one is refused, and its owner sends again later."""
WAITING_MAX_BYTES = 64 * 1024 * 1024
"""The same for their payloads together: 200 of the largest."""
PACKET_OVERHEAD_BYTES = 16
"""Of a publication beside topic and payload: fixed header, length of the topic, number, no properties."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Bytes for a topic."""

    topic: str
    payload: bytes
    qos: int
    retained: bool

    @property
    def packet_bytes(self) -> int:
        """How large its packet is at most."""
        return len(self.topic.encode()) + len(self.payload) + PACKET_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a broker says it bears, in its CONNACK (MQTT 5, 3.2.2.3); where it says nothing, all we send."""

    receive_max: int = INFLIGHT_MAX
    packet_max_bytes: int = PACKET_MAX_BYTES
    qos_max: int = 1
    retains: bool = True

    @staticmethod
    def of(properties: Any) -> ServerLimits:
        """Of paho's properties of a CONNACK; None in 3.1.1, which has none."""
        return ServerLimits(
            max(min(getattr(properties, "ReceiveMaximum", INFLIGHT_MAX), INFLIGHT_MAX), 1),
            min(getattr(properties, "MaximumPacketSize", PACKET_MAX_BYTES), PACKET_MAX_BYTES),
            min(getattr(properties, "MaximumQoS", 1), 1),
            bool(getattr(properties, "RetainAvailable", 1)),
        )

    def complaint(self) -> str:
        """What is too small for us, in sentences with both numbers; empty when nothing is."""
        said = []
        if self.packet_max_bytes < PACKET_MAX_BYTES:
            said.append(
                f"the broker takes packets of at most {self.packet_max_bytes} bytes, and some have up to "
                f"{PACKET_MAX_BYTES}: raise its limit (max_packet_size in Mosquitto)"
            )
        if self.qos_max < 1:
            said.append("the broker carries QoS 0 alone, and most is sent at QoS 1: use another broker")
        if not self.retains:
            said.append("the broker keeps no retained messages, and heads are: allow them there")
        return "; ".join(said)


class Outgoing:
    """Publications in the order they came: a queue, and those under way within the broker's window."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._limits = ServerLimits()
        self._queue: deque[Publication] = deque()
        self._under_way: dict[int, tuple[int, float]] = {}
        self._bytes = 0
        self.confirmed_count = 0
        """Since the connection began."""

    def begin(self, limits: ServerLimits) -> None:
        """A new connection, with nothing on it."""
        self._limits, self.confirmed_count, self._bytes = limits, 0, 0
        self._queue.clear()
        self._under_way.clear()

    @property
    def empty(self) -> bool:
        """Whether everything was confirmed."""
        return not self._queue and not self._under_way

    def add(self, publication: Publication) -> bool:
        """Take a publication to be sent; False when too much waits already."""
        waiting, size = len(self._queue) + len(self._under_way), len(publication.payload)
        if waiting >= WAITING_MAX or self._bytes + size > WAITING_MAX_BYTES:
            return False
        self._queue.append(publication)
        self._bytes += size
        return True

    def next(self) -> Publication | None:
        """What is to be sent now; None when nothing is, or so much is under way as the broker bears."""
        if not self._queue or len(self._under_way) >= self._limits.receive_max:
            return None
        return self._queue.popleft()

    def sent(self, number: int, publication: Publication) -> None:
        """It left under this number."""
        self._under_way[number] = len(publication.payload), self._now_s()

    def confirmed(self, number: int) -> None:
        """The broker has confirmed a number; or it was of QoS 0, and is written."""
        if (found := self._under_way.pop(number, None)) is not None:
            self._bytes -= found[0]
            self.confirmed_count += 1

    def unconfirmed_s(self) -> float:
        """For how long the oldest that is under way waits to be confirmed."""
        oldest = min((since for _, since in self._under_way.values()), default=None)
        return 0.0 if oldest is None else self._now_s() - oldest
