"""What each driver can guarantee; docs/gates.md has the same table, and a test for every yes."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from firmware_bridge.gate import GateCapabilities

_NOTHING: Final = GateCapabilities(
    reports_passage=False,
    authenticated=False,
    replay_proof=False,
    confirms_commands=False,
    expires_commands=False,
    closes_without_host=False,
    life_safety_in_firmware=False,
    exit_without_host=False,
)

CAPABILITIES: Final = MappingProxyType(
    {
        "own": GateCapabilities(
            reports_passage=True,
            authenticated=True,
            replay_proof=True,
            confirms_commands=True,
            expires_commands=True,
            closes_without_host=True,
            life_safety_in_firmware=True,
            exit_without_host=True,
        ),
        "modbus": replace(_NOTHING, confirms_commands=True),
        "osdp": replace(
            _NOTHING, authenticated=True, replay_proof=True, confirms_commands=True, closes_without_host=True
        ),
        "lcus": _NOTHING,
        "gpio": _NOTHING,
    }
)
"""By driver, without its options."""

WITH_BEAMS: Final = frozenset({"modbus", "gpio"})
"""Drivers that report passages once both beams are configured."""

WITH_FLASH: Final = frozenset({"modbus"})
"""Drivers whose board ends an opening itself once its flash-on command is configured."""


def capabilities_of(driver: str, *, beams: bool = False, flash: bool = False) -> GateCapabilities:
    """What a driver guarantees as configured; raises KeyError for a driver that is not there."""
    return replace(
        CAPABILITIES[driver],
        reports_passage=CAPABILITIES[driver].reports_passage or (beams and driver in WITH_BEAMS),
        closes_without_host=CAPABILITIES[driver].closes_without_host or (flash and driver in WITH_FLASH),
    )
