"""The one byte form of a value that is signed, hashed or chained."""

from __future__ import annotations

import struct

import msgspec

_LENGTH = struct.Struct(">I").pack
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def canonical(value: object) -> bytes:
    """Encode a wire value as MessagePack with fields in order; equal values give equal bytes."""
    return _ENCODER.encode(value)


def joined(*parts: bytes) -> bytes:
    """Join parts, each behind its length (u32, big-endian): no two lists of parts give the same bytes."""
    joined_parts: list[bytes] = []
    for part in parts:  # a loop, since every sealed row comes here: half the time of a generator
        joined_parts += (_LENGTH(len(part)), part)
    return b"".join(joined_parts)
