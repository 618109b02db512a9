"""The memory of a `stile` process stays its own."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import ctypes, resource, sys
from scripts.cli import main
main.build = lambda words: lambda: print(
    resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
)
sys.argv = ["stile", "kiosk"]
main.main()
"""
"""The program, asked of itself in place of a command; 3 is PR_GET_DUMPABLE."""


def test_the_program_leaves_no_core_file_and_lets_nobody_attach() -> None:
    told = subprocess.run([sys.executable, "-c", LOOK], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "(0, 0) 0"
