"""What must hold whatever goes wrong, judged from the harness's ledger, what central did, and its database.

Pure: facts in, findings out. An invariant is the name of a count that must be 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scripts.harness.ledger import Begun, Decided, Entry, Kept, Obeyed

LAG_MAX_MS = 5_000
"""A kiosk's clock may be this far behind central's before it is set (`edge.adapters.central.clock`)."""
EXAMPLES_MAX = 5


class Invariant(StrEnum):
    """Counts that must be 0."""

    LOST_RECORDS = "lost_records"
    DOUBLE_COUNTED = "double_counted"
    STALE_GRANTS_BEYOND_GRACE = "stale_grants_beyond_grace"
    WRONG_PURPOSE_USED = "wrong_purpose_used"
    EXPIRED_COMMANDS_OBEYED = "expired_commands_obeyed"
    RESTRICTED_GRANTED_FRESH = "restricted_granted_fresh"
    RESTRICTED_GRANTED_STALE = "restricted_granted_stale"
    OFFLINE_OVERSPEND = "offline_overspend"
    WITHDRAWN_GRANTED = "withdrawn_granted"
    DENIED_UNRESTRICTED = "denied_unrestricted"
    BROKEN_CHAINS = "broken_chains"


class Exercised(StrEnum):
    """How often there was an occasion to break one: an invariant that nothing tried proves nothing."""

    GRANTS = "grants"
    GRANTS_STALE = "grants_stale"
    DECISIONS_BEYOND_GRACE = "decisions_beyond_grace"
    DECISIONS_UNSURE = "decisions_clock_unsure"
    RESTRICTED_KNOWN = "restricted_known"
    RESTRICTED_UNTOLD = "restricted_granted_before_told"
    WITHDRAWN_KNOWN = "withdrawn_known"
    COMMANDS_SENT = "commands_sent"
    COMMANDS_HOSTILE = "commands_hostile"
    COMMANDS_OBEYED = "commands_obeyed"
    OFFLINE_SPENDS = "offline_spends"
    BEGUN_ONLY = "settled_after_a_kill"


@dataclass(frozen=True, slots=True)
class Span:
    """While something held of a subject: from when kiosks were told to when it began to be taken back."""

    told_ms: int
    version: int
    ended_ms: int | None = None
    ended_version: int = 0

    def vouched(self, entry: Decided, *, by_version: bool = True) -> bool:
        """Whether what the decision was made on was issued while this held, and must have said so.

        A change may carry a later version under the instant of an earlier head, so both have to be within.
        Not `by_version` where the kiosk may have had something else under that version.
        """
        if self.ended_ms is not None and (
            entry.issued_at_ms >= self.ended_ms or entry.version >= self.ended_version
        ):
            return False
        return entry.issued_at_ms >= self.told_ms or (by_version and entry.version >= self.version > 0)


@dataclass(slots=True)
class Deceit:
    """A change that central signed under a version before the true one came: kiosks may have taken it.

    Heads issued from `uncovered_ms` on are of the true version or a later one, and show who did.
    """

    version: int
    uncovered_ms: int | None = None


@dataclass(slots=True)
class Truth:
    """What central did, as the harness saw it. Spans are by (subject, purpose); withdrawals by subject."""

    purposes: dict[str, str]
    currencies: Mapping[str, str]
    operator: str
    fresh_ms: int
    grace_ms: int
    restricted: defaultdict[tuple[str, str], list[Span]] = field(default_factory=lambda: defaultdict(list))
    issued_from_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    withdrawn: dict[str, dict[str, Span]] = field(default_factory=dict)
    commands: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of those that may be obeyed: nonce to kiosk and `not_after_ms`."""
    hostile_commands: int = 0
    deceits: defaultdict[str, list[Deceit]] = field(default_factory=lambda: defaultdict(list))
    """By purpose: where central itself was at fault."""

    def honest(self, purpose: str, entry: Decided) -> bool:
        """Whether the version used is what it says: no deceit led to it that a head has not uncovered."""
        return all(
            entry.version < deceit.version
            or (deceit.uncovered_ms is not None and entry.issued_at_ms >= deceit.uncovered_ms)
            for deceit in self.deceits[purpose]
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A record at central. `spent` only where something was charged while central was silent."""

    record: str
    passage: str
    kiosk: str
    subject: str | None = None
    spent_minor: int = 0
    allowance_minor: int = 0
    orphan: bool = False
    """Settled by another life of its kiosk than the one that began it."""


@dataclass(slots=True)
class Findings:
    """The counts, how often each had an occasion, and a few cases of each that does not hold."""

    counts: dict[Invariant, int] = field(default_factory=lambda: dict.fromkeys(Invariant, 0))
    exercised: Counter[Exercised] = field(default_factory=Counter)
    examples: defaultdict[Invariant, list[str]] = field(default_factory=lambda: defaultdict(list))

    def found(self, invariant: Invariant, case: str) -> None:
        """Count a case."""
        self.counts[invariant] += 1
        if len(self.examples[invariant]) < EXAMPLES_MAX:
            self.examples[invariant].append(case)

    @property
    def hold(self) -> bool:
        """Whether all of them do."""
        return not any(self.counts.values())


def judge(
    entries: Iterable[Entry], truth: Truth, stored: Sequence[Stored], broken: Sequence[str]
) -> Findings:
    """Every invariant, from everything that is known; `broken` names kiosks whose chain does not verify."""
    findings = Findings()
    decided: dict[str, Decided] = {}
    begun: set[str] = set()
    kept: set[str] = set()
    obeyed: list[Obeyed] = []
    for entry in entries:
        match entry:
            case Decided():
                decided[entry.record] = entry
            case Begun():
                begun.add(entry.record)
            case Kept():
                kept.add(entry.record)
            case Obeyed():
                obeyed.append(entry)
    _judge_records(findings, decided, begun | kept, stored)
    for entry in decided.values():
        _judge_decision(findings, entry, truth)
    _judge_commands(findings, obeyed, truth)
    _judge_spending(findings, stored)
    for kiosk in broken:
        findings.found(Invariant.BROKEN_CHAINS, kiosk)
    findings.exercised[Exercised.COMMANDS_SENT] = len(truth.commands)
    findings.exercised[Exercised.COMMANDS_HOSTILE] = truth.hostile_commands
    findings.exercised[Exercised.COMMANDS_OBEYED] = len(obeyed)
    return findings


def _judge_records(
    findings: Findings, decided: Mapping[str, Decided], promised: set[str], stored: Sequence[Stored]
) -> None:
    """What an outbox promised to keep is at central; and nothing else is, and nothing twice."""
    there = {each.record for each in stored}
    findings.exercised[Exercised.BEGUN_ONLY] = sum(each.orphan for each in stored)
    for record in promised - there:
        where = decided[record].kiosk if record in decided else "?"
        findings.found(Invariant.LOST_RECORDS, f"{where} kept {record}; central has not got it")
    passages: set[str] = set()
    for each in stored:
        if each.passage in passages:
            findings.found(Invariant.DOUBLE_COUNTED, f"{each.kiosk}: passage {each.passage} counts twice")
        elif each.record not in decided:
            findings.found(Invariant.DOUBLE_COUNTED, f"{each.kiosk}: record {each.record} never happened")
        passages.add(each.passage)


def _judge_decision(findings: Findings, entry: Decided, truth: Truth) -> None:
    purpose = truth.purposes[entry.kiosk]
    granted = entry.verdict == "grant"
    case = f"{entry.kiosk}: {entry.verdict} for {entry.subject}, standing {entry.age}, record {entry.record}"
    age_ms = entry.at_ms - entry.issued_at_ms - min(max(entry.lag_ms, 0), LAG_MAX_MS)
    seen = findings.exercised
    seen[Exercised.GRANTS] += granted
    seen[Exercised.GRANTS_STALE] += granted and entry.age == "stale"
    seen[Exercised.DECISIONS_BEYOND_GRACE] += entry.age == "beyond_grace"
    seen[Exercised.DECISIONS_UNSURE] += entry.age == "clock_unsure"
    if granted and not entry.proven:
        unusable = entry.age not in {"fresh", "stale"} or not entry.issued_at_ms
        if unusable or age_ms > truth.grace_ms:
            findings.found(Invariant.STALE_GRANTS_BEYOND_GRACE, f"{case}, {age_ms} ms old")
    if entry.purpose:
        used = (entry.operator, entry.purpose, entry.currency)
        if used != (truth.operator, purpose, truth.currencies[purpose]):
            findings.found(Invariant.WRONG_PURPOSE_USED, f"{case}, of {entry.operator}/{entry.purpose}")
    _judge_restricted(findings, entry, truth=truth, purpose=purpose, case=case, age_ms=age_ms)
    gone = truth.withdrawn.get(entry.subject, {}).get(purpose)
    # A tombstone has no version: who is known to have withdrawn is told by the membership alone.
    seen[Exercised.WITHDRAWN_KNOWN] += entry.membership == "withdrawn"
    known = gone is not None and gone.vouched(entry, by_version=truth.honest(purpose, entry))
    if granted and (entry.membership == "withdrawn" or known):
        findings.found(Invariant.WITHDRAWN_GRANTED, case)


def _judge_restricted(
    findings: Findings, entry: Decided, *, truth: Truth, purpose: str, case: str, age_ms: int
) -> None:
    spans = truth.restricted.get((entry.subject, purpose), ())
    by_version = truth.honest(purpose, entry)
    known = any(span.vouched(entry, by_version=by_version) for span in spans)
    granted = entry.verdict == "grant"
    if known:
        findings.exercised[Exercised.RESTRICTED_KNOWN] += 1
        if granted:
            fresh = age_ms <= truth.fresh_ms
            name = Invariant.RESTRICTED_GRANTED_FRESH if fresh else Invariant.RESTRICTED_GRANTED_STALE
            findings.found(name, case)
    elif granted and any(
        span.told_ms <= entry.at_ms and (span.ended_ms is None or entry.at_ms < span.ended_ms)
        for span in spans
    ):
        findings.exercised[Exercised.RESTRICTED_UNTOLD] += 1
    first_ms = truth.issued_from_ms.get((entry.subject, purpose))
    if entry.verdict == "deny" and (first_ms is None or entry.at_ms < first_ms):
        findings.found(Invariant.DENIED_UNRESTRICTED, case)


def _judge_commands(findings: Findings, obeyed: Iterable[Obeyed], truth: Truth) -> None:
    """A command is obeyed by whom it was for, in time, once; any other that is obeyed counts."""
    done: Counter[tuple[str, str]] = Counter()
    for entry in obeyed:
        done[entry.kiosk, entry.nonce] += 1
        meant, not_after_ms = truth.commands.get(entry.nonce, ("", 0))
        late_ms = entry.at_ms - min(max(entry.lag_ms, 0), LAG_MAX_MS) - not_after_ms
        if meant != entry.kiosk:
            findings.found(Invariant.EXPIRED_COMMANDS_OBEYED, f"{entry.kiosk}: {entry.nonce} was not for it")
        elif late_ms > 0:
            findings.found(
                Invariant.EXPIRED_COMMANDS_OBEYED, f"{entry.kiosk}: {entry.nonce}, {late_ms} ms late"
            )
        elif done[entry.kiosk, entry.nonce] > 1:
            findings.found(Invariant.EXPIRED_COMMANDS_OBEYED, f"{entry.kiosk}: {entry.nonce} again")


def _judge_spending(findings: Findings, stored: Iterable[Stored]) -> None:
    """What one member spent at one kiosk on stale standings stays within the allowance signed for it."""
    spent: Counter[tuple[str, str]] = Counter()
    allowed: dict[tuple[str, str], int] = {}
    for each in stored:
        if each.subject is None or not each.spent_minor:
            continue
        whose = (each.subject, each.kiosk)
        findings.exercised[Exercised.OFFLINE_SPENDS] += 1
        spent[whose] += each.spent_minor
        allowed[whose] = max(allowed.get(whose, 0), each.allowance_minor)
    for (subject, kiosk), sum_minor in spent.items():
        if sum_minor > allowed[subject, kiosk]:
            findings.found(
                Invariant.OFFLINE_OVERSPEND,
                f"{kiosk}: {subject} spent {sum_minor} of {allowed[subject, kiosk]}",
            )
