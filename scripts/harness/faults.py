"""The faults of a run: how each begins and ends. What is harmed comes back by itself, or not at all."""

from __future__ import annotations

import asyncio
import random
from typing import Any, assert_never

from scripts.harness.plan import Fault
from scripts.harness.rig import Crew, Rig

SLOW_S = (0.05, 0.6)
"""Much more than a kiosk waits for central on a miss (150 ms), much less than it takes for a dead line."""
TAMPERED_SHARE = 0.3
SKEWED_SHARE, SKEW_MS = 0.5, 3_600_000
FULL_SHARE = 0.34


class Faults:
    """Verbs over a rig: `begin` and `end` for any fault."""

    def __init__(self, rig: Rig, dice: random.Random) -> None:
        self._rig, self._dice = rig, dice
        self._killed: Crew | None = None

    async def begin(self, fault: Fault) -> None:
        """Make it so."""
        rig = self._rig
        match fault:
            case Fault.BROKER_KILL:
                await rig.broker.kill()
            case Fault.PARTITION:
                rig.proxies[1].cut()
            case Fault.PUBACK_LOSS:
                for proxy in rig.proxies:
                    proxy.lose_confirmations()
            case Fault.HALF_OPEN:
                rig.proxies[1].hold()
            case Fault.MUTE:
                rig.proxies[1].mute()
            case Fault.SLOW:
                for proxy in rig.proxies:
                    proxy.slow(*SLOW_S)
            case Fault.DUPLICATE:
                for proxy in rig.proxies:
                    proxy.duplicate(TAMPERED_SHARE)
            case Fault.REORDER:
                for proxy in rig.proxies:
                    proxy.reorder(TAMPERED_SHARE)
            case Fault.CLOCK_SKEW:
                await self._everywhere("skew", share=SKEWED_SHARE, ms=SKEW_MS)
            case Fault.KIOSK_KILL:
                self._killed = self._dice.choice(rig.crews)
                await self._killed.child.kill()
            case Fault.DISK_FULL:
                await self._everywhere("fill_disk", share=FULL_SHARE)
            case _:
                assert_never(fault)

    async def end(self, fault: Fault) -> None:
        """Take it back."""
        match fault:
            case Fault.BROKER_KILL:
                await self._rig.broker.start()
            case (
                Fault.PARTITION
                | Fault.SLOW
                | Fault.DUPLICATE
                | Fault.REORDER
                | Fault.PUBACK_LOSS
                | Fault.HALF_OPEN
                | Fault.MUTE
            ):
                for proxy in self._rig.proxies:
                    proxy.heal()
            case Fault.CLOCK_SKEW:
                await self._everywhere("skew", share=1.0, ms=0)
            case Fault.KIOSK_KILL:
                assert self._killed is not None, "it has begun"
                await self._killed.start()
                await self._rig.load(self._killed)
                self._killed = None
            case Fault.DISK_FULL:
                await self._everywhere("free_disk")
            case _:
                assert_never(fault)

    async def _everywhere(self, verb: str, **fields: Any) -> None:
        await asyncio.gather(*(crew.child.ask(verb, **fields) for crew in self._rig.crews))
