"""The firmware broken in named ways: the conformance suite or a rule must see each."""

import functools
import subprocess
import tomllib
from pathlib import Path

import pytest

from firmware_bridge.conformance.build import HOST_BOARD, SANITIZERS, host_compiler, portable_sources
from firmware_bridge.conformance.header import FIRMWARE
from firmware_bridge.conformance.scenarios import read_scenarios
from scripts.cli.gate.conform import host_bench
from tests.doubles.gate_firmware import FOLDER, host_build

MUTANTS = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
BY_SCENARIO = [mutant for mutant in MUTANTS if "seen_by" in mutant]
BY_RULE = [mutant for mutant in MUTANTS if "rule" in mutant]
RULES = Path(__file__).parent / "rules.c"
RULE_MAX_S = 20
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


def rules_of(folder, *first):
    """The program of rules.c, with any source in `first` instead of the firmware's own."""
    program = folder / "rules"
    includes = [f"-I{path}" for path in (*first, FIRMWARE)]
    subprocess.run([host_compiler(), "-std=c99", "-O0", "-w", *includes, "-o", program, RULES], check=True)
    return program


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    host_build(sanitized=False)
    return rules_of(tmp_path_factory.mktemp("rules"))


def keeps(program, rule):
    """Whether the firmware keeps a rule; one it never ends is broken."""
    try:
        return subprocess.run([program, rule], capture_output=True, timeout=RULE_MAX_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def test_the_firmware_keeps_every_rule_under_sanitizers(tmp_path):
    host_build(sanitized=False)
    program = tmp_path / "rules"
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", *SANITIZERS, f"-I{FIRMWARE}"]
    subprocess.run([host_compiler(), *flags, "-o", program, RULES], check=True)
    names = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    assert set(names) == {mutant["rule"] for mutant in MUTANTS if "rule" in mutant}
    assert [name for name in names if not keeps(program, name)] == []


def mutated(mutant, folder):
    name = mutant.get("file", "gate.c")
    text = (FIRMWARE / name).read_text()
    assert text.count(mutant["old"]) == 1
    source = folder / name
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    return source


@pytest.mark.parametrize("mutant", BY_RULE, ids=lambda mutant: mutant["name"])
def test_a_rule_sees_that(mutant, rules, tmp_path):
    assert keeps(rules, mutant["rule"])
    mutated(mutant, tmp_path)
    assert not keeps(rules_of(tmp_path, tmp_path), mutant["rule"])


@pytest.mark.parametrize("mutant", BY_SCENARIO, ids=lambda mutant: mutant["name"])
def test_the_suite_sees_that(mutant, objects, bench, tmp_path):
    source = mutated(mutant, tmp_path)
    compile_to(source, tmp_path / "mutated.object")
    instead = f"firmware-{source.stem}.o"
    program = linked(objects, tmp_path / "gate", instead, tmp_path / "mutated.object")
    scenario = SCENARIOS[mutant["seen_by"]]
    assert holds_unbroken(bench, scenario.name)
    assert bench.with_program(program).run(scenario).failed is not None
