"""One rig for each driver: its Gate, and verbs for the device at the other end, whatever that is."""

import asyncio
import itertools
import time
from contextlib import AsyncExitStack, asynccontextmanager

from firmware_bridge import gate as values
from firmware_bridge.drivers.gpio import open_gpio_gate
from firmware_bridge.drivers.lcus import open_lcus_gate
from firmware_bridge.drivers.modbus import open_modbus_gate
from firmware_bridge.drivers.osdp import open_osdp_gate
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.drivers.wiring import GpioWiring, LcusWiring, ModbusWiring, OsdpWiring
from firmware_bridge.gate import Direction, GateRelease
from firmware_bridge.messages import Inputs, Outputs
from firmware_bridge.simulator import ServedGate, SimulatedGate
from firmware_bridge.simulator.boards.cable import Cable
from firmware_bridge.simulator.boards.gpio import FakeChip
from firmware_bridge.simulator.boards.lcus import LcusDevice
from firmware_bridge.simulator.boards.modbus import FLASH_ADDRESS, ModbusDevice
from firmware_bridge.simulator.boards.osdp import OsdpDevice
from tests.doubles.bridge_pair import KEYS, nonce, passage
from tests.doubles.waiting import WAIT_S, eventually

OPEN_MS = 500
INPUTS = ("beam_a", "beam_b", "door_open", "request_to_exit", "fire", "emergency")
WALK = (("beam_a", True), ("beam_b", True), ("beam_a", False), ("beam_b", False))
ENDS = values.Passed | values.TimedOut | values.Interrupted | values.Unobserved
SCBK = bytes(range(1, 17))


def monotonic_ms():
    return time.monotonic_ns() // 1_000_000


class Clock:
    """The host's clock, which a test may put forward."""

    def __init__(self):
        self._ahead_ms = 0

    def __call__(self):
        return monotonic_ms() + self._ahead_ms

    def put_forward(self, span_ms):
        self._ahead_ms += span_ms


class Rig:
    """A gate, its events one at a time, and its device."""

    def __init__(self, gate, clock):
        self.gate, self.clock = gate, clock
        self._events = gate.events()

    def release(self, number, *, within_ms=3_000, open_ms=OPEN_MS, direction=Direction.ENTRY):
        """A release, in a state to be awaited, sent again as it is by awaiting `gate.release`."""
        not_after_ms = self.clock() + within_ms
        return GateRelease(passage(number), nonce(number), direction, not_after_ms, open_ms)

    async def open(self, number, **how):
        """The gate's answer to a new release."""
        return await self.gate.release(self.release(number, **how))

    def pass_time(self, span_ms):
        """Let time go by on the host; a controller's own goes its own way."""
        self.clock.put_forward(span_ms)

    async def next(self):
        async with asyncio.timeout(WAIT_S):
            return await anext(self._events)

    def rest(self):
        """Every event until the gate is closed."""
        return self._events

    async def until_event(self, kind):
        """The first event of a kind, and every one on the way to it."""
        seen = []
        while not seen or not isinstance(seen[-1], kind):
            seen.append(await self.next())
        return seen

    async def until_unlocked(self, *ways):
        await eventually(lambda: self.unlocked() == frozenset(ways))

    async def walk(self):
        for name, active in WALK:
            await self.set(name, active)
            await self.seen(name, active)

    async def seen(self, name, active):
        """The driver has read an input."""
        await eventually(lambda: getattr(self.gate.state().inputs, name) is active)

    async def end(self):
        await self._events.aclose()
        await self.gate.close()


class OwnRig(Rig):
    def __init__(self, served):
        challenges = itertools.count(time.monotonic_ns())
        gate = open_own_gate(
            str(served.path),
            KEYS,
            clock_ms=monotonic_ms,
            draw_challenge=lambda: next(challenges).to_bytes(8, "big"),
        )
        super().__init__(gate, monotonic_ms)
        self._served = served
        self._inputs = Inputs(0)

    def pass_time(self, span_ms):
        """Its time passes by itself."""

    def unlocked(self):
        outputs = self._served.do(lambda gate: gate.unlocked)
        ways = {Direction.ENTRY: Outputs.ENTRY_UNLOCKED, Direction.EXIT: Outputs.EXIT_UNLOCKED}
        return frozenset(way for way, bit in ways.items() if outputs & bit)

    def unplug(self):
        self._served.do(SimulatedGate.unplug)

    def plug(self):
        self._served.do(SimulatedGate.plug)

    async def set(self, name, active):
        bit = Inputs[name.upper()]
        self._inputs = self._inputs | bit if active else self._inputs & ~bit
        self._served.do(lambda gate: gate.drive(self._inputs))

    async def seen(self, name, active):
        if name in ("beam_a", "beam_b"):  # STATUS comes twice a second, a person passes meanwhile
            bit = Inputs[name.upper()]
            await eventually(
                lambda: self._served.do(lambda gate: bool(gate.controller.inputs & bit)) is active
            )
        else:
            await super().seen(name, active)


