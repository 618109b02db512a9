"""`stile central event`: what counts towards a standing, and what is disputed of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.cli.central.review import (
    AskedBy,
    Note,
    Purpose,
    RulingFile,
    case_fields,
    opened_by,
    settle,
    tell_case,
    when,
)
from scripts.output import AsJson, tell_json
from wire.ids import parse_purpose, parse_subject_id

if TYPE_CHECKING:
    from central.rules.scorecard import EventKind, EventOutcome

event_app = typer.Typer(help="Events: add, list, dispute, settle.", no_args_is_help=True)


@event_app.command("add")
def event_add(
    *,
    subject: str,
    event_id: Annotated[str, typer.Option("--id", help="Its id where it comes from; told once.")],
    kind: Annotated[str, typer.Option(help="payment, fare, booking, equipment or conduct.")],
    outcome: Annotated[str, typer.Option(help="kept or broken.")],
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When, UTC; now if not given."),
    ] = None,
    incident: Annotated[str | None, typer.Option(help="The incident's number; conduct needs one.")] = None,
    purpose: Purpose = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Store an event that counts for one purpose."""
    from central.app import load_config, open_use_cases
    from central.rules.scorecard import Event

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        now_ms = use_cases.context.now_ms()
        at_ms = now_ms if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)
        which, how = _kind(kind), _kept(outcome)
        event = Event(
            event_id, parse_subject_id(subject), parse_purpose(purpose), which, how, at_ms, incident
        )
        standing = use_cases.standings.record_event(event)
    told = {"event_id": event_id, "score": standing.score, "tier": standing.tier}
    if as_json:
        tell_json(told)
    else:
        typer.echo(f"{standing.score} points, tier {standing.tier}")


def _kind(text: str) -> EventKind:
    from central.errors import RefusedError
    from central.rules.scorecard import EventKind as Closed

    if text not in {each.value for each in Closed}:
        raise RefusedError(f"the kind {text!r} does not count: give one of {', '.join(Closed)}")
    return Closed(text)


def _kept(text: str) -> EventOutcome:
    from central.errors import RefusedError
    from central.rules.scorecard import EventOutcome as Closed

    if text not in {each.value for each in Closed}:
        raise RefusedError(f"the outcome {text!r} is none: give kept or broken")
    return Closed(text)


@event_app.command("list")
def event_list(
    subject: str,
    purpose: Purpose = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List a member's events for one purpose, and what was said about each."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        events = use_cases.reviews.events(parse_subject_id(subject), parse_purpose(purpose))
    if as_json:
        rows = [
            {
                "event_id": event.event_id,
                "kind": event.kind.value,
                "outcome": event.outcome.value,
                "at_ms": event.at_ms,
                "incident": event.incident,
                "state": _state(event.disputed, event.struck),
                "cases": [case_fields(case) for case in cases],
            }
            for event, cases in events
        ]
        tell_json({"events": rows})
        return
    table = Table("event", "when", "what", "state")
    for event, _ in events:
        what, state = f"{event.kind} {event.outcome}", _state(event.disputed, event.struck)
        table.add_row(event.event_id, when(event.at_ms), what, state)
    Console(markup=False).print(table)


def _state(disputed: bool, struck: bool) -> str:
    return "struck" if struck else "disputed" if disputed else "counts"


@event_app.command("dispute")
def event_dispute(
    event_id: str,
    note: Note,
    reviewer: AskedBy = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Dispute an event: it stops counting until a reviewer settles it."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        case = use_cases.reviews.dispute(event_id, note, opened_by(use_cases, reviewer))
    tell_case(case, as_json=as_json)


@event_app.command("settle")
def event_settle(
    file: RulingFile,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Settle a dispute by a reviewer's signed ruling: the event counts again, or never."""
    settle(file, config, as_json=as_json)
