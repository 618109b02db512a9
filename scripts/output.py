"""How every command speaks: an expected error in one line, and one JSON object for a program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
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


def say(text: str) -> None:
    """A line on standard output at once; a service goes on when nobody reads it any more."""
    try:
        typer.echo(text)
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for good


def stopped() -> asyncio.Event:
    """Set when this process is told to end: by Ctrl-C, a service manager, or a terminal that closes."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


def log_warnings() -> None:
    """Log what is worth a look to standard error, for commands that run until interrupted."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
