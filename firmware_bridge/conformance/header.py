"""`gate_protocol.h`, written from the one table of the gate protocol: `messages.py`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, IntFlag
from pathlib import Path

import firmware_bridge
from firmware_bridge import auth, frame, messages

FIRMWARE = Path(firmware_bridge.__file__).parent / "firmware"
HEADER = FIRMWARE / "gate_protocol.h"


def header_text() -> str:
    """The whole of `gate_protocol.h` for this release's table."""
    return "\n".join(["\n\n".join("\n".join(part) for part in _parts()), ""])


def _parts() -> Iterator[list[str]]:
    yield [
        "/* The gate protocol's tables; PROTOCOL.md is normative.",
        " * Generated from firmware_bridge/messages.py by `stile gate header`: change that, not this. */",
    ]
    yield ["#ifndef GATE_PROTOCOL_H", "#define GATE_PROTOCOL_H"]
    digest = ", ".join(f"0x{byte:02x}" for byte in messages.protocol_hash())
    yield [
        _define("PROTOCOL_VERSION", frame.PROTOCOL_VERSION),
        _define("PROTOCOL_HASH", "{" + digest + "}"),
        _define("HASH_SIZE", len(messages.protocol_hash())),
        _define("LINE_KEY_SIZE", auth.LINE_KEY_SIZE),
        _define("MAC_SIZE", frame.MAC_SIZE),
        _define("HEADER_SIZE", frame.HEADER_SIZE),
        _define("BODY_MAX", frame.BODY_MAX),
        _define("FRAME_MIN", frame.FRAME_MIN),
        _define("FRAME_MAX", frame.FRAME_MAX),
        _define("ENCODED_MAX", frame.ENCODED_MAX),
        _define("TO_CONTROLLER", int(frame.Heading.TO_CONTROLLER)),
        _define("TO_HOST", int(frame.Heading.TO_HOST)),
    ]
    yield (
        ["/* Why a frame is ignored, in the order in which a receiver looks. */"]
        + [_define(f"IGNORED_{because.name}", number) for number, because in enumerate(frame.IgnoredBecause)]
        + [_define("IGNORED_COUNT", len(frame.IgnoredBecause))]
    )
    yield ["/* Limits. */"] + [_define(name, value) for name, value in messages.LIMITS.items()]
    for name, codes in messages.CODES:
        yield _codes(name, codes)
    yield ["/* Messages: type, body size, and where each field begins in the body. */"] + [
        line for row in messages.TABLE for line in _message(row)
    ]
    yield ["#endif"]


def _codes(name: str, codes: type[IntEnum | IntFlag]) -> list[str]:
    prefix = name.removesuffix("s").upper()
    lines = [f"/* {(codes.__doc__ or '').splitlines()[0]} */"]
    lines += [_define(f"{prefix}_{code.name}", code.value) for code in codes]
    return [*lines, _define(f"{prefix}_CODES", len(codes))]


def _message(row: messages.MessageRow) -> Iterator[str]:
    yield _define(row.name, f"0x{row.code:02x}")
    yield _define(f"{row.name}_SIZE", row.layout.size)
    at = 0
    for name, letter in row.fields:
        yield _define(f"{row.name}_{name.upper()}_AT", at)
        at += int(letter[:-1]) if letter.endswith("s") else {"B": 1, "H": 2, "I": 4}[letter]


def _define(name: str, value: object) -> str:
    return f"#define GATE_{name} {value}"
