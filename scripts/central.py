"""`stile central`: set up, run, and look after the central service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, log_warnings, tell_json
from wire.errors import WireError
from wire.ids import (
    parse_kiosk_id,
    parse_passage_id,
    parse_purpose,
    parse_reason_code,
    parse_restriction_id,
    parse_reviewer_id,
    parse_subject_id,
)

app = typer.Typer(help="The central service: members, standings, kiosks, records.", no_args_is_help=True)
kiosk_app = typer.Typer(help="Kiosks: add, list, revoke.", no_args_is_help=True)
subject_app = typer.Typer(help="Members: add, claim, PIN, withdraw.", no_args_is_help=True)
standing_app = typer.Typer(help="Standings: explain.", no_args_is_help=True)
reviewer_app = typer.Typer(help="Reviewers: people who may sign restrictions.", no_args_is_help=True)
restriction_app = typer.Typer(help="Restrictions: issue, list, lift.", no_args_is_help=True)
record_app = typer.Typer(help="Records: show why a passage ended as it did.", no_args_is_help=True)
audit_app = typer.Typer(help="Records: verify.", no_args_is_help=True)
for name, sub in (
    ("kiosk", kiosk_app),
    ("subject", subject_app),
    ("standing", standing_app),
    ("reviewer", reviewer_app),
    ("restriction", restriction_app),
    ("record", record_app),
    ("audit", audit_app),
):
    app.add_typer(sub, name=name)

ConfigFile = Annotated[Path, typer.Option("--config", help="Central's configuration.")]
DEFAULT_CONFIG = Path("central.toml")


@contextlib.contextmanager
def _expected_errors() -> Iterator[None]:
    """Tell an expected error in one line: exit code 2 for configuration and keys, 1 for a refusal."""
    from central.errors import CentralError, ConfigError, SecretsError

    try:
        yield
    except (ConfigError, SecretsError) as error:
        fail(error, EXIT_UNUSABLE)
    except (CentralError, WireError, OSError) as error:
        fail(error, EXIT_FAILED)


def _tell(found: Mapping[str, object], *, as_json: bool, plain: str) -> None:
    if as_json:
        tell_json(found)
    else:
        typer.echo(plain)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder for configuration, keys and database.")],
    operator: Annotated[str, typer.Option(help="The operator's id.")],
    site: Annotated[str, typer.Option(help="The site's id.")],
    purpose: Annotated[str, typer.Option(help="The one purpose to begin with.")] = "ride",
    mqtt_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 1883,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8480,
) -> None:
    """Write a configuration, a scorecard to start from, and fresh keys."""
    from central.app import init_central

    with _expected_errors():
        path = init_central(folder, operator, site, purpose, mqtt_port=mqtt_port, http_port=http_port)
    typer.echo(
        f"{path}\nkeys are in {folder / 'keys'}: back them up, and keep root.key away from the network"
    )


@app.command()
def run(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Run central until interrupted."""
    log_warnings()
    with _expected_errors(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(config, as_json=as_json))


async def _run(config: Path, *, as_json: bool) -> None:
    from central.app import load_config, open_central

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with open_central(load_config(config)) as central:
        where = {"http": central.http_url, "mqtt": f"{central.broker.host}:{central.broker.port}"}
        _tell(where, as_json=as_json, plain=f"HTTP {where['http']}\nMQTT {where['mqtt']}\nCtrl+C stops it")
        sys.stdout.flush()
        await stopped.wait()


