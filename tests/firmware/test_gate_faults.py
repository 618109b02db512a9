"""Faulted frames against the host build, under sanitizers, on its own clock."""

import tomllib
from pathlib import Path

import pytest

from firmware_bridge.conformance.build import build_host
from firmware_bridge.conformance.header import FIRMWARE
from firmware_bridge.conformance.served import provision
from firmware_bridge.conformance.targets import SteppedTarget
from tests.doubles.frame_faults import FAULTS, FaultyHost
from tests.doubles.gate_firmware import KEYS, host_build

MUTANTS = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]


def tally_of(memory, frames, seed, program=None):
    target = SteppedTarget(program or host_build(), memory)
    assert provision(target, KEYS) is None
    target.restart()
    try:
        return FaultyHost(target, KEYS, seed, boots_before=1).run(frames)
    finally:
        target.close()


def check(tally, frames):
    assert sum(tally.faulted.values()) == frames
    assert min(tally.faulted.values()) > frames / len(FAULTS) / 2
    assert (tally.late, tally.repeated, tally.unasked) == (0, 0, 0)
    # Every opening is an accepted release's (one who stood at the far beam may be through at once), and many.
    assert 0.9 * tally.accepted <= tally.openings <= tally.accepted
    assert tally.accepted > frames / 200


def test_of_20_000_faulted_frames_none_is_obeyed_late_twice_or_unasked(tmp_path):
    seed = 20_251_123
    print(f"seed {seed}")
    check(tally_of(tmp_path / "memory", 20_000, seed), 20_000)


@pytest.mark.parametrize(
    ("name", "seen"), [("a late release is obeyed", "late"), ("a nonce is not kept", "repeated")]
)
def test_a_controller_that_obeys_what_it_must_not_is_seen(tmp_path, name, seen):
    host_build()
    [mutant] = (mutant for mutant in MUTANTS if mutant["name"] == name)
    source = tmp_path / "gate.c"
    source.write_text((FIRMWARE / "gate.c").read_text().replace(mutant["old"], mutant["new"]))
    program = build_host(tmp_path, gate_source=source)
    assert getattr(tally_of(tmp_path / "memory", 4_000, 1, program), seen) > 0


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("seed", range(4))
def test_of_a_million_faulted_frames_none_is_obeyed_late_twice_or_unasked(tmp_path, seed):
    check(tally_of(tmp_path / "memory", 250_000, seed), 250_000)
