"""The door to the drivers: a driver's name and options, and a Gate comes back.

A driver's library is imported only where that driver is asked for; a kiosk needs none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firmware_bridge.drivers.own import open_own_gate, read_keys
from firmware_bridge.gate import Gate
from firmware_bridge.messages import CHALLENGE_SIZE


def open_gate(
    driver: str,
    options: Mapping[str, Any],
    *,
    clock_ms: Callable[[], int],
    draw_challenge: Callable[[int], bytes],
) -> Gate:
    """A gate inside a running loop, which need not be there yet.

    `options` are the fields of the driver's wiring; of `own`: id, port, key_file. `draw_challenge` gives so
    many random bytes. Raises GateKeyError, ImportError where the driver's library is missing, and KeyError
    for a driver that is not there.
    """
    match driver:
        case "own":
            keys = read_keys(Path(options["key_file"]), options["id"])
            return open_own_gate(
                options["port"],
                keys,
                clock_ms=clock_ms,
                draw_challenge=lambda: draw_challenge(CHALLENGE_SIZE),
            )
        case "modbus":
            from firmware_bridge.drivers.modbus import ModbusWiring, open_modbus_gate

            return open_modbus_gate(ModbusWiring(**options), clock_ms=clock_ms)
        case "osdp":
            from firmware_bridge.drivers.osdp import OsdpWiring, open_osdp_gate

            return open_osdp_gate(OsdpWiring(**options), clock_ms=clock_ms)
        case "lcus":
            from firmware_bridge.drivers.lcus import LcusWiring, open_lcus_gate

            return open_lcus_gate(LcusWiring(**options), clock_ms=clock_ms)
        case "gpio":
            from firmware_bridge.drivers.gpio import GpioWiring, open_gpio_gate

            return open_gpio_gate(GpioWiring(**options), clock_ms=clock_ms)
        case _:
            raise KeyError(driver)
