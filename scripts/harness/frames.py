"""MQTT frames as far as a broker that means ill needs them: cut out, and copied without acknowledgement."""

from __future__ import annotations

from dataclasses import dataclass

CONNECT, PUBLISH, PUBACK = 1, 3, 4
"""Packet types, in the high half of a frame's first byte."""
_QOS_MASK = 0b0110
_LENGTH_BYTES_MAX = 4


class FrameError(ValueError):
    """Bytes that are no MQTT frame."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a PUBLISH frame says. `rest` are its properties (MQTT 5) and payload."""

    topic: str
    qos: int
    retained: bool
    packet_id: bytes
    rest: bytes


def take_frames(buffer: bytearray) -> list[bytes]:
    """Take every whole frame off the front of `buffer`; raises `FrameError`."""
    frames: list[bytes] = []
    while (end := _frame_end(buffer)) is not None:
        frames.append(bytes(buffer[:end]))
        del buffer[:end]
    return frames


def _frame_end(buffer: bytearray) -> int | None:
    length = 0
    for place in range(_LENGTH_BYTES_MAX):
        if len(buffer) < place + 2:
            return None
        byte = buffer[place + 1]
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            end = place + 2 + length
            return end if len(buffer) >= end else None
    raise FrameError("a frame's length takes at most four bytes")


def packet_type(frame: bytes) -> int:
    """The type of a frame."""
    return frame[0] >> 4


def _body(frame: bytes) -> bytes:
    place = 1
    while frame[place] & 0x80:
        place += 1
    return frame[place + 1 :]


def protocol_level(connect: bytes) -> int:
    """Of a CONNECT frame: 4 is MQTT 3.1.1, 5 is MQTT 5."""
    body = _body(connect)
    return body[2 + int.from_bytes(body[:2])]


def published(frame: bytes) -> Published:
    """A PUBLISH frame's content."""
    body = _body(frame)
    qos = (frame[0] & _QOS_MASK) >> 1
    length = int.from_bytes(body[:2])
    topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
    packet_id, rest = (rest[:2], rest[2:]) if qos else (b"", rest)
    return Published(topic, qos, bool(frame[0] & 1), packet_id, rest)


def unacknowledged(frame: bytes, topic: str | None = None, *, retained: bool = False) -> bytes:
    """A PUBLISH frame again, at QoS 0 and so without an identifier; on another topic, if one is given."""
    said = published(frame)
    name = (said.topic if topic is None else topic).encode()
    return _framed((PUBLISH << 4) | int(retained), len(name).to_bytes(2) + name + said.rest)


def acknowledgement(packet_id: bytes) -> bytes:
    """The PUBACK of a PUBLISH frame."""
    return bytes((0x40, 0x02)) + packet_id


def _framed(first: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, byte = divmod(left, 128)
        length.append(byte | (0x80 if left else 0))
        if not left:
            return bytes((first,)) + bytes(length) + body
