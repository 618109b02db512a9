"""The comparison of two processors, told in files: `scripts/arm64` itself needs root and an hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.config import KioskConfig
from scripts.lab.arm64_parity import DESCRIPTOR_MAX_DIFFERENCE, app
from scripts.stage.stage import Staging, patient

UNIT_XML = '<testsuites><testsuite tests="3" failures="{failed}" errors="0" skipped="1"/></testsuites>'


class Sides:
    """What both machines wrote: as equal as can be, until a test changes a file of the other one."""

    def __init__(self, folder: Path) -> None:
        self.here, self.there = folder / "here", folder / "there"
        descriptor = np.linspace(-0.1, 0.1, 128).tolist()
        described = {"recipe_digest": "d", "described": {"a/1.png": descriptor, "a/2.png": "too_small"}}
        line = {"source": "a/1.png", "claim": "a", "verdict": "grant", "similarity": 0.97, "timings_ms": {}}
        for side in (self.here, self.there):
            side.mkdir()
            self.write(side / "described.json", described)
            for name in ("claimed.json", "searched.json"):
                self.write(side / name, line, {"summary": {}})
        self.write(self.there / "verify.json", {"ok": True, "checks": [{"check": "golden", "ok": True}]})
        self.write(self.there / "about.json", {"machine": "aarch64"})
        self.write(self.there / "demo.json", {"summary": {"gate_passed": 1, "as_scripted": True}})
        (self.there / "unit.xml").write_text(UNIT_XML.format(failed=0))

    def write(self, path: Path, *lines: object) -> None:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def change(self, name: str, change: Callable[[dict], None]) -> None:
        """The other side's first line of a file, otherwise."""
        first, *others = (json.loads(line) for line in (self.there / name).read_text().splitlines())
        change(first)
        self.write(self.there / name, first, *others)

    def compared(self, *options: str) -> tuple[int, dict]:
        ended = CliRunner().invoke(app, ["compare", str(self.here), str(self.there), *options])
        return ended.exit_code, json.loads(ended.stdout)


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def test_two_machines_that_agree_are_good(sides: Sides):
    code, told = sides.compared("--date", "2026-11-23")
    assert (code, told["good"], told["date"]) == (0, True, "2026-11-23")
    assert told["descriptors"]["compared"] == 1
    assert told["descriptors"]["without_a_face_here_and_there"] == 1
    assert told["decisions"]["verdicts"] == {"grant": 2}
    assert told["unit_tests"] == {"good": True, "passed": 2, "failed": 0, "skipped": 1}


@pytest.mark.parametrize("times", [0.9, 1.1])
def test_a_descriptor_may_differ_by_no_more_than_is_allowed(sides: Sides, times: float):
    def shift(described: dict) -> None:
        described["described"]["a/1.png"][5] += times * DESCRIPTOR_MAX_DIFFERENCE

    sides.change("described.json", shift)
    code, told = sides.compared()
    assert (code == 0) == told["descriptors"]["good"] == (times < 1)
    assert told["descriptors"]["max_difference"] == pytest.approx(times * DESCRIPTOR_MAX_DIFFERENCE)


@pytest.mark.parametrize(
    ("name", "check", "change"),
    [
        ("described.json", "descriptors", lambda it: it["described"].update({"a/2.png": "too_dark"})),
        ("described.json", "descriptors", lambda it: it["described"].pop("a/2.png")),
        ("described.json", "descriptors", lambda it: it.update(recipe_digest="another")),
        ("claimed.json", "decisions", lambda it: it.update(verdict="refer")),
        ("searched.json", "decisions", lambda it: it.update(quality={"obstacle": "too_small"})),
        ("verify.json", "golden_vectors", lambda it: it.update(ok=False)),
        ("verify.json", "golden_vectors", lambda it: it.update(checks=[])),
        ("demo.json", "demo", lambda it: it["summary"].update(gate_passed=0)),
        ("demo.json", "demo", lambda it: it["summary"].update(as_scripted=False)),
    ],
)
def test_whatever_differs_is_named_and_fails(sides: Sides, name: str, check: str, change):
    sides.change(name, change)
    code, told = sides.compared()
    assert (code, told["good"], told[check]["good"]) == (1, False, False)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("described.json", "descriptors"),
        ("claimed.json", "decisions"),
        ("searched.json", "decisions"),
        ("verify.json", "golden_vectors"),
        ("demo.json", "demo"),
        ("unit.xml", "unit_tests"),
    ],
)
def test_a_check_that_did_not_finish_has_failed(sides: Sides, name: str, check: str):
    whole = (sides.there / name).read_text()
    for rest in ("", whole[: len(whole) // 2]):
        (sides.there / name).write_text(rest)
        code, told = sides.compared()
        assert (code, told[check]["good"]) == (1, False)


def test_a_replay_without_its_summary_did_not_finish(sides: Sides):
    path = sides.there / "claimed.json"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert sides.compared()[1]["decisions"]["good"] is False


def test_a_failed_unit_test_fails_it_all_unless_none_were_to_run(sides: Sides):
    (sides.there / "unit.xml").write_text(UNIT_XML.format(failed=1))
    code, told = sides.compared()
    assert (code, told["unit_tests"]["failed"]) == (1, 1)
    code, told = sides.compared("--no-unit-tests")
    assert (code, "unit_tests" in told) == (0, False)


@pytest.mark.parametrize("times", [1, 2, 10, 20])
def test_patience_stays_within_the_bounds_of_the_configuration(times: int):
    staged = patient(times)
    sections = {"confirm": staged.confirm, "release": staged.release}
    config = {"kiosk": {"state_dir": "s"}, "gate": {"id": "g", "port": "p", "key_file": "k"}}
    read = msgspec.convert(config | msgspec.to_builtins(sections), KioskConfig)
    assert (read.confirm.acquire_ms, read.confirm.pin_ms) == (
        staged.confirm.acquire_ms,
        staged.confirm.pin_ms,
    )
    assert read.release == staged.release


def test_no_patience_is_the_kiosk_as_it_is_shipped():
    assert patient(1).confirm == Staging().confirm
    assert patient(1).release == Staging().release
