"""How the tests run the harness: as a user does, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
RUN_S = 250


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    told: dict[str, Any]
    said: str


def run_harness(*options: str, saboteur: str | None = None) -> Ran:
    """Run `stile harness run --json` with these options."""
    program = [sys.executable, "-c", "from scripts.cli.main import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if saboteur is not None:
        environment["STILE_HARNESS_SABOTEUR"] = saboteur
    ended = subprocess.run(
        [*program, "harness", "run", "--json", *options],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        env=environment,
        check=False,
    )
    lines = ended.stdout.splitlines()
    return Ran(ended.returncode, json.loads(lines[-1]) if lines else {}, ended.stderr)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
