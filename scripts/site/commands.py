"""`python -m scripts.site.commands` writes docs/commands.md: every command of `stile` with its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from scripts.cli.main import PROGRAMS, build

PAGE: Final = Path(__file__).parents[2] / "docs" / "commands.md"
HEAD: Final = """# Commands

Made from the program by `python -m scripts.site.commands`. `stile COMMAND --help` says more.
A command says an expected error in one line. It exits with 1 when something was refused or found wrong,
and with 2 when a configuration, file, path or device cannot be used.
"""


def write() -> str:
    """The page."""
    parts = [HEAD]
    root = get_command(build())
    assert isinstance(root, TyperGroup)
    for word in PROGRAMS:
        rows = "".join(row(path, command) for path, command in leaves(f"stile {word}", root.commands[word]))
        parts.append(f"\n## stile {word}\n\n| command | options | what it does |\n|---|---|---|\n{rows}")
    return "".join(parts)


def leaves(path: str, command: object) -> Iterator[tuple[str, TyperCommand]]:
    """Every command beneath this one that does something."""
    if isinstance(command, TyperCommand):
        yield path, command
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from leaves(f"{path} {name}", each)


def row(path: str, command: TyperCommand) -> str:
    """One line of the table."""
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [(each.name or "").upper() for each in shown if isinstance(each, TyperArgument)]
    options = [f"`{each.opts[0]}`" for each in shown if isinstance(each, TyperOption)]
    usage = " ".join([path, *arguments]).replace("|", "\\|")
    says = re.sub(r"\s+", " ", (command.help or "").split("\n\n")[0]).strip().replace("|", "\\|")
    return f"| `{usage}` | {' '.join(options)} | {says} |\n"


if __name__ == "__main__":
    PAGE.write_text(write())
