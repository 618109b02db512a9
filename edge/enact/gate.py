"""Section `gate`: which driver opens it, and where that driver finds its device."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.drivers.wiring import (
    GpioWiring,
    LcusWiring,
    ModbusWiring,
    OsdpWiring,
    OwnWiring,
    Path,
    Wiring,
)
from wire.ids import SLUG_PATTERN

Driver = Literal["own", "modbus", "osdp", "lcus", "gpio"]


class GateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `gate`: Stile's own controller by serial port and key file, or another driver's section."""

    id: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    port: Path | None = None
    key_file: Path | None = None
    driver: Driver = "own"
    modbus: ModbusWiring | None = None
    osdp: OsdpWiring | None = None
    lcus: LcusWiring | None = None
    gpio: GpioWiring | None = None

    @property
    def wiring(self) -> Wiring:
        """What the driver is given."""
        own = OwnWiring(self.id, self.port or "", self.key_file or "")
        return self.modbus or self.osdp or self.lcus or self.gpio or own

    def complaint(self) -> tuple[str, str] | None:
        """The key that does not fit the driver, and what is to be done; None where all do."""
        sections = {"modbus": self.modbus, "osdp": self.osdp, "lcus": self.lcus, "gpio": self.gpio}
        for name, wiring in sections.items():
            if wiring is not None and self.driver != name:
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
        if not self.wiring.relays:
            return self.driver, "no relay is wired: give one for entry, for exit, or for both"
        return None
