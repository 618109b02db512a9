"""The `stile` command: one word for each program of the houses."""

from __future__ import annotations

from importlib import import_module

import typer

# word -> module whose `app` (several commands) or `main` (one command) it runs
PROGRAMS = {
    "kiosk": "scripts.kiosk",
    "central": "scripts.central",
    "models": "scripts.models",
    "gate": "scripts.gate",
    "demo": "scripts.demo",
    "evaluate": "scripts.evaluate",
    "bench": "scripts.bench",
    "doctor": "scripts.doctor",
}


def main() -> None:
    """Run `stile` with the arguments of this process."""
    build().__call__()


def build() -> typer.Typer:
    """The whole command line; modules are imported here, what is heavy inside the commands."""
    stile = typer.Typer(
        name="stile", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
        help="An offline-first face kiosk and gate.",
    )  # fmt: skip
    for word, module_name in PROGRAMS.items():
        module = import_module(module_name)
        if hasattr(module, "app"):
            stile.add_typer(module.app, name=word)
        else:
            stile.command(word)(module.main)
    return stile
