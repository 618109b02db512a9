"""Which records go first when a kiosk has no room for all it could not send; payments and denials never."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from wire.records import GateOutcome, PassRecord


class RecordsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `records`: the room that records waiting for central may take, in megabytes (10^6 bytes)."""

    max_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    """Some 150,000 passages: a week without central at a gate that twenty thousand go through a day."""


def drop_rank(record: PassRecord) -> int | None:
    """Lower goes first; None never goes: it is money, or somebody was refused and may contest it."""
    if record.verdict == "deny" or record.restriction is not None or _is_money(record):
        return None
    if record.identified_by is None:
        return 0
    if record.verdict != "grant":
        return 1
    if record.gate_outcome not in {GateOutcome.PASSED, GateOutcome.UNOBSERVED}:
        return 2
    return 3


def _is_money(record: PassRecord) -> bool:
    """Whether central was, or may have been, asked to charge: nobody is who has not agreed."""
    return record.charge is not None and record.charge.agreed_by is not None
