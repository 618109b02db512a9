"""What the demo says of each pass."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from edge.decide.verdict import Reason
from scripts.people.cast import SCRIPT, Part
from scripts.stage.command import WIDE, Played, _rows
from wire.records import GateOutcome

LONGEST = tuple(sorted((reason.value for reason in Reason), key=len)[-2:])


def played(part: Part, verdict: str, reasons: tuple[str, ...], gate: GateOutcome) -> Played:
    record = SimpleNamespace(
        passage="7" * 32, identified_by="claim+pin", comparison=None, verdict=verdict, reasons=list(reasons),
        lane=None, refer_to=None, restriction_reason=None, contest_code=None, gate_outcome=gate,
    )  # fmt: skip
    report: Any = SimpleNamespace(record=record, first_face_ms=None, released_ms=None)
    return Played(part, report, same_photo=True)


@pytest.mark.parametrize("width", [80, WIDE])
def test_every_reason_and_role_is_whole(width: int) -> None:
    passes = [played(part, "refer", LONGEST, GateOutcome.NOT_RELEASED) for part in SCRIPT]
    console = Console(width=width, file=io.StringIO())
    console.print(_rows(passes, width))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in told
    for words in (*LONGEST, *(word for part in SCRIPT for word in part.role.split()), "not_released"):
        assert words in told
    assert max(len(line) for line in told.splitlines()) <= width


def test_a_pass_that_deviates_says_what_was_wanted_and_why_it_was_not() -> None:
    deviating = played(SCRIPT[0], "refer", ("no_match",), GateOutcome.NOT_RELEASED)
    assert deviating.deviation == (
        "priority member: should have been grant, was refer (no_match); the gate: not_released"
    )
    assert deviating.line(1)["deviation"] == deviating.deviation


def test_a_pass_that_never_settled_says_what_it_waited_for() -> None:
    unsettled = Played(
        SCRIPT[0], None, same_photo=False, trouble="no passage settled within 120 s of its scene"
    )
    assert unsettled.is_pass
    assert not unsettled.as_scripted
    assert unsettled.deviation == (
        "priority member: should have been grant; no passage settled within 120 s of its scene"
    )


def test_a_pass_as_scripted_has_nothing_to_say() -> None:
    well = played(SCRIPT[0], "grant", ("tier_priority",), GateOutcome.PASSED)
    assert well.as_scripted
    assert well.deviation is None
