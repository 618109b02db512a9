"""`stile demo` as anybody starts it: a process of its own, with and without a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from firmware_bridge.conformance.served import can_serve_firmware
from scripts.cli.gate.stand import Runs

STILE = Path(sys.executable).with_name("stile")
RUN_S = 250
SUMMARY_KEYS = {
    "passes", "granted", "stepped_up", "referred", "denied", "gate_passed", "p50_ms", "p95_ms",
}  # fmt: skip
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def start(*options: str, **streams) -> subprocess.Popen:
    # Whatever runs these tests in the background may have interrupts ignored, which children inherit.
    line = ["env", "--default-signal=INT", str(STILE), "demo", *options]
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, **streams)


@dataclass
class Terminal:
    """A pseudo-terminal that keeps what is written to it."""

    def __post_init__(self) -> None:
        self.master, self.slave = os.openpty()
        self._written = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self.master, 65_536)
            except OSError:
                piece = b""
            with self._changed:
                self._written += piece
                self._changed.notify_all()
            if not piece:
                return

    @property
    def text(self) -> str:
        """All of it, without colours and cursor movements."""
        with self._changed:
            return ESCAPES.sub("", self._written.decode(errors="replace"))

    def wait_for(self, words: str) -> None:
        """Until these words have appeared."""
        with self._changed:
            assert self._changed.wait_for(lambda: words.encode() in self._written, RUN_S), self._written

    def close(self) -> None:
        self._reader.join(RUN_S)
        os.close(self.master)


@dataclass
class Shown:
    """What two demos, run side by side to save time, said and how they ended."""

    exit_code: int
    stdout: list[str]
    stderr: str
    live_exit_code: int
    live: str

    @property
    def passes(self) -> list[dict]:
        return [json.loads(line) for line in self.stdout[:-1]]

    @property
    def summary(self) -> dict:
        return json.loads(self.stdout[-1])["summary"]


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    terminal = Terminal()
    plain = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    tall = plain | {"TERM": "xterm-256color", "COLUMNS": "180", "LINES": "50"}
    live = start("--passes", "1", stdout=terminal.slave, stderr=terminal.slave, env=tall)
    headless = start(
        "--headless", "--json", "--passes", "5",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain,
    )  # fmt: skip
    os.close(terminal.slave)
    try:
        stdout, stderr = headless.communicate(timeout=RUN_S)
        terminal.wait_for("Ctrl-C ends it")
        live.send_signal(signal.SIGINT)
        live.wait(RUN_S)
        terminal.close()
        yield Shown(headless.returncode, stdout.splitlines(), stderr, live.returncode, terminal.text)
    finally:
        for process in (headless, live):
            process.kill()
            process.wait()


def test_the_demo_ends_well(shown: Shown):
    assert shown.exit_code == 0, shown.stderr
    assert "Traceback" not in shown.stderr
    assert "WARNING" not in shown.stderr
    assert "ERROR" not in shown.stderr


def test_the_demo_prints_one_object_a_pass_and_then_the_summary(shown: Shown):
    passages = [line for line in shown.passes if line["passage"] is not None]
    assert [line["pass"] for line in passages] == [1, 2, 3, 4, 5]
    assert len({line["passage"] for line in passages}) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", line["passage"]) for line in passages)
    assert set(shown.summary) >= SUMMARY_KEYS
    assert shown.summary["passes"] == 5


def test_five_passes_hold_a_grant_a_step_up_and_a_referral_and_the_summary_counts_them(shown: Shown):
    passages = [line for line in shown.passes if line["passage"] is not None]
    stepped_up = [line for line in passages if line["stepped_up"]]
    granted = [line for line in passages if line["verdict"] == "grant" and not line["stepped_up"]]
    referred = [line for line in passages if line["verdict"] == "refer"]
    assert min(len(granted), len(stepped_up), len(referred)) >= 1
    counted = {name: shown.summary[name] for name in ("granted", "stepped_up", "referred", "denied")}
    assert counted == {
        "granted": len(granted),
        "stepped_up": len(stepped_up),
        "referred": len(referred),
        "denied": sum(line["verdict"] == "deny" for line in passages),
    }
    assert sum(counted.values()) == shown.summary["passes"]


def test_whoever_was_granted_went_through_and_nobody_else(shown: Shown):
    passages = [line for line in shown.passes if line["passage"] is not None]
    assert {line["gate"] for line in passages if line["verdict"] == "grant"} == {"passed"}
    assert {line["gate"] for line in passages if line["verdict"] != "grant"} == {"not_released"}
    assert shown.summary["gate_passed"] == sum(line["gate"] == "passed" for line in passages)


def test_the_empty_scene_is_no_passage_and_not_counted(shown: Shown):
    (empty,) = [line for line in shown.passes if line["passage"] is None]
    assert empty["role"] == "empty scene"
    assert len(shown.passes) == shown.summary["passes"] + 1


def test_every_pass_with_the_photograph_of_the_enrolment_says_so(shown: Shown):
    same = {line["role"]: line["same_photo"] for line in shown.passes if line["passage"] is not None}
    assert same == {
        "priority member": False,
        "assisted member": True,
        "stranger, amber's code": False,
        "standard member": True,
        "code and PIN, no face": False,
    }


def test_the_demo_runs_on_the_c_firmware_where_a_compiler_is_and_says_so(shown: Shown):
    runs = Runs.FIRMWARE if can_serve_firmware() else Runs.SIMULATOR
    assert shown.summary["gate"] == runs.name.lower()
    assert f"the gate: {runs}" in " ".join(shown.stderr.split())


def test_the_times_of_the_summary_are_those_of_the_passes(shown: Shown):
    times = sorted(line["release_ms"] for line in shown.passes if line.get("release_ms") is not None)
    assert times
    assert all(isinstance(value, int) and value >= 0 for value in times)
    assert shown.summary["p50_ms"] in times
    assert shown.summary["p95_ms"] == times[-1]


def test_the_demo_on_a_terminal_shows_a_table_of_what_happens(shown: Shown):
    assert shown.live_exit_code == 0, shown.live
    for words in (
        "the kiosk's screen: http://127.0.0.1:",
        "identified by",
        "priority member",
        "tier_priority",
    ):
        assert words in shown.live
    assert "1 passes, 1 granted" in shown.live
    assert "every pass ended as the script says" in shown.live
    assert "Traceback" not in shown.live


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--passes", "0"], "--passes"),
        (["--passes", "many"], "--passes"),
        (["--headles"], "--headles"),
    ],
)
def test_a_bad_option_exits_with_2_and_a_sentence(options: list[str], sentence: str):
    ended = start(*options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    stdout, stderr = ended.communicate(timeout=RUN_S)
    assert ended.returncode == 2
    assert stdout == ""
    assert sentence in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_demo_that_is_ended_takes_its_broker_and_its_files_with_it(told: signal.Signals, tmp_path: Path):
    terminal = Terminal()
    demo = start(
        "--passes",
        "5",
        stdout=terminal.slave,
        stderr=terminal.slave,
        env=os.environ | {"DISPLAY": "", "TMPDIR": str(tmp_path)},
    )
    os.close(terminal.slave)
    try:
        terminal.wait_for("the kiosk's screen")
        children = [child.pid for child in psutil.Process(demo.pid).children()]
        assert children
        assert list(tmp_path.glob("stile-demo-*"))
        demo.send_signal(told)
        assert demo.wait(RUN_S) == 1
    finally:
        demo.kill()
        demo.wait()
    terminal.close()
    assert "Traceback" not in terminal.text
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.glob("stile-demo-*")) == []


def test_a_camera_that_is_not_there_ends_the_demo_with_2_and_a_sentence():
    ended = start(
        "--camera", "/dev/no-camera", "--headless", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stdout, stderr = ended.communicate(timeout=RUN_S)
    assert (ended.returncode, stdout) == (2, "")
    assert "cannot be opened" in stderr
    assert "stile demo --camera browser" in stderr
    assert "Traceback" not in stderr


def test_the_demo_for_oneself_names_its_pages_and_ends_well_when_interrupted():
    terminal = Terminal()
    demo = start("--camera", "browser", "--headless", stdout=terminal.slave, stderr=terminal.slave)
    os.close(terminal.slave)
    try:
        terminal.wait_for("Ctrl-C")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(RUN_S) == 0
    finally:
        demo.kill()
        demo.wait()
    terminal.close()
    assert "Traceback" not in terminal.text
    for page in ("enrol:", "pass:", "pay:"):
        assert f"{page} " in terminal.text
