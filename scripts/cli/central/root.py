"""`stile central root`: the operator's root, kept offline. It certifies centrals, issuers and reviewers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.cli.passphrase import read_passphrase
from scripts.output import EXIT_FAILED, AsJson, date_of, tell_json
from wire.ids import OperatorId, parse_operator_id

if TYPE_CHECKING:
    from wire.signing import Signer

app = typer.Typer(
    help="The operator's root, kept offline: make it, sign requests, check.", no_args_is_help=True
)

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--root-passphrase-file", help="Its passphrase, in a file of mode 600; else it is asked."),
]
WITHOUT_TERMINAL = "--root-passphrase-file FILE"


def make_root(path: Path, operator: OperatorId, passphrase_file: Path | None, without: str) -> Signer:
    """A new root under a passphrase; raises ConflictError, RefusedError or SecretsError."""
    from central.adapters.sealed_keys import create_sealed

    passphrase = read_passphrase(passphrase_file, of="the new root", without=without, new=True)
    return create_sealed(path, "root", operator, "", passphrase=passphrase, draw=os.urandom)


def open_root(path: Path, operator: OperatorId | None, passphrase_file: Path | None, without: str) -> Signer:
    """The root in a file, a trial's or one under a passphrase; raises RefusedError or SecretsError."""
    from central.adapters.keyfiles import read_key
    from central.adapters.sealed_keys import is_trial_root, open_sealed, read_sealed
    from central.errors import RefusedError
    from wire.signing import Signer

    if is_trial_root(path):
        return Signer.from_seed(read_key(path))
    own = read_sealed(path, "root").operator
    if operator not in (None, own):
        raise RefusedError(f"{path} is the root of operator {own!r}, not of {operator!r}")
    return open_sealed(path, "root", read_passphrase(passphrase_file, of=str(path), without=without))


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="A new file, on a medium that no network reaches.")],
    operator: Annotated[str, typer.Option(help="The operator's id.")],
    root_passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the operator's root under a passphrase; tells its public key."""
    with expected_errors():
        root = make_root(file, parse_operator_id(operator), root_passphrase_file, WITHOUT_TERMINAL)
    told = {"file": str(file), "root": root.public_key.hex()}
    if as_json:
        tell_json(told)
    else:
        typer.echo(f"{file}\nroot key {told['root']}\nkeep a second copy elsewhere, and the passphrase apart")


@app.command()
def sign(
    *,
    root: Annotated[Path, typer.Argument(help="The root's file.")],
    request: Annotated[
        Path, typer.Argument(help="A request, as in central.request.json or ada.request.json.")
    ],
    out: Annotated[Path | None, typer.Option(help="Where to write the answer; beside the request.")] = None,
    days: Annotated[int | None, typer.Option(help="How long a reviewer's certificate lasts; 90.")] = None,
    root_passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Certify a central, or a reviewer for at most 90 days, from their own request. Again: renew it."""
    import msgspec

    from central.adapters.keyfiles import write_replaced
    from central.errors import SecretsError
    from central.rules.authority import (
        CentralRequest,
        Request,
        central_credentials,
        reviewer_certificate,
    )
    from wire.environment import utc_ms
    from wire.signing import key_id_of

    with expected_errors():
        try:
            asked: Request = msgspec.json.decode(request.read_bytes(), type=Request)
        except msgspec.MsgspecError as error:
            raise SecretsError(str(request), f"is no request: {error}") from None
        is_central = isinstance(asked, CentralRequest)
        whom = (
            f"central at site {asked.site}"
            if isinstance(asked, CentralRequest)
            else f"reviewer {asked.reviewer}"
        )
        typer.echo(f"{whom} of operator {asked.operator}, key {key_id_of(asked.public_key)}", err=True)
        signer = open_root(root, asked.operator, root_passphrase_file, WITHOUT_TERMINAL)
        made: Any
        if isinstance(asked, CentralRequest):
            made = central_credentials(asked, signer, utc_ms())
            until_ms = made.central.not_after_ms
        else:
            made = reviewer_certificate(asked, signer, utc_ms(), days)
            until_ms = made.not_after_ms
        stem = request.name.removesuffix(".json").removesuffix(".request")
        kind = "credentials" if is_central else "certificate"
        written = out or request.with_name(f"{stem}.{kind}.json")
        write_replaced(written, msgspec.json.encode(made).decode())
    if as_json:
        tell_json({"file": str(written), "until_ms": until_ms})
    else:
        typer.echo(f"{written}: until {date_of(until_ms)}")


@app.command()
def check(
    root: Annotated[
        Path | None, typer.Option(help="The root's file: does it open, and is it this one's?")
    ] = None,
    root_passphrase_file: PassphraseFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Until when what the root certified lasts; exit code 1 when something is over or does not fit."""
    from central.app import load_config, open_use_cases, state_fields
    from wire.environment import utc_ms

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        told = state_fields(use_cases)
        held = use_cases.context.identity.credentials
        ends = {"central": held.central.not_after_ms, "issuer": held.issuer.not_after_ms}
        for each in use_cases.reviews.reviewers():
            if each.revoked_at_ms is None:
                ends[f"reviewer {each.reviewer}"] = each.certificate.not_after_ms
        fits: bool | None = None
        if root is not None:
            opened = open_root(root, use_cases.context.operator, root_passphrase_file, WITHOUT_TERMINAL)
            fits = opened.public_key == held.root_public_key
    now_ms = utc_ms()
    over = sorted(name for name, end_ms in ends.items() if now_ms > end_ms)
    if as_json:
        tell_json(
            {
                "root": told["root"],
                "root_public_key": told["root_public_key"],
                "fits": fits,
                "until_ms": ends,
                "over": over,
            }
        )
    else:
        typer.echo(f"root {told['root_public_key']}: {told['root']}")
        if fits is not None:
            typer.echo(f"{root}: {'opens, and is this one' if fits else 'opens, and is ANOTHER root'}")
        for name, end_ms in ends.items():
            typer.echo(f"{name}: {'OVER since' if name in over else 'until'} {date_of(end_ms)}")
    if over or fits is False:
        raise typer.Exit(EXIT_FAILED)
