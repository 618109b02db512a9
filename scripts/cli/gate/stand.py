"""A gate to develop against: the C firmware where a compiler is there, the Python simulator where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from firmware_bridge.auth import GateKeys
from firmware_bridge.conformance.build import BuildError
from firmware_bridge.conformance.served import ServedFirmware, can_serve_firmware
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.messages import Direction, Inputs
from firmware_bridge.simulator import ServedGate, SimulatedGate

_NONE = Inputs(0)

_Found = TypeVar("_Found")


class Runs(StrEnum):
    """What a stand runs on, in words for whoever watches."""

    FIRMWARE = "the C firmware, built for this machine"
    SIMULATOR = "the Python simulator"


class Stand(Protocol):
    """A gate on a pseudo-terminal, with people before it and all its inputs at hand."""

    path: Path

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if anything did."""

    def walk_through(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks up and, if the gate is open that way, through."""

    def tailgate(self, direction: Direction = Direction.ENTRY) -> None:
        """A person walks through with another close behind."""

    def set_inputs(self, on: Inputs = _NONE, off: Inputs = _NONE) -> object:
        """Inputs active and inactive from now on."""

    def restart(self) -> object:
        """Power off and on."""


class SimulatorStand:
    """The Python simulator with a stand's verbs; use as a context manager."""

    def __init__(self, keys: GateKeys, path: Path | None = None, *, auto_walk_ms: int | None = None) -> None:
        self.served = ServedGate(SimulatedGate(keys, auto_walk_ms=auto_walk_ms), path)
        self.path = self.served.path

    def __enter__(self) -> SimulatorStand:
        """Serve; raises PortUnavailableError if the path is taken."""
        self.served.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving and take the port away."""
        self.served.__exit__(kind, error, trace)

    @property
    def failure(self) -> BaseException | None:
        """As Stand."""
        return self.served.failure

    def walk_through(self, direction: Direction = Direction.ENTRY) -> None:
        """As Stand."""
        self.served.do(lambda gate: gate.walk_through(direction))

    def tailgate(self, direction: Direction = Direction.ENTRY) -> None:
        """As Stand."""
        self.served.do(lambda gate: gate.tailgate(direction))

    def set_inputs(self, on: Inputs = _NONE, off: Inputs = _NONE) -> None:
        """As Stand."""
        self.served.do(lambda gate: gate.set_inputs(on, off))

    def do(self, verb: Callable[[SimulatedGate], _Found]) -> _Found:
        """Any verb of the simulator itself; returns what it returns."""
        return self.served.do(verb)

    def restart(self) -> None:
        """As Stand."""
        self.served.do(SimulatedGate.reboot)


@contextmanager
def open_stand(
    keys: GateKeys,
    path: Path | None = None,
    *,
    runs: Runs | None = None,
    fail_open: bool = False,
    auto_walk_ms: int | None = None,
) -> Iterator[tuple[Stand, Runs, str | None]]:
    """The stand, what it runs on, and why that is not the firmware where nobody chose (`runs` None).

    Raises PortUnavailableError where the path is taken, BuildError where the firmware was asked for and
    cannot be built.
    """
    if path is not None:
        if path.exists():
            raise PortUnavailableError(str(path), "is there already; name a path that is free")
        path.unlink(missing_ok=True)
    with ExitStack() as stack:
        stand, why = None, None
        if runs is not Runs.SIMULATOR:
            stand, why = _firmware(stack, keys, path, auto_walk_ms, demanded=runs is Runs.FIRMWARE)
        chosen = Runs.SIMULATOR if stand is None else Runs.FIRMWARE
        found = stand or stack.enter_context(SimulatorStand(keys, path, auto_walk_ms=auto_walk_ms))
        if fail_open:
            found.set_inputs(Inputs.FAIL_OPEN)
        yield found, chosen, why


def _firmware(
    stack: ExitStack, keys: GateKeys, path: Path | None, auto_walk_ms: int | None, *, demanded: bool
) -> tuple[Stand | None, str | None]:
    if not demanded and not can_serve_firmware():
        return None, "no C compiler is here (sudo apt install gcc libc6-dev)"
    try:
        return stack.enter_context(ServedFirmware(keys, path=path, auto_walk_ms=auto_walk_ms)), None
    except BuildError as error:
        if demanded:
            raise
        return None, str(error)
