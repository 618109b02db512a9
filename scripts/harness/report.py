"""What a run found: one JSON object, a table for people, and a page that needs no network."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.harness.invariants import Exercised, Findings, Invariant
from scripts.harness.plan import Plan, listed
from scripts.harness.plots import Line, line_plot

REPORTED = (50, 95, 99)
NO_SPENDING = "offline_overspend: kiosks charge nothing yet, so nothing was spent and nothing is proven"
UNEXERCISED = {
    Exercised.GRANTS_STALE: (Invariant.RESTRICTED_GRANTED_STALE, "nobody was granted on a stale standing"),
    Exercised.DECISIONS_BEYOND_GRACE: (
        Invariant.STALE_GRANTS_BEYOND_GRACE,
        "no decision met a standing beyond grace",
    ),
    Exercised.RESTRICTED_KNOWN: (
        Invariant.RESTRICTED_GRANTED_FRESH,
        "nobody came whom the kiosk knew to be restricted",
    ),
    Exercised.COMMANDS_HOSTILE: (Invariant.EXPIRED_COMMANDS_OBEYED, "no hostile command was sent"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of a run."""

    at_s: float
    decided: int
    connected: int
    p95_ms: float | None
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault was there, seconds since the load began; `convergence_s` None: not back in time."""

    fault: str
    from_s: float
    until_s: float
    convergence_s: float | None


@dataclass(slots=True)
class Outcome:
    """All that a run found."""

    plan: Plan
    findings: Findings
    records: int
    loaded_s: float
    startup_s: float
    startup_cpu_s: float
    peak_rss_mb: float
    latencies_ms: list[float]
    verdicts: Counter[str]
    ages: Counter[str]
    windows: list[Window] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    ignored_by_kiosks: Counter[str] = field(default_factory=Counter)
    ignored_by_central: Mapping[str, int] = field(default_factory=dict)
    tampered: Counter[str] = field(default_factory=Counter)
    faults_of_its_own: Counter[str] = field(default_factory=Counter)
    load_average: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def holds(self) -> bool:
        """Whether every invariant holds, everybody came back, and nothing failed by itself."""
        back = all(window.convergence_s is not None for window in self.windows)
        return self.findings.hold and back and not self.faults_of_its_own


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50, p95 and p99; None of nothing."""
    ordered = sorted(values)
    return {
        f"p{percent}": round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)
        if ordered
        else None
        for percent in REPORTED
    }


def notes(outcome: Outcome) -> list[str]:
    """What a reader of the figures has to know."""
    exercised = outcome.findings.exercised
    told = [f"{name.value}: {why}" for each, (name, why) in UNEXERCISED.items() if not exercised[each]]
    if not exercised[Exercised.OFFLINE_SPENDS]:
        told.append(NO_SPENDING)
    told += [
        f"{window.fault}: not back in time" for window in outcome.windows if window.convergence_s is None
    ]
    told += [f"failed by itself, {count} times: {what}" for what, count in outcome.faults_of_its_own.items()]
    return told


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The report as one object; the invariants are at its top."""
    findings, plan = outcome.findings, outcome.plan
    convergence: dict[str, float | None] = {}
    for window in outcome.windows:
        convergence[window.fault] = window.convergence_s
    return {
        **{name.value: count for name, count in findings.counts.items()},
        "holds": outcome.holds,
        "records": outcome.records,
        "throughput_per_s": round(outcome.records / outcome.loaded_s, 1),
        "latency_ms": quantiles(outcome.latencies_ms),
        "convergence_s": convergence,
        "peak_rss_mb": round(outcome.peak_rss_mb),
        "startup_s": round(outcome.startup_s, 1),
        "startup_cpu_s": round(outcome.startup_cpu_s, 1),
        "kiosks": plan.kiosks,
        "seed": plan.seed,
        "plan": {**asdict(plan), "faults": listed(plan.faults)},
        "offline_spends": findings.exercised[Exercised.OFFLINE_SPENDS],
        "exercised": {each.value: findings.exercised[each] for each in Exercised},
        "verdicts": dict(outcome.verdicts),
        "ages": dict(outcome.ages),
        "hostile": dict(outcome.tampered),
        "ignored_by_kiosks": dict(outcome.ignored_by_kiosks),
        "ignored_by_central": dict(outcome.ignored_by_central),
        "load_average": [round(each, 1) for each in outcome.load_average],
        "examples": {name.value: cases for name, cases in findings.examples.items()},
        "notes": notes(outcome),
    }


_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Stile harness</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #222 }}
table {{ border-collapse: collapse }} .bad {{ color: #a00; font-weight: bold }}
td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: left }}
td.number {{ text-align: right }} svg {{ width: 100%; height: auto }}
</style></head><body>
<h1>{title}</h1><p>{about}</p>
<h2>What must be 0</h2><table>{invariants}</table>{examples}
<h2>How often there was an occasion</h2><table>{exercised}</table>
<h2>Figures</h2><table>{figures}</table>
<h2>Over time</h2>{plots}
<h2>Faults</h2><table>
<tr><th>fault</th><th>from</th><th>until</th><th>all as before after</th></tr>{faults}</table>
<h2>Notes</h2><ul>{notes}</ul>
</body></html>
"""