class BoardRig(Rig):
    """A board behind a cable."""

    def __init__(self, gate, clock, cable, device, channels):
        super().__init__(gate, clock)
        self.cable, self.device = cable, device
        self.unplug, self.plug = cable.unplug, cable.plug
        self._channels = channels

    def unlocked(self):
        return frozenset(way for way, channel in self._channels.items() if channel in self.device.on)

    async def set(self, name, active):
        await self.device.set_input(INPUTS.index(name), active)


GPIO_LINES = {name: 10 + place for place, name in enumerate(INPUTS)}
GPIO_RELAYS = {Direction.ENTRY: 4, Direction.EXIT: 5}


class GpioRig(Rig):
    def __init__(self, chip, **wiring):
        self.chip = chip
        for line in GPIO_LINES.values():
            chip.set_level(line, True)
        lines = {f"{name.removesuffix('_open')}_line": line for name, line in GPIO_LINES.items()}
        wired = GpioWiring(entry_line=4, exit_line=5, **lines, **wiring)
        self._low = wired.relays_active_low
        clock = Clock()
        gate = open_gpio_gate(wired, clock_ms=clock, request_lines=chip.request_lines)
        super().__init__(gate, clock)
        self.unplug, self.plug = chip.pull, chip.put_back

    def unlocked(self):
        return frozenset(way for way, line in GPIO_RELAYS.items() if self.chip.levels[line] is not self._low)

    async def set(self, name, active):
        self.chip.set_level(GPIO_LINES[name], not active)


async def _modbus(stack, *, flashes=False, inputs=INPUTS, **wiring):
    cable = stack.enter_context(Cable())
    device = await stack.enter_async_context(ModbusDevice(cable, flashes=flashes))
    wired = {f"{name.removesuffix('_open')}_input": INPUTS.index(name) for name in inputs}
    wired |= {"exit_coil": 1, "flash_address": FLASH_ADDRESS if flashes else None} | wiring
    clock = Clock()
    gate = open_modbus_gate(ModbusWiring(str(cable.path), **wired), clock_ms=clock)
    return BoardRig(gate, clock, cable, device, {Direction.ENTRY: 0, Direction.EXIT: 1})


async def _osdp(stack, folder, *, key=SCBK, **wiring):
    cable = stack.enter_context(Cable())
    device = stack.enter_context(OsdpDevice(cable, key))
    key_file = folder / "scbk"
    key_file.write_text(SCBK.hex())
    key_file.chmod(0o600)
    wired = OsdpWiring(str(cable.path), str(key_file), **({"exit_output": 1} | wiring))
    clock = Clock()
    gate = open_osdp_gate(wired, clock_ms=clock)
    return BoardRig(gate, clock, cable, device, {Direction.ENTRY: 0, Direction.EXIT: 1})


async def _lcus(stack):
    cable = stack.enter_context(Cable())
    device = stack.enter_context(LcusDevice(cable))
    clock = Clock()
    gate = open_lcus_gate(LcusWiring(str(cable.path), exit_channel=2), clock_ms=clock)
    return BoardRig(gate, clock, cable, device, {Direction.ENTRY: 1, Direction.EXIT: 2})


@asynccontextmanager
async def rig(name, folder, **options):
    """The rig of a driver, closed at the end; `modbus-flash` and `modbus-bare` are modbus otherwise wired."""
    async with AsyncExitStack() as stack:
        match name:
            case "own":
                opened = OwnRig(stack.enter_context(ServedGate(SimulatedGate(KEYS))))
            case "modbus":
                opened = await _modbus(stack, **options)
            case "modbus-flash":
                opened = await _modbus(stack, flashes=True, inputs=("fire", "emergency"))
            case "modbus-bare":
                opened = await _modbus(stack, inputs=())
            case "osdp":
                opened = await _osdp(stack, folder, **options)
            case "lcus":
                opened = await _lcus(stack)
            case "gpio":
                opened = GpioRig(FakeChip(), **options)
        stack.push_async_callback(opened.end)
        yield opened
