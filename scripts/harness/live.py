"""What a run looks like in a terminal while it goes on, and when it is over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.harness.invariants import Exercised
from scripts.harness.report import Outcome, as_json
from scripts.harness.run import Progress, Show

PLAIN_EVERY_S = 5.0
"""How often a line is written where there is no terminal to draw in."""


@contextlib.contextmanager
def shown(stream: TextIO) -> Iterator[Show]:
    """Something to show progress with: a table that renews itself, or a line now and then."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(console).show
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(_drawn(progress), refresh=True)


class _Lines:
    """Progress where lines cannot be taken back."""

    def __init__(self, console: Console) -> None:
        self._console, self._phase, self._said_s = console, "", 0.0

    def show(self, progress: Progress) -> None:
        """A line when the phase is another one, or some time has passed."""
        phase = f"{progress.phase} {progress.fault}".strip()
        if phase == self._phase and time.monotonic() - self._said_s < PLAIN_EVERY_S:
            return
        self._phase, self._said_s = phase, time.monotonic()
        self._console.print(
            f"{time.monotonic() - progress.began_s:6.1f} s  {phase}: {progress.decided} decided"
        )


def _drawn(progress: Progress) -> Table:
    plan = progress.plan
    drawn = Table(title=f"stile harness: {plan.kiosks} kiosks, seed {plan.seed}", show_header=False)
    last = progress.samples[-1] if progress.samples else None
    done = min(1.0, progress.at_s() / plan.duration_s)
    bar = "━" * round(30 * done)
    drawn.add_row("now", f"{progress.phase} {progress.fault}".strip())
    drawn.add_row("time", f"{bar:<30} {progress.at_s():.0f} of {plan.duration_s:.0f} s")
    if last is not None:
        p95 = "-" if last.p95_ms is None else f"{last.p95_ms:.1f} ms"
        drawn.add_row("connected", f"{last.connected} of {plan.kiosks}")
        drawn.add_row("decisions", f"{progress.decided}, {last.decided} in the last second, p95 {p95}")
    drawn.add_row("verdicts", ", ".join(f"{name} {count}" for name, count in progress.verdicts.items()))
    drawn.add_row("standings", ", ".join(f"{name} {count}" for name, count in progress.ages.items()))
    drawn.add_row("memory", f"{progress.peak_rss_mb:.0f} MB at most")
    for window in progress.windows:
        back = (
            "not back in time"
            if window.convergence_s is None
            else f"as before after {window.convergence_s} s"
        )
        drawn.add_row(window.fault, back)
    return drawn


def table(outcome: Outcome, stream: TextIO) -> None:
    """The findings, for people."""
    console = Console(file=stream)
    fields = as_json(outcome)
    found = Table("must be 0", "count")
    for name, count in outcome.findings.counts.items():
        found.add_row(name.value, f"[bold red]{count}[/]" if count else "0")
    console.print(found)
    for broken, cases in outcome.findings.examples.items():
        for case in cases:
            console.print(f"{broken.value}: {case}", markup=False)
    seen = ", ".join(f"{each.value} {outcome.findings.exercised[each]}" for each in Exercised)
    console.print(f"occasions: {seen}", markup=False)
    for figure in (
        "records",
        "throughput_per_s",
        "latency_ms",
        "convergence_s",
        "peak_rss_mb",
        "startup_s",
        "hostile",
        "notes",
    ):
        console.print(f"{figure}: {fields[figure]}", markup=False)
