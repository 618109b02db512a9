"""`stile central work`: one of several processes that share the sites of a deployment between them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli.central.options import expected_errors
from scripts.output import AsJson, log_events, stopped

if TYPE_CHECKING:
    from central.worker import WorkerState


def work(
    configs: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, help="A central.toml of each site, the same everywhere."),
    ],
    as_json: AsJson = False,
) -> None:
    """Serve those of the sites that no other worker serves, until interrupted.

    What it holds is told on standard error, with --json as one object a line.
    """
    from central.worker import check_sites

    log_events()
    with expected_errors():
        check_sites(configs)
        asyncio.run(_work(configs, as_json=as_json))


async def _work(configs: list[Path], *, as_json: bool) -> None:
    from central.worker import Worker

    await Worker(configs, lambda state: _tell(state, as_json=as_json)).run(stopped())


def _tell(state: WorkerState, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"held": state.held, "trouble": state.trouble}), err=True)
        return
    held = ", ".join(f"{site} {url}" for site, url in state.held.items()) or "no site"
    typer.echo(f"serving {held}", err=True)
    for path, why in state.trouble.items():
        typer.echo(f"  {path}: {why}", err=True)