def _rows(pairs: Mapping[str, Any], *, zero: bool = False) -> str:
    def row(name: str, value: object) -> str:
        bad = ' class="number bad"' if zero and value else ' class="number"'
        return f"<tr><td>{html.escape(name)}</td><td{bad}>{html.escape(str(value))}</td></tr>"

    return "".join(row(name, value) for name, value in pairs.items())


def write_html(outcome: Outcome, path: Path) -> None:
    """Write the page; raises OSError."""
    told, plan = as_json(outcome), outcome.plan
    spans = [(window.from_s, window.until_s, window.fault) for window in outcome.windows]
    samples = outcome.samples
    plots = [
        line_plot(title, unit, [Line(title, [(each.at_s, value(each)) for each in samples])], spans)
        for title, unit, value in (
            ("Decisions", "a second", lambda each: float(each.decided)),
            ("Kiosks connected", "", lambda each: float(each.connected)),
            ("Claim to durable decision, p95", "ms", lambda each: each.p95_ms),
            ("Memory of all processes", "MB", lambda each: each.rss_mb),
        )
    ]
    latency = told["latency_ms"]
    figures = {
        "records at central": outcome.records,
        "records a second": told["throughput_per_s"],
        "claim to durable decision, p50 / p95 / p99, ms": " / ".join(str(each) for each in latency.values()),
        "start-up, s": told["startup_s"],
        "peak memory of all processes, MB": told["peak_rss_mb"],
        "load average": outcome.load_average,
    }
    cases = [
        f"<li>{html.escape(case)}</li>" for found in outcome.findings.examples.values() for case in found
    ]
    page = _PAGE.format(
        title=f"Stile harness: {plan.kiosks} kiosks, {'all' if outcome.holds else 'NOT all'} of it held",
        about=html.escape(
            f"{plan.duration_s:g} s at {plan.rate_per_s:g} passages a second, seed {plan.seed}, "
            f"broker {plan.broker}, fresh {plan.fresh_s} s, grace {plan.grace_s} s, "
            f"faults {listed(plan.faults) or 'none'}"
        ),
        invariants=_rows({name.value: count for name, count in outcome.findings.counts.items()}, zero=True),
        examples=f"<ul>{''.join(cases)}</ul>",
        exercised=_rows(told["exercised"]),
        figures=_rows(figures),
        plots="".join(plots),
        faults="".join(
            f"<tr><td>{window.fault}</td><td class=number>{window.from_s:.1f} s</td>"
            f"<td class=number>{window.until_s:.1f} s</td><td class=number>"
            f"{'not in time' if window.convergence_s is None else f'{window.convergence_s:.1f} s'}</td></tr>"
            for window in outcome.windows
        ),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in told["notes"]),
    )
    path.write_text(page, encoding="utf-8")
