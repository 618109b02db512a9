"""The gate of a kiosk that has none: always well, and never opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from firmware_bridge.gate import (
    GateCapabilities,
    GateEvent,
    GateFault,
    GateInputs,
    GateRelease,
    GateStatus,
    LinkStatus,
    Mode,
    RefusedBecause,
    ReleaseOutcome,
    ReleaseRefused,
)

_NOTHING = GateCapabilities(
    reports_passage=False,
    authenticated=False,
    replay_proof=False,
    confirms_commands=False,
    expires_commands=False,
    closes_without_host=False,
    life_safety_in_firmware=False,
    exit_without_host=False,
)
_STATE = GateStatus(
    capabilities=_NOTHING,
    link=LinkStatus.UP,
    trouble=None,
    mode=Mode.LOCKED,
    fault=GateFault.NONE,
    inputs=GateInputs(),
    entry_unlocked=False,
    exit_unlocked=False,
    boot_id=None,
    uptime_ms=None,
    ignored={},
)


class NoGate:
    """Fulfils `firmware_bridge.gate.Gate` where there is nothing to open."""

    async def release(self, release: GateRelease) -> ReleaseOutcome:
        """Refuse."""
        return ReleaseRefused(RefusedBecause.UNSUPPORTED)

    async def events(self) -> AsyncIterator[GateEvent]:
        """Nothing ever happens."""
        never: tuple[GateEvent, ...] = ()
        await asyncio.Event().wait()
        for event in never:
            yield event

    def state(self) -> GateStatus:
        """All is well."""
        return _STATE

    async def close(self) -> None:
        """Nothing is open."""
