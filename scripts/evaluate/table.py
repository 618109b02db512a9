"""An evaluation for people: what was found, what it rests on, and which files gave nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_report(report: Mapping[str, Any], screen: Console) -> None:
    """Tables of the rates, then every file that was not used by its name."""
    screen.print(
        f"{report['n_subjects']} people ({report['n_strangers']} strangers), {report['n_images']} images, "
        f"failure to acquire {_rate(report['fta'])} {_bounds(report['fta_clopper_pearson'])}",
        highlight=False,
    )
    for failed in report["failed"]:
        screen.print(f"  not used: {failed['source']} ({failed['reason']})", highlight=False)
    for ignored in report["ignored"]:
        screen.print(f"  ignored: {ignored} (no image, or in nobody's folder)", highlight=False)
    if report["notes"]:
        told = ", ".join(f"{note} {times}" for note, times in report["notes"].items())
        screen.print(f"  unusual images that were used: {told}", highlight=False)
    screen.print(_rates_table(report))
    if report["search"]:
        screen.print(_search_table(report["search"]))
    screen.print(
        "* rests on fewer than 30 errors. Bounds: Clopper-Pearson over images, bootstrap over people, 95 %.",
        highlight=False,
    )


def _rates_table(report: Mapping[str, Any]) -> Table:
    table = Table(title="true match rate at a false match rate", title_justify="left")
    for heading in ("", "FMR", "TMR", "Clopper-Pearson", "bootstrap", "threshold", "EER", "rank 1"):
        table.add_column(heading)
    for name, rates in _rated(report):
        for row, (key, point) in enumerate(rates["points"].items()):
            whole = (_rate(rates["eer"]), _rate(rates.get("rank1"))) if row == 0 else ("", "")
            table.add_row(
                "" if row else name,
                key,
                _rate(point["tmr"]) + _star(point),
                _bounds(point["clopper_pearson"]),
                _bounds(point["bootstrap"]),
                f"{point['threshold']:.5f}",
                *whole,
            )
    return table


def _rated(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "single images", report
    for size, rates in report["templates"].items():
        yield f"templates of {size}", rates


def _search_table(searches: list[Mapping[str, Any]]) -> Table:
    table = Table(title="false negatives of an open-set search", title_justify="left")
    for heading in (
        "subjects",
        "images",
        "FPIR",
        "FNIR",
        "Clopper-Pearson",
        "bootstrap",
        "threshold",
        "other images",
    ):
        table.add_column(heading)
    for found in searches:
        table.add_row(
            str(found["n"]),
            str(found["k"]),
            f"{found['fpir']:g}",
            _rate(found["fnir"]) + _star(found),
            _bounds(found["clopper_pearson"]),
            _bounds(found["bootstrap"]),
            f"{found['threshold']:.5f}",
            f"{found['redrawn']['fnir']:.4f}",
        )
    return table


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.4f}"


def _bounds(bounds: list[float]) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _star(figure: Mapping[str, Any]) -> str:
    return "*" if figure["low_n"] else ""
