"""`stile central broker-config`: a Mosquitto with TLS, one identity and ACL per kiosk."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import AsJson, tell_json

TLS_PORT = 8883
"""IANA: secure-mqtt."""

_NEXT = """\
{folder}/mosquitto.conf: start it as central's own user: mosquitto -c {folder}/mosquitto.conf
In {config}, under [mqtt]:
embedded = false
host = "{host}"
port = {port}
ca_file = "{ca}"
certificate_file = "{certificate}"
key_file = "{key}"
access_dir = "{access}"
Kiosks get their certificates when they pair; back up {authority} with the other keys."""


def broker_config(
    *,
    folder: Annotated[Path, typer.Argument(help="Where Mosquitto's files go; written again, keys are kept.")],
    host: Annotated[list[str], typer.Option(help="A name or address of the broker; repeatable.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = TLS_PORT,
    bind: Annotated[str, typer.Option(help="Listen on this address alone.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write Mosquitto's configuration, certificates of central's own CA, and the ACL of each kiosk."""
    from central.app import Listener, load_config, open_use_cases, write_broker

    with expected_errors():
        loaded = load_config(config)
        with open_use_cases(loaded) as use_cases:
            written = write_broker(
                loaded.keys_path,
                folder,
                operator=loaded.settings.operator,
                site=loaded.settings.site,
                listener=Listener(tuple(host), port, bind),
                kiosks=use_cases.kiosks.all(),
                now_ms=use_cases.context.now_ms(),
            )
    base = loaded.folder

    def named(path: Path) -> str:
        with contextlib.suppress(ValueError):
            return str(path.resolve().relative_to(base))
        return str(path.resolve())

    keys = loaded.keys_path
    mqtt = {
        "host": host[0],
        "port": port,
        "ca": named(keys / "broker-ca.crt"),
        "certificate": named(keys / "broker-central.crt"),
        "key": named(keys / "broker-central.key"),
        "access": named(folder),
    }
    if as_json:
        tell_json({"folder": str(written.folder), "made": written.made, "mqtt": mqtt})
        return
    for each in written.made:
        typer.echo(f"made {each}")
    typer.echo(_NEXT.format(folder=folder, config=config, authority=keys / "broker-ca.key", **mqtt))
