"""What is to be said of a kiosk: facts in, the notes of its `state` and the notice on its screen out."""

from __future__ import annotations

from dataclasses import dataclass

from edge.confirm.liveness import PHOTO_RISKS
from edge.decide.verdict import Age
from edge.enact.display import KioskMode, Notice
from firmware_bridge.gate import GateFault, GateStatus, LinkStatus
from wire.fleet import CacheAge


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a kiosk is, at an instant. What its mode does not have is None."""

    mode: KioskMode
    camera: str
    """`Camera.state()`."""
    central_seen: bool
    clock_sure: bool
    gallery: CacheAge
    non_commercial: bool
    """The pack may not be used for commerce."""
    standing: CacheAge | None = None
    gate: GateStatus | None = None
    outbox_stands: bool = False
    lane_closed: bool = False
    challenge: str | None = None
    """`confirm.challenge`."""
    search_offered: bool | None = None
    search_refused: bool = False
    search_faulty: bool = False
    consent_example: bool = False
    enrolment_in_doubt: bool = False


def notes(facts: Facts) -> tuple[str, ...]:
    """The short codes of `state`, in the order of this table."""
    found = {
        f"camera_{facts.camera}": facts.camera != "ok",
        _gate_note(facts.gate): _gate_note(facts.gate) != "",
        PHOTO_RISKS.get(facts.challenge or "", ""): facts.challenge in PHOTO_RISKS,
        "non_commercial": facts.non_commercial,
        "search_over_bound": facts.search_refused,
        "search_fault": facts.search_faulty,
        "lane_closed": facts.lane_closed,
        "consent_example": facts.consent_example,
        "enrolment_in_doubt": facts.enrolment_in_doubt,
    }
    return tuple(note for note, holds in found.items() if holds)


def notice(facts: Facts) -> Notice:
    """The foot of the screen; the message files have a sentence for each word."""
    degraded = {
        "camera": facts.camera != "ok",
        "gate": _gate_note(facts.gate) != "",
        "broker": not facts.central_seen,
        "clock": not facts.clock_sure,
        "standing": facts.standing is not None and facts.standing.freshness != Age.FRESH.value,
        "gallery": facts.gallery.freshness != Age.FRESH.value,
        "outbox": facts.outbox_stands,
        "search": facts.search_offered is False,
        "non_commercial": facts.non_commercial,
        "consent_example": facts.consent_example,
    }
    oldest_ms = (facts.standing or facts.gallery).age_ms
    risk = PHOTO_RISKS.get(facts.challenge or "")
    return Notice(
        None if oldest_ms is None else oldest_ms // 1000,
        tuple(word for word, holds in degraded.items() if holds),
        photo_risk=risk == "photo_risk",
        photo_risk_first_use=risk == "photo_risk_first_use",
        mode=facts.mode,
    )


def _gate_note(gate: GateStatus | None) -> str:
    if gate is None:
        return ""
    if gate.link is not LinkStatus.UP:
        return f"gate_{gate.link.value}"
    return "" if gate.fault in {None, GateFault.NONE} else f"gate_{gate.fault.name.lower()}"
