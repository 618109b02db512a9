"""Follows central's heads and changes: what was missed is asked for, what is too much is taken anew.

Until a newer version is complete, and whenever something is not to be believed, the last verified one stays
in use; its age counts from the last verified head that vouched for just these rows.
"""

from __future__ import annotations

import asyncio
import random

from edge.adapters.central.clock import AGREES_WITHIN_MS, LEAP_MS, STEP_MAX_MS, Clock
from edge.adapters.central.link import Link
from edge.adapters.central.snapshot import FeedKind, Filler
from edge.adapters.storage.cache import Cache, Held
from edge.errors import StoreError
from wire.codec import Received
from wire.fleet import GalleryDelta, Head, StandingDelta
from wire.ids import Nonce
from wire.requests import DeltaReply, HeadReply, Refused, Request

HEAD_DEADLINE_MS = 5_000
DELTA_DEADLINE_MS = 5_000
"""Nobody at the gate waits for these, and an answer that comes too late has cost as much as one in time."""
DELTAS_AT_ONCE = 4
"""Missed changes asked for at a time."""
GAP_MIN = 16
"""So many missed changes are asked for whatever the snapshot's size; more, if it has more chunks."""
PENDING_MAX = 64
"""Changes kept that do not follow yet, at most 12 MiB; one more is asked for when its turn comes."""
RETRY_S = 2.0
RETURN_WITHIN_S = 5.0
"""Those who lost the same broker come back together: each asks at an instant of its own within this. Who has
no rows yet, or does not know the time, asks at once."""
ASK_AGAIN_S = 60.0
"""A kiosk that hears no head for this long asks for one: as often as central signs them."""

Delta = StandingDelta | GalleryDelta
Place = tuple[int, int]


