"""How every command speaks: an expected error in one line, and one JSON object for a program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

EXIT_FAILED: Final = 1
"""Refused, or something was found wrong."""
EXIT_UNUSABLE: Final = 2
"""A configuration, key file, pack, path or device that cannot be used."""

AsJson = Annotated[bool, typer.Option("--json", help="Last line of standard output is one object.")]


def date_of(at_ms: int) -> str:
    """The day of an instant, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def fail(error: Exception, code: int) -> NoReturn:
    """Tell an expected error in one line on standard error, and exit."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code) from error


def tell_json(fields: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    typer.echo(json.dumps(fields, separators=(",", ":")))


def read_secret(what: str, file: Path | None, *, again: bool = False) -> str:
    """A PIN or code out of a file, typed unseen, or from a pipe; arguments are everybody's to read."""
    if file is None and sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, confirmation_prompt=again)).strip()
    if file is None:
        return sys.stdin.readline().strip()
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(ValueError(f"{file}: {error}: give a file that holds the {what} alone"), EXIT_UNUSABLE)


def refuse_secret(what: str, option: str) -> NoReturn:
    """Tell that a secret on a command line is none any more."""
    why = f"a {what} on a command line can be read by everybody on this machine"
    remedy = f"draw a new one, and type it when asked, or give {option} FILE"
    fail(ValueError(f"{why}: {remedy}"), EXIT_UNUSABLE)


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


def log_events() -> None:
    """Log with the time to standard error, for commands that run until interrupted.

    Of our own: connections, pairings and revocations too; of libraries only what is worth a look.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for package in ("wire", "edge", "central"):
        logging.getLogger(package).setLevel(logging.INFO)
