"""What the bridge raises.

GateError
├── BoardError            a board of relays does not answer, or not as configured
├── GateKeyError          a gate key or gate id that cannot be used
├── MessageBoundError     a message this program built with a field out of bounds
└── PortUnavailableError  the serial port cannot be opened, or is gone

Whatever arrives on the line is never an exception: it is counted and ignored (`frame.Ignored`).
"""

from __future__ import annotations


class GateError(Exception):
    """Root of what the bridge raises."""


class GateKeyError(GateError):
    """A gate key or gate id that cannot be used."""

    def __init__(self, field: str, found: str, bound: str) -> None:
        super().__init__(f"gate {field} is {found}, but must be {bound}: correct it, or make one anew")
        self.field = field


class BoardError(GateError):
    """A board of relays does not answer, or not as configured."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"board on {where}: {why}")


class MessageBoundError(GateError):
    """A message this program built with a field out of bounds."""

    def __init__(self, message: str, field: str, found: object, bound: str) -> None:
        super().__init__(f"{message}.{field} is {found!r}, but must be {bound}")
        self.message = message
        self.field = field


class PortUnavailableError(GateError):
    """The serial port cannot be opened, or is gone."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"serial port {path}: {why}")
        self.path = path
        self.why = why
