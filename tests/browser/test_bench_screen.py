"""`stile bench --screen`: what it reports; no figure is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from scripts.bench import command as bench
from scripts.bench import screen as bench_screen

REFERENCE = Path(bench.__file__).parents[2] / "docs/reference.md"
APP = typer.Typer()
APP.command("bench")(bench.main)
APP.callback()(lambda: None)


def test_the_bench_looks_at_a_screen_and_documents_what_it_says(
    chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, less in (("LOADS", 1), ("OPENING_S", 0.5), ("LOOKED_S", 0.5), ("STANDS_S", 0.3)):
        monkeypatch.setattr(bench_screen, name, less)
    told = CliRunner().invoke(APP, ["bench", "--screen", "--json"])
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout.splitlines()[-1])["screen"]
    documented = next(
        part for part in REFERENCE.read_text().split("\n\n") if part.startswith("`stile bench --screen")
    )
    assert [key for key in report if f"`{key}`" not in documented] == []
    for name in ("first_paint", "lag", "lag_opening", "camera_to_painted"):
        spread = report[name]
        assert spread["repeats"] >= 1
        assert 0 < spread["p50_ms"] <= spread["p95_ms"] <= spread["max_ms"]
    assert report["camera_to_painted"]["p50_ms"] > report["lag"]["p50_ms"]
    assert report["pictures_per_s"] > 0


@pytest.mark.usefixtures("chromium")  # what drives a browser needs libraries that Debian's brings
def test_a_browser_that_cannot_start_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_screen, "BROWSERS", ("false",))
    monkeypatch.setattr(bench_screen, "STANDS_S", 0.1)
    told = CliRunner().invoke(APP, ["bench", "--screen", "--json"])
    assert told.exit_code == 2
    assert told.stderr.startswith("error: ")
    assert "false: " in told.stderr


def test_without_a_browser_the_bench_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_screen, "BROWSERS", ("no-such-browser",))
    told = CliRunner().invoke(APP, ["bench", "--screen", "--json"])
    assert told.exit_code == 2
    assert "chromium" in told.stderr
    assert told.stdout == ""
