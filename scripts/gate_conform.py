"""`stile gate conform`: PROTOCOL.md's scenarios against simulator, C firmware, or a real controller."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

from firmware_bridge.auth import GateKeys
from firmware_bridge.drivers.own import read_keys
from firmware_bridge.errors import GateKeyError
from firmware_bridge.messages import Acknowledge
from scripts.gate_build import BuildError, build_avr, build_host, build_simavr
from scripts.gate_rig import Rig, StepError
from scripts.gate_scenarios import Scenario, keys_numbered, read_scenarios, run_scenario
from scripts.gate_targets import LineTarget, SimulatorTarget, SteppedTarget, Target, TargetError
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json

# simavr waits for real time most of the while: so many run side by side on two cores.
SIMAVR_LANES: Final = 8

# Noise, challenges and nonces are drawn from this, so that a failure can be seen again.
SEED: Final = 20_251_123

# "Key provisioning" is itself a scenario; the suite provisions once and copies the memory.
_SUITE_KEYS: Final = 1

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
    """Where targets of one kind come from: a folder with what was built, and a provisioned memory."""

    def __init__(self, target: str, folder: Path, *, sanitized: bool = True, paced: bool = True) -> None:
        """Builds what is needed; raises BuildError."""
        self.lanes = 1
        self.keys: GateKeys = keys_numbered(_SUITE_KEYS)
        self._folder = folder
        match target:
            case "simulator":
                self._open: Opener = lambda memory: SimulatorTarget(self._simulated(memory))
            case "host":
                program = build_host(folder, sanitized=sanitized)
                self._open = lambda memory: SteppedTarget(program, memory)
            case "simavr":
                runner, environment = build_simavr(folder), {"GATE_FIRMWARE": str(build_avr(folder))}
                self._open = lambda memory: SteppedTarget(
                    runner, memory, paced=paced, environment=environment
                )
                self.lanes = SIMAVR_LANES if paced else 1
            case _:
                raise BuildError(f"no such target: {target}")
        self._provision()

    @classmethod
    def of_program(cls, program: Path, folder: Path) -> Bench:
        """A bench for a host build that is there already."""
        bench = cls.__new__(cls)
        bench.lanes, bench.keys, bench._folder = 1, keys_numbered(_SUITE_KEYS), folder
        bench._open = lambda memory: SteppedTarget(program, memory)
        bench._provision()
        return bench

    def run(self, scenario: Scenario) -> Outcome:
        """One scenario on a target of its own, from power-on."""
        random = Random(SEED ^ zlib.crc32(scenario.name.encode()))  # noqa: S311 - to be seen again
        memory = self._folder / f"memory-{zlib.crc32(scenario.name.encode()):08x}"
        if self._provisioned.exists():
            shutil.copy(self._provisioned, memory)
        target = self._open(memory)
        rig = Rig(target, self.keys, random)
        try:
            failed = run_scenario(scenario, rig)
        except TargetError as error:
            failed = str(error)
        finally:
            target.close()
        return _outcome(scenario, failed, rig)

    @property
    def _provisioned(self) -> Path:
        return self._folder / "memory-provisioned"

    def _simulated(self, memory: Path) -> GateKeys | None:
        return None if memory == self._provisioned else self.keys

    def _provision(self) -> None:
        self._provisioned.unlink(missing_ok=True)
        target = self._open(self._provisioned)
        steps = ("on PROVISIONING", "wait 80", f"provision {_SUITE_KEYS} -> STORED")
        try:
            rig = Rig(target, self.keys, Random(SEED))  # noqa: S311 - to be seen again
            failed = run_scenario(Scenario("provisioning", (), steps), rig)
        except TargetError as error:
            failed = str(error)
        finally:
            target.close()
        if failed is not None:
            raise BuildError(f"the target takes no keys: {failed}")


def _outcome(scenario: Scenario, failed: str | None, rig: Rig) -> Outcome:
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
            rig = Rig(target, keys, random)
            target.restart()
            failed = run_scenario(scenario, rig)
            outcomes.append(_outcome(scenario, failed, rig))
            _leave_alone(rig)
    finally:
        target.close()
    return outcomes


def _leave_alone(rig: Rig) -> None:
    """Let a release of the last scenario end, and acknowledge all there is."""
    rig.beats = True
    while rig.until(lambda: bool(rig.events), 4_000):
        rig.send(Acknowledge(rig.events.popleft().sequence))
        rig.run(20)


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


def conform(
    target: Annotated[
        str, typer.Option(help="simulator, host, simavr, or the serial port of a real controller.")
    ] = "simulator",
    key_file: Annotated[
        Path | None, typer.Option(help="A real controller's gate key, 64 hexadecimal digits.")
    ] = None,
    gate_id: Annotated[str, typer.Option(help="A real controller's gate id.")] = "gate-1",
    only: Annotated[str | None, typer.Option(help="Only the scenario of this name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run PROTOCOL.md's conformance scenarios; a real controller's pins are out of reach, so only some there.

    A real controller opens its gate while this runs: nobody may stand in it.
    """
    scenarios = [found for found in read_scenarios() if only in (None, found.name)]
    if not scenarios:
        fail(LookupError(f"no scenario is called {only!r}: see PROTOCOL.md 11"), EXIT_UNUSABLE)
    skipped = 0
    try:
        if target in ("simulator", "host", "simavr"):
            outcomes = _run_built(target, scenarios)
        else:
            if key_file is None:
                fail(GateKeyError("key", "not given", "named with --key-file"), EXIT_UNUSABLE)
            unwired = [scenario for scenario in scenarios if not scenario.needs_wires]
            skipped = len(scenarios) - len(unwired)
            outcomes = run_on_line(target, read_keys(key_file, gate_id), unwired)
    except (BuildError, TargetError, GateKeyError, StepError) as error:
        fail(error, EXIT_UNUSABLE)
    _tell(target, outcomes, skipped, as_json=as_json)


def _run_built(target: str, scenarios: Sequence[Scenario]) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="stile-conform-") as folder:
        bench = Bench(target, Path(folder))
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
