"""`stile evaluate --attacks [DIR]`: presentation attack detection, on renderings and on real recordings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge.capture.pad import live_min
from edge.errors import ConfigError
from edge.modes.common import open_pipeline
from models.registry import Pack
from scripts.evaluate.attacks.recordings import ATTACKS, BONA_FIDE
from scripts.evaluate.attacks.suite import run_attacks
from scripts.evaluate.rates import LOW_N

NO_LEVEL = "no conformance or certification level is claimed: that takes an accredited laboratory"
LEFT_OUT = ("plot", "points", "test_set", "jobs")
"""Options of an evaluation of recognition; with `--attacks` they would do nothing."""


def require_no_others(options: Mapping[str, object]) -> None:
    """Raise `ConfigError` for an option that says nothing about attacks."""
    for name in LEFT_OUT:
        if options[name]:
            raise ConfigError(name.replace("_", "-"), str(options[name]), "leave it out with --attacks")


def evaluate_attacks(
    pack: Pack,
    folder: Path | None,
    *,
    detector: str | None,
    threads: int,
    border: float,
    seed: int,
    screen: Console,
) -> dict[str, object]:
    """The whole report; raises `StileError` or `ModelsError`."""
    pipeline = open_pipeline(pack, threads, detector=detector, passive=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("presenting", total=None)
        found = run_attacks(
            pipeline,
            seed,
            folder,
            border=border,
            on_planned=lambda total: progress.update(task, total=total),
            on_presented=lambda: progress.advance(task),
        )
    return {
        **found,
        "low_n_below": LOW_N,
        "passive_live_min": live_min(pack.manifest.pad),
        "conformance": NO_LEVEL,
        "border": border,
        "detector": detector or pack.manifest.default_detector().name,
        "pack": pack.manifest.name,
        "pack_digest": pack.digest,
        "recipe_digest": pack.recipe_digest,
    }


def print_attacks(report: Mapping[str, Any], screen: Console) -> None:
    """Tables of counts, the rates where there were recordings, then every file that was not used."""
    screen.print(_counts("synthetic: rendered heads and attacks, counts and no rates", report["synthetic"]))
    real = report["recordings"]
    if real is None:
        screen.print("APCER and BPCER: none, they come from real recordings (give DIR)", highlight=False)
    else:
        screen.print(_counts("recordings", {BONA_FIDE: real[BONA_FIDE], **real[ATTACKS]}))
        screen.print(_rates(report))
        for failed in report["failed"]:
            screen.print(f"  not judged: {failed['source']} ({failed['reason']})", highlight=False)
        for ignored in report["ignored"]:
            screen.print(f"  ignored: {ignored} (no video, or not in its place)", highlight=False)
        screen.print(
            f"* rests on fewer than {LOW_N} errors. Bounds: Clopper-Pearson over presentations, 95 %.",
            highlight=False,
        )
    screen.print(report["conformance"], highlight=False)


def _counts(title: str, groups: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(title=title, title_justify="left")
    shown = ("presentations", "bona_fide", "attack", "undetermined", "no_response")
    passive = any(counts["passive_judged"] for counts in groups.values())
    for heading in ("", *shown, *(("passive: live",) if passive else ())):
        table.add_column(heading.replace("_", " "))
    for name, counts in groups.items():
        cells = [str(counts[key]) for key in shown]
        if passive:
            cells.append(f"{counts['passive_live']} of {counts['passive_judged']}")
        table.add_row(name.replace("_", " "), *cells)
    return table


def _rates(report: Mapping[str, Any]) -> Table:
    table = Table(title="error rates of presentation attack detection", title_justify="left")
    for heading in ("", "species", "rate", "Clopper-Pearson", "presentations"):
        table.add_column(heading)
    for judge, rates in (("challenge", report), ("passive", report["passive"] or {})):
        for species, point in (rates.get("apcer_points") or {}).items():
            table.add_row(f"APCER, {judge}", species, *_cells(point))
        if (point := rates.get("bpcer_point")) is not None:
            table.add_row(f"BPCER, {judge}", "", *_cells(point))
    return table


def _cells(point: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = point["clopper_pearson"]
    star = "*" if point["low_n"] else ""
    return f"{point['rate']:.3f}{star}", f"{low:.3f} to {high:.3f}", str(point["presentations"])
