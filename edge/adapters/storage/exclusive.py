"""One kiosk for a state folder: a second process would write the same chain of records."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edge.errors import StoreError

LOCK_FILE = "kiosk.lock"


def holder(folder: Path) -> str | None:
    """The process that has the folder; None where none has."""
    try:
        number = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(number, 32).decode("ascii", "replace") or "unknown"
    else:
        return None
    finally:
        os.close(number)


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Hold the folder while the context lasts; raises `StoreError` that says which process has it."""
    path = folder / LOCK_FILE
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = "give the kiosk's user the right to write there"
        raise StoreError(f"{path} cannot be opened ({error}): {remedy}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(number, 0)
        os.write(number, str(os.getpid()).encode())
        yield
    except BlockingIOError as error:
        holder = os.read(number, 32).decode("ascii", "replace") or "unknown"
        raise StoreError(
            f"process {holder} runs a kiosk in {folder}: end it, or give this one its own kiosk.state_dir"
        ) from error
    finally:
        os.close(number)
