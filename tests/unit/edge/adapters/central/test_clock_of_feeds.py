"""A head that nobody asked for may be an old one, held back: it is asked about before it tells the time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from edge.adapters.central.clock import Clock
from edge.adapters.central.feeds import RETURN_WITHIN_S, Feed
from edge.adapters.central.snapshot import standing_feed
from edge.adapters.storage.cache import Cache, FeedName, Held
from edge.adapters.storage.keyfile import RowSealer
from tests.doubles.host_clocks import DAY, HOUR, NOON, Host
from tests.doubles.waiting import WAIT_S
from wire import topics
from wire.codec import Received
from wire.fleet import Head
from wire.ids import KeyId, Nonce, Purpose, SiteId
from wire.requests import HeadRequest, Request
from wire.topics import TopicKind

RIDE = Purpose("ride")


class BrokerOnly:
    """A link whose broker passes on what it likes, and behind which no central answers."""

    connected = True

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.on_connected: list[Callable[[], None]] = []
        self.asked: asyncio.Queue[Request] = asyncio.Queue()
        self._listener: Callable[[Received, bool], None] | None = None

    def listen(self, kind: TopicKind, listener: Callable[[Received, bool], None]) -> None:
        if kind is TopicKind.STANDING_HEAD:
            self._listener = listener

    async def ask(self, question: Callable[[Nonce, int], Request], expected: type, deadline_ms: int) -> None:
        self.asked.put_nowait(question(Nonce(bytes(16)), 0))

    def passes_on(self, head: Head) -> None:
        """Deliver a genuine head as though it had been published just now."""
        assert self._listener is not None
        address = topics.standing_head(SiteId("north"), RIDE)
        self._listener(Received(address, head, RIDE, KeyId("0" * 32), "central"), False)


def head(issued_at_ms: int) -> Head:
    return Head(
        name=RIDE,
        epoch=1,
        version=7,
        issued_at_ms=issued_at_ms,
        count=0,
        rows_digest=bytes(32),
        chunk_digests=(),
    )


async def asked_after(clock: Clock, told: Head, folder: Path) -> Request:
    """What a feed asks central after a head that nobody asked for."""
    link = BrokerOnly()
    cache = Cache(folder / "cache.sqlite3", RowSealer(b"k" * 32, random.Random(1).randbytes))
    feed = Feed(standing_feed(RIDE), cache, link, clock, random.Random(2))  # type: ignore[arg-type]
    running = asyncio.create_task(feed.run())
    try:
        link.passes_on(told)
        async with asyncio.timeout(WAIT_S):
            return await link.asked.get()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        cache.close()


async def test_a_head_that_was_held_back_while_the_kiosk_was_off_does_not_set_its_clock_back(tmp_path: Path):
    clock = Host(highest=NOON - HOUR).boot()
    # It is NOON; the broker kept this head for half an hour, and what came after it to itself.
    asked = await asked_after(clock, head(NOON - HOUR // 2), tmp_path)
    assert clock.now_ms() is None
    assert isinstance(asked, HeadRequest)


async def test_a_clock_that_ntp_set_far_ahead_asks_central_at_the_next_head(tmp_path: Path):
    clock = Host(mark=1, host=NOON + DAY).boot()
    assert clock.sure
    assert isinstance(await asked_after(clock, head(NOON), tmp_path), HeadRequest)


class Drawn(random.Random):
    """Dice that keep what they were asked for, and always show the least."""

    def __init__(self) -> None:
        super().__init__(3)
        self.spans: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.spans.append((a, b))
        return a


async def spans_drawn(clock: Clock, folder: Path, held: Held | None) -> list[tuple[float, float]]:
    """Between what a kiosk that has just connected draws, until it asks for a head."""
    link, dice = BrokerOnly(), Drawn()
    cache = Cache(folder / "cache.sqlite3", RowSealer(b"k" * 32, random.Random(1).randbytes))
    if held is not None:
        await cache.install(FeedName.STANDING, held)
    feed = Feed(standing_feed(RIDE), cache, link, clock, dice)  # type: ignore[arg-type]
    running = asyncio.create_task(feed.run())
    try:
        link.on_connected[-1]()
        async with asyncio.timeout(WAIT_S):
            await link.asked.get()
        return dice.spans
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        cache.close()


async def test_a_kiosk_that_comes_back_asks_at_an_instant_of_its_own(tmp_path: Path):
    spans = await spans_drawn(Host(mark=1, host=NOON).boot(), tmp_path, Held(1, 1, NOON - HOUR, 0, 1))
    assert (0, RETURN_WITHIN_S) in spans


async def test_a_kiosk_without_rows_asks_at_once(tmp_path: Path):
    assert (0, RETURN_WITHIN_S) not in await spans_drawn(Host(mark=1, host=NOON).boot(), tmp_path, None)


async def test_a_kiosk_that_does_not_know_the_time_asks_at_once(tmp_path: Path):
    clock = Host(highest=NOON - HOUR).boot()
    spans = await spans_drawn(clock, tmp_path, Held(1, 1, NOON - HOUR, 0, 1))
    assert (0, RETURN_WITHIN_S) not in spans
