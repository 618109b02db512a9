"""All that a run is made of, opened and closed in order: broker, lines to it, central, workers of kiosks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central.adapters.broker.embedded import LOOPBACK
from scripts.harness.brokers import Broker, broker_of
from scripts.harness.children import Child
from scripts.harness.plan import Plan
from scripts.harness.proxy import Proxy

CENTRAL_MODULE = "scripts.harness.central_child"
WORKER_MODULE = "scripts.harness.worker"
LOCKER_EVERY = 3
"""Every third kiosk serves the other purpose."""
PIN = "2468"
ENROL_S, OPEN_S, GOODBYE_S = 300.0, 600.0, 60.0

Told = Callable[[int, dict[str, Any]], None]


@dataclass
class Crew:
    """One worker and its kiosks; another life of it goes on in the same folder."""

    number: int
    names: list[str]
    child: Child
    opening: dict[str, Any]

    async def start(self) -> None:
        """Start the process again and open its kiosks."""
        await self.child.start()
        await self.open()

    async def open(self) -> None:
        """Open its kiosks, which are paired."""
        await self.child.ask("open", within_s=OPEN_S, **self.opening)


@dataclass
class Rig:
    """Everything of one run. `told` hears what workers say unasked."""

    plan: Plan
    folder: Path
    told: Told
    broker: Broker = field(init=False)
    proxies: list[Proxy] = field(default_factory=list)
    central: Child = field(init=False)
    crews: list[Crew] = field(default_factory=list)
    members: list[dict[str, str]] = field(default_factory=list)
    purposes: dict[str, str] = field(default_factory=dict)
    config: Path = field(init=False)
    on_phase: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        """Choose what is chosen by name; nothing is started."""
        self.broker = broker_of(self.plan.broker, self.folder)
        self.central = Child(CENTRAL_MODULE, self.folder / "central.log")
        names = self.plan.names()
        self.purposes = {
            name: "locker" if number % LOCKER_EVERY == 0 else "ride" for number, name in enumerate(names, 1)
        }

    async def open_centre(self) -> None:
        """Start broker, lines and central, and enrol the members."""
        plan = self.plan
        await self.broker.start()
        for side in range(2):
            dice = random.Random(f"{plan.seed} line {side}")  # noqa: S311 - a run is repeated from its seed
            self.proxies.append(Proxy(self.broker.host, self.broker.port, dice))
            await self.proxies[-1].open()
        await self.central.start()
        (self.folder / "central").mkdir(exist_ok=True)
        opened = await self.central.ask(
            "open",
            folder=str(self.folder / "central"),
            host=self.broker.host,
            port=self.broker.port,
            head_every_s=plan.head_every_s,
            seed=plan.seed,
        )
        self.config = Path(opened["config"])
        enrolled = await self.central.ask("enrol", within_s=ENROL_S, count=plan.members)
        self.members = enrolled["members"]

    async def open_kiosks(self) -> None:
        """Start the workers; each pairs its kiosks, opens them and waits for their caches."""
        added = await self.central.ask("add_kiosks", within_s=ENROL_S, kiosks=self.purposes)
        for number, names in enumerate(self.plan.shares()):
            folder = self.folder / f"worker-{number}"
            opening = {
                "number": number,
                "folder": str(folder),
                "host": LOOPBACK,
                "kiosks": {name: self.proxies[place % 2].port for place, name in enumerate(names)},
                "members": self.members,
                "pin": PIN,
                "fresh_s": self.plan.fresh_s,
                "grace_s": self.plan.grace_s,
                "seed": self.plan.seed * 1000 + number,
            }
            child = Child(WORKER_MODULE, self.folder / f"worker-{number}.log", self._teller(number))
            self.crews.append(Crew(number, names, child, opening))
        await asyncio.gather(*(self._pair(crew, added) for crew in self.crews))
        self.on_phase(f"opening {self.plan.kiosks} kiosks")
        await asyncio.gather(*(crew.open() for crew in self.crews))

    async def _pair(self, crew: Crew, added: dict[str, Any]) -> None:
        await crew.child.start()
        folder, seed = crew.opening["folder"], crew.opening["seed"]
        codes = {name: added["codes"][name] for name in crew.names}
        await crew.child.ask("pair", within_s=OPEN_S, folder=folder, codes=codes, url=added["url"], seed=seed)

    def _teller(self, number: int) -> Callable[[dict[str, Any]], None]:
        return lambda said: self.told(number, said)

    async def load(self, crew: Crew) -> None:
        """Let people walk up at a crew's kiosks, as many as are theirs of the run's rate."""
        await crew.child.ask("load", rate_per_s=self.plan.rate_per_s * len(crew.names) / self.plan.kiosks)

    async def abort(self) -> None:
        """End everything, whatever state it is in."""
        await asyncio.gather(
            *(crew.child.kill() for crew in self.crews), self.central.kill(), return_exceptions=True
        )
        await asyncio.gather(*(proxy.close() for proxy in self.proxies), return_exceptions=True)
        await self.broker.stop()
