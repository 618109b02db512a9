"""Bytes on the line <-> frames: COBS, CRC-16/CCITT, and the header every frame has. PROTOCOL.md 2."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

# "The first byte of a frame is the protocol version, 1, and the last two are the CRC, in every version."
PROTOCOL_VERSION = 1

# "Frames are separated by the byte 0x00; a sender puts one before and one after every frame."
DELIMITER = b"\x00"

# "A body has at most 48 bytes."
BODY_MAX = 48

# "The MAC has 8 bytes."
MAC_SIZE = 8

# "The CRC is CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, not reflected, no final XOR."
CRC_INITIAL = 0xFFFF

# "Boot id and counter are unsigned 32-bit numbers that never wrap."
COUNTER_MAX = 0xFFFF_FFFF

_HEADER = struct.Struct("<BBIIB")
_CRC = struct.Struct("<H")
HEADER_SIZE = _HEADER.size
FRAME_MIN = HEADER_SIZE + MAC_SIZE + _CRC.size
FRAME_MAX = FRAME_MIN + BODY_MAX
ENCODED_MAX = FRAME_MAX + 1
"""COBS adds one byte to anything under 254."""


class Heading(IntEnum):
    """The frame's direction field: who it is for."""

    TO_CONTROLLER = 0
    TO_HOST = 1


class IgnoredBecause(StrEnum):
    """Why a frame was counted and ignored, in the order in which a receiver looks."""

    FRAMING = "framing"
    CRC = "crc"
    VERSION = "version"
    DIRECTION = "direction"
    MAC = "mac"
    BOOT = "boot"
    COUNTER = "counter"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that does nothing; `version` is set where another protocol version is the reason."""

    because: IgnoredBecause
    version: int | None = None


@dataclass(frozen=True, slots=True)
class LineFrame:
    """One frame of this protocol version."""

    heading: Heading
    boot_id: int
    counter: int
    type: int
    body: bytes
    mac: bytes = bytes(MAC_SIZE)

    def signed_bytes(self) -> bytes:
        """What the MAC covers: version, direction, boot id, counter, type and body as on the line."""
        return _HEADER.pack(PROTOCOL_VERSION, self.heading, self.boot_id, self.counter, self.type) + self.body


def encode(frame: LineFrame) -> bytes:
    """The frame as it goes on the line, delimiters included."""
    plain = frame.signed_bytes() + frame.mac
    checked = plain + _CRC.pack(binascii.crc_hqx(plain, CRC_INITIAL))
    return DELIMITER + cobs_encoded(checked) + DELIMITER


def decode(packet: bytes) -> LineFrame | Ignored:
    """One packet between delimiters -> its frame, or why it is ignored; never raises."""
    if len(packet) > ENCODED_MAX:
        return Ignored(IgnoredBecause.FRAMING)
    checked = cobs_decoded(packet)
    if checked is None or len(checked) < FRAME_MIN:
        return Ignored(IgnoredBecause.FRAMING)
    plain, (crc,) = checked[: -_CRC.size], _CRC.unpack(checked[-_CRC.size :])
    if binascii.crc_hqx(plain, CRC_INITIAL) != crc:
        return Ignored(IgnoredBecause.CRC)
    version, heading, boot_id, counter, kind = _HEADER.unpack_from(plain)
    if version != PROTOCOL_VERSION:
        return Ignored(IgnoredBecause.VERSION, version)
    if heading not in (Heading.TO_CONTROLLER, Heading.TO_HOST):
        return Ignored(IgnoredBecause.DIRECTION)
    return LineFrame(
        Heading(heading), boot_id, counter, kind, plain[HEADER_SIZE:-MAC_SIZE], plain[-MAC_SIZE:]
    )


def cobs_encoded(plain: bytes) -> bytes:
    """COBS of fewer than 254 bytes, which no run outgrows."""
    return b"".join(bytes([len(run) + 1]) + run for run in plain.split(DELIMITER))


def cobs_decoded(packet: bytes) -> bytes | None:
    """What at most 254 bytes of COBS stand for; None if they are not COBS."""
    runs, at = [], 0
    while at < len(packet):
        end = at + packet[at]
        if end == at or end > len(packet) or DELIMITER in packet[at:end]:
            return None
        runs.append(packet[at + 1 : end])
        at = end
    return DELIMITER.join(runs)


class FrameReader:
    """Cuts a stream of bytes into packets; holds at most one packet, whatever arrives."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._overlong = False

    def feed(self, received: bytes) -> Iterator[LineFrame | Ignored]:
        """Frames and ignored packets completed by these bytes, in order."""
        *complete, rest = received.split(DELIMITER)
        for piece in complete:
            self._extend(piece)
            if self._overlong:
                yield Ignored(IgnoredBecause.FRAMING)
            elif self._partial:
                yield decode(bytes(self._partial))
            self.reset()
        self._extend(rest)

    def reset(self) -> None:
        """Forget a half-received packet: the port was opened anew."""
        self._partial.clear()
        self._overlong = False

    def _extend(self, piece: bytes) -> None:
        # Garbage without a delimiter must not grow the buffer.
        if len(self._partial) + len(piece) > ENCODED_MAX:
            self._overlong = True
            self._partial.clear()
        elif not self._overlong:
            self._partial += piece
