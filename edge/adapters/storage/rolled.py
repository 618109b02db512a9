"""Keys that live as long as one snapshot in the cache: rolled with each, and gone with it."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from edge.adapters.storage.keyfile import RandomBytes, RowSealer, write_secret
from edge.errors import StoreError
from wire.errors import SealBrokenError
from wire.sealing import SEAL_KEY_BYTES

_NAME = "rolled keys"


class RolledKeys:
    """A key for each generation of each feed, in a file that is rewritten whole, sealed by the device key.

    Where the file is missing or does not open, its rows do not open either, and central sends them again.
    """

    def __init__(self, path: Path, sealer: RowSealer, random_bytes: RandomBytes) -> None:
        self._path, self._sealer, self._random_bytes = path, sealer, random_bytes
        self._guard = threading.Lock()
        self._keys: dict[str, bytes] = {}
        try:
            sealed = path.read_bytes() if path.exists() else b""
            if sealed:
                self._keys = msgspec.msgpack.decode(sealer.open(sealed, _NAME), type=dict[str, bytes])
        except (OSError, SealBrokenError, msgspec.MsgspecError):
            self._keys = {}

    def roll(self, feed: str, generation: int) -> None:
        """A fresh key for a generation, durable before this returns."""
        with self._guard:
            self._keys[f"{feed} {generation}"] = self._random_bytes(SEAL_KEY_BYTES)
            self._write()

    def keep(self, feed: str, generation: int) -> None:
        """Destroy the keys of every other generation of a feed."""
        with self._guard:
            kept = {
                name: key
                for name, key in self._keys.items()
                if name.partition(" ")[0] != feed or name == f"{feed} {generation}"
            }
            if kept != self._keys:
                self._keys = kept
                self._write()

    def sealer(self, feed: str, generation: int) -> RowSealer | None:
        """What seals and opens rows of a generation; None when its key is gone."""
        key = self._keys.get(f"{feed} {generation}")
        return None if key is None else RowSealer(key, self._random_bytes)

    def _write(self) -> None:
        try:
            write_secret(self._path, self._sealer.seal(msgspec.msgpack.encode(self._keys), _NAME))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written ({error.strerror}): free some space") from error
