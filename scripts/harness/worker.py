"""A process full of simulated kiosks on one event loop: opened, loaded, harmed, drained as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

from edge.adapters.central.pairing import pair
from edge.adapters.central.uplink import Uplink
from edge.adapters.storage.cache import FeedName
from edge.adapters.storage.database import Database
from edge.decide.standing import StandingConfig
from scripts.harness.children import say, serve
from scripts.harness.clients import SOFTWARE, Person, SimulatedKiosk, Tally
from scripts.harness.ledger import Ledger
from wire.ids import ClaimId, SubjectId

SABOTEUR_VARIABLE = "STILE_HARNESS_SABOTEUR"
"""Names MODULE:FUNCTION, called with the worker's number: how tests show that broken code is noticed."""
PAIR_AT_ONCE = 4
PAIR_TIMEOUT_S = 120.0
OPEN_AT_ONCE = 8
LOOK_S = 0.1
TICK_S = 1.0
FREE_PAGES = 1_000_000
"""SQLite's `max_page_count` when there is space again: 4 GB."""
REGULARS_SHARE, REGULARS_LOAD = 0.1, 0.5
"""A tenth of the members make half of the passages; what central changes, it changes among them."""
TASKS_MAX = 500
SAY_EVERY_S = 5.0

log = logging.getLogger(__name__)


