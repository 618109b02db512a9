"""`stile gate conform`: PROTOCOL.md's scenarios against simulator, C firmware, or a real controller."""

from __future__ import annotations

import copy
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import typer
from rich.console import Console
from rich.progress import Progress

from firmware_bridge.auth import GateKeys
from firmware_bridge.conformance.build import BuildError, build_avr, build_host, build_simavr
from firmware_bridge.conformance.rig import LONG_STEP_MS, PATIENCE_MS, ConformanceRig, StepError
from firmware_bridge.conformance.scenarios import Scenario, read_scenarios, run_scenario
from firmware_bridge.conformance.served import provision
from firmware_bridge.conformance.steps import BOOT_MS, keys_numbered
from firmware_bridge.conformance.targets import (
    LineTarget,
    SimulatorTarget,
    SteppedTarget,
    Target,
    TargetStoppedError,
)
from firmware_bridge.errors import GateKeyError
from firmware_bridge.messages import EVENT_REPEAT_MS, HOST_SILENCE_MS, OPEN_MAX_MS, Acknowledge, Mode
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail, tell_json

SIMAVR_LANES: Final = 8
"""The simulator simavr waits for real time most of the while: so many run side by side on two cores."""

SEED: Final = 20_251_123
"""Noise, challenges and nonces are drawn from this, so that a failure can be seen again."""

_SUITE_KEYS: Final = 1
"""Key provisioning is itself a scenario; the suite provisions once and copies the memory."""

_PROVISIONED: Final = "memory-provisioned"

Opener = Callable[[Path], Target]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scenario; `failed` is None where every step held."""

    scenario: Scenario
    failed: str | None
    fire_release_ms: tuple[float, ...] = ()
    replayed_obeyed: int = 0
    late_obeyed: int = 0


class Bench:
    """Where targets of one kind come from, and a memory that was provisioned once and is copied for each."""

    def __init__(self, opener: Opener, folder: Path, lanes: int = 1) -> None:
        """Provisions once; raises BuildError when the target takes no keys."""
        self.lanes = lanes
        self.keys: GateKeys = keys_numbered(_SUITE_KEYS)
        self._open = opener
        self._folder = folder
        self._provision()

    def with_program(self, program: Path) -> Bench:
        """The same provisioned memory for another host build, which may be broken."""
        other = copy.copy(self)
        other._open = lambda memory: SteppedTarget(program, memory)
        return other

    def run(self, scenario: Scenario) -> Outcome:
        """One scenario on a target of its own, from power-on."""
        random = Random(SEED ^ zlib.crc32(scenario.name.encode()))  # noqa: S311 - to be seen again
        memory = self._folder / f"memory-{zlib.crc32(scenario.name.encode()):08x}"
        if self._provisioned.exists():
            shutil.copy(self._provisioned, memory)
        target = self._open(memory)
        rig = ConformanceRig(target, self.keys, random)
        try:
            failed = run_scenario(scenario, rig)
        except TargetStoppedError as error:
            failed = str(error)
        finally:
            target.close()
        return _outcome(scenario, failed, rig)

    @property
    def _provisioned(self) -> Path:
        return self._folder / _PROVISIONED

    def _provision(self) -> None:
        self._provisioned.unlink(missing_ok=True)
        target = self._open(self._provisioned)
        try:
            failed = provision(target, self.keys)
        except TargetStoppedError as error:
            failed = str(error)
        finally:
            target.close()
        if failed is not None:
            raise BuildError(f"the target takes no keys: {failed}")


def simulator_bench(folder: Path) -> Bench:
    """The Python simulator, which has no memory but this process."""
    keys = keys_numbered(_SUITE_KEYS)
    return Bench(lambda memory: SimulatorTarget(None if memory.name == _PROVISIONED else keys), folder)


def host_bench(program: Path, folder: Path) -> Bench:
    """A host build of the firmware."""
    return Bench(lambda memory: SteppedTarget(program, memory), folder)


def simavr_bench(runner: Path, firmware: Path, folder: Path, *, paced: bool = True) -> Bench:
    """The AVR build in simavr, never faster than real time unless told so."""
    environment = {"GATE_FIRMWARE": str(firmware)}
    lanes = SIMAVR_LANES if paced else 1
    return Bench(
        lambda memory: SteppedTarget(runner, memory, paced=paced, environment=environment), folder, lanes
    )


def build_bench(target: str, folder: Path) -> Bench:
    """The bench for `simulator`, `host` or `simavr`, built in `folder`. Raises BuildError."""
    match target:
        case "simulator":
            return simulator_bench(folder)
        case "host":
            return host_bench(build_host(folder, sanitized=True), folder)
        case _:
            return simavr_bench(build_simavr(folder), build_avr(folder), folder)


def _outcome(scenario: Scenario, failed: str | None, rig: ConformanceRig) -> Outcome:
    return Outcome(scenario, failed, tuple(rig.fire_release_ms), rig.replayed_obeyed, rig.late_obeyed)


def run_suite(
    bench: Bench, scenarios: Sequence[Scenario], note: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Every scenario, the longest first on as many lanes as the bench has; outcomes in the given order."""

    def run(scenario: Scenario) -> Outcome:
        outcome = bench.run(scenario)
        note(outcome)
        return outcome

    longest_first = sorted(scenarios, key=lambda scenario: -scenario.least_ms)
    with ThreadPoolExecutor(bench.lanes) as lanes:
        done = {outcome.scenario.name: outcome for outcome in lanes.map(run, longest_first)}
    return [done[scenario.name] for scenario in scenarios]


