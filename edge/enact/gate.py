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

    def complaint(self) -> tuple[str, str, str] | None:
        """What does not fit the driver: section, key, and the rest of a sentence about them."""
        sections = {"modbus": self.modbus, "osdp": self.osdp, "lcus": self.lcus, "gpio": self.gpio}
        for name, wiring in sections.items():
            if wiring is not None and self.driver != name:
                read = f'is only read when gate.driver = "{name}", but it is "{self.driver}"'
                return f"gate.{name}", "", f"{read}. Change gate.driver, or delete the section."
        for key, given in (("port", self.port), ("key_file", self.key_file)):
            if self.driver == "own" and given is None:
                return "gate", key, 'is missing, and gate.driver = "own" needs it'
            if self.driver != "own" and given is not None:
                read = f'is only read when gate.driver = "own", but it is "{self.driver}"'
                return "gate", key, f"{read}. Move it to [gate.{self.driver}], or delete it."
        if self.driver != "own" and sections[self.driver] is None:
            return "gate", "driver", f'is "{self.driver}", but [gate.{self.driver}] is missing. Add it.'
        if not self.wiring.relays:
            return f"gate.{self.driver}", "", "wires no relay: give one for entry, for exit, or for both"
        return None
