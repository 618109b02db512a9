"""Two gates with a room between them, through the real driver on two ptys: never both open, but for fire."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager

import pytest

from edge.adapters.gate.mantrap import interlock
from edge.enact.interlock import Hold
from firmware_bridge import gate as values
from firmware_bridge.auth import derive_keys
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.gate import Direction, GateRelease
from firmware_bridge.messages import Outputs
from firmware_bridge.simulator import ServedGate, SimulatedGate
from tests.doubles.bridge_pair import nonce, passage

PATIENCE_S = 15.0
BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
HELD = values.Refused(values.RefusedBecause.INTERLOCKED)


def clock_ms():
    return time.monotonic_ns() // 1_000_000


def a_release(number):
    return GateRelease(passage(number), nonce(number), Direction.ENTRY, clock_ms() + 3_000, 5_000)


class Trap:
    """The street gate and the hall gate, and everything they say."""

    def __init__(self, served):
        self.served = served
        challenges = itertools.count(time.monotonic_ns())
        opened = [
            open_own_gate(
                str(each.path),
                derive_keys(bytes(range(32)), name),
                clock_ms=clock_ms,
                draw_challenge=lambda: next(challenges).to_bytes(8, "big"),
            )
            for name, each in served.items()
        ]
        self.street, self.hall = interlock(*opened, clock_ms)
        self.told = {"street": [], "hall": []}
        self.changed = asyncio.Condition()
        self.listening = [
            asyncio.create_task(self._listen(name, gate))
            for name, gate in (("street", self.street), ("hall", self.hall))
        ]

    async def _listen(self, name, gate):
        async for event in gate.events():
            async with self.changed:
                self.told[name].append(event)
                self.changed.notify_all()

    async def until(self, name, kind):
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: any(isinstance(event, kind) for event in self.told[name]))

    async def holds(self, gate, hold):
        async with asyncio.timeout(PATIENCE_S):
            while gate.hold() is not hold:  # noqa: ASYNC110 - a state has no event to wait for
                await asyncio.sleep(0.005)


@pytest.fixture
def served():
    gates = {name: SimulatedGate(derive_keys(bytes(range(32)), name)) for name in ("street", "hall")}
    with ServedGate(gates["street"]) as street, ServedGate(gates["hall"]) as hall:
        yield {"street": street, "hall": hall}


@asynccontextmanager
async def a_trap(served):
    trap = Trap(served)
    try:
        await trap.until("street", values.LinkUp)
        await trap.until("hall", values.LinkUp)
        await trap.holds(trap.street, Hold.NONE)
        await trap.holds(trap.hall, Hold.NONE)
        yield trap
    finally:
        for gate in (trap.street, trap.hall):
            await gate.close()
        await asyncio.gather(*trap.listening)


async def test_the_second_gate_opens_only_once_the_first_is_shut_behind_the_person(served):
    async with a_trap(served) as trap:
        assert await trap.street.release(a_release(1)) == values.Accepted()
        assert await trap.hall.release(a_release(2)) == HELD
        assert served["hall"].do(lambda gate: gate.unlocked) == Outputs(0)
        served["street"].do(SimulatedGate.walk_through)
        await trap.until("street", values.Passed)
        await trap.holds(trap.hall, Hold.NONE)
        assert await trap.hall.release(a_release(3)) == values.Accepted()
        assert await trap.street.release(a_release(4)) == HELD


async def test_of_two_releases_at_once_one_gate_opens(served):
    async with a_trap(served) as trap:
        outcomes = await asyncio.gather(trap.street.release(a_release(1)), trap.hall.release(a_release(2)))
        assert outcomes == [values.Accepted(), HELD]


async def test_a_door_held_open_or_a_silent_twin_keeps_the_other_shut(served):
    async with a_trap(served) as trap:
        served["street"].do(SimulatedGate.hold_open)
        assert await trap.street.release(a_release(1)) == values.Accepted()
        served["street"].do(SimulatedGate.walk_through)
        await trap.until("street", values.Passed)
        await trap.holds(trap.hall, Hold.OTHER_IN_USE)
        assert await trap.hall.release(a_release(2)) == HELD
        served["street"].do(SimulatedGate.let_close)
        await trap.holds(trap.hall, Hold.NONE)
        served["street"].do(SimulatedGate.unplug)
        await trap.until("street", values.LinkLost)
        assert trap.hall.hold() is Hold.OTHER_UNKNOWN
        assert await trap.hall.release(a_release(3)) == HELD


async def test_a_release_that_the_gate_refuses_holds_nobody(served):
    async with a_trap(served) as trap:
        assert await trap.street.release(a_release(1)) == values.Accepted()
        served["street"].do(SimulatedGate.walk_through)
        await trap.until("street", values.Passed)
        await trap.holds(trap.hall, Hold.NONE)
        again = values.Refused(values.RefusedBecause.REPEATED)
        assert await trap.street.release(a_release(1)) == again
        assert not trap.street.opening


async def test_fire_frees_both_whatever_the_interlock_holds(served):
    async with a_trap(served) as trap:
        assert await trap.street.release(a_release(1)) == values.Accepted()
        assert trap.hall.hold() is Hold.OTHER_OPEN
        for each in served.values():
            each.do(lambda gate: gate.set_fire(True))
        await trap.until("street", values.FireReleased)
        await trap.until("hall", values.FireReleased)
        assert [each.do(lambda gate: gate.unlocked) for each in served.values()] == [BOTH, BOTH]
