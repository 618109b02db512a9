"""`stile kiosk`: run one, pair one with central, check its configuration, replay a recording through it."""

from __future__ import annotations

import typer

from scripts.replay import replay

app = typer.Typer(help="Kiosks: pair, run, check, replay.", no_args_is_help=True)
app.command()(replay)
