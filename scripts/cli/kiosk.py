"""`stile kiosk`: run one, pair one with central, check its configuration, replay a recording through it.

Exit codes: 0 done, 1 refused or failed, 2 a configuration, key file, pack or device that cannot be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.output import (
    EXIT_FAILED,
    EXIT_UNUSABLE,
    AsJson,
    fail,
    log_events,
    read_secret,
    refuse_secret,
    say,
    stopped,
    tell_json,
)
from scripts.replay.command import replay

if TYPE_CHECKING:
    from edge.config import KioskConfig

app = typer.Typer(help="Kiosks: pair, run, check, replay.", no_args_is_help=True)
app.command()(replay)


ConfigFile = Annotated[Path, typer.Option("--config", help="The kiosk's configuration.")]
DEFAULT_CONFIG = Path("kiosk.toml")


@contextlib.contextmanager
def _expected_errors() -> Iterator[None]:
    """Tell an expected error in one line, with the exit code that fits it."""
    from edge.errors import PairingError, StileError
    from models.errors import ModelsError

    try:
        yield
    except PairingError as error:
        fail(error, EXIT_FAILED)
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    except ExceptionGroup as group:  # a running kiosk is tasks within tasks
        expected, fault = group.split((StileError, ModelsError))
        if expected is None or fault is not None:
            raise
        fail(_first(expected), EXIT_UNUSABLE)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


@app.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check a configuration without starting anything; an error names line, key and bound."""
    from edge.config import read_config

    with _expected_errors():
        read_config(config)
    typer.echo(f"{config}: good")


@app.command()
def pair(
    central_url: Annotated[str, typer.Argument(help="Central's address, such as http://central.local:8460")],
    code: Annotated[str | None, typer.Argument(hidden=True)] = None,
    code_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the code that `stile central kiosk add` printed; else it is asked for."
        ),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Pair this kiosk with central: makes its keys in kiosk.state_dir and takes the site's."""
    if code is not None:
        refuse_secret("pairing code", "--code-file")
    from edge.adapters.central.pairing import pair as pair_kiosk
    from edge.config import read_config

    with _expected_errors():
        folder = Path(read_config(config).kiosk.state_dir)
        typed = read_secret("pairing code", code_file)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = asyncio.run(
            pair_kiosk(central_url, typed, folder, software=version("stile"), random_bytes=os.urandom)
        )
    if as_json:
        tell_json({"kiosk": identity.kiosk, "site": identity.site, "purpose": identity.purpose})
    else:
        typer.echo(f"paired: {identity.kiosk} at {identity.site}, for {identity.purpose}")


@app.command()
def run(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Run the kiosk until interrupted."""
    from edge.config import read_config

    log_events()
    with _expected_errors(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(read_config(config), as_json=as_json))


async def _run(config: KioskConfig, *, as_json: bool) -> None:
    from edge.modes.enrol import open_enroller
    from edge.modes.lane import open_kiosk

    told = stopped()
    opening = open_enroller(config) if config.kiosk.mode == "enrol" else open_kiosk(config)
    async with opening as kiosk:
        where = kiosk.screen_url
        say(json.dumps({"screen": where}) if as_json else f"screen {where}\nCtrl+C stops it")
        stopping = asyncio.create_task(told.wait())
        await asyncio.wait({stopping, kiosk.serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if kiosk.serving.done():
            kiosk.serving.result()
