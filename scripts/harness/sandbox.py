"""A broker, central, kiosks and faults for somebody else's tests, without a word of asyncio.

The event loop runs in a thread of its own; every verb waits until it is done, or raises.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from central.adapters.broker.embedded import LOOPBACK
from edge.adapters.central.uplink import Uplink
from edge.decide.standing import StandingConfig
from edge.decide.verdict import Verdict
from scripts.harness.clients import Person, SimulatedKiosk, Tally
from scripts.harness.errors import ChildError
from scripts.harness.ledger import Ledger
from scripts.harness.plan import Plan
from scripts.harness.proxy import Proxy
from scripts.harness.rig import PIN, Rig
from scripts.harness.worker import FREE_PAGES, limit_pages
from wire.ids import ClaimId, SubjectId

WAIT_S = 30.0
"""How long a verb, or what is waited for, may take."""
LOOK_S = 0.02
MEMBERS = 10

T = TypeVar("T")


class Portal:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stile harness", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done there, and its answer."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(4 * WAIT_S)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


def eventually(holds: Callable[[], T], what: str) -> T:
    """Wait, bounded, until `holds` gives something; raises `ChildError` saying what never came."""
    until_s = time.monotonic() + WAIT_S
    while not (value := holds()):
        if time.monotonic() > until_s:
            raise ChildError(f"not within {WAIT_S:g} s: {what}")
        time.sleep(LOOK_S)
    return value


class SandboxBroker:
    """The broker: `kill` and `start`."""

    def __init__(self, portal: Portal, rig: Rig) -> None:
        self._portal, self._rig = portal, rig

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, past the line that faults are made on."""
        return self._rig.broker.host, self._rig.broker.port

    def kill(self) -> None:
        """SIGKILL."""
        self._portal.run(self._rig.broker.kill())

    def start(self) -> None:
        """Start it again where it was."""
        self._portal.run(self._rig.broker.start())


class SandboxCentral:
    """Central: its members, and what it may do to them."""

    def __init__(self, portal: Portal, rig: Rig) -> None:
        self._portal, self._rig = portal, rig

    @property
    def members(self) -> list[Person]:
        """Who is enrolled; their claims and PINs are good."""
        return [Person(SubjectId(each["subject"]), ClaimId(each["claim"]), PIN) for each in self._rig.members]

    def restrict(self, member: Person, purpose: str = "ride") -> str:
        """Two reviewers restrict somebody; the restriction's id."""
        turned = self._turn(restrict=[{"subject": member.subject, "purpose": purpose}])
        return str(turned["restrictions"][0])

    def lift(self, restriction: str) -> None:
        """The operator lifts it."""
        self._turn(lift=[restriction])

    def withdraw(self, member: Person) -> None:
        """Somebody withdraws."""
        self._turn(withdraw=[member.subject])

    def command(self, kiosk: str, kind: str = "good") -> str:
        """Send a command, of one of the kinds that `central_child` knows; its nonce."""
        return str(self._portal.run(self._rig.central.ask("command", kiosk=kiosk, kind=kind))["nonce"])

    def _turn(self, **changes: Any) -> dict[str, Any]:
        asked = {"restrict": [], "lift": [], "withdraw": [], "events": [], **changes}
        return self._portal.run(self._rig.central.ask("turn", **asked))


class SandboxKiosk:
    """One kiosk with the real client code."""

    def __init__(self, portal: Portal, kiosk: SimulatedKiosk) -> None:
        self._portal, self._kiosk = portal, kiosk

    @property
    def name(self) -> str:
        """Its id."""
        return self._kiosk.name

    @property
    def uplink(self) -> Uplink:
        """Its side of the wire; to be looked at, its coroutines belong to another thread."""
        assert self._kiosk.uplink is not None, "it is open as long as the test runs"
        return self._kiosk.uplink

    def pass_through(self, member: Person) -> Verdict:
        """Let somebody walk up; the verdict."""
        verdict = self._portal.run(self._kiosk.pass_through(member))
        assert verdict is not None, "one passage at a time"
        return verdict

    def knows(self, member: Person, holds: Callable[[Any], bool] = bool) -> None:
        """Wait until what its cache says of somebody's standing is as it should be."""
        eventually(lambda: holds(self.uplink.cache.standing(member.subject)), f"{self.name} is told")

    def sent(self) -> None:
        """Wait until every record is at central."""
        eventually(
            lambda: self.uplink.outbox.backlog.waiting == 0, f"the records of {self.name} are at central"
        )


