"""`stile central`: set up, run, and look after the central service."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central import event as central_event
from scripts.cli.central import kiosk as central_kiosk
from scripts.cli.central import ledger as central_ledger
from scripts.cli.central import records as central_records
from scripts.cli.central import reenrol as central_reenrol
from scripts.cli.central import review as central_review
from scripts.cli.central import root as central_root
from scripts.cli.central import scorecard as central_scorecard
from scripts.cli.central import subject as central_subject
from scripts.cli.central import withdrawal as central_withdrawal
from scripts.cli.central.broker import broker_config
from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.cli.central.worker import work
from scripts.output import (
    EXIT_UNUSABLE,
    AsJson,
    date_of,
    fail,
    log_events,
    read_secret,
    refuse_secret,
    say,
    stopped,
    tell_json,
)
from wire.ids import (
    parse_kiosk_id,
    parse_operator_id,
    parse_purpose,
    parse_subject_id,
)
from wire.values import AgreeBy

if TYPE_CHECKING:
    from central.rules.fleet import Kiosk, Sighting

app = typer.Typer(help="The central service: members, standings, kiosks, records.", no_args_is_help=True)
kiosk_app = typer.Typer(help="Kiosks: add, list, order, set, show, revoke.", no_args_is_help=True)
subject_app = typer.Typer(help="Members: add, find, list, code, PIN, withdraw.", no_args_is_help=True)
for name, sub in (
    ("root", central_root.app),
    ("kiosk", kiosk_app),
    ("subject", subject_app),
    ("scorecard", central_scorecard.scorecard_app),
    ("standing", central_scorecard.standing_app),
    ("event", central_event.event_app),
    ("reviewer", central_review.reviewer_app),
    ("restriction", central_review.restriction_app),
    ("record", central_records.record_app),
    ("audit", central_records.audit_app),
    ("retention", central_records.retention_app),
    ("re-enrol", central_reenrol.app),
    ("ledger", central_ledger.ledger_app),
):
    app.add_typer(sub, name=name)
app.command("broker-config")(broker_config)
kiosk_app.command("command")(central_kiosk.command)
kiosk_app.command("set")(central_kiosk.set_settings)
kiosk_app.command("show")(central_kiosk.show)
app.command("work")(work)


def _tell(found: Mapping[str, object], *, as_json: bool, plain: str) -> None:
    if as_json:
        tell_json(found)
    else:
        typer.echo(plain)


@app.command()
def init(
    *,
    folder: Annotated[Path, typer.Argument(help="A new folder for configuration, keys and database.")],
    operator: Annotated[str, typer.Option(help="The operator's id.")],
    site: Annotated[str, typer.Option(help="The site's id.")],
    purpose: Annotated[str, typer.Option(help="The one purpose to begin with.")] = "ride",
    mqtt_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 1883,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8480,
    root: Annotated[
        Path | None, typer.Option(help="The operator root's file, made where there is none; kept offline.")
    ] = None,
    root_passphrase_file: central_root.PassphraseFile = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="To try things out: a root beside central, without passphrase.")
    ] = False,
) -> None:
    """Write a configuration, a scorecard to start from, and fresh keys that the operator's root certifies."""
    from central.app import init_central
    from central.errors import RefusedError
    from central.setup import check_new

    with expected_errors():
        named = parse_operator_id(operator)
        check_new(folder)
        signer = None
        if (root is None) is not trial:
            why = "say where the root's file goes: --root FILE, on a medium that is taken away; or --trial"
            fail(RefusedError(why), EXIT_UNUSABLE)
        if root is not None:
            without = f"{central_root.WITHOUT_TERMINAL}, or --trial"
            make = central_root.open_root if root.exists() else central_root.make_root
            signer = make(root, named, root_passphrase_file, without)
        path = init_central(
            folder, operator, site, purpose, mqtt_port=mqtt_port, http_port=http_port, root=signer
        )
    keys = f"keys are in {folder / 'keys'}: back them up"
    where = "the root lies beside them: a trial" if root is None else f"take {root} off this machine"
    typer.echo(f"{path}\n{keys}; {where}")


