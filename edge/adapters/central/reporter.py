"""What a kiosk says of itself: its state at every change and roll-call, its health every 10 s, its will."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from edge.adapters.central.ages import CacheAges
from edge.adapters.central.clock import Clock
from edge.adapters.central.feeds import Feed
from edge.adapters.central.link import Link
from edge.adapters.central.sender import Sender
from edge.adapters.storage.cache import Cache, FeedName
from edge.adapters.storage.outbox import Outbox
from wire.codec import Received
from wire.fleet import (
    COUNTERS_MAX,
    METRICS_MAX,
    NOTES_MAX,
    Counter,
    Health,
    KioskState,
    Metric,
    OrderAnswer,
    Presence,
    RollCall,
    SearchOffer,
)
from wire.ids import BootId, KioskId, Nonce, ReasonCode
from wire.topics import TopicKind

HEALTH_EVERY_S = 10.0
STATE_LOOK_S = 0.5
"""How often the state is compared with what was last said: changes are told within this, floods are not."""
STATE_AGAIN_S = 60.0
"""An unchanged state is told again, so that the cache ages in it are never much older than a head."""
STATE_CONFIRM_S = 3.0
"""After connecting the state is told once more: where an earlier connection had this name, some brokers send
the will only then, and one (rumqttd) sends the new connection's."""
ROLL_CALL_WITHIN_S = 4.0
"""Of the 5 s a kiosk has, so that a thousand answers are spread and none is late."""


@dataclass(frozen=True, slots=True)
class About:
    """What a kiosk is: fixed from start to end of one life."""

    kiosk: KioskId
    boot_id: BootId
    software: str
    pack_digest: str | None
    recipe_digest: str | None


@dataclass(frozen=True, slots=True)
class Voice:
    """What a kiosk's mode says of itself; each is asked at every look."""

    presence: Callable[[], Presence] = lambda: Presence.READY
    notes: Callable[[], Iterable[str]] = tuple
    search: Callable[[], SearchOffer | None] = lambda: None


class Reporter:
    """Says state and health until cancelled."""

    def __init__(
        self,
        about: About,
        link: Link,
        *,
        clock: Clock,
        cache: Cache,
        outbox: Outbox,
        sender: Sender,
        ages: CacheAges,
        dice: random.Random,
        voice: Voice,
        feeds: Mapping[FeedName, Feed],
        orders: Callable[[], tuple[OrderAnswer, ...]],
        failing: Callable[[], Iterable[str]],
        metrics: Callable[[], Mapping[str, float]],
    ) -> None:
        self.about, self._link, self._clock, self._cache = about, link, clock, cache
        self._outbox, self._sender, self._ages, self._dice = outbox, sender, ages, dice
        self._voice, self._feeds, self._orders, self._failing = voice, feeds, orders, failing
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._roll_call: Nonce | None = None
        self._answer_at = 0.0
        self._confirm_at: float | None = None
        self._told: KioskState | None = None
        link.listen(TopicKind.ROLL_CALL, self._hear_roll_call)
        link.on_connected.append(self._connected)

    def _connected(self) -> None:
        self._told = None
        self._confirm_at = asyncio.get_running_loop().time() + STATE_CONFIRM_S
        self._wake.set()

    def _hear_roll_call(self, received: Received, retained: bool) -> None:
        if isinstance(received.message, RollCall) and not retained:
            self._roll_call = received.message.nonce
            jitter_s = self._dice.uniform(0, ROLL_CALL_WITHIN_S)
            self._answer_at = asyncio.get_running_loop().time() + jitter_s

    def state(self, presence: Presence | None = None, roll_call: Nonce | None = None) -> KioskState:
        """The kiosk's state now."""
        about = self.about
        ignored = self._link.ignored + self._outbox.ignored
        return KioskState(
            kiosk=about.kiosk,
            presence=presence or self._presence(),
            boot_id=about.boot_id,
            issued_at_ms=self._clock.estimate_ms(),
            clock_sure=self._clock.sure,
            software=about.software,
            pack_digest=about.pack_digest,
            recipe_digest=about.recipe_digest,
            caches=tuple(self._ages.of(feed) for feed in FeedName),
            ignored=tuple(
                Counter(ReasonCode(reason), count) for reason, count in ignored.most_common(COUNTERS_MAX)
            ),
            notes=tuple(ReasonCode(note) for note in self._notes()),
            roll_call=roll_call,
            search=self._voice.search(),
            orders=self._orders(),
        )

    def _presence(self) -> Presence:
        if self._outbox.standstill is not None or self._sender.trouble or self._failing():
            return Presence.ALERT
        return self._voice.presence()

    def _notes(self) -> list[str]:
        """The kiosk's own notes, and what this side of it has to complain of."""
        found = set(self._voice.notes())
        if self._outbox.standstill is not None:
            found.add(self._outbox.standstill)
        if self._sender.trouble:
            found.add("outbox_trouble")
        backlog = self._outbox.backlog
        if backlog.dropped:
            found.add("records_dropped")
        if backlog.over_budget:
            found.add("records_over_budget")
        found.update(f"failed_{name}" for name in self._failing())
        found.update(f"{name.value}_behind" for name, feed in self._feeds.items() if feed.behind)
        if self._link.complaint:
            found.add("broker_limited")
        if self._cache.trouble:
            found.add("cache_trouble")
        if self._clock.stepped:
            found.add("clock_stepped")
        if self._clock.far_from_host:
            found.add("clock_far_from_host")
        if self._cache.unreadable:
            found.add("cache_unreadable")
        if self._outbox.unreadable:
            found.add("records_unreadable")
        return sorted(found)[:NOTES_MAX]

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        health_at, state_at = loop.time(), loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATE_LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            now = loop.time()
            if not self._link.connected:
                continue
            called = self._roll_call if self._roll_call is not None and now >= self._answer_at else None
            state = self.state(roll_call=called)
            confirms = self._confirm_at is not None and now >= self._confirm_at
            due = called is not None or confirms or now >= state_at or self._changed(state)
            if due and self._link.say(TopicKind.STATE, state):
                self._told, state_at = state, now + STATE_AGAIN_S
                self._confirm_at = None if confirms else self._confirm_at
                if called is not None:
                    self._roll_call = None
                    self._sender.hurry()  # after the jitter, so that a city's kiosks do not all send at once
            if now >= health_at:
                self._link.say(TopicKind.HEALTH, self.health())
                health_at = now + HEALTH_EVERY_S

    def _changed(self, state: KioskState) -> bool:
        return self._told is None or _lasting(state) != _lasting(self._told)

    def health(self) -> Health:
        """Metrics now: this side's own, and those given by the kiosk."""
        backlog = self._outbox.backlog
        own = {
            "outbox_waiting_count": backlog.waiting,
            "outbox_last_count": backlog.last,
            "outbox_held_bytes": backlog.held_bytes,
            "outbox_dropped_count": backlog.dropped,
            "unanswered_count": self._link.unanswered,
            "connects_count": self._link.connection.connects,
            "uptime_s": self._clock.uptime_ms() / 1000,
        }
        found = {**self._metrics(), **own}
        metrics = tuple(Metric(ReasonCode(name), float(value)) for name, value in found.items())
        about = self.about
        return Health(about.kiosk, about.boot_id, self._clock.estimate_ms(), metrics[:METRICS_MAX])


def _lasting(state: KioskState) -> KioskState:
    """A state without what changes by itself as time goes by."""
    caches = tuple(msgspec.structs.replace(cache, age_ms=None) for cache in state.caches)
    return msgspec.structs.replace(state, issued_at_ms=0, caches=caches, roll_call=None)
