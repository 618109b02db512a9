"""The firmware broken in named ways: the conformance suite must see each."""

import functools
import subprocess
import tomllib
from pathlib import Path

import pytest

from firmware_bridge.conformance.build import HOST_BOARD, host_compiler, portable_sources
from firmware_bridge.conformance.header import FIRMWARE
from firmware_bridge.conformance.scenarios import read_scenarios
from scripts.cli.gate.conform import host_bench
from tests.doubles.gate_firmware import FOLDER, host_build

MUTANTS = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
SCENARIOS = {scenario.name: scenario for scenario in read_scenarios()}
FLAGS = ["-std=c99", "-D_XOPEN_SOURCE=700", "-O0", "-w", f"-I{FIRMWARE}", f"-I{HOST_BOARD}"]


@pytest.fixture(scope="module")
def objects():
    """Every source of the host build, compiled once."""
    host_build(sanitized=False)
    folder = FOLDER / "mutants"
    folder.mkdir(exist_ok=True)
    sources = [*portable_sources(), *sorted(HOST_BOARD.glob("*.c"))]
    for source in sources:
        compile_to(source, folder / f"{source.parent.name}-{source.stem}.o")
    return folder


def compile_to(source, target):
    subprocess.run([host_compiler(), *FLAGS, "-c", "-o", target, source], check=True)


def linked(objects, program, instead=None, replacement=None):
    parts = [replacement if part.name == instead else part for part in sorted(objects.glob("*.o"))]
    subprocess.run([host_compiler(), "-o", program, *parts], check=True)
    return program


@pytest.fixture(scope="module")
def bench(objects, tmp_path_factory):
    """A provisioned memory, by the firmware as it is, for every mutant."""
    folder = tmp_path_factory.mktemp("bench")
    return host_bench(linked(objects, folder / "gate"), folder)


def test_there_are_thirty_ways_of_gate_c_and_each_is_named_once():
    assert sum("file" not in mutant for mutant in MUTANTS) >= 30
    assert len({mutant["name"] for mutant in MUTANTS}) == len(MUTANTS)


@functools.cache
def holds_unbroken(bench, name):
    return bench.run(SCENARIOS[name]).failed is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["name"])
def test_the_suite_sees_that(mutant, objects, bench, tmp_path):
    name = mutant.get("file", "gate.c")
    text = (FIRMWARE / name).read_text()
    assert text.count(mutant["old"]) == 1
    source = tmp_path / name
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    compile_to(source, tmp_path / "mutated.object")
    instead = f"firmware-{Path(name).stem}.o"
    program = linked(objects, tmp_path / "gate", instead, tmp_path / "mutated.object")
    scenario = SCENARIOS[mutant["seen_by"]]
    assert holds_unbroken(bench, scenario.name)
    assert bench.with_program(program).run(scenario).failed is not None
