"""What a run of tests closes with: CPU seconds a folder against its budget, what failed, what was skipped.

A pytest plugin writes one file a run (`--closing FILE`); run as a program, this module reads them and prints.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BUDGET = Path(__file__).with_name("budget.toml")
STARTING = "start and collection"
"""Where the CPU time of a process is booked that no test took."""


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def budgets() -> dict[str, float]:
    """Folder to the CPU seconds that its tests may take."""
    return {folder: float(seconds) for folder, seconds in tomllib.loads(BUDGET.read_text()).items()}


def folder_of(path: str, folders: dict[str, float]) -> str:
    """The deepest folder with a budget that holds this test, else its own two uppermost."""
    held = [folder for folder in folders if path.startswith(folder + "/") or path == folder]
    return max(held, key=len, default="/".join(path.split("/")[:2]))


class Closing:
    """Books what the tests of one process took, and on the controller what all processes said."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.worker = hasattr(config, "workerinput")
        self.cpu: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}
        self.failed: list[str] = []
        self.budgets = budgets()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = cpu_s()
        outcome = yield
        self.cpu[folder_of(item.nodeid.split("::")[0], self.budgets)] += cpu_s() - before
        return outcome

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and report.nodeid not in self.failed:
            self.failed.append(report.nodeid)
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {})
        self.cpu.update(told.get("closing_cpu", {}))
        # A module that skips itself is told of by the worker alone.
        self.skipped = told.get("closing_skipped", {}) | self.skipped

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        # Children of a controller are the workers, who book for themselves.
        if self.worker or not self.config.getoption("numprocesses", None):
            self.cpu[STARTING] += cpu_s() - self.cpu.total()
        if self.worker:
            self.config.workeroutput["closing_cpu"] = dict(self.cpu)  # type: ignore[attr-defined]
            self.config.workeroutput["closing_skipped"] = self.skipped  # type: ignore[attr-defined]
            return
        told = {"cpu": dict(self.cpu), "skipped": self.skipped, "failed": self.failed}
        Path(self.config.getoption("closing")).write_text(json.dumps(told))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--closing", metavar="FILE", help="write there what failed, was skipped and took CPU time"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("closing"):
        config.pluginmanager.register(Closing(config), "closing")


def close(files: list[Path], failed: list[str], lacking: str | None = None) -> list[str]:
    """The closing lines of these runs, of the steps that failed beside them, and of what would skip less."""
    told = [json.loads(path.read_text()) for path in files if path.exists()]
    cpu: Counter[str] = Counter()
    for run in told:
        cpu.update(run["cpu"])
    allowed = budgets()
    lines = ["CPU seconds a folder (budget):"]
    lines += [
        f"  {seconds:7.1f}  {_budget(folder, seconds, allowed)}" for folder, seconds in sorted(cpu.items())
    ]
    lines.append(f"  {cpu.total():7.1f}  in all ({sum(allowed.values()):.0f})")
    failed = [*failed, *(test for run in told for test in run["failed"])]
    lines.append(f"failed: {len(failed)}" if failed else "failed: none")
    lines += [f"  {name}" for name in failed]
    reasons = Counter(reason for run in told for reason in run["skipped"].values())
    why = [f"{number}: {reason}" for reason, number in reasons.most_common()]
    why += [f"for fewer: {lacking}"] if lacking else []
    lines.append(f"skipped: {reasons.total()}" + (f" ({'; '.join(why)})" if why else ""))
    return lines


def _budget(folder: str, seconds: float, allowed: dict[str, float]) -> str:
    if folder not in allowed:
        return f"{folder} (no budget)"
    over = " OVER BUDGET" if seconds > allowed[folder] else ""
    return f"{folder} ({allowed[folder]:.0f}){over}"


def main() -> None:
    """Print the closing lines of a whole run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--failed", action="append", default=[], help="a step that failed")
    parser.add_argument("--lacking", help="the command that installs what tests were skipped for")
    asked = parser.parse_args()
    sys.stdout.write("\n".join(close(asked.files, asked.failed, asked.lacking)) + "\n")


if __name__ == "__main__":
    main()