class SandboxFaults:
    """What can be made to go wrong between one kiosk and the rest; `heal` ends all that is on the line."""

    def __init__(self, portal: Portal, kiosk: SimulatedKiosk, line: Proxy) -> None:
        self._portal, self._kiosk, self._line = portal, kiosk, line

    def _do(self, act: Callable[..., None], *given: Any) -> None:
        async def there() -> None:
            act(*given)

        self._portal.run(there())

    def cut(self) -> None:
        """Nothing passes."""
        self._do(self._line.cut)

    def hold(self) -> None:
        """Connections stay, and nothing passes."""
        self._do(self._line.hold)

    def mute(self) -> None:
        """Connections end; new ones are accepted, and nobody answers."""
        self._do(self._line.mute)

    def lose_confirmations(self) -> None:
        """The broker's PUBACKs are lost."""
        self._do(self._line.lose_confirmations)

    def slow(self, least_s: float, most_s: float) -> None:
        """Every message takes so long."""
        self._do(self._line.slow, least_s, most_s)

    def duplicate(self, share: float = 1.0) -> None:
        """So many of the messages arrive twice."""
        self._do(self._line.duplicate, share)

    def reorder(self, share: float = 0.5) -> None:
        """So many of the messages are overtaken by the next."""
        self._do(self._line.reorder, share)

    def replay(self, count: int = 10) -> None:
        """So many messages of earlier are said again."""
        self._do(self._line.replay, count)

    def heal(self) -> None:
        """The line is as it was."""
        self._do(self._line.heal)

    def skew(self, ms: int) -> None:
        """The host's clock is wrong by so much."""
        self._kiosk.skew_ms = ms

    def fill_disk(self) -> None:
        """The outbox's disk takes no more."""
        self._limit(None)

    def free_disk(self) -> None:
        """It does again."""
        self._limit(FREE_PAGES)

    def _limit(self, pages: int | None) -> None:
        assert self._kiosk.uplink is not None, "it is open as long as the test runs"
        limit_pages(self._kiosk.uplink.outbox._database, pages)


class Sandbox:
    """All of it for one test: `open`, use its parts, `close`."""

    def __init__(self, folder: Path, broker: str = "embedded") -> None:
        self._folder = folder
        self._portal = Portal()
        plan = Plan(kiosks=1, members=MEMBERS, broker=broker).settled()
        self._plan = plan
        self._rig = Rig(plan, folder, lambda _worker, _said: None)
        self._ledger = Ledger(folder / "ledger.jsonl")
        self._stop: asyncio.Event | None = None
        self._life: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start broker, central and one kiosk, and wait until it knows everybody."""
        self._portal.run(self._rig.open_centre())
        self.line = self._rig.proxies[1]
        standing = StandingConfig(fresh_s=self._plan.fresh_s, grace_s=self._plan.grace_s)
        name = self._plan.names()[0]
        dice = random.Random(self._plan.seed)  # noqa: S311 - a run is repeated from its seed
        self._one = SimulatedKiosk(
            name, self._folder / name, self.line.port, self._ledger, Tally(), standing, dice
        )
        self._portal.run(self._open_kiosk())
        self.broker = SandboxBroker(self._portal, self._rig)
        self.central = SandboxCentral(self._portal, self._rig)
        self.kiosk = SandboxKiosk(self._portal, self._one)
        self.faults = SandboxFaults(self._portal, self._one, self.line)
        for member in self.central.members:
            self.kiosk.knows(member)
        eventually(lambda: self.kiosk.uplink.clock.sure, "central has told the time")

    async def _open_kiosk(self) -> None:
        added = await self._rig.central.ask("add_kiosks", kiosks={self._one.name: "ride"})
        await self._one.pair(added["url"], added["codes"][self._one.name])
        self._stop, opened = asyncio.Event(), asyncio.Event()
        self._life = asyncio.create_task(self._one.run(LOOPBACK, self._stop, opened.set))
        await opened.wait()

    def close(self) -> None:
        """End everything."""
        self._portal.run(self._close())
        self._portal.close()
        self._ledger.close()

    async def _close(self) -> None:
        if self._stop is not None and self._life is not None:
            self._stop.set()
            await asyncio.gather(self._life, return_exceptions=True)
        await self._rig.abort()
