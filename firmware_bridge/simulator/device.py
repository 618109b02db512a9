"""A whole simulated gate on an injected clock: controller, relays, line, people, and verbs for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware_bridge.auth import GateKeys
from firmware_bridge.frame import Heading
from firmware_bridge.messages import Direction, GateFault, Inputs, Mode, Outputs, PassageId
from firmware_bridge.simulator import people
from firmware_bridge.simulator.controller import Controller
from firmware_bridge.simulator.line import FaultyLine

TICK_MS = 5
"""The controller's main loop; DEBOUNCE_MS and LIFE_SAFETY_MS are multiples of it."""

WATCHDOG_MS = 250
"""The watchdog of the C firmware on an ATmega328P."""

HISTORY_MAX = 1_000
"""Output changes kept for tests to read; stops a long demo from growing."""

_BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
_UNLOCKS = {Direction.ENTRY: Outputs.ENTRY_UNLOCKED, Direction.EXIT: Outputs.EXIT_UNLOCKED}


@dataclass(frozen=True, slots=True)
class OutputChange:
    """The outputs as commanded from an uptime on."""

    at_ms: int
    outputs: Outputs


class SimulatedGate:
    """A gate with a person-sized hole in it. All instants are milliseconds of the caller's clock, rising.

    `keys` are the gate's, None before it is provisioned; `fail_open` is the jumper; with `auto_walk_ms` a
    person walks through that long after each release. `first_uptime_ms` is what the first boot's clock
    starts from, to see it wrap.
    """

    def __init__(
        self,
        keys: GateKeys | None,
        *,
        now_ms: int = 0,
        fail_open: bool = False,
        auto_walk_ms: int | None = None,
        first_boot_id: int = 1,
        protocol_hash: bytes | None = None,
        first_uptime_ms: int = 0,
    ) -> None:
        self.to_host = FaultyLine()
        self.to_controller = FaultyLine()
        self.plugged = True
        self.history: deque[OutputChange] = deque(maxlen=HISTORY_MAX)
        self._keys = keys
        self._protocol_hash = protocol_hash
        self._auto_walk_ms = auto_walk_ms
        self._now_ms = now_ms
        self._raw = Inputs.FAIL_OPEN if fail_open else Inputs(0)
        self._contacts = Outputs(0)
        self._relay_stuck = False
        self._door_kept_open = False
        self._walks: list[people.Walk] = []
        self._boot_id = first_boot_id - 1
        self._stopped: tuple[int, int] | None = None
        self._start(first_uptime_ms)

    # --- the clock and the line -----------------------------------------------------------------------

    def exchange(self, received: bytes, now_ms: int) -> bytes:
        """Bytes from the host in, time up to now, bytes for the host out."""
        if self.plugged:
            self.to_controller.put(received, self._now_ms)
        self.advance(now_ms)
        self._tick()
        return self.to_host.take(now_ms)

    def advance(self, now_ms: int) -> None:
        """Run the controller up to now, tick by tick."""
        while self._now_ms < now_ms:
            self._now_ms = min(self._now_ms + TICK_MS, now_ms)
            if self._stopped is not None and self._now_ms - self._stopped[0] >= WATCHDOG_MS:
                self.reboot()
            self._tick()

    @property
    def now_ms(self) -> int:
        """The caller's clock as last given."""
        return self._now_ms

    @property
    def uptime_ms(self) -> int:
        """The controller's own clock."""
        if self._stopped is not None:
            return self._stopped[1]
        return (self._now_ms - self._powered_ms) % (1 << 32)

    @property
    def boot_id(self) -> int:
        """Which start of the controller this is."""
        return self._boot_id

    @property
    def mode(self) -> Mode:
        """The controller's state."""
        return self.controller.mode

    @property
    def fault(self) -> GateFault:
        """The first fault since boot."""
        return self.controller.fault

    @property
    def open_passage(self) -> PassageId | None:
        """Whose release is open."""
        return self.controller.open_passage

    @property
    def unlocked(self) -> Outputs:
        """Which directions the relays really leave open."""
        return self._contacts & _BOTH

    # --- people ---------------------------------------------------------------------------------------

    def walk_through(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks up and, if the gate is open that way, through."""
        self._walks.append(people.through(direction, self._now_ms))

    def tailgate(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks through with another close behind."""
        self._walks.append(people.two_through(direction, self._now_ms))

    def walk_back(self, direction: Direction = Direction.ENTRY) -> None:
        """A person steps in, changes their mind and steps back out."""
        self._walks.append(people.back_out(direction, self._now_ms))

    def force(self, direction: Direction = Direction.ENTRY) -> None:
        """A person gets through whether or not the gate is open."""
        self._walks.append(people.through(direction, self._now_ms, forced=True))

    def request_exit(self, pressed_ms: int = 200) -> None:
        """Someone inside presses the exit button for so long."""
        self._walks.append(people.press(Inputs.REQUEST_TO_EXIT, self._now_ms, pressed_ms))

    def hold_open(self) -> None:
        """From now on the door stays open once opened."""
        self._door_kept_open = True

    def let_close(self) -> None:
        """The door closes."""
        self._door_kept_open = False
        self._raw &= ~Inputs.DOOR_OPEN

    def drive(self, inputs: Inputs) -> None:
        """Every input as it is from now on, in place of people."""
        self._raw = inputs

    def set_inputs(self, on: Inputs = Inputs(0), off: Inputs = Inputs(0)) -> None:  # noqa: B008 - a value
        """Inputs active and inactive from now on; the others stay."""
        self._raw = (self._raw | on) & ~off

    # --- the building ---------------------------------------------------------------------------------

    def set_fire(self, active: bool) -> None:
        """The fire panel's contact."""
        self._set(Inputs.FIRE, active)

    def press_emergency(self) -> None:
        """The emergency button, which stays pressed."""
        self._set(Inputs.EMERGENCY, True)

    def reset_emergency(self) -> None:
        """The emergency button is turned out again."""
        self._set(Inputs.EMERGENCY, False)

    def open_enclosure(self) -> None:
        """Someone opens the controller's box."""
        self._set(Inputs.TAMPER, True)

    def close_enclosure(self) -> None:
        """The controller's box is shut."""
        self._set(Inputs.TAMPER, False)

    def fail_relay(self) -> None:
        """The relays stay as they are from now on, whatever they are told."""
        self._relay_stuck = True

    def stop_clock(self) -> None:
        """The controller's clock stands still; its watchdog restarts it."""
        self._stopped = (self._now_ms, self.uptime_ms)

    def repair_relay(self) -> None:
        """The relays follow again."""
        self._relay_stuck = False

    # --- power and line -------------------------------------------------------------------------------

    def reboot(self) -> None:
        """Power off and on: boot id raised, everything in memory gone, new keys in use."""
        self._keys = self.controller.new_keys or self._keys
        self._start(0)

    def _start(self, uptime_ms: int) -> None:
        self._boot_id += 1
        self._powered_ms = self._now_ms - uptime_ms
        self._stopped = None
        self._contacts = self._contacts if self._relay_stuck else Outputs(0)
        self.controller = Controller(self._keys, self._boot_id, self._protocol_hash, uptime_ms)
        self.history.append(OutputChange(uptime_ms, Outputs(0)))

    def unplug(self) -> None:
        """The cable is out; what was on it is gone."""
        self.plugged = False
        self.to_host.lose_all()
        self.to_controller.lose_all()

    def plug(self) -> None:
        """The cable is back in."""
        self.plugged = True

    def drop_next(self, count: int = 1, heading: Heading = Heading.TO_HOST) -> None:
        """Lose the next frames in one direction."""
        self._line(heading).drop_next(count)

    def corrupt_next(self, count: int = 1, heading: Heading = Heading.TO_HOST) -> None:
        """Flip a bit in the next frames in one direction."""
        self._line(heading).corrupt_next(count)

    def duplicate_next(self, count: int = 1, heading: Heading = Heading.TO_HOST) -> None:
        """Deliver the next frames in one direction twice."""
        self._line(heading).duplicate_next(count)

    def delay_next(self, delay_ms: int, heading: Heading = Heading.TO_HOST) -> None:
        """Hold the next frame in one direction, and all behind it."""
        self._line(heading).delay_next(delay_ms)

    def reorder_next(self, heading: Heading = Heading.TO_HOST) -> None:
        """Swap the next two frames in one direction."""
        self._line(heading).reorder_next()

    # --- inside ---------------------------------------------------------------------------------------

    def _line(self, heading: Heading) -> FaultyLine:
        return self.to_host if heading is Heading.TO_HOST else self.to_controller

    def _set(self, bit: Inputs, active: bool) -> None:
        self.set_inputs(on=bit) if active else self.set_inputs(off=bit)

    def _tick(self) -> None:
        self._move_people()
        was_released = self.mode is Mode.RELEASED
        self.controller.receive(self.to_controller.take(self._now_ms))
        self.controller.tick(self.uptime_ms, self._raw, self._contacts)
        if not self._relay_stuck:
            self._contacts = self.controller.outputs & _BOTH
        if self.history[-1].outputs != self.controller.outputs:
            self.history.append(OutputChange(self.uptime_ms, self.controller.outputs))
        for frame in self.controller.outgoing():
            if self.plugged:
                self.to_host.put(frame, self._now_ms)
        if self._auto_walk_ms is not None and self.mode is Mode.RELEASED and not was_released:
            way = Direction.ENTRY if self.controller.outputs & Outputs.ENTRY_UNLOCKED else Direction.EXIT
            self._walks.append(people.through(way, self._now_ms + self._auto_walk_ms))

    def _move_people(self) -> None:
        for walk in self._walks:
            while walk.steps and walk.steps[0].at_ms <= self._now_ms:
                step = walk.steps.popleft()
                if step.pushes and not self._contacts & _UNLOCKS[walk.direction]:
                    walk.steps.clear()
                    self._raw &= ~(Inputs.BEAM_A | Inputs.BEAM_B)
                    break
                off = step.off & ~Inputs.DOOR_OPEN if self._door_kept_open else step.off
                self._raw = (self._raw | step.on) & ~off
        self._walks = [walk for walk in self._walks if walk.steps]
