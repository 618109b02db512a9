"""`stile harness run`: many kiosks on one laptop, faults, and what must hold whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json

if TYPE_CHECKING:
    from scripts.harness.plan import Plan
    from scripts.harness.report import Outcome

app = typer.Typer(help="The harness: many kiosks, faults, and what must hold.", no_args_is_help=True)
app.callback()(lambda: None)


@app.command()
def run(
    *,
    kiosks: Annotated[int, typer.Option(help="Simulated kiosks.")] = 20,
    duration: Annotated[float, typer.Option(help="Seconds under load; longer where faults need it.")] = 60.0,
    rate: Annotated[float, typer.Option(help="Passages a second, all kiosks together.")] = 20.0,
    seed: Annotated[int, typer.Option(help="What chance is drawn from.")] = 1,
    faults: Annotated[
        str,
        typer.Option(
            help="Of broker-kill, partition, slow, duplicate, reorder, clock-skew, kiosk-kill, disk-full, "
            "puback-loss, half-open, mute; separated by commas, in this order; `all`."
        ),
    ] = "",
    broker: Annotated[
        str, typer.Option(help="embedded, mosquitto, or mqtt://HOST:PORT without TLS.")
    ] = "embedded",
    members: Annotated[int, typer.Option(help="Members enrolled.")] = 200,
    fresh: Annotated[int, typer.Option(help="Seconds a cache is fresh; 0 chooses.")] = 0,
    grace: Annotated[int, typer.Option(help="Seconds a stale cache is usable; 0 chooses.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes with kiosks in them, at most 10; 0 chooses.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep every file of the run in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run simulated kiosks with the real client code against a real central and broker, and judge it.

    Exit code 0 when everything that must hold holds and everybody came back, 1 when not, 2 for a bad option.
    """
    from scripts.harness.errors import HarnessError, PlanError
    from scripts.harness.plan import Fault, Plan, parse_faults

    try:
        chosen = tuple(Fault) if faults == "all" else parse_faults(faults)
        plan = Plan(
            kiosks,
            duration,
            rate,
            seed,
            chosen,
            broker,
            members,
            fresh_s=fresh,
            grace_s=grace,
            workers=workers,
        ).settled()
        if report is not None and not report.absolute().parent.is_dir():
            raise PlanError(
                f"--report {report}: there is no folder {report.absolute().parent}; make it first"
            )
        outcome = asyncio.run(_run(plan, keep))
    except HarnessError as error:
        fail(error, EXIT_UNUSABLE)
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("interrupted: every process of the run has ended", err=True)
        raise typer.Exit(130) from None
    _tell(outcome, report, as_json=as_json)
    if not outcome.holds:
        raise typer.Exit(EXIT_FAILED)


async def _run(plan: Plan, keep: Path | None) -> Outcome:
    from scripts.harness.live import shown
    from scripts.harness.run import run as run_plan

    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with shown(sys.stderr) as show:
        return await run_plan(plan, show, keep)


def _tell(outcome: Outcome, report: Path | None, *, as_json: bool) -> None:
    from scripts.harness.live import table
    from scripts.harness.report import as_json as fields
    from scripts.harness.report import write_html

    if report is not None:
        try:
            write_html(outcome, report)
        except OSError as error:
            fail(error, EXIT_UNUSABLE)
    table(outcome, sys.stderr if as_json else sys.stdout)
    if as_json:
        tell_json(fields(outcome))
