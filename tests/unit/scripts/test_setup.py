"""What scripts/setup.sh says where it cannot set up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("bash", "cat", "cut", "grep", "id", "sha256sum")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs with the few that every machine has, and no way to install others."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(str(shutil.which(tool)))
    return programs


def set_up(programs: Path, venv: Path) -> tuple[int, str]:
    ran = subprocess.run(
        ["bash", "-c", '. scripts/setup.sh; setup run "$0"', venv],
        cwd=ROOT, env={"PATH": str(programs)}, capture_output=True, text=True,
    )  # fmt: skip
    return ran.returncode, ran.stderr


def python_that(programs: Path, name: str, exits: str) -> None:
    python = programs / name
    python.write_text(f'#!/bin/bash\ncase "$*" in {exits} esac\n')
    python.chmod(0o755)


def test_without_a_python_the_one_command_is_told(bare: Path, tmp_path: Path) -> None:
    code, said = set_up(bare, tmp_path / "venv")
    assert code == 2
    assert said.startswith(
        "Stile needs Python 3.11 to 3.14: sudo apt install python3 python3-venv, or name another:"
    )


def test_a_python_of_another_version_is_not_taken(bare: Path, tmp_path: Path) -> None:
    python_that(bare, "python3", "*) exit 1 ;;")
    assert set_up(bare, tmp_path / "venv")[0] == 2


@pytest.mark.parametrize(
    ("name", "package"), [("python3", "python3-venv"), ("python3.14", "python3.14-venv")]
)
def test_a_python_without_ensurepip_is_told_the_package_that_brings_it(
    bare: Path, tmp_path: Path, name: str, package: str
) -> None:
    python_that(bare, name, "*ensurepip*) exit 1 ;; *) exit 0 ;;")
    code, said = set_up(bare, tmp_path / "venv")
    assert (code, said) == (2, f"Python's venv module is missing: sudo apt install {package}\n")
