"""What scripts/test says at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.closing import STARTING, close, folder_of

TESTS = """
import pytest

def test_passes():
    sum(range(1_000_000))

def test_fails():
    raise AssertionError

def test_is_skipped():
    pytest.skip("needs a gate")
"""
SKIPPED = 'import pytest\npytest.skip("needs a browser", allow_module_level=True)\n'


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_a_run_tells_what_failed_what_was_skipped_and_where_its_cpu_time_went(
    tmp_path: Path, processes: tuple[str, ...]
) -> None:
    for name, text in (("test_three.py", TESTS), ("test_none.py", SKIPPED), ("pytest.ini", "[pytest]\n")):
        (tmp_path / "tests" / "unit").mkdir(parents=True, exist_ok=True)
        (tmp_path / (name if name.endswith("ini") else f"tests/unit/{name}")).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.closing", "--closing", "told", *processes, "tests"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    told = json.loads((tmp_path / "told").read_text())
    assert told["failed"] == ["tests/unit/test_three.py::test_fails"]
    assert sorted(told["skipped"].values()) == ["needs a browser", "needs a gate"]
    assert set(told["cpu"]) == {"tests/unit", STARTING}
    assert min(told["cpu"].values()) > 0


def test_the_last_line_counts_what_was_skipped_by_its_reason(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text(
        json.dumps({"cpu": {"tests/a": 2.0}, "failed": ["tests/a/x"], "skipped": {"y": "no gate"}})
    )
    second.write_text(
        json.dumps({"cpu": {"tests/a": 3.0}, "failed": [], "skipped": {"z": "no gate", "w": "no browser"}})
    )
    lines = close([first, second, tmp_path / "never written"], ["scripts/check"], "sudo apt install gate")
    assert lines[1:] == [
        "      5.0  tests/a (no budget)",
        *lines[2:3],
        "failed: 2",
        "  scripts/check",
        "  tests/a/x",
        "skipped: 3 (2: no gate; 1: no browser; for fewer: sudo apt install gate)",
    ]


def test_a_folder_is_named_that_takes_more_than_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "budget.toml").write_text('"tests/a" = 2\n"tests/b" = 2\n')
    monkeypatch.setattr("tests.closing.BUDGET", tmp_path / "budget.toml")
    (tmp_path / "1").write_text(
        json.dumps({"cpu": {"tests/a": 2.5, "tests/b": 1}, "failed": [], "skipped": {}})
    )
    assert close([tmp_path / "1"], []) == [
        "CPU seconds a folder (budget):",
        "      2.5  tests/a (2) OVER BUDGET",
        "      1.0  tests/b (2)",
        "      3.5  in all (4)",
        "failed: none",
        "skipped: 0",
    ]


def test_a_test_belongs_to_the_deepest_folder_that_has_a_budget() -> None:
    budgets = {"tests/unit": 1.0, "tests/unit/edge": 1.0}
    assert folder_of("tests/unit/edge/decide/test_x.py", budgets) == "tests/unit/edge"
    assert folder_of("tests/unit/edges/test_x.py", budgets) == "tests/unit"
    assert folder_of("tests/fuzz/deep/test_x.py", budgets) == "tests/fuzz"
