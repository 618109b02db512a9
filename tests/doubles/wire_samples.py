"""Valid wire values for tests to vary."""

from __future__ import annotations

from typing import Any

from wire.ids import (
    BootId,
    ContestCode,
    GateId,
    KioskId,
    OperatorId,
    PassageId,
    Purpose,
    ReasonCode,
    RecordId,
    RestrictionId,
    SubjectId,
)
from wire.records import (
    Comparison,
    GateOutcome,
    IdentifiedBy,
    PassRecord,
    RecordedCircumstances,
    StandingUsed,
)
from wire.values import Certificate, Endorsement, Factor, Limits, Restriction, Role, Standing

METRO, RIDE = OperatorId("metro"), Purpose("ride")
ISSUED_MS, DAY_MS = 1_795_000_000_000, 86_400_000
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


def standing(subject: SubjectId = SUBJECT, score: int = 500, **changes: Any) -> Standing:
    """A standing with one factor."""
    fields: dict[str, Any] = {
        "subject": subject,
        "operator": METRO,
        "purpose": RIDE,
        "score": score,
        "tier": ReasonCode("standard"),
        "factors": (Factor(ReasonCode("fare"), 12, "You paid your fares."),),
        "limits": Limits(5000, 2000, "EUR"),
        "restrictions": (),
        "issued_at_ms": ISSUED_MS,
        "expires_at_ms": ISSUED_MS + 2 * DAY_MS,
    }
    return Standing(**{**fields, **changes})


def restriction(subject: SubjectId = SUBJECT, number: int = 1, **changes: Any) -> Restriction:
    """A restriction whose signatures are of the right size and hold for nothing."""
    certificates = (
        Certificate(METRO, Role.REVIEWER, name, "", name[:1].encode() * 32, 1, 2, b"s" * 64)
        for name in ("ada", "bea")
    )
    fields: dict[str, Any] = {
        "restriction_id": RestrictionId(f"{number:032x}"),
        "subject": subject,
        "operator": METRO,
        "purpose": RIDE,
        "reason": ReasonCode("staff_assaulted"),
        "reason_text": "See staff",
        "contest_code": ContestCode("K7PD-2MXW"),
        "issued_at_ms": ISSUED_MS,
        "expires_at_ms": ISSUED_MS + DAY_MS,
        "endorsements": tuple(Endorsement(each, b"s" * 64) for each in certificates),
    }
    return Restriction(**{**fields, **changes})