@app.command()
def run(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Run central until interrupted."""
    log_events()
    with expected_errors(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(config, as_json=as_json))


async def _run(config: Path, *, as_json: bool) -> None:
    from central.app import load_config, open_central

    told = stopped()
    async with open_central(load_config(config)) as central:
        where = {"http": central.http_url, "mqtt": f"{central.broker.host}:{central.broker.port}"}
        plain = f"HTTP {where['http']}\nMQTT {where['mqtt']}\nCtrl+C stops it"
        say(json.dumps(where) if as_json else plain)
        await told.wait()


@app.command()
def state(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show where the root is, until when certificates last, when retention ran, and unreadable rows."""
    from central.app import load_config, open_use_cases, state_fields

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.kiosks.all()
        use_cases.reviews.reviewers()
        use_cases.reviews.open_cases()
        use_cases.standings.restrictions()
        found = state_fields(use_cases)
    if as_json:
        tell_json(found)
        return
    ran_at_ms = found["retention_ran_at_ms"]
    when = (
        "never"
        if ran_at_ms is None
        else f"{datetime.fromtimestamp(ran_at_ms // 1000, UTC):%Y-%m-%d %H:%M} UTC"
    )
    until = date_of(found["certified_until_ms"])
    due = "; due: `stile central root sign`" if found["certificates_due"] else ""
    typer.echo(f"root: {found['root']}\ncertified until {until}{due}")
    typer.echo(f"retention last ran: {when}")
    for row, why in found["unreadable"].items():
        typer.echo(f"left out: {row}: {why}")


@app.command()
def restored(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Tell kiosks that the database was restored from a backup, so that they take its older versions."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.feeds.restored()


@kiosk_app.command("add")
def kiosk_add(
    kiosk: Annotated[str, typer.Argument(help="The kiosk's id.")],
    purpose: Annotated[str, typer.Option(help="The purpose of its standings.")] = "ride",
    enrols: Annotated[bool, typer.Option("--enrols", help="It may enrol members.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Add a kiosk; prints its one-time pairing code, good for 15 minutes."""
    from central.app import load_config, open_use_cases
    from central.errors import UnknownError

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        wanted = parse_purpose(purpose)
        if wanted not in use_cases.standings.purposes:
            raise UnknownError("purpose", wanted)
        code = use_cases.kiosks.add(parse_kiosk_id(kiosk), wanted, enrols=enrols)
    _tell({"kiosk": kiosk, "pairing_code": code}, as_json=as_json, plain=code)


def _presence(kiosk: Kiosk, seen: Sighting | None) -> str | None:
    """What a kiosk last said of itself; of a revoked one nothing counts but that."""
    if kiosk.revoked_at_ms is not None:
        return "revoked"
    return None if seen is None else seen.presence


@kiosk_app.command("list")
def kiosk_list(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List kiosks, and what each last said of itself."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        seen = use_cases.kiosks.sightings()
        rows = [
            {
                "kiosk": each.kiosk,
                "purpose": each.purpose,
                "paired": each.certificate is not None,
                "revoked": each.revoked_at_ms is not None,
                "enrols": each.enrols,
                "presence": _presence(each, seen.get(each.kiosk)),
            }
            for each in use_cases.kiosks.all()
        ]
    if as_json:
        tell_json({"kiosks": rows})
        return
    table = Table("kiosk", "purpose", "paired", "revoked", "enrols", "presence")
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    Console(markup=False).print(table)


@kiosk_app.command("revoke")
def kiosk_revoke(kiosk: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Trust a kiosk's key no longer."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.kiosks.revoke(parse_kiosk_id(kiosk))


@subject_app.command("add")
def subject_add(
    *,
    pin: Annotated[str | None, typer.Option(hidden=True)] = None,
    pin_file: Annotated[
        Path | None, typer.Option(help="A file with the member's PIN; else it is asked for.")
    ] = None,
    consent: Annotated[str, typer.Option(help="Version of the consent text the member agreed to.")],
    language: Annotated[str, typer.Option(help="Language of that text.")] = "en",
    agree_by: Annotated[
        AgreeBy, typer.Option(help="How they agree to a payment; all three are equal.")
    ] = AgreeBy.BUTTON,
    qr: central_subject.QrFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Add a member who enrols no face: claim QR and PIN. Faces are enrolled at a kiosk."""
    from central.app import load_config, open_use_cases
    from central.rules.enrolment import Consent
    from central.rules.subjects import check_pin

    if pin is not None:
        refuse_secret("PIN", "--pin-file")
    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        typed = read_secret("PIN", pin_file, again=True)
        check_pin(typed)
        subject = use_cases.members.new_subject_id()
        use_cases.members.enrol(
            subject, None, Consent(consent, language, use_cases.context.now_ms()), agree_by
        )
        claim = use_cases.members.add_qr_claim(subject)
        use_cases.members.set_pin(subject, typed)
    if qr is not None:
        central_subject.write_qr(claim, qr)
    told = {"subject": subject, "claim_id": claim}
    _tell(told, as_json=as_json, plain=f"subject {subject}\nclaim   {claim} (told once: make the QR of it)")


@subject_app.command("withdraw")
def subject_withdraw(subject: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Forget a member, but for the tombstone that tells kiosks so."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.members.withdraw(parse_subject_id(subject))


subject_app.command("find")(central_subject.find)
subject_app.command("list")(central_subject.list_subjects)
subject_app.command("withdrawal")(central_withdrawal.withdrawal)
subject_app.command("alike")(central_withdrawal.alike)


@subject_app.command("new-code")
def subject_new_code(
    subject: str,
    qr: central_subject.QrFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Give a member a new QR code; every earlier one of theirs is revoked and refers to staff."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        claim = use_cases.members.renew_qr_claim(parse_subject_id(subject))
    if qr is not None:
        central_subject.write_qr(claim, qr)
    _tell({"claim_id": claim}, as_json=as_json, plain=f"claim   {claim} (told once: make the QR of it)")


@subject_app.command("unlock-pin")
def subject_unlock_pin(subject: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Give a member their five PIN tries back."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.members.unlock_pin(parse_subject_id(subject))