class Worker:
    """The verbs. `open` comes first."""

    def __init__(self) -> None:
        self._kiosks: list[SimulatedKiosk] = []
        self._people: list[Person] = []
        self._tally = Tally()
        self._dice = random.Random(0)  # noqa: S311 - replaced by the run's own seed
        self._stop = asyncio.Event()
        self._lives: list[asyncio.Task[None]] = []
        self._load: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._passages: set[asyncio.Task[object]] = set()
        self._ledger: Ledger | None = None
        self._harmed: list[SimulatedKiosk] = []

    @property
    def verbs(self) -> dict[str, Any]:
        """By name, for `serve`."""
        return {
            "pair": self.pair,
            "open": self.open,
            "load": self.load,
            "rest": self.rest,
            "skew": self.skew,
            "fill_disk": self.fill_disk,
            "free_disk": self.free_disk,
            "recovered": self.recovered,
            "drained": self.drained,
            "leave": self.leave,
        }

    async def open(
        self,
        number: int,
        folder: str,
        *,
        host: str,
        kiosks: dict[str, int],
        members: list[dict[str, str]],
        pin: str,
        fresh_s: int,
        grace_s: int,
        seed: int,
    ) -> Mapping[str, Any]:
        """Open all kiosks, which are paired, and wait until their caches are filled."""
        if saboteur := os.environ.get(SABOTEUR_VARIABLE):
            module, _, name = saboteur.partition(":")
            getattr(import_module(module), name)(number)
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else goes on yet
        self._dice = random.Random(seed)  # noqa: S311 - a run is repeated from its seed
        self._people = [Person(SubjectId(each["subject"]), ClaimId(each["claim"]), pin) for each in members]
        self._ledger = Ledger(home / "ledger.jsonl")
        standing = StandingConfig(fresh_s=fresh_s, grace_s=grace_s)
        self._kiosks = [
            SimulatedKiosk(
                name,
                home / name,
                port,
                self._ledger,
                self._tally,
                standing,
                random.Random(f"{seed} {name}"),  # noqa: S311
            )
            for name, port in kiosks.items()
        ]
        self._ticking = asyncio.create_task(self._tick())
        at_once = asyncio.Semaphore(OPEN_AT_ONCE)

        async def join(kiosk: SimulatedKiosk) -> None:
            async with at_once:
                opened = asyncio.Event()
                life = asyncio.create_task(kiosk.run(host, self._stop, opened.set), name=kiosk.name)
                self._lives.append(life)
                waiting = asyncio.create_task(opened.wait())
                await asyncio.wait([life, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if life.done():
                    await life
                # A few at a time to the end: a thousand that ask at once get their answers too late.
                while not _filled(kiosk):  # noqa: ASYNC110 - told by nobody
                    await asyncio.sleep(LOOK_S)

        await asyncio.gather(*map(join, self._kiosks))
        return {"kiosks": len(self._kiosks)}

    async def pair(self, folder: str, codes: dict[str, str], url: str, seed: int) -> Mapping[str, Any]:
        """Pair kiosks, before any is opened: each new one makes central read all their keys anew."""
        at_once = asyncio.Semaphore(PAIR_AT_ONCE)
        async with httpx.AsyncClient(timeout=PAIR_TIMEOUT_S, trust_env=False) as client:

            async def join(name: str, code: str) -> None:
                async with at_once:
                    home = Path(folder) / name
                    await asyncio.to_thread(home.mkdir, mode=0o700, parents=True)
                    dice = random.Random(f"{seed} pairing {name}")  # noqa: S311
                    await pair(url, code, home, software=SOFTWARE, random_bytes=dice.randbytes, client=client)

            await asyncio.gather(*(join(name, code) for name, code in codes.items()))
        return {"paired": len(codes)}

    # --- load

    async def load(self, rate_per_s: float) -> None:
        """Let people walk up at this rate, at random instants, at random kiosks."""
        await self.rest()
        if rate_per_s > 0:
            self._load = asyncio.create_task(self._walk(rate_per_s))

    async def rest(self) -> None:
        """Nobody comes any more; who is there is served to the end."""
        if self._load is not None:
            self._load.cancel()
            await asyncio.gather(self._load, return_exceptions=True)
            self._load = None

    async def _walk(self, rate_per_s: float) -> None:
        due_s = time.monotonic()
        while True:
            due_s += self._dice.expovariate(rate_per_s)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            free = [
                kiosk
                for kiosk in self._dice.sample(self._kiosks, min(4, len(self._kiosks)))
                if not kiosk.busy
            ]
            if not free or len(self._passages) >= TASKS_MAX:
                continue
            task = asyncio.create_task(free[0].pass_through(self._somebody()))
            self._passages.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[object]) -> None:
        self._passages.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say({"told": "fault", "error": f"{type(error).__name__}: {error}"})

    def _somebody(self) -> Person:
        regulars = max(1, int(len(self._people) * REGULARS_SHARE))
        if self._dice.random() < REGULARS_LOAD:
            return self._people[self._dice.randrange(regulars)]
        return self._dice.choice(self._people)

    # --- faults

    def _some(self, share: float) -> list[SimulatedKiosk]:
        return self._dice.sample(self._kiosks, max(1, round(len(self._kiosks) * share)))

    async def skew(self, share: float, ms: int) -> None:
        """The hosts' clocks of some kiosks are wrong by so much, either way; 0 sets all of them right."""
        for kiosk in self._kiosks if ms == 0 else self._some(share):
            kiosk.skew_ms = self._dice.choice((-1, 1)) * ms

    async def fill_disk(self, share: float) -> None:
        """Let no database of some kiosks grow any further."""
        self._harmed = self._some(share)
        for database in self._databases():
            limit_pages(database, None)

    async def free_disk(self) -> None:
        """There is space again."""
        for database in self._databases():
            limit_pages(database, FREE_PAGES)

    def _databases(self) -> list[Database]:
        uplinks = [kiosk.uplink for kiosk in self._harmed if kiosk.uplink is not None]
        # The files are the adapters' own; only a fault reaches for them.
        return [each._database for uplink in uplinks for each in (uplink.outbox, uplink.cache)]

    # --- coming back

    async def recovered(self, limit_s: float) -> Mapping[str, Any]:
        """Wait until every kiosk is as if nothing had been: connected, told anew, its records at central.

        The answer's `seconds` are None when that took too long.
        """
        began_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        marks = {
            kiosk.name: kiosk.uplink.outbox.backlog.last for kiosk in self._kiosks if kiosk.uplink is not None
        }
        left, said_s = list(self._kiosks), began_s
        while left and time.monotonic() - began_s < limit_s:
            lacks = {kiosk.name: _lacks(kiosk, marks.get(kiosk.name, 0), now_ms) for kiosk in left}
            left = [kiosk for kiosk in left if lacks[kiosk.name]]
            if left and time.monotonic() - said_s > SAY_EVERY_S:
                said_s = time.monotonic()
                log.warning("not back yet: %s", {name: what for name, what in lacks.items() if what})
            await asyncio.sleep(LOOK_S)
        seconds = None if left else round(time.monotonic() - began_s, 2)
        return {"seconds": seconds, "left": [kiosk.name for kiosk in left[:5]]}

    async def drained(self, limit_s: float) -> Mapping[str, Any]:
        """Wait until nobody is at a kiosk and nothing waits in an outbox; how many records still do."""
        began_s = time.monotonic()
        while self._passages and time.monotonic() - began_s < limit_s:  # noqa: ASYNC110 - told by nobody
            await asyncio.sleep(LOOK_S)
        left = [kiosk.uplink for kiosk in self._kiosks if kiosk.uplink is not None]
        while (left := [uplink for uplink in left if uplink.outbox.backlog.waiting]) and (  # noqa: ASYNC110
            time.monotonic() - began_s < limit_s
        ):
            await asyncio.sleep(LOOK_S)
        return {"waiting": sum(uplink.outbox.backlog.waiting for uplink in left)}

    async def leave(self) -> Mapping[str, Any]:
        """Say goodbye everywhere; what was ignored, by reason, and whatever failed by itself."""
        await self.rest()
        ignored, faults = self._ignored()
        self._stop.set()
        await asyncio.gather(*self._lives, return_exceptions=True)
        if self._ticking is not None:
            self._ticking.cancel()
        self._tell()
        if self._ledger is not None:
            self._ledger.close()
        return {"ignored": ignored, "faults": faults}

    def _ignored(self) -> tuple[Counter[str], Counter[str]]:
        ignored: Counter[str] = Counter()
        faults: Counter[str] = Counter()
        for kiosk in self._kiosks:
            if kiosk.uplink is not None:
                ignored += kiosk.uplink.link.ignored + kiosk.uplink.outbox.ignored
                faults += kiosk.uplink.supervisor.faults
        return ignored, faults

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._tell()

    def _tell(self) -> None:
        tally = self._tally
        uplinks = [kiosk.uplink for kiosk in self._kiosks if kiosk.uplink is not None]
        say(
            {
                "told": "tick",
                "verdicts": dict(tally.verdicts),
                "ages": dict(tally.ages),
                "latencies_ms": [round(each, 2) for each in tally.latencies_ms],
                "unkept": tally.unkept,
                "connected": sum(uplink.link.connected for uplink in uplinks),
                "open": len(uplinks),
            }
        )
        tally.verdicts.clear()
        tally.ages.clear()
        tally.latencies_ms.clear()
        tally.unkept = 0


def _filled(kiosk: SimulatedKiosk) -> bool:
    """Whether a kiosk has both caches, and knows the time."""
    uplink = kiosk.uplink
    return uplink is not None and uplink.clock.sure and all(feed.held for feed in uplink.feeds.values())


def _lacks(kiosk: SimulatedKiosk, mark: int, since_ms: int) -> list[str]:
    """What keeps a kiosk from being as if nothing had been; nothing at all when it is."""
    uplink = kiosk.uplink
    if uplink is None:
        return ["closed"]
    backlog = uplink.outbox.backlog
    lacks = {
        "connection": uplink.link.connected,
        "time": uplink.clock.sure,
        f"records {backlog.acknowledged} to {mark}": backlog.acknowledged >= mark,
        **{f"{feed.value} head": _told_since(uplink, feed, since_ms) for feed in uplink.feeds},
    }
    return [what for what, there in lacks.items() if not there]


def _told_since(uplink: Uplink, feed: FeedName, since_ms: int) -> bool:
    held = uplink.feeds[feed].held
    return held is not None and held.issued_at_ms >= since_ms


def limit_pages(database: Database, pages: int | None) -> None:
    """Let a database grow to so many pages; None: not at all."""
    with database._guard:
        (used,) = database._writer.execute("PRAGMA page_count").fetchone()
        database._writer.execute(f"PRAGMA max_page_count = {pages or used}")


async def main() -> None:
    """Serve until the pipe is closed; then end without a goodbye unless `leave` was asked for."""
    with contextlib.suppress(asyncio.CancelledError):
        await serve(Worker().verbs)


if __name__ == "__main__":
    asyncio.run(main())
