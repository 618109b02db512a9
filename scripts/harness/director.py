"""What goes on around the kiosks: central changes its mind, staff give orders, somebody means ill.

Everything that may be judged later is written into `Truth` with the instants between which it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import replace

from scripts.harness.central_child import OPERATOR, PURPOSES, SITE
from scripts.harness.errors import ChildError
from scripts.harness.invariants import Deceit, Span, Truth
from scripts.harness.rig import Rig
from scripts.harness.worker import REGULARS_SHARE
from wire import topics
from wire.ids import Purpose

TURNS_A_SECOND_KIOSKS = 50.0
"""Kiosks that can be told of a change each second, beside all else."""
WITHDRAWN_MAX_SHARE = 0.3
"""Of the regulars; the others go on being members."""
HOSTILE_KINDS = ("expired", "long", "foreign", "misdirected", "again")
MISLABELLED_MAX = 3
REPLAYS = 4
COMMANDS = 2


class Director:
    """Acts until cancelled, with dice of its own; `truth` is what it did."""

    def __init__(self, rig: Rig, dice: random.Random) -> None:
        self._rig, self._dice = rig, dice
        plan = rig.plan
        self.truth = Truth(rig.purposes, PURPOSES, OPERATOR, plan.fresh_s * 1000, plan.grace_s * 1000)
        count = max(1, int(len(rig.members) * REGULARS_SHARE))
        self._regulars = [each["subject"] for each in rig.members[:count]]
        self._restrictions: dict[tuple[str, str], str] = {}
        self._versions = dict.fromkeys(PURPOSES, 0)
        self.mislabelled = 0
        self.turns = 0
        self.pause_s = max(1.0, plan.kiosks / TURNS_A_SECOND_KIOSKS)

    async def run(self) -> None:
        """Act until cancelled. Central is never the one that fails here: its broker is."""
        while True:
            await self._turn()
            await self._commands()
            self._hostile()
            if self.mislabelled < MISLABELLED_MAX and self.turns % 3 == 1:
                self.mislabelled += 1
                await self._mislabel(self._dice.choice(list(PURPOSES)))
            await asyncio.sleep(self.pause_s * self._dice.uniform(0.5, 1.5))

    async def _mislabel(self, purpose: str) -> None:
        done = await self._rig.central.ask("mislabel", purpose=purpose)
        self.truth.deceits[purpose].append(Deceit(done["version"]))

    async def _turn(self) -> None:
        dice, truth = self._dice, self.truth
        purpose = dice.choice(list(PURPOSES))
        active = [each for each in self._regulars if each not in truth.withdrawn]
        free = [each for each in active if (each, purpose) not in self._restrictions]
        restrict = dice.sample(free, min(2, len(free))) if self.turns % 2 == 0 else []
        lift = dice.sample(list(self._restrictions), 1) if len(self._restrictions) > 3 else []
        others = [each for each in free if each not in restrict]
        few = len(truth.withdrawn) < len(self._regulars) * WITHDRAWN_MAX_SHARE
        withdraw = dice.sample(others, 1) if few and others and self.turns % 4 == 1 else []
        events = [
            {"subject": each, "purpose": purpose, "outcome": dice.choice(["kept", "broken", "broken"])}
            for each in dice.sample(others, min(2, len(others)))
            if each not in withdraw
        ]
        before_ms = time.time_ns() // 1_000_000
        for each in restrict:
            truth.issued_from_ms.setdefault((each, purpose), before_ms)
        for whose in lift:
            self._end(whose, before_ms)
        done = await self._rig.central.ask(
            "turn",
            restrict=[{"subject": each, "purpose": purpose} for each in restrict],
            lift=[self._restrictions.pop(whose) for whose in lift],
            withdraw=withdraw,
            events=events,
        )
        versions = {name: place[1] for name, place in done["versions"].items()}
        for each, restriction in zip(restrict, done["restrictions"], strict=True):
            self._restrictions[each, purpose] = restriction
            truth.restricted[each, purpose].append(Span(done["told_ms"], versions[purpose]))
        for each in withdraw:
            truth.withdrawn[each] = {name: Span(done["told_ms"], versions[name]) for name in PURPOSES}
            for whose in [whose for whose in self._restrictions if whose[0] == each]:
                del self._restrictions[whose]  # a tombstone has none
                self._end(whose, before_ms)
        for name, version in versions.items():
            for deceit in truth.deceits[name]:
                if deceit.uncovered_ms is None and version >= deceit.version:
                    deceit.uncovered_ms = done["told_ms"]
        self._versions = versions
        self.turns += 1

    def _end(self, whose: tuple[str, str], before_ms: int) -> None:
        """From now on kiosks may have been told that a restriction is over."""
        spans = self.truth.restricted[whose]
        spans[-1] = replace(spans[-1], ended_ms=before_ms, ended_version=self._versions[whose[1]] + 1)

    async def _commands(self) -> None:
        for kind in ("good", *self._dice.choices(HOSTILE_KINDS, k=COMMANDS)):
            kiosk = self._dice.choice(list(self._rig.purposes))
            sent = await self._rig.central.ask("command", kiosk=kiosk, kind=kind)
            if kind == "good":
                self.truth.commands[sent["nonce"]] = (kiosk, sent["not_after_ms"])
            else:
                self.truth.hostile_commands += 1

    def _hostile(self) -> None:
        ride, locker = (Purpose(name) for name in PURPOSES)
        crossed: dict[str, str] = {}
        for make in (topics.standing_head, topics.standing_delta):
            there, here = make(SITE, ride).topic, make(SITE, locker).topic  # type: ignore[arg-type]
            crossed |= {there: here, here: there}
        for proxy in self._rig.proxies:
            proxy.replay(REPLAYS)
            if self.turns % 3 == 0:
                proxy.cross(crossed)

    async def act(self) -> None:
        """`run`, until central has gone, which whoever asks it next is told of."""
        with contextlib.suppress(ChildError):
            await self.run()