@app.command()
def restored(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Tell kiosks that the database was restored from a backup, so that they take its older versions."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        desk.feeds.restored()


@kiosk_app.command("add")
def kiosk_add(
    kiosk: Annotated[str, typer.Argument(help="The kiosk's id.")],
    purpose: Annotated[str, typer.Option(help="The purpose of its standings.")] = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Add a kiosk; prints its one-time pairing code, good for 15 minutes."""
    from central.app import load_config, open_desk
    from central.errors import UnknownError

    with _expected_errors(), open_desk(load_config(config)) as desk:
        wanted = parse_purpose(purpose)
        if wanted not in desk.standings.purposes:
            raise UnknownError("purpose", wanted)
        code = desk.kiosks.add(parse_kiosk_id(kiosk), wanted)
    _tell({"kiosk": kiosk, "pairing_code": code}, as_json=as_json, plain=code)


@kiosk_app.command("list")
def kiosk_list(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List kiosks, and what each last said of itself."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        seen = desk.kiosks.sightings()
        rows = [
            {
                "kiosk": each.kiosk,
                "purpose": each.purpose,
                "paired": each.certificate is not None,
                "revoked": each.revoked_at_ms is not None,
                "presence": seen[each.kiosk].presence if each.kiosk in seen else None,
            }
            for each in desk.kiosks.all()
        ]
    if as_json:
        tell_json({"kiosks": rows})
        return
    table = Table("kiosk", "purpose", "paired", "revoked", "presence")
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    Console().print(table)


@kiosk_app.command("revoke")
def kiosk_revoke(kiosk: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Trust a kiosk's key no longer."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        desk.kiosks.revoke(parse_kiosk_id(kiosk))


@subject_app.command("add")
def subject_add(
    pin: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    consent: Annotated[str, typer.Option(help="Version of the consent text the member agreed to.")],
    language: Annotated[str, typer.Option(help="Language of that text.")] = "en",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Add a member who enrols no face: claim QR and PIN. Faces are enrolled at a kiosk."""
    from central.app import load_config, open_desk
    from central.enrolment import Consent
    from central.subjects import check_pin

    with _expected_errors(), open_desk(load_config(config)) as desk:
        check_pin(pin)
        subject = desk.members.new_subject_id()
        desk.members.enrol(subject, None, Consent(consent, language, desk.context.now_ms()))
        claim = desk.members.add_qr_claim(subject)
        desk.members.set_pin(subject, pin)
    told = {"subject": subject, "claim_id": claim}
    _tell(told, as_json=as_json, plain=f"subject {subject}\nclaim   {claim} (told once: make the QR of it)")


@subject_app.command("withdraw")
def subject_withdraw(subject: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Forget a member, but for the tombstone that tells kiosks so."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        desk.members.withdraw(parse_subject_id(subject))


@subject_app.command("new-code")
def subject_new_code(subject: str, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Give a member a new QR code; every earlier one of theirs is revoked and refers to staff."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        claim = desk.members.renew_qr_claim(parse_subject_id(subject))
    _tell({"claim_id": claim}, as_json=as_json, plain=f"claim   {claim} (told once: make the QR of it)")


@subject_app.command("unlock-pin")
def subject_unlock_pin(subject: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Give a member their five PIN tries back."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        desk.members.unlock_pin(parse_subject_id(subject))


@standing_app.command("explain")
def standing_explain(
    subject: str,
    purpose: Annotated[str, typer.Option(help="Which of the purposes.")] = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say why a standing is what it is: the factors actually used, weightiest first."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        found = desk.standings.explain(parse_subject_id(subject), parse_purpose(purpose))
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
            "restrictions": [each.restriction_id for each in standing.restrictions],
        }
        tell_json(told)
        return
    table = Table("points", "why", title=f"{standing.score} points, tier {standing.tier}")
    for each in standing.factors:
        table.add_row(f"{each.points:+d}", each.text)
    Console().print(table)


@reviewer_app.command("add")
def reviewer_add(
    reviewer: Annotated[str, typer.Argument(help="The reviewer's id.")],
    key: Annotated[Path, typer.Option("--key", help="Where to write the reviewer's own key file.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a key for a reviewer, certified by the operator root; give the file to that person alone."""
    from central.app import add_reviewer, load_config

    with _expected_errors():
        add_reviewer(load_config(config), parse_reviewer_id(reviewer), key)
    typer.echo(str(key))


@restriction_app.command("issue")
def restriction_issue(
    subject: str,
    key: Annotated[Path, typer.Option("--key", help="The reviewer's own key file.")],
    reason: Annotated[str, typer.Option(help="Reason code, as in staff_assaulted.")],
    text: Annotated[str, typer.Option(help="The reason, as the member reads it.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day it ends, UTC.")],
    purpose: Annotated[str, typer.Option(help="For which purpose.")] = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Sign a restriction with a reviewer's own key, and store it."""
    from central.app import issue_restriction, load_config, open_desk
    from central.restriction import Terms

    with _expected_errors(), open_desk(load_config(config)) as desk:
        terms = Terms(
            parse_subject_id(subject),
            desk.context.operator,
            parse_purpose(purpose),
            parse_reason_code(reason),
            text,
            int(until.replace(tzinfo=UTC).timestamp() * 1000),
        )
        made = issue_restriction(desk, terms, key)
    told = {"restriction_id": made.restriction_id, "contest_code": made.contest_code}
    plain = f"restriction {made.restriction_id}\ncontest code {made.contest_code}"
    _tell(told, as_json=as_json, plain=plain)


@restriction_app.command("lift")
def restriction_lift(restriction: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """End a restriction before its time."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        desk.standings.lift_restriction(parse_restriction_id(restriction))


@record_app.command("show")
def record_show(passage: str, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Why was I stepped up? The passage's record, its reasons as sentences, and its decision made again."""
    from central.app import load_config, open_desk
    from scripts import explain

    with _expected_errors(), open_desk(load_config(config)) as desk:
        found = desk.records.of_passage(parse_passage_id(passage))
    for record in found:
        when = datetime.fromtimestamp(record.decided_at_ms / 1000, UTC).isoformat(timespec="seconds")
        _tell(explain.as_json(record), as_json=as_json, plain="\n".join(explain.lines(record, when)))


@audit_app.command("verify")
def audit_verify(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Walk every kiosk's record chain; exit code 1 when one is broken, naming the first break."""
    from central.app import load_config, open_desk

    with _expected_errors(), open_desk(load_config(config)) as desk:
        reports = desk.records.verify()
    broken = [each for each in reports if each.broken_at is not None]
    if as_json:
        told = {"kiosks": [asdict(each) for each in reports], "broken": len(broken)}
        tell_json(told)
    else:
        for each in reports:
            state = "holds" if each.broken_at is None else f"BROKEN at {each.broken_at}: {each.why}"
            typer.echo(f"{each.kiosk}: {each.records} records, {each.signed_heads} signed heads: {state}")
    if broken:
        raise typer.Exit(EXIT_FAILED)
