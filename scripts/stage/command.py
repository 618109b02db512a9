"""`stile demo`: people walk up to a kiosk on this machine, and a simulated gate lets them through."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail, log_warnings, tell_json

if TYPE_CHECKING:
    from edge.shell.kiosk import PassReport
    from scripts.people.cast import Part

ROUND = 6
"""Passes of the whole script; the empty scene between them is not one."""


@dataclass(frozen=True, slots=True)
class Played:
    """One scene of the script and what came of it."""

    part: Part
    report: PassReport | None
    same_photo: bool

    @property
    def ending(self) -> str | None:
        """`grant`, `step_up` (granted after the second factor), `refer`, `deny`; None for no passage."""
        if self.report is None:
            return None
        record = self.report.record
        stepped_up = record.comparison is not None and "second_factor_good" in record.reasons
        return "step_up" if record.verdict == "grant" and stepped_up else record.verdict

    @property
    def passed(self) -> bool:
        """Whether the gate reported that the person went through."""
        return self.report is not None and self.report.record.gate_outcome.value == "passed"

    @property
    def as_scripted(self) -> bool:
        """Whether it ended as the script says, at the gate too."""
        return self.ending == self.part.verdict and self.passed == (self.ending in {"grant", "step_up"})

    @property
    def release_ms(self) -> int | None:
        """First detection of the face to the release written, where a face led straight to one."""
        report = self.report
        if report is None or report.first_face_ms is None or report.released_ms is None:
            return None
        return report.released_ms - report.first_face_ms if self.ending == "grant" else None

    def line(self, number: int) -> dict[str, object]:
        """What `--json` prints of it."""
        if self.report is None:
            return {"passage": None, "role": self.part.role, "as_scripted": self.as_scripted}
        record = self.report.record
        compared = record.comparison
        return {
            "passage": record.passage,
            "pass": number,
            "role": self.part.role,
            "identified_by": record.identified_by,
            "similarity": None if compared is None else round(compared.similarity, 4),
            "threshold": None if compared is None else compared.threshold,
            "same_photo": self.same_photo,
            "verdict": record.verdict,
            "stepped_up": self.ending == "step_up",
            "reasons": record.reasons,
            "lane": record.lane,
            "refer_to": record.refer_to,
            "restriction_reason": record.restriction_reason,
            "contest_code": record.contest_code,
            "gate": record.gate_outcome,
            "release_ms": self.release_ms,
            "as_scripted": self.as_scripted,
        }


def main(
    *,
    headless: Annotated[bool, typer.Option("--headless", help="No table and no browser.")] = False,
    passes: Annotated[
        int, typer.Option(min=1, max=1000, help="How many passes; the script repeats.")
    ] = ROUND,
    camera: Annotated[
        str | None,
        typer.Option(
            help="For yourself, until Ctrl-C: a camera of this machine (0, /dev/video0), or `browser` for "
            "that of the browser you open the pages in."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a pass, then the summary.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the moving pictures.")] = 7,
    patience: Annotated[
        int,
        typer.Option(
            min=1, max=20, help="For slow machines: everybody moves, and waits, so many times as long."
        ),
    ] = 1,
) -> None:
    """Broker, central, gate and turnstile on this machine, and people who walk up; no hardware needed.

    Exits 0 only if every pass ended as the script says. With --camera you enrol, pass and pay yourself.
    """
    from central.errors import CentralError
    from edge.errors import StileError
    from models.errors import ModelsError

    log_warnings()
    console = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="stile-demo-") as folder:
            if camera is not None:
                asyncio.run(_live(Path(folder), camera, console, browse=not headless, as_json=as_json))
                return
            as_scripted = asyncio.run(
                _run(Path(folder), seed, passes, patience, console, live=not headless, as_json=as_json)
            )
    except (StileError, CentralError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    except KeyboardInterrupt:
        if camera is not None:  # how it ends
            return
        raise typer.Exit(EXIT_FAILED) from None
    if not as_scripted:
        raise typer.Exit(EXIT_FAILED)


async def _live(folder: Path, camera: str, console: Console, *, browse: bool, as_json: bool) -> None:
    """The kiosks for whoever is there, until interrupted."""
    from scripts.stage.live import open_live, served

    def tell(report: PassReport) -> None:
        record = report.record
        line = {
            "passage": record.passage,
            "identified_by": record.identified_by,
            "verdict": record.verdict,
            "reasons": record.reasons,
            "gate": record.gate_outcome,
        }
        if as_json:
            tell_json(line)
        else:
            console.print(
                ", ".join(str(said) for said in (record.verdict, *record.reasons, record.gate_outcome))
            )

    console.print("starting broker, central, gate and three kiosks …")
    async with open_live(folder, camera, tell) as live:
        console.print(f"enrol:   {live.enroller.screen_url}")
        console.print(f"pass:    {live.turnstile.screen_url}")
        console.print(f"pay:     {live.counter.screen_url}")
        console.print(
            f"open {live.landing_url} in a browser on this machine; Ctrl-C ends it, and forgets all"
        )
        if browse:
            _open_browser(live.landing_url)
        await served(live)


async def _run(
    folder: Path, seed: int, passes: int, patience: int, console: Console, *, live: bool, as_json: bool
) -> bool:
    from scripts.people.cast import SCRIPT, Cast
    from scripts.stage.stage import open_stage, patient

    cast = Cast()
    played: list[Played] = []
    console.print("starting broker, central, gate and kiosk …")
    async with open_stage(folder, seed, replace(patient(patience), gate=None)) as stage:
        because = f": {stage.gate_why}" if stage.gate_why else ""
        console.print(f"the gate: {stage.gate_runs}{because}")
        console.print(f"the kiosk's screen: {stage.kiosk.screen_url}")
        if live:
            _open_browser(stage.kiosk.screen_url)
        with _table(console, played, live=live) as redraw:
            numbers = count(1)
            for part in cycle(SCRIPT):
                report = await stage.play(part)
                played.append(Played(part, report, cast.same_photo(part)))
                if as_json:
                    number = next(numbers) if report is not None else 0
                    tell_json(played[-1].line(number))
                redraw()
                if sum(each.report is not None for each in played) >= passes or not played[-1].as_scripted:
                    break
        records = await stage.receipted()
    summary = {**_summary(played, records), "gate": stage.gate_runs.name.lower()}
    if as_json:
        tell_json({"summary": summary})
    else:
        console.print(_summary_line(summary))
    return all(each.as_scripted for each in played) and records == summary["passes"]


def _open_browser(url: str) -> None:
    import os
    import webbrowser

    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
        webbrowser.open(url)


def _summary(played: list[Played], records: int) -> dict[str, object]:
    passes = [each for each in played if each.report is not None]
    times = sorted(each.release_ms for each in passes if each.release_ms is not None)
    endings = [each.ending for each in passes]
    return {
        "passes": len(passes),
        "granted": endings.count("grant"),
        "stepped_up": endings.count("step_up"),
        "referred": endings.count("refer"),
        "denied": endings.count("deny"),
        "gate_passed": sum(each.passed for each in passes),
        "p50_ms": _quantile(times, 0.5),
        "p95_ms": _quantile(times, 0.95),
        "records_at_central": records,
        "as_scripted": all(each.as_scripted for each in played),
    }


def _quantile(ordered: list[int], fraction: float) -> int | None:
    """The nearest-rank quantile; None of nothing."""
    return ordered[math.ceil(len(ordered) * fraction) - 1] if ordered else None


def _summary_line(summary: dict[str, object]) -> str:
    said = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in list(summary.items())[:6])
    end = "every pass ended as the script says" if summary["as_scripted"] else "NOT as the script says"
    return f"{said}; first detection to release: median {summary['p50_ms']} ms; {end}"


@contextlib.contextmanager
def _table(console: Console, played: list[Played], *, live: bool) -> Iterator[Callable[[], None]]:
    """A live table of what has happened; gives the function that draws it anew."""
    if not live:
        yield lambda: None
        return
    with Live(_rows(played), console=console, refresh_per_second=4) as view:
        yield lambda: view.update(_rows(played))


def _rows(played: list[Played]) -> Table:
    table = Table(title="Stile", title_justify="left")
    for heading in ("who", "identified by", "similarity", "verdict", "because", "gate", "ms", ""):
        table.add_column(heading)
    for each in played:
        said = each.line(0)
        table.add_row(
            each.part.role + (" (same photo)" if each.same_photo else ""),
            str(said.get("identified_by") or "-"),
            str(said.get("similarity") or "-"),
            str(each.ending or "no passage"),
            ", ".join(each.report.record.reasons) if each.report else "-",
            str(said.get("gate") or "-"),
            str(each.release_ms or "-"),
            "as scripted" if each.as_scripted else "NOT as scripted",
        )
    return table
