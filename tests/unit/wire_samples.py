"""Valid wire values for tests to vary."""

from __future__ import annotations

from typing import Any

from wire.ids import BootId, GateId, KioskId, PassageId, Purpose, ReasonCode, RecordId, SubjectId
from wire.records import (
    Comparison,
    GateOutcome,
    IdentifiedBy,
    PassRecord,
    RecordedCircumstances,
    StandingUsed,
)

SUBJECT = SubjectId("5" * 32)


def circumstances(**changes: Any) -> RecordedCircumstances:
    """A member in good standing at a ready gate."""
    fields: dict[str, Any] = {
        "emergency": False,
        "gate": "ready",
        "membership": "active",
        "identification": "match",
        "liveness": "not_asked",
        "restriction": "none",
        "age": "fresh",
        "tier": "standard",
        "second_factor": "not_given",
        "payment": "none",
        "central_answers": True,
    }
    return RecordedCircumstances(**{**fields, **changes})


def pass_record(kiosk: KioskId, number: int = 1, **changes: Any) -> PassRecord:
    """A granted passage; `number` makes its ids."""
    fields: dict[str, Any] = {
        "record_id": RecordId(f"{number:032x}"),
        "passage": PassageId(f"{number:032x}"),
        "kiosk": kiosk,
        "gate": GateId("north-1"),
        "purpose": Purpose("ride"),
        "boot_id": BootId("b" * 32),
        "started_at_ms": 1000 * number,
        "decided_at_ms": 1000 * number + 120,
        "settled_at_ms": 1000 * number + 900,
        "clock_sure": True,
        "identified_by": IdentifiedBy.FACE,
        "subject": SUBJECT,
        "verdict": "grant",
        "reasons": (ReasonCode("tier_standard"),),
        "circumstances": circumstances(),
        "gate_outcome": GateOutcome.PASSED,
        "lane": ReasonCode("standard"),
        "comparison": Comparison(0.97, 0.95, "a" * 64, "b" * 64),
        "standing": StandingUsed(1, 1, 900, 9000, 100, 500, 5000, 2000, 0),
    }
    return PassRecord(**{**fields, **changes})
