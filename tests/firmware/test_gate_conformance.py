"""PROTOCOL.md's scenarios against every target, and that they are about all of PROTOCOL.md."""

import json
import re
import subprocess
import sys

from firmware_bridge import messages
from firmware_bridge.conformance.scenarios import PROTOCOL, Scenario, read_scenarios
from firmware_bridge.conformance.served import ServedFirmware
from firmware_bridge.conformance.steps import keys_numbered
from firmware_bridge.frame import IgnoredBecause
from firmware_bridge.messages import LIFE_SAFETY_MS
from scripts.cli.gate.conform import (
    host_bench,
    run_on_line,
    run_suite,
    simavr_bench,
    simulator_bench,
    summary,
)
from tests.doubles.gate_firmware import avr_build, host_build, simavr_runner

SCENARIOS = read_scenarios()
# What only a host, or time over days, could show.
NOT_OF_THE_CONTROLLER = {
    "HELLO_REPEAT_MS", "LINK_SILENCE_MS", "ECHO_MAX_MS", "CLOCK_TOLERANCE_PPM", "RELEASE_REPEAT_MS",
    "ANSWER_GRACE_MS", "PASSAGE_ID_SIZE", "NONCE_SIZE", "CHALLENGE_SIZE",
}  # fmt: skip


def promised():
    """Everything in PROTOCOL.md's tables that a controller could get wrong."""
    yield from (f"answer {answer.name}" for answer in messages.Answer)
    yield from (f"mode {mode.name}" for mode in messages.Mode if mode.name != "LOCKED")
    yield from (f"fault {fault.name}" for fault in messages.GateFault if fault.name != "NONE")
    yield from (f"cause {cause.name}" for cause in messages.Cause if cause.name != "REBOOT")
    yield from (f"event {row.name}" for row in messages.TABLE if 0xA0 <= row.code < 0xF0)
    yield from (f"ignored {reason}" for reason in IgnoredBecause)
    yield from (f"limit {name}" for name in messages.LIMITS if name not in NOT_OF_THE_CONTROLLER)
    yield from (f"input {bit.name}" for bit in messages.Inputs if not bit.name.startswith("BEAM"))
    yield from (f"provisioning {code.name}" for code in messages.Provisioning if code.name != "NOT_STORED")
    # The rows of "went through", by what decides.
    yield from ("went entry", "went 0", "went against", "went closed", "went locked")


def test_every_row_of_the_protocols_tables_is_proved_by_a_scenario():
    proved = {proof for scenario in SCENARIOS for proof in scenario.proves}
    assert set(promised()) - proved == set()


def test_every_scenario_is_read_and_every_step_explained():
    section = PROTOCOL.read_text().split("\n## 11.")[1]
    rows = section.count("\n| ") - section.split("| scenario |")[0].count("\n| ") - 1
    assert len(SCENARIOS) == rows
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    explained = set(re.findall(r"`([a-z]+)", section.split("| scenario |")[0]))
    used = {step.split()[0] for scenario in SCENARIOS for step in scenario.steps if "[" not in step}
    assert used <= explained


def failures(outcomes):
    return {outcome.scenario.name: outcome.failed for outcome in outcomes if outcome.failed is not None}


def run(bench):
    outcomes = run_suite(bench, SCENARIOS)
    assert failures(outcomes) == {}
    told = summary("", outcomes)
    assert told["passed"] == len(SCENARIOS)
    assert (told["replayed_obeyed"], told["late_obeyed"]) == (0, 0)
    assert 0 < told["fire_release_ms_max"] <= LIFE_SAFETY_MS


def test_the_python_simulator_keeps_to_the_protocol(tmp_path):
    run(simulator_bench(tmp_path))


def test_the_host_build_of_the_firmware_keeps_to_the_protocol_under_sanitizers(tmp_path):
    run(host_bench(host_build(), tmp_path))


def test_the_avr_build_keeps_to_the_protocol_in_simavr_at_real_time(tmp_path):
    run(simavr_bench(simavr_runner(), avr_build(), tmp_path))


def test_what_a_port_alone_can_show_is_shown_by_a_controller_on_a_real_pty():
    names = ("a late release", "a release for nobody", "a frame again", "a frame with another key")
    quick = [scenario for scenario in SCENARIOS if scenario.name in names]
    assert len(quick) == len(names)
    assert not any(scenario.needs_wires for scenario in quick)
    keys = keys_numbered(1)
    with ServedFirmware(keys, program=host_build(sanitized=False)) as served:
        outcomes = run_on_line(str(served.path), keys, quick)
    assert failures(outcomes) == {}


def test_a_scenario_that_does_not_hold_is_told_with_its_step(tmp_path):
    wrong = Scenario("wrong", (), ("up", "release 1 entry within 2000 open 3000 -> LATE"))
    [outcome] = run_suite(simulator_bench(tmp_path), [wrong])
    assert outcome.failed == "step 2, `release 1 entry within 2000 open 3000 -> LATE`: found ACCEPTED"
    assert summary("simulator", [outcome]) == {
        "target": "simulator",
        "scenarios": 1,
        "passed": 0,
        "failed": ["wrong"],
        "fire_release_ms_max": None,
        "replayed_obeyed": 0,
        "late_obeyed": 1,
    }


def stile(*words):
    return subprocess.run(
        [sys.executable, "-c", "from scripts.cli.main import main; main()", "gate", *words],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_command_ends_with_one_object_and_says_what_cannot_be_run():
    ran = stile("conform", "--target", "simulator", "--only", "a late release", "--json")
    assert json.loads(ran.stdout.splitlines()[-1])["passed"] == 1
    assert ran.returncode == 0
    refused = stile("conform", "--target", "/nowhere/port")
    assert refused.returncode == 2
    assert "--key-file" in refused.stderr
