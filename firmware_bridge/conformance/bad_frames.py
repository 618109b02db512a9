"""A genuine RELEASE made bad in one named way, for the conformance suite."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from firmware_bridge.auth import GateKeys, seal
from firmware_bridge.conformance.rig import ConformanceRig
from firmware_bridge.frame import CRC_INITIAL, ENCODED_MAX, Heading, LineFrame, cobs_encoded, encode
from firmware_bridge.messages import Heartbeat, Release, encode_body

# Where things are in a frame before COBS, PROTOCOL.md 2.
_VERSION_AT, _DIRECTION_AT, _COUNTER_AT = 0, 1, 6


def bad_frame(kind: str, rig: ConformanceRig, release: Release) -> bytes:
    """Bytes for the line; raises KeyError for a kind that is none."""
    rig.counter += 1
    return _KINDS[kind](rig, rig.frame(release, rig.counter))


def _checked(plain: bytes) -> bytes:
    """Header, body and MAC with the CRC made right, on the line."""
    crc = struct.pack("<H", binascii.crc_hqx(plain, CRC_INITIAL))
    return b"\x00" + cobs_encoded(plain + crc) + b"\x00"


def _plain(rig: ConformanceRig, frame: LineFrame) -> bytearray:
    sealed = seal(frame, rig.keys)
    return bytearray(sealed.signed_bytes() + sealed.mac)


def _flipped(at: int) -> Callable[[ConformanceRig, LineFrame], bytes]:
    def flip(rig: ConformanceRig, frame: LineFrame) -> bytes:
        plain = _plain(rig, frame)
        plain[at] ^= 1
        return _checked(bytes(plain))

    return flip


def _as(**fields: object) -> Callable[[ConformanceRig, LineFrame], bytes]:
    def other(rig: ConformanceRig, frame: LineFrame) -> bytes:
        return encode(seal(replace(frame, **fields), rig.keys))  # type: ignore[arg-type]

    return other


def _replayed(rig: ConformanceRig, frame: LineFrame) -> bytes:
    # Its counter is taken by a heartbeat first, as by the copy that was obeyed.
    code, body = encode_body(Heartbeat(3))
    first = replace(frame, type=code, body=body)
    return encode(seal(first, rig.keys)) + encode(seal(frame, rig.keys))


def _flipped_bit(rig: ConformanceRig, frame: LineFrame) -> bytes:
    wire = bytearray(encode(seal(frame, rig.keys)))
    # Within the passage id, where no flip makes or takes away a zero.
    at = wire.index(99)
    wire[at] ^= 4
    return bytes(wire)


def _signed_with(keys: Callable[[ConformanceRig], GateKeys]) -> Callable[[ConformanceRig, LineFrame], bytes]:
    def sign(rig: ConformanceRig, frame: LineFrame) -> bytes:
        return encode(seal(frame, keys(rig)))

    return sign


_KINDS: Final[dict[str, Callable[[ConformanceRig, LineFrame], bytes]]] = {
    "replayed": _replayed,
    "lower_counter": _as(counter=1),
    "other_boot": lambda rig, frame: _as(boot_id=rig.boot_id - 1)(rig, frame),
    "boot_zero": _as(boot_id=0),
    "other_key": _signed_with(lambda rig: GateKeys(bytes([77]) * 16, rig.keys.to_host)),
    "other_direction_key": _signed_with(lambda rig: GateKeys(rig.keys.to_host, rig.keys.to_controller)),
    "flipped_mac": _flipped(-1),
    "raised_counter": _flipped(_COUNTER_AT + 2),
    "flipped_bit": _flipped_bit,
    "truncated": lambda rig, frame: encode(seal(frame, rig.keys))[:20] + b"\x00",
    "overlong": lambda rig, frame: b"\x01" * (ENCODED_MAX + 1) + b"\x00",
    "not_cobs": lambda rig, frame: b"\xfe" + encode(seal(frame, rig.keys))[1:],
    "other_version": _flipped(_VERSION_AT),
    "other_direction": lambda rig, frame: _with_direction(rig, frame, 2),
    "to_host": _as(heading=Heading.TO_HOST),
    "unknown_type": _as(type=0x05),
    "wrong_size": lambda rig, frame: _as(body=frame.body + b"\x00")(rig, frame),
    "wrong_code": lambda rig, frame: _as(body=frame.body[:-1] + b"\x02")(rig, frame),
}


def _with_direction(rig: ConformanceRig, frame: LineFrame, direction: int) -> bytes:
    plain = _plain(rig, frame)
    plain[_DIRECTION_AT] = direction
    return _checked(bytes(plain))
