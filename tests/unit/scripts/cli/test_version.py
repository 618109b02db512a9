"""`stile` itself, before any of its words."""

from __future__ import annotations

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from scripts.cli.main import build

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]


def test_version_prints_the_projects_version_and_ends() -> None:
    told = CliRunner().invoke(build(()), ["--version"])
    assert (told.exit_code, told.output) == (0, f"{PROJECT['version']}\n")


def test_no_word_at_all_gives_the_help() -> None:
    assert "--version" in CliRunner().invoke(build(("doctor",)), []).output
