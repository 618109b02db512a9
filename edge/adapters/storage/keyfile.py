"""Secrets in files that nobody but the kiosk's user can read, and the sealing of rows with the device key."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from edge.errors import StoreError
from wire.canonical import joined
from wire.sealing import SEAL_KEY_BYTES, SEAL_NONCE_BYTES, open_seal, seal, seal_many

RandomBytes = Callable[[int], bytes]
"""So many bytes from the system's generator (`secrets.token_bytes`)."""

DEVICE_KEY_FILE = "device.key"
_OWNER_ONLY = 0o600
_ROW = b"stile kiosk row v1"
_DEVICE_KEY_VERSION = 1


def write_secret(path: Path, secret: bytes) -> None:
    """Write a secret with mode 600, whole or not at all; durable on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_secret(path: Path, remedy: str) -> bytes:
    """Read a secret; raises `StoreError` if it is not there or others may read it."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise StoreError(
                f"{path} has mode {mode:o}, so others on this machine may read it: run `chmod 600 {path}`, "
                "and pair this kiosk anew if anybody may have"
            )
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): {remedy}") from error


class RowSealer:
    """Seals rows of the kiosk's databases with its device key; a row opens only as what it was sealed as."""

    def __init__(self, device_key: bytes, random_bytes: RandomBytes) -> None:
        if len(device_key) != SEAL_KEY_BYTES:
            raise StoreError(
                f"{DEVICE_KEY_FILE} holds {len(device_key)} bytes, not {SEAL_KEY_BYTES}: pair this kiosk anew"
            )
        self._keys = {_DEVICE_KEY_VERSION: device_key}
        self.random_bytes = random_bytes

    def seal(self, plain: bytes, *names: str) -> bytes:
        """Seal a row under the names of what it is."""
        nonce = self.random_bytes(SEAL_NONCE_BYTES)
        return seal(self._keys[_DEVICE_KEY_VERSION], _DEVICE_KEY_VERSION, nonce, plain, self._binding(names))

    def seal_all(self, kind: str, names: Sequence[str], rows: Sequence[bytes]) -> list[bytes]:
        """Seal many rows, each under `kind` and its own name."""
        opening = joined(_ROW, kind.encode())
        bindings = [opening + joined(name.encode()) for name in names]
        return seal_many(
            self._keys[_DEVICE_KEY_VERSION],
            _DEVICE_KEY_VERSION,
            self.random_bytes(SEAL_NONCE_BYTES * len(rows)),
            rows,
            bindings,
        )

    def open(self, sealed: bytes, *names: str) -> bytes:
        """Open a row that was sealed under the same names; raises `wire.errors.SealBrokenError`."""
        return open_seal(self._keys, sealed, self._binding(names))

    def digest(self, *names: str) -> str:
        """A name that stands for a row's own, and tells nothing without the device key."""
        key = self._keys[_DEVICE_KEY_VERSION]
        return blake2b(self._binding(names), digest_size=16, key=key).hexdigest()

    @staticmethod
    def _binding(names: tuple[str, ...]) -> bytes:
        return joined(_ROW, *(name.encode() for name in names))
