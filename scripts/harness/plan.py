"""What a run is: how many kiosks, how long, at which rate, with which faults, and from which seed.

Time is compressed: heads are signed every few seconds and caches are stale soon, so that a run of a minute
sees what a city sees in a day.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scripts.harness.errors import PlanError

WORKERS_MAX = 10
WORKERS_A_CORE = 2
"""Processes with kiosks in them; more would only cost memory, and a second each to start."""
KIOSKS_A_WORKER = 25
"""As long as there may be more workers, no more kiosks than this in one."""
KIOSKS_MAX = 2_000
HEADS_A_SECOND = 200
"""Signed heads that two cores hand to their kiosks and have verified each second; two for each kiosk."""
HOLD_MIN_S = 2.0
HOLD_MAX_S = 20.0
"""How long a fault lasts at least, and at most."""
HOLD_SHARE = 0.5
"""Of the time a fault has for itself; the rest is for coming back."""
UNCONFIRMED_S = 30.0
"""After so long a client leaves a broker that confirms nothing (`wire.transport.mqtt`)."""
STOPPED_S = 1.0
"""A worker that was killed, and a broker, is away at least so long."""


class Fault(StrEnum):
    """What can be made to go wrong."""

    BROKER_KILL = "broker-kill"
    PARTITION = "partition"
    SLOW = "slow"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    CLOCK_SKEW = "clock-skew"
    KIOSK_KILL = "kiosk-kill"
    DISK_FULL = "disk-full"
    PUBACK_LOSS = "puback-loss"
    HALF_OPEN = "half-open"
    MUTE = "mute"


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Faults by their names, separated by commas; raises `PlanError` naming an unknown one."""
    known = {fault.value: fault for fault in Fault}
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PlanError(f"--faults: there is no {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(dict.fromkeys(known[name] for name in names))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides a run. `rate_per_s` counts passages a second of all kiosks together."""

    kiosks: int = 20
    duration_s: float = 20.0
    rate_per_s: float = 20.0
    seed: int = 1
    faults: tuple[Fault, ...] = ()
    broker: str = "embedded"
    members: int = 200
    head_every_s: int = 0
    fresh_s: int = 0
    grace_s: int = 0
    workers: int = 0

    def settled(self) -> Plan:
        """The plan with what was left open chosen; raises `PlanError` naming what is out of bounds."""
        for name, value, least, most in (
            ("--kiosks", self.kiosks, 1, KIOSKS_MAX),
            ("--duration", self.duration_s, 1, 86_400),
            ("--rate", self.rate_per_s, 0, 5_000),
            ("--members", self.members, 10, 100_000),
            ("--workers", self.workers, 0, min(WORKERS_MAX, self.kiosks)),
        ):
            if not least <= value <= most:
                raise PlanError(f"{name} {value:g}: give {least:g} to {most:g}")
        head_s = self.head_every_s or max(1, round(2 * self.kiosks / HEADS_A_SECOND))
        fresh_s = self.fresh_s or 3 * head_s + 2
        grace_s = self.grace_s or 2 * fresh_s
        if not head_s <= 3600 or not 0 < fresh_s <= grace_s:
            raise PlanError(f"--fresh {fresh_s} and --grace {grace_s}: give 0 < fresh <= grace, in seconds")
        enough = max(2, min(-(-self.kiosks // KIOSKS_A_WORKER), WORKERS_A_CORE * (os.cpu_count() or 1)))
        workers = self.workers or min(WORKERS_MAX, enough, self.kiosks)
        return Plan(
            self.kiosks,
            self.duration_s,
            self.rate_per_s,
            self.seed,
            self.faults,
            self.broker,
            self.members,
            head_s,
            fresh_s,
            grace_s,
            workers,
        )

    @property
    def slot_s(self) -> float:
        """The time that each fault, and what comes after it, has for itself."""
        return self.duration_s / (len(self.faults) or 1)

    def hold_s(self, fault: Fault) -> float:
        """How long a fault lasts; beyond what is waited for, where there is time.

        A partition lasts beyond the grace of what is cached; confirmations are lost until clients give up.
        """
        if fault in {Fault.BROKER_KILL, Fault.KIOSK_KILL}:
            return max(STOPPED_S, min(3.0, self.slot_s * HOLD_SHARE))
        wanted_s = max(HOLD_MIN_S, min(HOLD_MAX_S, self.slot_s * HOLD_SHARE))
        if fault is Fault.PARTITION:
            return max(HOLD_MIN_S, min(self.grace_s + 3.0, self.slot_s * 0.8))
        if fault is Fault.PUBACK_LOSS:
            return max(HOLD_MIN_S, min(UNCONFIRMED_S + 3.0, self.slot_s * 0.8))
        return wanted_s

    def names(self) -> list[str]:
        """The kiosks' names."""
        return [f"gate-{number}" for number in range(1, self.kiosks + 1)]

    def shares(self) -> list[list[str]]:
        """The names of each worker's kiosks."""
        names = self.names()
        return [names[worker :: self.workers] for worker in range(self.workers)]


def listed(faults: Iterable[Fault]) -> str:
    """Faults as they are typed."""
    return ",".join(fault.value for fault in faults)
