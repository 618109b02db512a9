"""The pytest plugin, used as an outsider would: a test of their own in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OUTSIDER = """
from edge.decide.verdict import Deny, Grant, Refer


def test_a_member_passes_while_cut_off(stile_central, stile_kiosk, stile_faults, stile_broker):
    member, restricted, gone = stile_central.members[:3]
    assert isinstance(stile_kiosk.pass_through(member), Grant)
    restriction = stile_central.restrict(restricted)
    stile_kiosk.knows(restricted, lambda standing: standing.restrictions)
    assert isinstance(stile_kiosk.pass_through(restricted), Deny)
    stile_central.withdraw(gone)
    stile_kiosk.knows(gone, lambda entry: not hasattr(entry, "tier"))
    assert isinstance(stile_kiosk.pass_through(gone), Refer)
    stile_faults.duplicate()
    stile_central.lift(restriction)
    stile_kiosk.knows(restricted, lambda standing: not standing.restrictions)
    stile_kiosk.sent()
    stile_faults.cut()
    assert isinstance(stile_kiosk.pass_through(restricted), Grant)
    assert stile_kiosk.uplink.outbox.backlog.waiting == 1
    stile_broker.kill()
    stile_broker.start()
    stile_faults.heal()
    stile_kiosk.sent()
"""

NOTHING = """
import sys


def test_nothing_of_stile_is_loaded_for_who_does_not_ask_for_it():
    assert not {name for name in sys.modules if name.split(".")[0] in {"edge", "central", "wire", "numpy"}}
"""


def run_outside(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    program = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-p",
        "scripts.harness.plugin",
        "test_mine.py",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        program, cwd=folder, capture_output=True, text=True, timeout=250, env=environment, check=False
    )


def test_somebody_elses_test_finds_the_fixtures_by_the_entry_point(tmp_path: Path):
    ran = run_outside(tmp_path, OUTSIDER)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_plugin_loads_nothing_until_a_fixture_is_asked_for(tmp_path: Path):
    ran = run_outside(tmp_path, NOTHING)
    assert ran.returncode == 0, ran.stdout + ran.stderr
