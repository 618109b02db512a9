"""The gate's C firmware as a program on a pseudo-terminal, with people to walk through it."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from types import TracebackType

from firmware_bridge.auth import GateKeys
from firmware_bridge.conformance.build import BuildError, build_host, host_compiler
from firmware_bridge.conformance.rig import ConformanceRig
from firmware_bridge.conformance.scenarios import Scenario, run_scenario
from firmware_bridge.conformance.targets import SteppedTarget, Target, TargetStoppedError
from firmware_bridge.messages import Direction, Inputs, Outputs
from firmware_bridge.simulator import people

START_MAX_S = 10.0
"""Starting takes milliseconds; a loaded machine is given this long."""

ANSWER_MAX_S = 5.0
"""An answer on the control socket comes within a millisecond of its loop."""

MOVE_EVERY_S = 0.005
"""How often a walking person is moved; a stride takes 150 ms."""

_UNLOCKS = {Direction.ENTRY: Outputs.ENTRY_UNLOCKED, Direction.EXIT: Outputs.EXIT_UNLOCKED}
_BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED


@dataclass(frozen=True, slots=True)
class Wires:
    """What is at the pins: uptime in ms, inputs, outputs as commanded, relays as their contacts say."""

    uptime_ms: int
    inputs: Inputs
    outputs: Outputs
    contacts: Outputs


def provision(target: Target, keys: GateKeys) -> str | None:
    """Bring line keys into a target that was just powered on; None, or what went wrong."""
    rig = ConformanceRig(target, keys, SystemRandom())
    steps = ("on PROVISIONING", "wait 80", "provision -> STORED")
    return run_scenario(Scenario("provisioning", (), steps), rig)


class ServedFirmware:
    """The host build serving `path`; use as a context manager. Raises BuildError where it cannot be built.

    `environment` and another `program` serve the AVR build through simavr's runner just so. With
    `auto_walk_ms` a person walks through so long after the gate was unlocked for one way.
    """

    def __init__(
        self,
        keys: GateKeys,
        *,
        program: Path | None = None,
        path: Path | None = None,
        environment: dict[str, str] | None = None,
        auto_walk_ms: int | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stile-gate-")
        folder = Path(self._folder.name)
        self._program = program
        self._keys = keys
        self._environment = environment or {}
        self.path = path or folder / "port"
        self._memory = folder / "memory"
        self._control = folder / "control"
        self._asking = threading.Lock()
        self._auto_walk_ms = auto_walk_ms
        self._was_unlocked = Outputs(0)
        self._walks: list[people.Walk] = []
        self._inputs = Inputs(0)
        self._wires = threading.Condition()
        self._stopping = False
        self._walker = threading.Thread(target=self._move_people, name="people at the gate", daemon=True)

    def __enter__(self) -> ServedFirmware:
        """Build if need be, provision, start, and wait until the port is there; raises BuildError."""
        try:
            self._start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def _start(self) -> None:
        if self._program is None:
            self._program = build_host(Path(self._folder.name))
        target = SteppedTarget(self._program, self._memory, environment=self._environment)
        try:
            failed = provision(target, self._keys)
        except TargetStoppedError as error:
            failed = str(error)
        finally:
            target.close()
        if failed is not None:
            raise BuildError(f"the firmware takes no keys: {failed}")
        self._process = subprocess.Popen(
            [str(self._program), "--memory", str(self._memory), "--port", str(self.path),
             "--control", str(self._control)],
            # Ctrl-C in a terminal goes to the whole group: this program ends the firmware, nothing else does.
            start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **self._environment},
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise BuildError(f"the firmware stopped with code {self._end()}: is {self.path} there already?")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._control.with_name("asker")))
        self._socket.settimeout(ANSWER_MAX_S)
        self._walker.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the people, the program and its port."""
        with self._wires:
            self._stopping = True
            self._wires.notify()
        self._walker.join()
        self._end()
        self._socket.close()
        self._folder.cleanup()

    def _end(self) -> int:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            return self._process.wait(START_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @property
    def failure(self) -> BaseException | None:
        """What ended the program, if anything did."""
        code = self._process.poll()
        return None if code is None else BuildError(f"the firmware stopped with code {code}")

    # --- wires ----------------------------------------------------------------------------------------

    def wires(self) -> Wires:
        """What is at the pins now."""
        return self._ask("state")

    def set_inputs(self, on: Inputs = Inputs(0), off: Inputs = Inputs(0)) -> Wires:  # noqa: B008 - a value
        """Inputs active and inactive from now on."""
        with self._wires:
            self._inputs = (self._inputs | on) & ~off
            return self._ask(f"inputs {int(self._inputs)}")

    def stop_clock(self) -> Wires:
        """The controller's clock stands still; its watchdog restarts it."""
        return self._ask("clock stopped")

    def restart(self) -> Wires:
        """Power off and on."""
        return self._ask("restart")

    # --- people ---------------------------------------------------------------------------------------

    def walk_through(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks up and, if the gate is open that way, through."""
        self._walk(people.through(direction, _now_ms()))

    def tailgate(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks through with another close behind."""
        self._walk(people.two_through(direction, _now_ms()))

    def request_exit(self, pressed_ms: int = 200) -> None:
        """Someone inside presses the exit button for so long."""
        self._walk(people.press(Inputs.REQUEST_TO_EXIT, _now_ms(), pressed_ms))

    def _walk(self, walk: people.Walk) -> None:
        with self._wires:
            self._walks.append(walk)
            self._wires.notify()

    def _move_people(self) -> None:
        while True:
            with self._wires:
                self._wires.wait_for(lambda: self._walks or self._stopping or self._auto_walk_ms is not None)
                if self._stopping or self.failure is not None:
                    return
                if self._auto_walk_ms is not None:
                    self._walk_after(self._auto_walk_ms)
                for walk in self._walks:
                    self._move(walk, _now_ms())
                self._walks = [walk for walk in self._walks if walk.steps]
            time.sleep(MOVE_EVERY_S)

    def _walk_after(self, delay_ms: int) -> None:
        unlocked = self.wires().contacts & _BOTH
        for direction, unlocks in _UNLOCKS.items():
            if unlocked == unlocks and not self._was_unlocked:
                self._walks.append(people.through(direction, _now_ms() + delay_ms))
        self._was_unlocked = unlocked

    def _move(self, walk: people.Walk, now_ms: int) -> None:
        while walk.steps and walk.steps[0].at_ms <= now_ms:
            step = walk.steps.popleft()
            if step.pushes and not self.wires().contacts & _UNLOCKS[walk.direction]:
                walk.steps.clear()
                self.set_inputs(off=Inputs.BEAM_A | Inputs.BEAM_B)
                return
            self.set_inputs(on=step.on, off=step.off)

    def _ask(self, command: str) -> Wires:
        with self._asking:
            self._socket.sendto(command.encode(), str(self._control))
            uptime_ms, inputs, outputs, contacts = map(int, self._socket.recv(256).split())
        return Wires(uptime_ms, Inputs(inputs), Outputs(outputs), Outputs(contacts))


def can_serve_firmware() -> bool:
    """Whether this machine has a C compiler; where not, the Python simulator stands in."""
    return host_compiler() is not None


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
