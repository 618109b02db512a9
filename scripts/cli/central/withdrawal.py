"""`stile central subject withdrawal | alike`: who has heard of a withdrawal; who cannot be told apart."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import AsJson, tell_json
from wire.ids import parse_subject_id


def withdrawal(
    subject: Annotated[str, typer.Argument(help="The id of a member who withdrew.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show which kiosks have said that they know of a withdrawal."""
    from central.app import load_config, open_use_cases
    from central.service.withdrawals import Reach

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.withdrawals.progress(parse_subject_id(subject))
        now_ms = use_cases.context.now_ms()
    counts = {reach.value: found.count(reach) for reach in Reach}
    if as_json:
        rows = [{"kiosk": each.kiosk, "reach": each.reach.value} for each in found.kiosks]
        tell_json({"subject": found.subject, "told": found.told, **counts, "kiosks": rows})
        return
    if not found.told:
        typer.echo("not told to kiosks yet: a running central tells them within a second or two")
    table = Table("kiosk", "withdrawal", "last heard")
    for each in found.kiosks:
        heard = "never" if each.seen_at_ms is None else f"{(now_ms - each.seen_at_ms) / 1000:.0f} s ago"
        table.add_row(each.kiosk, each.reach.value.replace("_", " "), heard)
    Console(markup=False).print(table)
    typer.echo(", ".join(f"{number} {reach.replace('_', ' ')}" for reach, number in counts.items()))


def alike(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List pairs of members whom faces alone cannot tell apart: relatives, or one person enrolled twice."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        pairs = use_cases.enrolling.alike()
    if as_json:
        tell_json({"alike": pairs})
        return
    table = Table("enrolled later", "like")
    for later, earlier in pairs:
        table.add_row(later, earlier)
    Console(markup=False).print(table)
