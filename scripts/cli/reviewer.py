"""`stile reviewer`: a reviewer's own key on their own machine; shows what is signed from the bytes signed.

Nothing here reaches central: requests, certificates and what is signed are files that people carry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli.central.options import expected_errors
from scripts.cli.central.review import Note, Outcome, ruled_outcome, when
from scripts.cli.passphrase import read_passphrase
from wire.ids import parse_operator_id, parse_restriction_id, parse_reviewer_id
from wire.readable import NAME_PATTERN

if TYPE_CHECKING:
    from wire.signing import Signer
    from wire.values import Certificate, Restriction

app = typer.Typer(
    help="For reviewers, on their own machine: request a certificate, show and sign.", no_args_is_help=True
)

KeyFile = Annotated[Path, typer.Option("--key", help="Your own key file.")]
CertificateFile = Annotated[
    Path | None, typer.Option("--certificate", help="The root's word for it; beside the key if not given.")
]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="The key's passphrase, in a file of mode 600; else it is asked.")
]
DraftFile = Annotated[
    Path, typer.Argument(help="A restriction, as `stile central restriction draft` wrote it.")
]
OutFile = Annotated[Path, typer.Option("--out", help="A new file, for `stile central`.")]
Yes = Annotated[bool, typer.Option("--yes", help="Sign without asking.")]
WITHOUT_TERMINAL = "--passphrase-file FILE"


@app.command()
def request(
    reviewer: Annotated[str, typer.Argument(help="Your name, as histories will show it.")],
    operator: Annotated[str, typer.Option(help="The operator's id.")],
    key: KeyFile,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a key of your own under a passphrase, and the request for the root to certify."""
    import msgspec

    from central.adapters.keyfiles import write_private
    from central.adapters.sealed_keys import create_sealed
    from central.rules.authority import reviewer_request
    from central.rules.review import check_name

    with expected_errors():
        name, whose = parse_reviewer_id(reviewer), parse_operator_id(operator)
        check_name(name)
        passphrase = read_passphrase(passphrase_file, of="your new key", without=WITHOUT_TERMINAL, new=True)
        own = create_sealed(key, "reviewer", whose, name, passphrase=passphrase, draw=os.urandom)
        asked = key.with_suffix(".request.json")
        write_private(asked, msgspec.json.encode(reviewer_request(whose, name, own)).decode())
    typer.echo(f"{key}: keep it, and its passphrase, to yourself\n{asked}: for `stile central root sign`")


def _own(key: Path, certificate: Path | None, passphrase_file: Path | None) -> tuple[Signer, Certificate]:
    """A reviewer's key with the root's certificate for it; raises SecretsError or RefusedError."""
    import msgspec

    from central.adapters.keyfiles import read_private
    from central.adapters.sealed_keys import open_sealed, read_sealed
    from central.errors import SecretsError
    from wire.values import Certificate, Role

    held, path = read_sealed(key, "reviewer"), certificate or key.with_suffix(".certificate.json")
    remedy = "have the root sign your request: `stile central root sign`"
    try:
        found = msgspec.json.decode(read_private(path, remedy), type=Certificate)
    except msgspec.MsgspecError as error:
        raise SecretsError(str(path), f"is no certificate: {error}") from None
    certified = (found.role, found.operator, found.name, found.public_key)
    if certified != (Role.REVIEWER, held.operator, held.name, held.public_key):
        raise SecretsError(str(path), f"is not the certificate of {key}; {remedy}")
    passphrase = read_passphrase(passphrase_file, of=str(key), without=WITHOUT_TERMINAL)
    return open_sealed(key, "reviewer", passphrase), found


def _read(draft: Path) -> Restriction:
    import msgspec

    from central.errors import SecretsError
    from wire.values import Restriction

    try:
        return msgspec.json.decode(draft.read_bytes(), type=Restriction)
    except msgspec.MsgspecError as error:
        raise SecretsError(str(draft), f"is no restriction: {error}") from None


def _lines(signed: bytes) -> Iterator[str]:
    """What the bytes to be signed say; raises RefusedError for a text that no terminal shows as it is."""
    from central.errors import RefusedError
    from wire.signing import restriction_in

    said = restriction_in(signed)
    if not re.match(NAME_PATTERN, said.reason_text):
        raise RefusedError("its reason holds characters that are not shown: have it drafted anew")
    yield f"subject   {said.subject}"
    yield f"purpose   {said.purpose}, of operator {said.operator}"
    yield f"reason    {said.reason}: {said.reason_text}"
    yield f"from      {when(said.issued_at_ms)} UTC"
    yield f"until     {when(said.expires_at_ms)} UTC"
    yield f"contest   {said.contest_code}, restriction {said.restriction_id}"


