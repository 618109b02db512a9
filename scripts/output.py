"""How every command speaks: an expected error in one line, and one JSON object for a program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, NoReturn

import typer

EXIT_FAILED: Final = 1
"""Refused, or something was found wrong."""
EXIT_UNUSABLE: Final = 2
"""A configuration, key file, pack, path or device that cannot be used."""

AsJson = Annotated[bool, typer.Option("--json", help="Last line of standard output is one object.")]


def fail(error: Exception, code: int) -> NoReturn:
    """Tell an expected error in one line on standard error, and exit."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code) from error


def tell_json(fields: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    typer.echo(json.dumps(fields, separators=(",", ":")))


def log_warnings() -> None:
    """Log what is worth a look to standard error, for commands that run until interrupted."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
