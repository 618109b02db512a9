"""Section `gate`: which driver opens it, and where that driver finds its device."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wire.ids import SLUG_PATTERN

Path = Annotated[str, Meta(min_length=1, max_length=1024)]
Driver = Literal["own", "modbus", "osdp", "lcus", "gpio"]
Address = Annotated[int, Meta(ge=0, le=65_535)]
Baud = Literal[9_600, 19_200, 38_400, 57_600, 115_200, 230_400]
Line = Annotated[int, Meta(ge=0, le=1_023)]
Channel = Annotated[int, Meta(ge=1, le=16)]


class ModbusOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.modbus`: a Modbus RTU relay board; addresses from 0, left out where nothing is wired."""

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
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return self.beam_a_input is not None and self.beam_b_input is not None


class OsdpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.osdp`: a reader's outputs, over a secure channel."""

    port: Path
    key_file: Path
    address: Annotated[int, Meta(ge=0, le=126)] = 101
    baud: Baud = 9_600
    entry_output: Annotated[int, Meta(ge=0, le=15)] | None = 0
    exit_output: Annotated[int, Meta(ge=0, le=15)] | None = None


class LcusOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.lcus`: a USB relay board of four-byte commands; channels from 1."""

    port: Path
    entry_channel: Channel | None = 1
    exit_channel: Channel | None = None


class GpioOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate.gpio`: lines of this computer's own chip, left out where nothing is wired."""

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
    def beams(self) -> bool:
        """Whether a passage can be told."""
        return self.beam_a_line is not None and self.beam_b_line is not None


class GateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate`: Stile's own controller by serial port and key file, or another driver's section."""

    id: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    port: Path | None = None
    key_file: Path | None = None
    driver: Driver = "own"
    modbus: ModbusOptions | None = None
    osdp: OsdpOptions | None = None
    lcus: LcusOptions | None = None
    gpio: GpioOptions | None = None

    @property
    def where(self) -> str:
        """What a technician looks for."""
        if self.gpio is not None:
            return self.gpio.chip
        options = self.modbus or self.osdp or self.lcus
        return (self.port if options is None else options.port) or ""

    @property
    def reports_passage(self) -> bool:
        """Whether the gate as configured tells who went through from who did not."""
        beams = (self.modbus is not None and self.modbus.beams) or (self.gpio is not None and self.gpio.beams)
        return self.driver == "own" or beams

    def complaint(self) -> tuple[str, str] | None:
        """The key that does not fit the driver, and what is to be done; None where all do."""
        sections = {"modbus": self.modbus, "osdp": self.osdp, "lcus": self.lcus, "gpio": self.gpio}
        for name, options in sections.items():
            if options is not None and self.driver != name:
                return (
                    name,
                    f'there with gate.driver = "{self.driver}": set it to "{name}", or leave this out',
                )
        for key, given in (("port", self.port), ("key_file", self.key_file)):
            if self.driver == "own" and given is None:
                return key, 'missing, and gate.driver = "own" needs it'
            if self.driver != "own" and given is not None:
                return key, f'of Stile\'s own controller: with "{self.driver}" it goes to gate.{self.driver}'
        if self.driver != "own" and sections[self.driver] is None:
            return "driver", f"give its section, [gate.{self.driver}]"
        if self.ways == (None, None):
            return self.driver, "no relay is wired: give one for entry, for exit, or for both"
        return None

    @property
    def ways(self) -> tuple[int | None, int | None]:
        """The relays for entry and exit as this driver counts them; of Stile's own controller always both."""
        if self.modbus is not None:
            return self.modbus.entry_coil, self.modbus.exit_coil
        if self.osdp is not None:
            return self.osdp.entry_output, self.osdp.exit_output
        if self.lcus is not None:
            return self.lcus.entry_channel, self.lcus.exit_channel
        if self.gpio is not None:
            return self.gpio.entry_line, self.gpio.exit_line
        return 0, 1
