"""`stile central subject find | list`: from a member's code to their id and QR code, and who there is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import segno
import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import EXIT_UNUSABLE, AsJson, fail, tell_json
from wire.claims import QR_SCHEME, ClaimKind
from wire.ids import ClaimId, parse_claim_id

if TYPE_CHECKING:
    from central.rules.subjects import Subject

QrFile = Annotated[Path | None, typer.Option("--qr", help="Write the QR code to this .svg or .png file.")]
QR_MODULE_PX = 8


def write_qr(claim: ClaimId, path: Path) -> None:
    """The member's QR code as kiosks read it; ends the program where the file cannot be written."""
    if path.suffix not in {".svg", ".png"}:
        fail(ValueError(f"{path}: give a file that ends in .svg or .png"), EXIT_UNUSABLE)
    try:
        path.touch(mode=0o600)
        segno.make(f"{QR_SCHEME}{claim}", error="m", micro=False).save(str(path), scale=QR_MODULE_PX)
    except OSError as error:
        fail(ValueError(f"{path}: {error.strerror}"), EXIT_UNUSABLE)


def find(
    code: Annotated[str, typer.Argument(help="What a member's QR code or card says, or their phone digits.")],
    kind: Annotated[ClaimKind, typer.Option(help="What the code is.")] = ClaimKind.QR,
    qr: QrFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Tell whose code it is, and with --qr make its QR code once more."""
    from central.app import load_config, open_use_cases
    from central.errors import RefusedError

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        text = code.strip()
        if kind is ClaimKind.QR:
            text = parse_claim_id(re.sub(r"[\s-]", "", text).lower().removeprefix(QR_SCHEME))
        elif qr is not None:
            raise RefusedError("only a member's own code has a QR code: leave --qr out")
        claim = use_cases.members.found(kind, text)
        subject = use_cases.members.subject(claim.subject)
    if qr is not None:
        write_qr(ClaimId(text), qr)
    told = _row(subject) | {"claim_revoked_at_ms": claim.revoked_at_ms}
    if as_json:
        tell_json(told)
        return
    typer.echo(f"subject {subject.subject}")
    typer.echo(f"enrolled {_day(subject.enrolled_at_ms)}{_gone(subject)}")
    if claim.revoked_at_ms is not None:
        typer.echo(f"code revoked {_day(claim.revoked_at_ms)}: `stile central subject new-code` makes one")


def list_subjects(
    after: Annotated[str, typer.Option(help="Begin after this id: the last one of the page before.")] = "",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Members on a page.")] = 100,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List members in the order of their ids, withdrawn ones as what is left of them."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.members.after(after, most)
    if as_json:
        tell_json({"subjects": [_row(each) for each in found]})
        return
    table = Table("subject", "enrolled", "by", "withdrawn")
    for each in found:
        withdrawn = "" if each.withdrawn_at_ms is None else _day(each.withdrawn_at_ms)
        table.add_row(each.subject, _day(each.enrolled_at_ms), each.enrolled_by or "", withdrawn)
    Console(markup=False).print(table)


def _row(subject: Subject) -> dict[str, object]:
    return {
        "subject": subject.subject,
        "enrolled_at_ms": subject.enrolled_at_ms,
        "enrolled_by": subject.enrolled_by,
        "withdrawn_at_ms": subject.withdrawn_at_ms,
    }


def _gone(subject: Subject) -> str:
    return "" if subject.withdrawn_at_ms is None else f", withdrawn {_day(subject.withdrawn_at_ms)}"


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d}"
