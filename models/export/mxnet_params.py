"""Reads MXNet's `.params`: named float32 arrays, as `mx.nd.save` writes them (version 2 arrays, dense)."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import GraphError

LIST_MAGIC: Final = 0x112
ARRAY_MAGIC: Final = 0xF993FAC9
DENSE: Final = 0
FLOAT32: Final = 0

MAX_ARRAYS: Final = 10_000
MAX_NAME_BYTES: Final = 500
MAX_AXES: Final = 8


def read_mxnet_params(content: bytes) -> dict[str, NDArray[np.float32]]:
    """Name (without its `arg:` or `aux:`) to array; raises `GraphError` for anything else or left over."""
    try:
        return _Reader(content).arrays()
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise GraphError("the MXNet parameters", f"they are not whole ({error})") from error


class _Reader:
    """A position in the file."""

    def __init__(self, content: bytes) -> None:
        self._content, self._position = content, 0

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Every array by its name."""
        if self._numbers("QQ") != (LIST_MAGIC, 0):
            raise ValueError("they do not begin as such a file does")
        values = [self._array() for _ in range(self._count())]
        names = [self._name() for _ in range(self._count())]
        if len(names) != len(values) or len(set(names)) != len(names):
            raise ValueError(f"{len(values)} arrays have {len(set(names))} names")
        if self._position != len(self._content):
            raise ValueError(f"{len(self._content) - self._position} bytes are left over")
        return dict(zip(names, values, strict=True))

    def _numbers(self, kinds: str) -> tuple[int, ...]:
        layout = struct.Struct(f"<{kinds}")
        found = layout.unpack_from(self._content, self._position)
        self._position += layout.size
        return found

    def _count(self) -> int:
        (count,) = self._numbers("Q")
        if count > MAX_ARRAYS:
            raise ValueError(f"{count} arrays are more than {MAX_ARRAYS}")
        return count

    def _array(self) -> NDArray[np.float32]:
        magic, storage, axes = self._numbers("IiI")
        if magic != ARRAY_MAGIC or storage != DENSE or axes > MAX_AXES:
            raise ValueError("an array is not of the dense kind")
        shape = self._numbers(f"{axes}q")
        _, _, kind = self._numbers("iii")
        if kind != FLOAT32 or any(size < 0 for size in shape):
            raise ValueError("an array is not float32")
        size = 4
        for each in shape:
            size *= each
        raw = self._content[self._position : self._position + size]
        if len(raw) != size:
            raise ValueError("an array reaches past the end")
        self._position += size
        return np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)

    def _name(self) -> str:
        (length,) = self._numbers("Q")
        raw = self._content[self._position : self._position + length]
        if length > MAX_NAME_BYTES or len(raw) != length:
            raise ValueError("a name reaches past the end")
        self._position += length
        return raw.decode("utf-8").partition(":")[2]
