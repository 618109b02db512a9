"""`stile demo`: people walk up to a kiosk on this machine, and a simulated gate lets them through."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail, log_events, tell_json

if TYPE_CHECKING:
    from edge.shell.kiosk import PassReport
    from scripts.people.cast import Part
    from scripts.stage.stage import Stage

WIDE = 110
"""Columns of a terminal that shows also how each was identified; on 80 every reason is still whole."""
Ended = TypeVar("Ended")
ROUND = 6
"""Passes of the whole script; the empty scene between them is not one."""


@dataclass(frozen=True, slots=True)
class Played:
    """One scene of the script and what came of it."""

    part: Part
    report: PassReport | None
    same_photo: bool
    trouble: str | None = None
    """What kept the passage from settling; None when it settled, or none was begun."""

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
        if self.trouble is not None:
            return False
        return self.ending == self.part.verdict and self.passed == (self.ending in {"grant", "step_up"})

    @property
    def is_pass(self) -> bool:
        """Whether there was a passage, or should have been."""
        return self.report is not None or self.part.verdict is not None

    @property
    def deviation(self) -> str | None:
        """What ended otherwise than the script says, and why; None when nothing did."""
        if self.as_scripted:
            return None
        wanted = self.part.verdict or "no passage"
        if self.report is None:
            return f"{self.part.role}: should have been {wanted}; {self.trouble or 'there was no passage'}"
        record = self.report.record
        why = ", ".join(record.reasons)
        gate = record.gate_outcome.value
        return f"{self.part.role}: should have been {wanted}, was {self.ending} ({why}); the gate: {gate}"

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
            return {
                "passage": None,
                "role": self.part.role,
                "as_scripted": self.as_scripted,
                "deviation": self.deviation,
            }
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
            "deviation": self.deviation,
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
            min=1, max=20, help="For emulated machines: everybody moves, and waits, so many times as long."
        ),
    ] = 1,
) -> None:
    """Broker, central, gate and turnstile on this machine, and people who walk up; no hardware needed.

    Exits 0 only if every pass ended as the script says. With --camera you enrol, pass and pay yourself.
    On a terminal the kiosk's screen stays after the last pass, until Ctrl-C.
    """
    from central.errors import CentralError
    from edge.errors import CameraError, StileError
    from models.errors import ModelsError

    log_events()
    console = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="stile-demo-") as folder:
            if camera is not None:
                asyncio.run(
                    _ended_by_sigterm(
                        _live(Path(folder), camera, console, browse=not headless, as_json=as_json)
                    )
                )
                return
            as_scripted = asyncio.run(
                _ended_by_sigterm(
                    _run(Path(folder), seed, passes, patience, console, live=not headless, as_json=as_json)
                )
            )
    except CameraError as error:
        if camera == "browser":
            fail(error, EXIT_UNUSABLE)
        fail(CameraError(f"{error}; or use that of your browser: stile demo --camera browser"), EXIT_UNUSABLE)
    except (StileError, CentralError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if camera is not None:  # how it ends
            return
        raise typer.Exit(EXIT_FAILED) from None
    if not as_scripted:
        raise typer.Exit(EXIT_FAILED)


async def _ended_by_sigterm(running: Coroutine[Any, Any, Ended]) -> Ended:
    """What it comes to; SIGTERM ends it as Ctrl-C does, and what was started with it."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await running


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

    _say(console, "starting broker, central, gate and three kiosks …")
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
    from scripts.stage.stage import Staging, open_stage, patient, unhurried

    cast = Cast()
    played: list[Played] = []
    staging = unhurried(Staging()) if patience == 1 else patient(patience)
    _say(console, "starting broker, central, gate and kiosk …")
    async with open_stage(folder, seed, replace(staging, gate=None)) as stage:
        because = f": {stage.gate_why}" if stage.gate_why else ""
        _say(console, f"the gate: {stage.gate_runs}{because}")
        _say(console, f"the kiosk's screen: {stage.kiosk.screen_url}")
        if live:
            _open_browser(stage.kiosk.screen_url)
        with _table(console, played, live=live) as redraw:
            numbers = count(1)
            for part in cycle(SCRIPT):
                report, trouble = await _play(stage, part)
                played.append(Played(part, report, cast.same_photo(part), trouble))
                if as_json:
                    tell_json(played[-1].line(next(numbers) if played[-1].is_pass else 0))
                redraw()
                if sum(each.is_pass for each in played) >= passes:
                    break
        records = await stage.receipted()
        summary = {**_summary(played, records), "gate": stage.gate_runs.name.lower()}
        for each in played:
            if each.deviation is not None:
                _say(console, each.deviation)
        if as_json:
            tell_json({"summary": summary})
        else:
            _say(console, _summary_line(summary))
        if live and console.is_terminal:
            _say(console, f"the kiosk's screen stays at {stage.kiosk.screen_url}; Ctrl-C ends it")
            await _until_ended(stage)
    return all(each.as_scripted for each in played) and records == summary["passes"]


async def _play(stage: Stage, part: Part) -> tuple[PassReport | None, str | None]:
    """The report of a part, or what kept it from one; raises what ended the kiosk itself."""
    from edge.errors import FixtureError

    try:
        return await stage.play(part), None
    except FixtureError as error:
        if stage.kiosk.serving.done():
            raise
        return None, str(error)


async def _until_ended(stage: Stage) -> None:
    """Until Ctrl-C or SIGTERM, which here is how it ends well; raises what ended the kiosk before."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    try:
        await asyncio.shield(stage.kiosk.serving)
    except asyncio.CancelledError:
        task.uncancel()


def _say(console: Console, line: str) -> None:
    """One line, however wide the terminal is."""
    console.print(line, soft_wrap=True, highlight=False, markup=False)


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
    with Live(_rows(played, console.width), console=console, refresh_per_second=4) as view:
        yield lambda: view.update(_rows(played, console.width))


def _rows(played: list[Played], width: int) -> Table:
    """The table; every word in it is whole on a terminal of 80 columns."""
    table = Table(title="Stile", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    wide = width >= WIDE
    table.add_column("who", overflow="fold", ratio=1)
    if wide:
        table.add_column("identified by")
        table.add_column("similarity")
    table.add_column("verdict", no_wrap=True)
    table.add_column("because", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    table.add_column("ms", no_wrap=True)
    table.add_column("as scripted")
    for each in played:
        said = each.line(0)
        how = (str(said.get("identified_by") or "-"), str(said.get("similarity") or "-"))
        table.add_row(
            each.part.role + (" (same photo)" if each.same_photo else ""),
            *(how if wide else ()),
            str(each.ending or "no passage"),
            "\n".join(each.report.record.reasons) if each.report else "-",
            str(said.get("gate") or "-"),
            str(each.release_ms or "-"),
            "yes" if each.as_scripted else "NO",
        )
    return table
