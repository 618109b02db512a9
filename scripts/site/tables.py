"""Draw the tables of passages and enrolments into `docs/`: `python -m scripts.site.tables`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge.enrolling import table as enrolling
from edge.passage import table as passage

DOCS = Path(__file__).parents[2] / "docs"
_HEAD = "<!-- Drawn by `python -m scripts.site.tables` from the code: change that, not this. -->"
_ANSWERS = "An answer that names somebody else, or that nothing asked for, changes nothing anywhere."

Leads = Mapping[Any, Mapping[Any, tuple[Any, ...]]]
Ignored = Mapping[Any, frozenset[Any]]


def pages() -> dict[Path, str]:
    """Every page that is drawn, and its text."""
    return {
        DOCS / "passage.md": _page(
            "A passage",
            "One attempt to pass, from start to settled: `edge.passage.table`. `edge.passage.advance` has one"
            " handler a phase.",
            passage.LEADS_TO,
            passage.IGNORED,
        ),
        DOCS / "enrolling.md": _page(
            "An enrolment, or a withdrawal",
            "One person at an enrolment kiosk, from the first touch to the last: `edge.enrolling.table`."
            " `edge.enrolling.advance` has one handler a step.",
            enrolling.LEADS_TO,
            enrolling.IGNORED,
        ),
    }


def _page(title: str, told: str, leads: Leads, ignored: Ignored) -> str:
    lines = [_HEAD, f"# {title}", "", told, _ANSWERS, "", *_diagram(leads)]
    for step, handled in leads.items():
        lines += ["", f"## {step.value}", "", "| observation | what it is | may lead to |", "|---|---|---|"]
        for kind, to in handled.items():
            names = ", ".join(each.value for each in to)
            lines.append(f"| `{kind.__name__}` | {_first_line(kind)} | {names} |")
        if unused := sorted(kind.__name__ for kind in ignored[step]):
            lines += ["", f"Ignored: {', '.join(f'`{name}`' for name in unused)}."]
    return "\n".join(lines) + "\n"


def _diagram(leads: Leads) -> Iterator[str]:
    """The ways from one step to another; staying is left to the tables."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(leads)).value}"
    for step, handled in leads.items():
        ways: dict[StrEnum, list[str]] = {}
        for kind, to in handled.items():
            for each in to:
                if each is not step:
                    ways.setdefault(each, []).append(kind.__name__)
        for each, kinds in ways.items():
            yield f"    {step.value} --> {each.value}: {', '.join(kinds)}"
    yield "```"


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0].replace("|", r"\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
