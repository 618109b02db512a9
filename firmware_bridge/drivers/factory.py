"""The door to the drivers: a driver's wiring in, and a Gate comes back.

A driver's library is imported only where that driver is asked for; a kiosk needs none of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from firmware_bridge.drivers.own import open_own_gate, read_keys
from firmware_bridge.drivers.wiring import (
    GpioWiring,
    LcusWiring,
    ModbusWiring,
    OsdpWiring,
    OwnWiring,
    Wiring,
)
from firmware_bridge.gate import Gate
from firmware_bridge.messages import CHALLENGE_SIZE


def open_gate(wiring: Wiring, *, clock_ms: Callable[[], int], draw_challenge: Callable[[int], bytes]) -> Gate:
    """A gate inside a running loop, which need not be there yet; `draw_challenge` gives so many random bytes.

    Raises GateKeyError, and ImportError where the driver's library is missing.
    """
    match wiring:
        case OwnWiring():
            keys = read_keys(Path(wiring.key_file), wiring.gate_id)
            return open_own_gate(
                wiring.port, keys, clock_ms=clock_ms, draw_challenge=lambda: draw_challenge(CHALLENGE_SIZE)
            )
        case ModbusWiring():
            from firmware_bridge.drivers.modbus import open_modbus_gate

            return open_modbus_gate(wiring, clock_ms=clock_ms)
        case OsdpWiring():
            from firmware_bridge.drivers.osdp import open_osdp_gate

            return open_osdp_gate(wiring, clock_ms=clock_ms)
        case LcusWiring():
            from firmware_bridge.drivers.lcus import open_lcus_gate

            return open_lcus_gate(wiring, clock_ms=clock_ms)
        case GpioWiring():
            from firmware_bridge.drivers.gpio import open_gpio_gate

            return open_gpio_gate(wiring, clock_ms=clock_ms)
        case _:
            assert_never(wiring)
