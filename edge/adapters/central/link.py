"""The kiosk's end of the wire: signs what it says, believes what its key ring vouches for, asks, waits.

A message that is not to be believed changes nothing and is counted by its reason; `state` carries the
counters.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from edge.adapters.central.clock import Clock
from edge.adapters.central.pairing import Identity
from edge.adapters.storage.keyfile import RandomBytes
from wire import topics
from wire.codec import Received, Rejected, encode, receive
from wire.fleet import KioskState
from wire.ids import NONCE_BYTES, Nonce
from wire.messages import Message
from wire.requests import ClaimReply, HeadReply, Reply, Request, StandingReply
from wire.topics import Address, TopicKind
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication

ASKED_MAX = 64
"""Questions under way at once; beyond it one is not asked at all, like one that got no answer."""
SKEW_MS = 5_000
"""Added to a question's time limit, since central's clock may differ; the kiosk waits no longer for it."""
UNSURE_MS = 60_000
"""Added instead while this kiosk's clock is unsure: heads are a minute apart."""
HEARD_BY_KIOSK = (TopicKind.RECEIPT, TopicKind.REPLY, TopicKind.COMMAND, TopicKind.DESIRED)

R = TypeVar("R")
Listener = Callable[[Received, bool], None]
"""Gets a verified message, and whether it lay retained at the broker."""


class Link:
    """The connection with its trust: `say`, `ask`, `listen`. `run` keeps it up until cancelled."""

    def __init__(
        self,
        identity: Identity,
        endpoint: Endpoint,
        clock: Clock,
        dice: random.Random,
        random_bytes: RandomBytes,
    ) -> None:
        self._identity, self._clock, self._random_bytes = identity, clock, random_bytes
        self.ignored: Counter[str] = Counter()
        self.on_connected: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []
        self.unanswered = 0
        self._answering = False
        self._listeners: dict[TopicKind, Listener] = {TopicKind.REPLY: self._hear_reply}
        self._asked: dict[Nonce, asyncio.Future[Reply]] = {}
        site, kiosk = identity.site, identity.kiosk
        heard = [topics.kiosk_topic(kind, site, kiosk) for kind in HEARD_BY_KIOSK]
        heard += [topics.standing_head(site, identity.purpose), topics.gallery_head(site, identity.gallery)]
        heard += [topics.standing_delta(site, identity.purpose), topics.gallery_delta(site, identity.gallery)]
        heard.append(topics.roll_call(site))
        self._heard = frozenset(heard)
        self.connection = Connection(
            endpoint,
            tuple((address.topic, address.rule.qos) for address in heard),
            Callbacks(self._will, self._connected, self._lost, self._message),
            dice,
        )

    @property
    def connected(self) -> bool:
        """Whether the broker is there; central may still be silent."""
        return self.connection.connected

    @property
    def central_answers(self) -> bool:
        """Whether central was heard on this connection, and has not left a question unanswered since."""
        return self.connected and self._answering

    async def run(self, last_will: Callable[[], KioskState]) -> None:
        """Keep the connection up until cancelled; `last_will` is what the broker says when it is lost."""
        self._last_will = last_will
        await self.connection.run()

    @property
    def complaint(self) -> str:
        """What the broker does not bear or refuses, in a sentence; empty when all is well."""
        return self.connection.complaint

    def room(self, kind: TopicKind) -> int:
        """How large a message on one of this kiosk's topics may be, for wire and broker."""
        address = topics.kiosk_topic(kind, self._identity.site, self._identity.kiosk)
        empty = Publication(address.topic, b"", address.rule.qos, address.rule.retained)
        return min(address.rule.max_bytes, self.connection.packet_max_bytes - empty.packet_bytes)

    def listen(self, kind: TopicKind, listener: Listener) -> None:
        """Give a kind of topic to its one listener."""
        self._listeners[kind] = listener

    def say(self, kind: TopicKind, message: Message) -> bool:
        """Publish on one of this kiosk's topics; False when it did not leave, so that it is said again."""
        return self.connection.publish(self.publication(kind, message))

    def publication(self, kind: TopicKind, message: Message) -> Publication:
        """A message of this kiosk, signed; raises `wire.errors.TooLargeError`."""
        identity = self._identity
        address = topics.kiosk_topic(kind, identity.site, identity.kiosk)
        payload = encode(address, message, identity.signer, identity.operator, identity.purpose)
        return Publication(address.topic, payload, address.rule.qos, address.rule.retained)

    async def ask(
        self,
        question: Callable[[Nonce, int], Request],
        expected: type[R] | tuple[type[R], ...],
        deadline_ms: int,
    ) -> R | None:
        """Ask central; None when it is not there, says something else, or is late.

        `question` gets nonce and limit.
        """
        if not self.connected or len(self._asked) >= ASKED_MAX:
            return None
        nonce = Nonce(self._random_bytes(NONCE_BYTES))
        margin_ms = SKEW_MS if self._clock.sure else UNSURE_MS
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[nonce] = answer
        try:
            not_after_ms = self._clock.estimate_ms() + deadline_ms + margin_ms
            if not self.say(TopicKind.REQUEST, question(nonce, not_after_ms)):
                return None
            async with asyncio.timeout(deadline_ms / 1000):
                reply = await answer
        except TimeoutError:
            self.unanswered += 1
            self._answering = False
            return None
        finally:
            del self._asked[nonce]
        return reply if isinstance(reply, expected) else None

    def _hear_reply(self, received: Received, retained: bool) -> None:
        reply = received.message
        answer = None if retained else self._asked.get(getattr(reply, "nonce", None))  # type: ignore[arg-type]
        if answer is None or answer.done():
            self.ignored["unasked_reply"] += 1
            return
        # Bound to a nonce we have just drawn, so it is not an old one: it tells the time.
        match reply:
            case HeadReply(head=head):
                self._clock.witness(head.issued_at_ms, live=True)
            case StandingReply(issued_at_ms=issued_at_ms) | ClaimReply(issued_at_ms=issued_at_ms):
                self._clock.witness(issued_at_ms, live=True)
            case _:
                pass
        answer.set_result(reply)  # type: ignore[arg-type]

    def _message(self, topic: str, payload: bytes, retained: bool) -> None:
        address: Address | None = topics.parse_topic(topic)
        if address not in self._heard or address is None:
            self.ignored["unknown_topic"] += 1
            return
        received = receive(address, payload, self._identity.ring)
        if isinstance(received, Rejected):
            self.ignored[received.reason] += 1
            return
        if address.kind in HEARD_BY_KIOSK and received.purpose != self._identity.purpose:
            self.ignored["wrong_purpose"] += 1
            return
        self._answering = self._answering or not retained
        listener = self._listeners.get(address.kind)
        if listener is not None:
            listener(received, retained)

    def _will(self) -> Publication:
        return self.publication(TopicKind.STATE, self._last_will())

    def _connected(self) -> None:
        for call in self.on_connected:
            call()

    def _lost(self) -> None:
        self._answering = False
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(TimeoutError("the connection was lost"))
        for call in self.on_lost:
            call()

    async def close(self, last_state: KioskState | None) -> None:
        """Say goodbye; cancel `run` after it."""
        await self.connection.close(
            None if last_state is None else self.publication(TopicKind.STATE, last_state)
        )
