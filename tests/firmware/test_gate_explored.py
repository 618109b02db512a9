"""The firmware's own sources, searched exhaustively over what hosts, lines and people may do."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from firmware_bridge.conformance.build import host_compiler
from firmware_bridge.conformance.header import FIRMWARE
from tests.doubles.gate_firmware import host_build

HERE = Path(__file__).parent
MUTANTS = {mutant["name"]: mutant for mutant in tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]}
DEPTH = 6
# Uptime, host's counter, controller's counter.
STARTS = {
    "power-on": (0, 0, 0),
    "uptime near 2^31, counters near 2^16": ((1 << 31) - 1_500, (1 << 16) - 3, (1 << 16) - 3),
    "uptime and counters near 2^32": ((1 << 32) - 1_500, (1 << 32) - 7, (1 << 32) - 10),
    "uptime near 2^31, host's counter near 2^32": ((1 << 31) - 700, (1 << 32) - 4, (1 << 16) - 6),
}
SEEN = {
    "a nonce is not kept": "power-on",
    "fire is masked": "power-on",
    "the emergency button is masked": "power-on",
    "a fault masks fire": "power-on",
    "fail-closed fails open": "power-on",
    "the lamps are swapped": "power-on",
    "the host's counter is compared by 16 bits": "uptime near 2^31, counters near 2^16",
    "the controller's counter wraps": "uptime and counters near 2^32",
    "uptimes compare unsigned": "uptime and counters near 2^32",
}


def explorer(folder, *first):
    host_build(sanitized=False)
    program = folder / "explore"
    includes = [f"-I{path}" for path in (*first, FIRMWARE)]
    flags = ["-std=gnu99", "-O2", "-w" if first else "-Wall", *includes]
    subprocess.run([host_compiler(), *flags, "-o", program, HERE / "explore.c"], check=True)
    return program


def explored(program, depth, start):
    words = [program, *map(str, (depth, *STARTS[start]))]
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_no_six_actions_break_what_a_gate_promises(start, tmp_path):
    ran = explored(explorer(tmp_path), DEPTH, start)
    assert (ran.returncode, "VIOLATED" in ran.stdout) == (0, False), ran.stdout
    assert json.loads(ran.stdout)["states"] > 1_000_000


@pytest.mark.parametrize("name", SEEN)
def test_a_search_of_five_actions_sees_that(name, tmp_path):
    mutant = MUTANTS[name]
    source = tmp_path / mutant.get("file", "gate.c")
    source.write_text((FIRMWARE / source.name).read_text().replace(mutant["old"], mutant["new"]))
    ran = explored(explorer(tmp_path, tmp_path), DEPTH - 1, SEEN[name])
    assert ran.returncode == 1
    assert "VIOLATED" in ran.stdout