class Feed:
    """Keeps one feed of the cache as central has it, until cancelled."""

    def __init__(self, kind: FeedKind, cache: Cache, link: Link, clock: Clock, dice: random.Random) -> None:
        self._kind, self._cache, self._link, self._clock, self._dice = kind, cache, link, clock, dice
        self._filler = Filler(kind, cache, link)
        self._wake = asyncio.Event()
        self._wanted: Head | None = None
        self._pending: dict[Place, Delta] = {}
        self._ask = self._returned = False
        self._asking_later: asyncio.TimerHandle | None = None
        self._patience_s = ASK_AGAIN_S
        self.filling = False
        link.listen(kind.heads, self._hear_head)
        link.listen(kind.deltas, self._hear_delta)
        link.on_connected.append(self._connected)

    @property
    def held(self) -> Held | None:
        """The version in use."""
        return self._cache.held(self._kind.feed)

    @property
    def behind(self) -> bool:
        """Whether central is known to have a newer version than the one in use."""
        known = [*self._pending]
        if self._wanted is not None:
            known.append(_place(self._wanted))
        held = self.held
        return bool(known) and (held is None or max(known) > held.place)

    def _connected(self) -> None:
        self._returned = True
        self._ask_soon()

    def _ask_soon(self) -> None:
        self._ask = True
        self._wake.set()

    def _hear_head(self, received: Received, retained: bool) -> None:
        if isinstance(received.message, Head):
            self._consider(received.message, live=not retained)
            now_ms = self._clock.now_ms()
            if not retained and (now_ms is None or abs(now_ms - received.message.issued_at_ms) > STEP_MAX_MS):
                # Held back by a broker, or our clock is wrong: the answer to a question of ours will tell.
                self._ask_soon()
            elif not retained and self._wanted is received.message:
                self._ask_no_more()  # this is what would be answered

    def _consider(self, head: Head, *, live: bool) -> None:
        """Take a verified head if it is newer than any before it."""
        if head.name != self._kind.name:
            self._link.ignored["wrong_feed"] += 1
            return
        place = (*_place(head), head.issued_at_ms)
        newest = self._newest()
        if newest is not None and place <= newest:
            # A retained head is often the one just heard or the one before it, and a reply may overtake a
            # publication: nothing is wrong with those.
            if place[:2] < newest[:2] or (live and newest[2] - place[2] > AGREES_WITHIN_MS):
                self._link.ignored["older_head"] += 1
            return
        if newest is not None and head.epoch > newest[0]:
            self._clock.forget_highest()
        self._clock.witness(head.issued_at_ms, live=False)
        now_ms = self._clock.now_ms()
        if now_ms is not None and head.issued_at_ms - now_ms > LEAP_MS:
            # Taken, it would make every right one after it an older one.
            self._link.ignored["head_from_future"] += 1
            return
        self._wanted = head
        self._wake.set()

    def _newest(self) -> tuple[int, int, int] | None:
        held = self.held
        places = [] if held is None else [(*held.place, held.issued_at_ms)]
        if self._wanted is not None:
            places.append((*_place(self._wanted), self._wanted.issued_at_ms))
        return max(places, default=None)

    def _hear_delta(self, received: Received, retained: bool) -> None:
        delta, held = received.message, self.held
        if not isinstance(delta, StandingDelta | GalleryDelta):
            return
        if held is not None and _place(delta) <= held.place:
            self._link.ignored["older_delta"] += 1
            return
        before = (delta.epoch, delta.version - 1)
        if before not in self._pending and (held is None or before != held.place):
            self._ask = True  # something before this one was missed: the head says how much
        if _place(delta) in self._pending or len(self._pending) < PENDING_MAX:
            self._pending[_place(delta)] = delta
        self._wake.set()

    async def run(self) -> None:
        """Follow the feed until cancelled; a disk that fails leaves the last version in use."""
        while True:
            try:
                async with asyncio.timeout(self._about(self._patience_s)):
                    await self._wake.wait()
            except TimeoutError:
                self._ask = True
            if self._returned:
                self._returned = False
                self._ask_in_turn()
            if not await self.step():
                await asyncio.sleep(self._about(RETRY_S))
                self._ask_soon()  # central may have moved on

    def _about(self, wait_s: float) -> float:
        return wait_s * self._dice.uniform(0.75, 1.25)

    def _ask_in_turn(self) -> None:
        """Put the question that returning makes due off by chance, where it can wait."""
        self._ask_no_more()
        if self.held is not None and self._clock.sure:
            self._ask = False
            wait_s = self._dice.uniform(0, RETURN_WITHIN_S)
            self._asking_later = asyncio.get_running_loop().call_later(wait_s, self._ask_soon)

    def _ask_no_more(self) -> None:
        if self._asking_later is not None:
            self._asking_later.cancel()
            self._asking_later = None

    async def step(self) -> bool:
        """Ask what is to be asked, and take up what was heard; False when that did not succeed."""
        self._wake.clear()
        if self._ask:
            self._ask = False
            await self._ask_for_head()
        try:
            succeeded = await self._catch_up()
            self._cache.trouble = ""
        except StoreError as error:
            succeeded, self._cache.trouble = False, str(error)
        return succeeded

    async def _ask_for_head(self) -> None:
        reply = await self._link.ask(self._kind.head_request, HeadReply, HEAD_DEADLINE_MS)
        if reply is not None:
            self._patience_s = ASK_AGAIN_S
            self._consider(reply.head, live=True)
        else:
            # Perhaps only this answer was lost: soon again, then ever later, as central may be away.
            again_s = RETRY_S if self._patience_s == ASK_AGAIN_S else self._patience_s * 2
            self._patience_s = min(again_s, ASK_AGAIN_S)

    async def _catch_up(self) -> bool:
        """Bring the cache to the newest version that is known; False when that did not succeed."""
        while True:
            followed = await self._apply_pending()
            head, held = self._wanted, self.held
            if head is None:
                return followed and not self._pending  # what lies before those that are left is asked for
            if held is not None and followed:
                if _place(head) < held.place:
                    self._wanted = None  # changes have overtaken it
                    continue
                if _place(head) == held.place and await self._confirmed(head, held):
                    self._done(head)
                    continue
            if not (followed and held is not None and self._near(head, held)):
                if not await self._fill(head):
                    return False
                continue
            if not await self._close_gap(head, held):
                return False

    def _done(self, head: Head) -> None:
        if self._wanted is head:
            self._wanted = None

    async def _confirmed(self, head: Head, held: Held) -> bool:
        """Whether the rows in use are those the head vouches for; then their age counts from it."""
        if (held.digest, held.entries) != (head.rows_digest, head.count):
            self._link.ignored["rows_differ"] += 1
            return False
        await self._cache.confirm(self._kind.feed, head.issued_at_ms)
        return True

    def _near(self, head: Head, held: Held) -> bool:
        """Whether the changes up to a head are a shorter way to it than its snapshot."""
        missing = head.version - held.version
        return head.epoch == held.epoch and 0 < missing <= max(GAP_MIN, len(head.chunk_digests))

    async def _apply_pending(self) -> bool:
        """Apply the changes that are there and follow; False when the cache does not take one."""
        while (held := self.held) is not None:
            for place in [place for place in self._pending if place <= held.place]:
                del self._pending[place]
            delta = self._pending.pop((held.epoch, held.version + 1), None)
            if delta is None:
                break
            if not await self._cache.apply(self._kind.feed, delta):
                return False
        return True

    async def _close_gap(self, head: Head, held: Held) -> bool:
        """Ask for the next missing changes; where one is not kept any more, take the snapshot."""
        last = min(head.version, held.version + DELTAS_AT_ONCE)
        missing = [
            version
            for version in range(held.version + 1, last + 1)
            if (held.epoch, version) not in self._pending
        ]
        replies = await asyncio.gather(*(self._missed(held.epoch, version) for version in missing))
        if any(isinstance(reply, Refused) for reply in replies):
            return await self._fill(head)
        for reply in replies:
            if isinstance(reply, DeltaReply):
                self._pending[_place(reply.delta)] = reply.delta
        return None not in replies

    async def _missed(self, epoch: int, version: int) -> DeltaReply | Refused | None:
        """The change that led to a version; None when central is silent or says another."""

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return self._kind.delta_request(nonce, not_after_ms, epoch, version)

        match await self._link.ask(question, (DeltaReply, Refused), DELTA_DEADLINE_MS):
            case DeltaReply(delta=delta) as reply if _place(delta) == (epoch, version):
                return reply
            case DeltaReply():
                self._link.ignored["wrong_delta"] += 1
            case Refused() as refused:
                return refused
        return None

    async def _fill(self, head: Head) -> bool:
        self.filling = True
        try:
            filled = await self._filler.fill(head)
        finally:
            self.filling = False
        if filled:  # else what is staged will be gone on with
            await self._cache.sweep(self._kind.feed)
        return filled


def _place(said: Head | Delta) -> Place:
    return said.epoch, said.version
