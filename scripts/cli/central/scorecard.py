"""`stile central scorecard` and `standing`: what counts, and why a standing is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import AsJson, tell_json
from wire.ids import OperatorId, parse_operator_id, parse_purpose, parse_subject_id

scorecard_app = typer.Typer(help="Scorecards: lint, show.", no_args_is_help=True)
standing_app = typer.Typer(help="Standings: explain.", no_args_is_help=True)


@scorecard_app.command("lint")
def scorecard_lint(
    file: Annotated[Path, typer.Argument(help="The scorecard, TOML.")],
    operator: Annotated[str | None, typer.Option(help="Whose it has to be; else whose it says.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for it has to be; else what it says.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a scorecard; exit code 2 with the key and the rule when it cannot be used."""
    from central.config import load_scorecard

    with expected_errors():
        card = load_scorecard(
            file,
            None if operator is None else OperatorId(parse_operator_id(operator)),
            None if purpose is None else parse_purpose(purpose),
        )
    told = {
        "operator": card.operator,
        "purpose": card.purpose,
        "version": card.version,
        "factors": len(card.factor),
        "tiers": [tier.name.value for tier in card.tier],
    }
    if as_json:
        tell_json(told)
    else:
        typer.echo(f"{file}: version {card.version} of {card.operator} for {card.purpose!r} can be used")


@scorecard_app.command("show")
def scorecard_show(
    purpose: Annotated[str, typer.Argument(help="For which purpose.")] = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the scorecard as members may read it, also at /v1/scorecards/PURPOSE."""
    import msgspec

    from central.app import load_config
    from central.errors import UnknownError
    from central.rules.scorecard import sentences

    with expected_errors():
        card = load_config(config).scorecards.get(parse_purpose(purpose))
        if card is None:
            raise UnknownError("purpose", purpose)
    if as_json:
        tell_json(msgspec.to_builtins(card))
    else:
        typer.echo("\n".join(sentences(card)))


@standing_app.command("explain")
def standing_explain(
    subject: str,
    purpose: Annotated[str, typer.Option(help="Which of the purposes.")] = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say why a standing is what it is: the factors actually used, weightiest first."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.standings.explain(parse_subject_id(subject), parse_purpose(purpose))
    standing = found.standing
    factors = [{"kind": each.kind, "points": each.points, "text": each.text} for each in standing.factors]
    if as_json:
        told = {
            "subject": standing.subject,
            "purpose": standing.purpose,
            "score": standing.score,
            "tier": standing.tier,
            "factors": factors,
            "scorecard_version": found.scorecard_version,
            "events_counted": found.events_counted,
            "events_disputed": found.events_disputed,
            "events_struck": found.events_struck,
            "restrictions": [each.restriction_id for each in standing.restrictions],
        }
        tell_json(told)
        return
    table = Table("points", "why", title=f"{standing.score} points, tier {standing.tier}")
    for each in standing.factors:
        table.add_row(f"{each.points:+d}", each.text)
    Console(markup=False).print(table)
