"""What the conformance suite runs against: bytes, inputs and time in, bytes and changes of outputs out."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import serial

from firmware_bridge.auth import GateKeys
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.messages import Inputs, Outputs
from firmware_bridge.port import open_line
from firmware_bridge.simulator import SimulatedGate

NOTHING_ON: Final = Inputs(0)


@dataclass(frozen=True, slots=True)
class Drive:
    """What is wired to a target: its inputs, and faults of relays and clock."""

    inputs: Inputs = NOTHING_ON
    relays_stuck: bool = False
    clock_stopped: bool = False


@dataclass(frozen=True, slots=True)
class PinChange:
    """Inputs and outputs from an instant on, in microseconds of the target's own clock since power-on."""

    at_us: int
    inputs: Inputs
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a step."""

    wire: bytes
    changes: tuple[PinChange, ...]


class Target(Protocol):
    """One controller, powered on."""

    def step(self, wire: bytes, until_ms: int, drive: Drive) -> Heard:
        """Send these bytes and let time pass up to `until_ms` since power-on."""

    def restart(self) -> None:
        """Power off and on; time begins at 0 again."""

    def close(self) -> None:
        """Power off."""


class TargetStoppedError(Exception):
    """A target that stopped or cannot be reached; the message says what it said last."""


_REQUEST: Final = struct.Struct("=IHHHH")
_REPLY: Final = struct.Struct("=HH")
_CHANGE: Final = struct.Struct("=IHH")
_STUCK, _CLOCK = 1, 2


class SteppedTarget:
    """A program of `boards/host/stepped.c`: the host build, or simavr with the AVR build."""

    def __init__(
        self,
        program: Path,
        memory: Path,
        *,
        paced: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._words = [str(program), "--memory", str(memory), "--stepped", *(["--paced"] if paced else [])]
        self._environment = {**os.environ, **(environment or {})}
        self._start()

    def step(self, wire: bytes, until_ms: int, drive: Drive) -> Heard:
        """As Target; raises TargetError when the program ended."""
        assert self._process.stdin is not None
        flags = _STUCK * drive.relays_stuck + _CLOCK * drive.clock_stopped
        request = _REQUEST.pack(until_ms * 1_000 % (1 << 32), drive.inputs, flags, len(wire), 0)
        try:
            self._process.stdin.write(request + wire)
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        size, changes = _REPLY.unpack(self._read(_REPLY.size))
        heard = self._read(size)
        rows = _CHANGE.iter_unpack(self._read(changes * _CHANGE.size))
        return Heard(heard, tuple(PinChange(at, Inputs(inputs), Outputs(out)) for at, inputs, out in rows))

    def restart(self) -> None:
        """As Target: a new process with the same memory."""
        self.close()
        self._start()

    def close(self) -> None:
        """As Target."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
        )

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(size)
        if len(found) < size:
            raise self._ended()
        return found

    def _ended(self) -> TargetStoppedError:
        return TargetStoppedError(f"{Path(self._words[0]).name} stopped with code {self._process.wait()}")


class SimulatorTarget:
    """The Python simulator on its own clock."""

    def __init__(self, keys: GateKeys | None) -> None:
        self._gate = SimulatedGate(keys)
        self._drive = Drive()
        self._outputs = Outputs(0)
        self._powered_ms = 0

    def step(self, wire: bytes, until_ms: int, drive: Drive) -> Heard:
        """As Target."""
        gate, changes = self._gate, []
        if drive != self._drive:
            gate.drive(drive.inputs)
            if drive.relays_stuck:
                gate.fail_relay()
            else:
                gate.repair_relay()
            if drive.clock_stopped:
                gate.stop_clock()
            changes.append(PinChange(gate.uptime_ms * 1_000, drive.inputs, self._outputs))
            self._drive = drive
        while len(gate.history) > 1:
            gate.history.popleft()
        heard = gate.exchange(wire, self._powered_ms + until_ms)
        for change in list(gate.history)[1:]:
            self._outputs = change.outputs
            changes.append(PinChange(change.at_ms * 1_000, drive.inputs, change.outputs))
        return Heard(heard, tuple(changes))

    def restart(self) -> None:
        """As Target."""
        self._gate.reboot()
        self._powered_ms = self._gate.now_ms
        self._drive = Drive()
        self._outputs = Outputs(0)

    def close(self) -> None:
        """Nothing to power off."""


READ_MAX: Final = 4_096
"""One read from a port; a frame is 72 bytes at most."""


class LineTarget:
    """A real controller on a serial port: no side channel, so only what needs no inputs can be asked."""

    def __init__(self, port: str) -> None:
        try:
            self._port = open_line(port)
        except PortUnavailableError as error:
            raise TargetStoppedError(str(error)) from error
        self._began_s = time.monotonic()

    def step(self, wire: bytes, until_ms: int, drive: Drive) -> Heard:
        """As Target; `drive` reaches nothing, and nothing is known of the outputs."""
        try:
            self._port.write(wire)
            left_s = self._began_s + until_ms / 1_000 - time.monotonic()
            time.sleep(max(left_s, 0))
            return Heard(bytes(self._port.read(READ_MAX)), ())
        except (serial.SerialException, OSError) as error:
            raise TargetStoppedError(f"the port is gone: {error}") from error

    def restart(self) -> None:
        """Nothing of the sort can be done from here: time begins at 0, the controller goes on."""
        self._began_s = time.monotonic()

    def close(self) -> None:
        """Close the port; the controller stays on."""
        self._port.close()


def with_inputs(drive: Drive, on: Inputs, off: Inputs) -> Drive:
    """The same drive with some inputs on and some off."""
    return replace(drive, inputs=(drive.inputs | on) & ~off)
