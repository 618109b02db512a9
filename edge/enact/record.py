"""The record of a passage: what replays its decision, and nothing a face could be rebuilt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from edge.compare.search import Ambiguous, Comparison, Match, NoMatch
from edge.decide.standing import StandingView
from edge.decide.verdict import Age as AgeState
from edge.decide.verdict import (
    Circumstances,
    ContestCode,
    Deny,
    GateState,
    Grant,
    Identification,
    Liveness,
    Membership,
    Passback,
    Payment,
    Refer,
    RestrictionState,
    SecondFactor,
    StepUp,
    Tier,
    Verdict,
)
from edge.enact.charge import Due, bounded
from models.manifest import OperatingPoint
from wire import ids
from wire.records import (
    Charge,
    ChargeOutcome,
    GateOutcome,
    IdentifiedBy,
    PassRecord,
    RecordedCircumstances,
    StandingUsed,
)
from wire.records import Comparison as RecordedComparison
from wire.values import AgreeBy


@dataclass(frozen=True, slots=True)
class KioskIdentity:
    """What every record of this kiosk's life says alike."""

    kiosk: ids.KioskId
    gate: ids.GateId | None
    purpose: ids.Purpose
    boot_id: ids.BootId
    pack_digest: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Turns monotonic milliseconds into UTC; `sure` is whether the clock could be trusted."""

    utc_minus_monotonic_ms: int
    sure: bool

    def utc_ms(self, monotonic_ms: int) -> int:
        """UTC milliseconds, never before 1970."""
        return max(0, self.utc_minus_monotonic_ms + monotonic_ms)


@dataclass(frozen=True, slots=True)
class ChargeAccount:
    """What was to be paid in a passage, and what became of it; no `reason` where the verdict says it."""

    due: Due
    outcome: ChargeOutcome
    agreed_by: AgreeBy | None
    reason: str
    offline_spent_minor: int


@dataclass(frozen=True, slots=True)
class Account:
    """All that happened in one passage, as its record needs it; instants are monotonic milliseconds."""

    passage_id: ids.PassageId
    started_ms: int
    decided_ms: int
    settled_ms: int
    verdict: Verdict
    circumstances: Circumstances
    gate_outcome: GateOutcome
    identified_by: IdentifiedBy | None
    subject: ids.SubjectId | None
    comparison: Comparison | None
    point: OperatingPoint | None
    agreeing_frames: int
    view: StandingView
    live: float | None = None
    live_min: float | None = None
    staff: str | None = None
    charge: ChargeAccount | None = None


def pass_record(account: Account, kiosk: KioskIdentity, stamp: Stamp) -> PassRecord:
    """The record of `account`; its id is the passage's own, so that one passage is one record."""
    verdict, view = account.verdict, account.view
    identified = account.subject is not None
    restriction = view.restriction if identified and isinstance(verdict, Deny) else None
    return PassRecord(
        record_id=ids.RecordId(account.passage_id),
        passage=account.passage_id,
        kiosk=kiosk.kiosk,
        gate=kiosk.gate,
        purpose=kiosk.purpose,
        boot_id=kiosk.boot_id,
        started_at_ms=stamp.utc_ms(account.started_ms),
        decided_at_ms=stamp.utc_ms(account.decided_ms),
        settled_at_ms=stamp.utc_ms(account.settled_ms),
        clock_sure=stamp.sure,
        identified_by=account.identified_by,
        subject=account.subject,
        verdict=verdict_kind(verdict),
        reasons=tuple(ids.ReasonCode(reason.value) for reason in verdict.reasons),
        circumstances=_recorded(account.circumstances),
        gate_outcome=account.gate_outcome,
        lane=ids.ReasonCode(verdict.lane.value) if isinstance(verdict, Grant) else None,
        refer_to=ids.ReasonCode(verdict.to.value) if isinstance(verdict, Refer) else None,
        comparison=_comparison(account, kiosk.pack_digest),
        standing=_standing_used(view, account.charge) if identified else None,
        restriction=restriction.restriction_id if restriction else None,
        restriction_reason=restriction.reason if restriction else None,
        contest_code=restriction.contest_code if restriction else None,
        amount_minor=account.charge.due.amount_minor if account.charge else None,
        currency=account.charge.due.currency if account.charge else None,
        staff=account.staff,
        charge=_charge(account.charge) if account.charge else None,
    )


def circumstances_of(record: PassRecord) -> Circumstances:
    """The decision's inputs as recorded: `decide` of them is the recorded verdict. Raises ValueError."""
    was = record.circumstances
    return Circumstances(
        emergency=was.emergency,
        gate=GateState(was.gate),
        membership=Membership(was.membership),
        identification=Identification(was.identification),
        liveness=Liveness(was.liveness),
        restriction=RestrictionState(was.restriction),
        age=AgeState(was.age),
        tier=Tier(was.tier),
        second_factor=SecondFactor(was.second_factor),
        payment=Payment(was.payment),
        central_answers=was.central_answers,
        restriction_reason=record.restriction_reason or "",
        contest_code=ContestCode(record.contest_code or ""),
        passback=Passback(was.passback),
    )


def verdict_kind(verdict: Verdict) -> str:
    """The word that records have for a verdict."""
    match verdict:
        case Grant():
            return "grant"
        case StepUp():
            return "step_up"
        case Refer():
            return "refer"
        case Deny():
            return "deny"
        case _:
            assert_never(verdict)


def _recorded(c: Circumstances) -> RecordedCircumstances:
    return RecordedCircumstances(
        emergency=c.emergency,
        gate=ids.ReasonCode(c.gate.value),
        membership=ids.ReasonCode(c.membership.value),
        identification=ids.ReasonCode(c.identification.value),
        liveness=ids.ReasonCode(c.liveness.value),
        restriction=ids.ReasonCode(c.restriction.value),
        age=ids.ReasonCode(c.age.value),
        tier=ids.ReasonCode(c.tier.value),
        second_factor=ids.ReasonCode(c.second_factor.value),
        payment=ids.ReasonCode(c.payment.value),
        central_answers=c.central_answers,
        passback=ids.ReasonCode(c.passback.value),
    )


def _comparison(account: Account, pack_digest: str) -> RecordedComparison | None:
    compared, point = account.comparison, account.point
    if compared is None or point is None:
        return None
    match compared:
        case Match() | NoMatch() | Ambiguous():
            if compared.similarity is None:
                return None
            return RecordedComparison(
                similarity=compared.similarity,
                threshold=point.threshold,
                pack_digest=pack_digest,
                recipe_digest=point.recipe_digest,
                margin=compared.margin,
                margin_floor=point.clash_margin,
                agreeing_frames=account.agreeing_frames,
                live=account.live,
                live_min=account.live_min,
            )
        case _:
            assert_never(compared)


def _charge(charge: ChargeAccount) -> Charge:
    due = charge.due
    reason = ids.ReasonCode(charge.reason) if charge.reason else None
    return Charge(due.checkout, due.merchant, due.reference, charge.outcome, charge.agreed_by, reason)


def _standing_used(view: StandingView, charge: ChargeAccount | None) -> StandingUsed | None:
    standing = view.standing
    if standing is None:
        return None
    return StandingUsed(
        epoch=view.epoch,
        version=view.version,
        issued_at_ms=view.issued_at_ms,
        expires_at_ms=standing.expires_at_ms,
        age_ms=view.age_ms,
        score=standing.score,
        limit_minor=standing.limits.amount_minor,
        offline_allowance_minor=standing.limits.offline_allowance_minor,
        offline_spent_minor=bounded(charge.offline_spent_minor) if charge else 0,
    )
