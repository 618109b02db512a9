"""The harness as a user runs it: what holds, what it says of broken code, and that nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.harness.invariants import Invariant
from tests.doubles.brokers import mosquitto_program
from tests.doubles.saboteurs import BREAKS
from tests.doubles.waiting import WAIT_S
from tests.harness.conftest import Ran, run_harness

WORKERS = 4
BROKEN = {
    Invariant.LOST_RECORDS: "forget_records",
    Invariant.DOUBLE_COUNTED: "count_twice",
    Invariant.STALE_GRANTS_BEYOND_GRACE: "never_stale",
    Invariant.WRONG_PURPOSE_USED: "any_purpose",
    Invariant.EXPIRED_COMMANDS_OBEYED: "obey_everything",
    Invariant.RESTRICTED_GRANTED_FRESH: "overlook_when_fresh",
    Invariant.RESTRICTED_GRANTED_STALE: "overlook_when_stale",
    Invariant.OFFLINE_OVERSPEND: "spend_offline",
}


@pytest.fixture(scope="module")
def sabotaged() -> Ran:
    """One run in which each worker's code is broken in two other ways."""
    options = [
        "--kiosks",
        "20",
        "--workers",
        "4",
        "--duration",
        "9",
        "--rate",
        "80",
        "--members",
        "40",
        "--fresh",
        "1",
        "--grace",
        "2",
    ]
    return run_harness(*options, "--faults", "partition", saboteur="tests.doubles.saboteurs:two_each")


@pytest.mark.long  # whether each has an occasion in one short run is chance; the judge's own tests are exact
@pytest.mark.parametrize("invariant", BROKEN)
def test_code_that_breaks_an_invariant_is_noticed_and_told_where(sabotaged: Ran, invariant: Invariant):
    place = [broken.__name__ for broken in BREAKS].index(BROKEN[invariant])
    worker = min(place, 7 - place)
    assert sabotaged.told[invariant.value] > 0, sabotaged.said
    kiosks = {
        int(case.partition(":")[0].partition(" ")[0][5:]) for case in sabotaged.told["examples"][invariant]
    }
    assert {(kiosk - 1) % WORKERS for kiosk in kiosks} == {worker}


@pytest.mark.long
def test_a_run_in_which_something_does_not_hold_ends_with_exit_code_1(sabotaged: Ran):
    assert (sabotaged.code, sabotaged.told["holds"]) == (1, False)


def test_everything_holds_while_workers_die_disks_fill_and_messages_are_copied(tmp_path: Path):
    page = tmp_path / "out.html"
    faults = "kiosk-kill,disk-full,duplicate"
    options = [
        "--kiosks",
        "12",
        "--workers",
        "2",
        "--duration",
        "7",
        "--rate",
        "60",
        "--members",
        "40",
    ]
    ran = run_harness(*options, "--faults", faults, "--report", str(page))
    told = ran.told
    assert {name.value: told[name.value] for name in Invariant} == {name.value: 0 for name in Invariant}, told
    assert ran.code == 0, ran.said
    assert list(told["convergence_s"]) == faults.split(",")
    assert told["records"] == sum(told["verdicts"].values())
    assert min(told["exercised"][name] for name in ("grants", "restricted_known", "commands_obeyed")) > 0
    assert min(told["hostile"][name] for name in ("duplicated", "replayed", "crossed")) > 0
    assert set(told["latency_ms"]) == {"p50", "p95", "p99"}
    assert (told["offline_overspend"], told["offline_spends"]) == (0, 0)
    assert any(note.startswith("offline_overspend: kiosks charge nothing yet") for note in told["notes"])
    text = page.read_text()
    assert text.count("<svg") == 4
    assert re.findall(r"""(?:src|href)=|https?://|@import""", text) == []


def test_everything_holds_when_mosquitto_is_killed():
    mosquitto_program()  # skips the test where there is none
    options = ["--kiosks", "4", "--workers", "1", "--duration", "2", "--rate", "40", "--members", "20"]
    ran = run_harness("--broker", "mosquitto", *options, "--faults", "broker-kill")
    told = ran.told
    assert {name.value: told[name.value] for name in Invariant} == {name.value: 0 for name in Invariant}, told
    assert ran.code == 0, ran.said
    assert list(told["convergence_s"]) == ["broker-kill"]
    assert told["records"] > 0


def _processes(folder: Path) -> list[psutil.Process]:
    """Whatever runs in a session of its own because of a run, known by the files it holds open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in file.path for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL])
def test_no_process_outlives_a_run_that_is_interrupted_or_killed(tmp_path: Path, number: signal.Signals):
    program = [sys.executable, "-c", "from scripts.cli.main import main; main()", "harness", "run"]
    options = [
        "--kiosks",
        "2",
        "--workers",
        "1",
        "--duration",
        "300",
        "--rate",
        "10",
        "--members",
        "10",
    ]
    run = subprocess.Popen([*program, *options, "--keep", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    while "people walk up" not in run.stderr.readline():
        assert run.poll() is None
    below = psutil.Process(run.pid).children(recursive=True)
    assert len(below) >= 3, "central, broker, worker"
    os.kill(run.pid, number)
    run.wait(WAIT_S)
    run.stderr.close()
    gone, alive = psutil.wait_procs(below, WAIT_S)
    assert (len(gone), alive) == (len(below), [])
    assert _processes(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--faults", "fire"), "--faults: there is no 'fire'"),
        (("--kiosks", "0"), "--kiosks 0: give 1 to 2000"),
        (("--broker", "elsewhere"), "give embedded, mosquitto, or mqtt://HOST:PORT"),
        (("--broker", "mqtt://127.0.0.1:1", "--faults", "broker-kill"), "not ours to kill"),
        (("--report", "/nowhere/out.html"), "there is no folder /nowhere"),
    ],
)
def test_an_option_that_cannot_be_used_is_said_in_one_line(options: tuple[str, ...], said: str):
    from typer.testing import CliRunner

    from scripts.cli.main import build

    ended = CliRunner().invoke(build(["harness"]), ["harness", "run", *options])
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.long
def test_everything_holds_through_every_fault_with_mosquitto():
    options = [
        "--kiosks",
        "20",
        "--duration",
        "40",
        "--rate",
        "40",
        "--members",
        "60",
        "--broker",
        "mosquitto",
        "--faults",
        "all",
    ]
    ran = run_harness(*options)
    assert {name.value: ran.told[name.value] for name in Invariant} == {name.value: 0 for name in Invariant}
    assert ran.code == 0, ran.told
