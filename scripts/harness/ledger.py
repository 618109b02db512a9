"""What the harness knows to be true: every decision and what it was made on, in files that SIGKILL spares.

Each line goes to the kernel in one write before the next thing happens; only power loss could take it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec


class Decided(msgspec.Struct, frozen=True, array_like=True, tag="decided"):
    """A verdict, and the standing as it was when it was reached; written before any record of it.

    `at_ms` is the true time, `lag_ms` how far the kiosk's clock was behind it (0 while it was unsure).
    `issued_at_ms` is the head's that vouched for the standing, 0 where there was none.
    """

    record: str
    kiosk: str
    subject: str
    verdict: str
    at_ms: int
    lag_ms: int
    age: str
    membership: str
    restriction: str
    proven: bool
    epoch: int
    version: int
    issued_at_ms: int
    operator: str
    purpose: str
    currency: str


class Begun(msgspec.Struct, frozen=True, array_like=True, tag="begun"):
    """The outbox says that the decision is kept; from here on its record must reach central."""

    record: str


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="kept"):
    """The outbox says that the record is kept; from here on it must reach central."""

    record: str


class Obeyed(msgspec.Struct, frozen=True, array_like=True, tag="obeyed"):
    """A kiosk acted on a command."""

    kiosk: str
    nonce: str
    at_ms: int
    lag_ms: int


Entry = Decided | Begun | Kept | Obeyed

_DECODER = msgspec.json.Decoder(Entry)


class Ledger:
    """Appends entries to one file; another life of the same worker goes on where the last one was killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._file, b"\n\n")  # an empty line after one that an earlier life was killed within

    def write(self, entry: Entry) -> None:
        """Hand an entry to the kernel."""
        os.write(self._file, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_ledgers(paths: Iterable[Path]) -> Iterator[Entry]:
    """Every entry of some ledgers; a line that was cut short by SIGKILL is skipped, any other raises."""
    for path in paths:
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines):
            if not line:
                continue
            try:
                yield _DECODER.decode(line)
            except msgspec.DecodeError:
                if number + 1 < len(lines) and lines[number + 1] != b"":
                    raise
