"""Each library for I/O is used in one file, so that its bounds are set in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
HOUSES = ("wire", "models", "firmware_bridge", "edge", "central", "scripts")


def imported(path: Path) -> set[str]:
    """Every module, and every name of a module, that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("paho.mqtt.client", "wire/transport/mqtt.py"),
        ("uvicorn", "wire/transport/http.py"),
        ("uvicorn.protocols.http.h11_impl.H11Protocol", "wire/transport/http.py"),
    ],
)
def test_a_library_that_opens_sockets_is_imported_by_one_file(library: str, home: str) -> None:
    files = [path for house in HOUSES for path in (ROOT / house).rglob("*.py")]
    assert [str(path.relative_to(ROOT)) for path in files if library in imported(path)] == [home]
