"""Passphrases of key files: typed at a terminal, or out of a file; never an argument."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def read_passphrase(file: Path | None, *, of: str, without: str, new: bool = False) -> str:
    """The passphrase; `new` asks for it twice. Raises SecretsError or RefusedError.

    `of` says what it opens, `without` what to give where there is no terminal.
    """
    from central.adapters.keyfiles import read_private
    from central.errors import RefusedError

    if file is not None:
        return read_private(file, "write the passphrase into it, and chmod 600 it")
    if not sys.stdin.isatty():
        raise RefusedError(f"there is no terminal to ask for the passphrase of {of} at: give {without}")
    asked: str = typer.prompt(f"Passphrase of {of}", hide_input=True, confirmation_prompt=new)
    return asked