def _show(restriction: Restriction) -> bytes:
    """Show what is to be signed, and who signed it; the bytes."""
    from central.errors import RefusedError
    from wire.signing import key_id_of, restriction_bytes, verifies

    signed = restriction_bytes(restriction)
    typer.echo("\n".join(_lines(signed)))
    for each in restriction.endorsements:
        if not verifies(each.certificate.public_key, each.signature, signed):
            raise RefusedError(f"the signature of {each.certificate.name!r} is not over what this says")
        typer.echo(f"signed by {each.certificate.name}, key {key_id_of(each.certificate.public_key)}")
    return signed


@app.command()
def show(draft: DraftFile) -> None:
    """Show what a restriction says, from the bytes that reviewers sign, and who signed it."""
    with expected_errors():
        _show(_read(draft))


@app.command()
def sign(
    draft: DraftFile,
    key: KeyFile,
    certificate: CertificateFile = None,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
) -> None:
    """Show a restriction, and sign it once you agree. Two reviewers have to, each with a key of their own."""
    import msgspec

    from central.adapters.keyfiles import write_replaced
    from central.errors import RefusedError
    from wire.signing import endorse
    from wire.values import REVIEWERS_TO_RESTRICT

    with expected_errors():
        restriction = _read(draft)
        _show(restriction)
        if len(restriction.endorsements) >= REVIEWERS_TO_RESTRICT:
            raise RefusedError("it has all its signatures already")
        own, certified = _own(key, certificate, passphrase_file)
        for each in restriction.endorsements:
            if certified.name == each.certificate.name or certified.public_key == each.certificate.public_key:
                raise RefusedError("you signed it already: the second signature is another reviewer's")
        if not certified.not_before_ms <= restriction.issued_at_ms <= certified.not_after_ms:
            raise RefusedError(
                "it was drafted at a time for which you were not certified: have it drafted anew"
            )
        if certified.operator != restriction.operator:
            raise RefusedError(
                f"it is of operator {restriction.operator!r}, you review for {certified.operator!r}"
            )
        if not yes:
            typer.confirm("Sign this restriction?", abort=True)
        signed = endorse(restriction, own, certified)
        write_replaced(draft, msgspec.json.encode(signed).decode())
    typer.echo(f"signed by {', '.join(signed.reviewers)}")


@app.command()
def rule(
    *,
    matter: Annotated[
        str, typer.Argument(help="event or restriction, as `stile central reviewer cases` tells.")
    ],
    target: Annotated[str, typer.Argument(help="The event's or restriction's id.")],
    number: Annotated[int, typer.Option(min=1, help="Which case about it, as told.")] = 1,
    outcome: Outcome,
    note: Note,
    key: KeyFile,
    out: OutFile,
    certificate: CertificateFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a ruling on a dispute or contest that you are no party to."""
    import msgspec

    from central.adapters.keyfiles import write_private
    from central.errors import RefusedError
    from central.rules.review import CASES_MAX, Matter, check_note, ruling
    from wire.environment import utc_ms

    with expected_errors():
        if matter not in {each.value for each in Matter}:
            raise RefusedError(f"a case is about an event or a restriction, not {matter!r}")
        check_note(note, "give a reason, for the member")
        if number > CASES_MAX:
            raise RefusedError(f"nothing is reviewed more than {CASES_MAX} times")
        own, certified = _own(key, certificate, passphrase_file)
        made = ruling(
            Matter(matter),
            target,
            number,
            ruled_outcome(outcome),
            note=note,
            reviewer=own,
            certificate=certified,
            at_ms=utc_ms(),
        )
        write_private(out, msgspec.json.encode(made).decode())
    typer.echo(str(out))


@app.command()
def lift(
    *,
    restriction: Annotated[str, typer.Argument(help="The restriction's id.")],
    note: Note,
    key: KeyFile,
    out: OutFile,
    certificate: CertificateFile = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign that a restriction ends now; one reviewer's signature is enough."""
    import msgspec

    from central.adapters.keyfiles import write_private
    from central.rules.review import check_note
    from central.rules.review import lift as lifted
    from wire.environment import utc_ms

    with expected_errors():
        check_note(note, "give a reason, for the history")
        own, certified = _own(key, certificate, passphrase_file)
        made = lifted(
            parse_restriction_id(restriction),
            note=note,
            reviewer=own,
            certificate=certified,
            at_ms=utc_ms(),
        )
        write_private(out, msgspec.json.encode(made).decode())
    typer.echo(str(out))
