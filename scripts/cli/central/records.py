"""`stile central record`, `audit` and `retention`: show, verify, export and let go of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import EXIT_FAILED, AsJson, tell_json
from wire.ids import parse_passage_id

if TYPE_CHECKING:
    from central.rules.audit import ChainReport

record_app = typer.Typer(help="Records: show why a passage ended as it did.", no_args_is_help=True)
audit_app = typer.Typer(help="Records: verify, export.", no_args_is_help=True)
retention_app = typer.Typer(help="Retention: let go of what need not be kept.", no_args_is_help=True)

PUBLIC_KEY_CHARS = 64


@record_app.command("show")
def record_show(passage: str, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Why was I stepped up? The passage's record, its reasons as sentences, and its decision made again."""
    from central.app import load_config, open_use_cases
    from scripts.cli.central import explain

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.records.of_passage(parse_passage_id(passage))
    for record in found:
        when = datetime.fromtimestamp(record.decided_at_ms / 1000, UTC).isoformat(timespec="seconds")
        if as_json:
            tell_json(explain.as_json(record))
        else:
            typer.echo("\n".join(explain.lines(record, when)))


@audit_app.command("verify")
def audit_verify(
    export: Annotated[
        Path | None, typer.Option(help="An exported file, verified alone: no configuration, no database.")
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="The operator root's public key you trust, hexadecimal; with --export.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Walk every kiosk's record chain; exit code 1 when one is broken, naming the first break."""
    if export is not None:
        _verify_export(export, root, as_json=as_json)
        return
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        reports = use_cases.records.verify()
    broken = sum(each.broken_at is not None for each in reports)
    if as_json:
        kiosks = [asdict(each) for each in reports]
        tell_json({"kiosks": kiosks, "broken": broken, "first_break": _first_break(reports)})
    else:
        _tell_chains(reports)
    if broken:
        raise typer.Exit(EXIT_FAILED)


def _verify_export(file: Path, root: str | None, *, as_json: bool) -> None:
    from central.rules.export import verify_export

    with expected_errors(), file.open("rb") as lines:
        report = verify_export(lines, _public_key(root))
    broken = sum(each.broken_at is not None for each in report.kiosks)
    if as_json:
        told = {
            "operator": report.operator,
            "site": report.site,
            "exported_at_ms": report.exported_at_ms,
            "root": report.root,
            "kiosks": [asdict(each) for each in report.kiosks],
            "broken": broken,
            "first_break": _first_break(report.kiosks),
            "fault": report.fault,
        }
        tell_json(told)
    else:
        typer.echo(f"operator {report.operator}, site {report.site}, root key {report.root}")
        _tell_chains(report.kiosks)
        if report.fault is not None:
            typer.echo(f"the file: {report.fault}")
    if not report.sound:
        raise typer.Exit(EXIT_FAILED)


def _public_key(root: str | None) -> bytes | None:
    from central.errors import RefusedError

    if root is None:
        return None
    try:
        key = bytes.fromhex(root)
    except ValueError:
        key = b""
    if len(root) != PUBLIC_KEY_CHARS or not key:
        raise RefusedError(
            f"--root takes {PUBLIC_KEY_CHARS} hexadecimal digits, as `audit export` tells them"
        )
    return key


def _first_break(reports: Sequence[ChainReport]) -> dict[str, object] | None:
    broken = [each for each in reports if each.broken_at is not None]
    if not broken:
        return None
    return {"kiosk": broken[0].kiosk, "sequence": broken[0].broken_at, "why": broken[0].why}


def _tell_chains(reports: Sequence[ChainReport]) -> None:
    for each in reports:
        state = "holds" if each.broken_at is None else f"BROKEN at {each.broken_at}: {each.why}"
        counts = f"{each.records} records, {each.purged} purged, {each.signed_heads} signed heads"
        typer.echo(f"{each.kiosk}: {counts}: {state}")


@audit_app.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(help="A new file; it holds what pass records hold.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write every chain into one file that anybody can verify without a database; tells the root's key."""
    from central.app import load_config, open_use_cases

    lines = 0
    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        root = use_cases.context.identity.credentials.root_public_key.hex()
        file.touch(mode=0o600, exist_ok=False)
        with file.open("wb") as written:
            for line in use_cases.records.export():
                written.write(line)
                lines += 1
    if as_json:
        tell_json({"file": str(file), "lines": lines, "root": root})
    else:
        typer.echo(f"{file}: {lines} lines\nroot key {root}")


@retention_app.command("run")
def retention_run(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Take away now what the configuration no longer allows to be kept."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        purged = use_cases.retention.run()
    if as_json:
        tell_json(asdict(purged))
    else:
        for name, count in asdict(purged).items():
            typer.echo(f"{name.replace('_', ' ')}: {count}")
