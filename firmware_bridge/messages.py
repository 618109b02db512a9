"""The one table of the gate protocol: messages, codes, timings; `gate_protocol.h` is generated from it."""

from __future__ import annotations

from enum import IntEnum
from typing import NewType

PassageId = NewType("PassageId", bytes)
"""One attempt at a gate, 16 bytes, chosen by the host; sixteen zero bytes mean no passage."""

Nonce = NewType("Nonce", bytes)
"""Eight random bytes naming one release; a controller obeys each at most once in a boot."""

BootId = NewType("BootId", int)
"""Which start of the controller a frame belongs to: 32 bits, raised before the port opens, never 0."""


class Direction(IntEnum):
    """Which way a person goes through the gate."""

    ENTRY = 0
    EXIT = 1


class Mode(IntEnum):
    """The controller's state; PROTOCOL.md holds the table of what moves it."""

    LOCKED = 0
    RELEASED = 1
    FREE = 2
    SAFE = 3
    FAULT = 4


class Fault(IntEnum):
    """The first hardware fault since boot; it stays latched until the next boot."""

    NONE = 0
    RELAY = 1
    TAMPER = 2


class Cause(IntEnum):
    """Why an accepted release ended before a passage or its own time limit."""

    FIRE = 1
    EMERGENCY = 2
    FAULT = 3
    HOST_SILENT = 4
    REBOOT = 5
