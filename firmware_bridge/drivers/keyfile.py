"""Key files of gates: hexadecimal digits that nobody else may read."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.errors import GateKeyError

_OTHERS = 0o077


def read_hex_key(path: Path, size: int) -> bytes:
    """The `size` bytes that a file of mode 600 spells in hexadecimal; GateKeyError says what to do."""
    field, bound = f"key file {path}", f"{2 * size} hexadecimal digits"
    try:
        if path.stat().st_mode & _OTHERS:
            raise GateKeyError(field, "open to other users", "of mode 600")
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as error:
        raise GateKeyError(field, error.strerror or "unreadable", "a readable file") from error
    except ValueError as error:
        raise GateKeyError(field, "not hexadecimal", bound) from error
    if len(key) != size:
        raise GateKeyError(field, f"{len(key)} bytes long", bound)
    return key
