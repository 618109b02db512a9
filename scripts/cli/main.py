"""The `stile` command: one word for each program of the houses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module, metadata
from typing import Annotated

import typer

from scripts.process import keep_memory_private

PROGRAMS = {
    "kiosk": "scripts.cli.kiosk",
    "central": "scripts.cli.central.app",
    "reviewer": "scripts.cli.reviewer",
    "models": "scripts.cli.models",
    "gate": "scripts.cli.gate.app",
    "demo": "scripts.stage.command",
    "harness": "scripts.harness.command",
    "evaluate": "scripts.evaluate.command",
    "bench": "scripts.bench.command",
    "doctor": "scripts.cli.doctor",
}
"""Each word, and the module whose `app` (several commands) or `main` (one command) it runs."""


def main() -> None:
    """Run `stile` with the arguments of this process."""
    keep_memory_private()
    # Only the program that is asked for: a kiosk neither waits for central's modules nor keeps them.
    asked = [word for word in sys.argv[1:2] if word in PROGRAMS]
    build(asked or PROGRAMS)()


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(metadata.version("stile"))
        raise typer.Exit


def build(words: Iterable[str] = PROGRAMS) -> typer.Typer:
    """The command line with these programs; modules are imported here, what is heavy inside the commands."""
    stile = typer.Typer(
        name="stile", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
        help="An offline-first face kiosk and gate.",
    )  # fmt: skip
    # With a callback of its own, one word alone is still a word to type.
    stile.callback(invoke_without_command=True)(_options)
    for word in words:
        module = import_module(PROGRAMS[word])
        if hasattr(module, "app"):
            stile.add_typer(module.app, name=word)
        else:
            stile.command(word)(module.main)
    return stile
