"""Where each driver finds its gate, and what is wired to it: the sections below `[gate]` in kiosk.toml."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from firmware_bridge.messages import Direction

Path = Annotated[str, Meta(min_length=1, max_length=1024)]
Address = Annotated[int, Meta(ge=0, le=65_535)]
Output = Annotated[int, Meta(ge=0, le=15)]
Channel = Annotated[int, Meta(ge=1, le=16)]
Line = Annotated[int, Meta(ge=0, le=1_023)]
Key = TypeVar("Key")
Baud = Literal[9_600, 19_200, 38_400, 57_600, 115_200, 230_400]


class OwnWiring(msgspec.Struct, frozen=True):
    """Stile's own controller on a serial port; its keys are of the key in `key_file` and of its gate id."""

    gate_id: str
    port: str
    key_file: str

    @property
    def relays(self) -> dict[Direction, int]:
        """The relay of each way; there are always both."""
        return {Direction.ENTRY: 0, Direction.EXIT: 1}

    @property
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return True


class ModbusWiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.modbus`: a Modbus RTU relay board; addresses from 0, left out where nothing is wired.

    `flash_address`: the address of coil 0's flash-on command, where the board has one: function 5 there with
    a count of tenths of a second switches the relay on, and the board itself switches it off.
    """

    port: Path
    unit: Annotated[int, Meta(ge=1, le=247)] = 1
    baud: Baud = 9_600
    parity: Literal["N", "E", "O"] = "N"
    entry_coil: Address | None = 0
    exit_coil: Address | None = None
    flash_address: Address | None = None
    beam_a_input: Address | None = None
    beam_b_input: Address | None = None
    door_input: Address | None = None
    request_to_exit_input: Address | None = None
    fire_input: Address | None = None
    emergency_input: Address | None = None
    inputs_active_low: bool = False

    @property
    def relays(self) -> dict[Direction, int]:
        """The coil of each way that has one."""
        return _wired({Direction.ENTRY: self.entry_coil, Direction.EXIT: self.exit_coil})

    @property
    def inputs(self) -> dict[str, int]:
        """The discrete input of each field of `GateInputs` that is wired."""
        return _wired(
            {
                "beam_a": self.beam_a_input,
                "beam_b": self.beam_b_input,
                "door_open": self.door_input,
                "request_to_exit": self.request_to_exit_input,
                "fire": self.fire_input,
                "emergency": self.emergency_input,
            }
        )

    @property
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return {"beam_a", "beam_b"} <= self.inputs.keys()


class OsdpWiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.osdp`: a reader's outputs, over a secure channel.

    `key_file`: of mode 600, the secure channel base key in 32 hexadecimal digits.
    """

    port: Path
    key_file: Path
    address: Annotated[int, Meta(ge=0, le=126)] = 101
    baud: Baud = 9_600
    entry_output: Output | None = 0
    exit_output: Output | None = None

    @property
    def relays(self) -> dict[Direction, int]:
        """The output of each way that has one."""
        return _wired({Direction.ENTRY: self.entry_output, Direction.EXIT: self.exit_output})

    @property
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return False


class LcusWiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.lcus`: a USB relay board of four-byte commands; channels from 1."""

    port: Path
    entry_channel: Channel | None = 1
    exit_channel: Channel | None = None

    @property
    def relays(self) -> dict[Direction, int]:
        """The channel of each way that has one."""
        return _wired({Direction.ENTRY: self.entry_channel, Direction.EXIT: self.exit_channel})

    @property
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return False


class GpioWiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.gpio`: lines of this computer's chip as `gpioinfo` counts them; left out: not wired."""

    entry_line: Line | None = None
    chip: Path = "/dev/gpiochip0"
    exit_line: Line | None = None
    relays_active_low: bool = False
    beam_a_line: Line | None = None
    beam_b_line: Line | None = None
    door_line: Line | None = None
    request_to_exit_line: Line | None = None
    fire_line: Line | None = None
    emergency_line: Line | None = None
    inputs_active_low: bool = True
    inputs_pull: Literal["none", "up", "down"] = "up"

    @property
    def port(self) -> str:
        """The chip, which is where this gate is."""
        return self.chip

    @property
    def relays(self) -> dict[Direction, int]:
        """The line of each way that has one."""
        return _wired({Direction.ENTRY: self.entry_line, Direction.EXIT: self.exit_line})

    @property
    def inputs(self) -> dict[str, int]:
        """The line of each field of `GateInputs` that is wired."""
        return _wired(
            {
                "beam_a": self.beam_a_line,
                "beam_b": self.beam_b_line,
                "door_open": self.door_line,
                "request_to_exit": self.request_to_exit_line,
                "fire": self.fire_line,
                "emergency": self.emergency_line,
            }
        )

    @property
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return {"beam_a", "beam_b"} <= self.inputs.keys()


Wiring = OwnWiring | ModbusWiring | OsdpWiring | LcusWiring | GpioWiring


def _wired(places: dict[Key, int | None]) -> dict[Key, int]:
    return {key: place for key, place in places.items() if place is not None}