def run_on_line(port: str, keys: GateKeys, scenarios: Sequence[Scenario]) -> list[Outcome]:
    """What can be asked of a real controller through its port alone, in turn. Raises TargetError."""
    outcomes = []
    target = LineTarget(port)
    random = SystemRandom()
    try:
        for scenario in scenarios:
            rig = ConformanceRig(target, keys, random)
            target.restart()
            if scenario.steps[0] != "up":
                rig.run(HOST_SILENCE_MS + BOOT_MS)
            failed = run_scenario(scenario, rig)
            outcomes.append(_outcome(scenario, failed, rig))
            _leave_alone(rig)
    finally:
        target.close()
    return outcomes


def _leave_alone(rig: ConformanceRig) -> None:
    """Let an open release end, and acknowledge all there is."""
    rig.beats = True
    rig.until(lambda: rig.status is None or rig.status.mode is not Mode.RELEASED, OPEN_MAX_MS)
    while rig.until(lambda: bool(rig.events), EVENT_REPEAT_MS + PATIENCE_MS):
        rig.send(Acknowledge(rig.events.popleft().sequence))
        rig.run(LONG_STEP_MS)


def summary(target: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The suite's last line."""
    times = [took_ms for outcome in outcomes for took_ms in outcome.fire_release_ms]
    failed = [outcome.scenario.name for outcome in outcomes if outcome.failed is not None]
    return {
        "target": target,
        "scenarios": len(outcomes),
        "passed": len(outcomes) - len(failed),
        "failed": failed,
        "fire_release_ms_max": max(times) if times else None,
        "replayed_obeyed": sum(outcome.replayed_obeyed for outcome in outcomes),
        "late_obeyed": sum(outcome.late_obeyed for outcome in outcomes),
    }


def conform(target: str, keys: GateKeys | None, only: str | None, *, as_json: bool) -> None:
    """Run the scenarios against `simulator`, `host`, `simavr` or a port, which needs `keys`; tell."""
    scenarios = [found for found in read_scenarios() if only in (None, found.name)]
    if not scenarios:
        fail(LookupError(f"no scenario is called {only!r}: see PROTOCOL.md 11"), EXIT_UNUSABLE)
    skipped = 0
    try:
        if target in ("simulator", "host", "simavr"):
            outcomes = _run_built(target, scenarios)
        else:
            if keys is None:
                fail(GateKeyError("key", "not given", "named with --key-file"), EXIT_UNUSABLE)
            unwired = [scenario for scenario in scenarios if not scenario.needs_wires]
            skipped = len(scenarios) - len(unwired)
            outcomes = run_on_line(target, keys, unwired)
    except (BuildError, TargetStoppedError, GateKeyError, StepError) as error:
        fail(error, EXIT_UNUSABLE)
    _tell(target, outcomes, skipped, as_json=as_json)


def _run_built(target: str, scenarios: Sequence[Scenario]) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="stile-conform-") as folder:
        bench = build_bench(target, Path(folder))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(target, total=len(scenarios))
            return run_suite(bench, scenarios, lambda _: progress.advance(task))


def _tell(target: str, outcomes: Sequence[Outcome], skipped: int, *, as_json: bool) -> None:
    for outcome in outcomes:
        if outcome.failed is not None:
            typer.echo(f"failed: {outcome.scenario.name}: {outcome.failed}", err=True)
    told = summary(target, outcomes)
    if skipped:
        typer.echo(f"{skipped} scenarios need the controller's pins and were not run", err=True)
    if as_json:
        tell_json(told)
    else:
        fire = told["fire_release_ms_max"]
        typer.echo(
            f"{target}: {told['passed']} of {told['scenarios']} scenarios passed; slowest fire {fire} ms"
        )
    if told["failed"]:
        raise typer.Exit(EXIT_FAILED)
