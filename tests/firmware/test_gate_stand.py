"""What a gate to develop against runs on, and what may be done to it: stile gate simulate and console."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from firmware_bridge.messages import Inputs
from scripts.cli.gate.inject import Controls, InjectionError, inject, obey
from scripts.cli.gate.stand import Runs, open_stand
from tests.doubles.gate_firmware import KEYS, host_build
from tests.doubles.waiting import WAIT_S

BOTH_KINDS = [Runs.FIRMWARE, Runs.SIMULATOR]


def stile_gate(*arguments, **options):
    program = [
        sys.executable,
        "-c",
        "from scripts.cli.main import main; main()",
        "gate",
        *map(str, arguments),
    ]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@contextmanager
def simulating(*options, **how):
    serving = stile_gate("simulate", "--json", *options, **how)
    try:
        yield json.loads(serving.stdout.readline())
    finally:
        serving.send_signal(signal.SIGTERM)
        _, errors = serving.communicate(timeout=WAIT_S)
    assert (serving.returncode, errors) == (0, "")


def console(row, *options):
    showing = stile_gate("console", row["port"], "--key-file", row["key_file"], "--json", *options)
    out, errors = showing.communicate(timeout=WAIT_S)
    return showing.returncode, out, errors


def without_compilers(tmp_path):
    """The programs of this machine, but no compiler."""
    return {**os.environ, "PATH": str(tmp_path)}


@pytest.fixture(params=BOTH_KINDS, ids=["firmware", "simulator"])
def runs(request):
    if request.param is Runs.FIRMWARE:
        host_build()
    return request.param


def test_injected_inputs_reach_the_gate_and_are_shown(runs):
    option = "--firmware" if runs is Runs.FIRMWARE else "--simulator"
    with simulating(option) as row:
        assert row["runs"] == runs.name.lower()
        code, out, errors = console(row, "--for-s", 2, "--inject", "on fire", "--inject", "on door_open")
    assert (code, errors) == (0, "")
    shown = json.loads(out.splitlines()[-1])
    assert (shown["link"], shown["state"]) == ("up", "free")
    assert shown["inputs"] == ["door_open", "fire"]
    assert (shown["entry_unlocked"], shown["exit_unlocked"]) == (True, True)
    assert shown["events"][:2] == ["LinkUp", "FireReleased"]


def test_where_a_compiler_is_the_firmware_is_simulated_and_where_none_is_the_simulator(tmp_path):
    host_build()
    with simulating() as row:
        assert row["runs"] == "firmware"
    with simulating(env=without_compilers(tmp_path)) as row:
        assert row["runs"] == "simulator"


def test_the_firmware_asked_for_where_no_compiler_is_ends_with_a_sentence(tmp_path):
    serving = stile_gate("simulate", "--firmware", env=without_compilers(tmp_path))
    _, errors = serving.communicate(timeout=WAIT_S)
    assert serving.returncode == 2
    assert "install gcc" in errors


def test_a_compiler_that_does_not_compile_leaves_the_simulator_and_says_why(tmp_path, monkeypatch):
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho no header stdio.h >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with open_stand(KEYS) as (_, chosen, why):
        assert chosen is Runs.SIMULATOR
        assert "no header stdio.h" in why


def test_simulate_says_in_words_what_it_runs_on(tmp_path):
    serving = stile_gate("simulate", env=without_compilers(tmp_path) | {"PYTHONUNBUFFERED": "1"})
    lines = [serving.stdout.readline() for _ in range(3)]
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=WAIT_S)
    assert "the Python simulator, because no C compiler is here" in lines[1]
    assert "stile gate console" in lines[2]


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("on smoke", "'smoke' is no input"),
        ("on", "is no order"),
        ("walk sideways", "is no order"),
        ("", "is no order"),
        ("x" * 500, "is no order"),
    ],
)
def test_an_order_that_is_none_is_answered_with_those_there_are(order, says):
    with open_stand(KEYS, runs=Runs.SIMULATOR) as (stand, _, _), Controls(stand):
        with pytest.raises(InjectionError, match=says):
            obey(stand, order)
        with pytest.raises(InjectionError, match=says):
            inject(str(stand.path), order)
        inject(str(stand.path), "on tamper")
        assert stand.do(lambda gate: gate._raw) == Inputs.TAMPER


def test_a_real_port_takes_no_orders_and_the_console_says_so(tmp_path):
    key = tmp_path / "gate.key"
    key.touch(0o600)
    key.write_text(bytes(32).hex())
    code, out, errors = console({"port": "/dev/null", "key_file": key}, "--inject", "on fire")
    assert (code, out) == (2, "")
    assert "only on a gate that stile gate simulate serves" in errors


def test_an_order_for_a_gate_that_never_answers_is_told_as_not_done(tmp_path):
    other = tmp_path / "gate.key"
    other.touch(0o600)
    other.write_text("ab" * 32)
    with simulating("--simulator") as row:
        code, _, errors = console(row | {"key_file": other}, "--for-s", 1, "--inject", "on fire")
    assert code == 1
    assert "never answered" in errors
    assert "on fire" in errors
