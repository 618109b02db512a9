"""`stile central reviewer` and `restriction`: who may review, what binds, what waits for a ruling."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import AsJson, tell_json
from wire.ids import (
    ContestCode,
    RestrictionId,
    parse_contest_code,
    parse_purpose,
    parse_reason_code,
    parse_restriction_id,
    parse_reviewer_id,
    parse_subject_id,
)

if TYPE_CHECKING:
    from central.rules.restriction import Share
    from central.rules.review import Case
    from central.service.reviews import History
    from central.service.use_cases import UseCases

reviewer_app = typer.Typer(
    help="Reviewers: people who sign restrictions and settle disputes.", no_args_is_help=True
)
restriction_app = typer.Typer(
    help="Restrictions: issue, show, contest, settle, report.", no_args_is_help=True
)

AskedBy = Annotated[
    str | None, typer.Option("--reviewer", help="A reviewer's id, when a reviewer asks for it.")
]
RulingFile = Annotated[Path, typer.Argument(help="A ruling, as `stile reviewer rule` wrote it.")]
Note = Annotated[str, typer.Option(help="Why, in a sentence.")]
Outcome = Annotated[str, typer.Option(help="upheld: as before; struck: never again.")]
Purpose = Annotated[str, typer.Option(help="For which purpose.")]


Decoded = TypeVar("Decoded")


def when(at_ms: int) -> str:
    """An instant as tables show it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


@reviewer_app.command("add")
def reviewer_add(
    certificate: Annotated[Path, typer.Argument(help="What the root made of the reviewer's own request.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List a reviewer whom the operator's root certified, or take a newer certificate of theirs."""
    from central.app import load_config, open_use_cases
    from wire.values import Certificate

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        added = use_cases.reviews.add(_decoded(certificate, Certificate))
    typer.echo(f"{added.reviewer}, certified until {when(added.certificate.not_after_ms)} UTC")


def _decoded(file: Path, kind: type[Decoded]) -> Decoded:
    """What a file that somebody signed holds; raises SecretsError."""
    import msgspec

    from central.errors import SecretsError

    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise SecretsError(str(file), f"is no {kind.__name__.lower()}: {error}") from None


@reviewer_app.command("revoke")
def reviewer_revoke(reviewer: str, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Trust a reviewer no longer: every restriction they signed stops."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.reviews.revoke(parse_reviewer_id(reviewer))


@reviewer_app.command("list")
def reviewer_list(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List reviewers' keys, revoked ones included."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        rows = [
            {
                "reviewer": each.reviewer,
                "key_id": each.key_id,
                "added_at_ms": each.added_at_ms,
                "certified_until_ms": each.certificate.not_after_ms,
                "revoked_at_ms": each.revoked_at_ms,
            }
            for each in use_cases.reviews.reviewers()
        ]
    if as_json:
        tell_json({"reviewers": rows})
        return
    table = Table("reviewer", "key", "added", "certified until", "revoked")
    for row in rows:
        revoked = row["revoked_at_ms"]
        table.add_row(
            str(row["reviewer"]),
            str(row["key_id"]),
            when(int(row["added_at_ms"] or 0)),
            when(int(row["certified_until_ms"] or 0)),
            "" if revoked is None else when(int(revoked)),
        )
    Console(markup=False).print(table)


@restriction_app.command("draft")
def restriction_draft(
    *,
    subject: str,
    out: Annotated[Path, typer.Option("--out", help="A new file, for two reviewers to sign.")],
    reason: Annotated[str, typer.Option(help="Reason code, as in staff_assaulted.")],
    text: Annotated[str, typer.Option(help="The reason, as the member reads it.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day it ends, UTC.")],
    purpose: Purpose = "ride",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Draft a restriction for two reviewers, who sign it with `stile reviewer sign`; it binds nobody yet."""
    import msgspec

    from central.adapters.keyfiles import write_private
    from central.app import load_config, open_use_cases
    from central.rules.restriction import Terms

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        terms = Terms(
            parse_subject_id(subject),
            use_cases.context.operator,
            parse_purpose(purpose),
            parse_reason_code(reason),
            text,
            int(until.replace(tzinfo=UTC).timestamp() * 1000),
        )
        made = use_cases.standings.draft(terms)
        write_private(out, msgspec.json.encode(made).decode())
    if as_json:
        tell_json({"restriction_id": made.restriction_id, "contest_code": made.contest_code})
    else:
        typer.echo(f"restriction {made.restriction_id}\ncontest code {made.contest_code}")


@restriction_app.command("add")
def restriction_add(
    file: Annotated[Path, typer.Argument(help="A restriction that two reviewers signed.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Store a restriction that two reviewers signed: from now on it binds."""
    from central.app import load_config, open_use_cases
    from wire.values import Restriction

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.standings.add_restriction(_decoded(file, Restriction))


@restriction_app.command("lift")
def restriction_lift(
    file: Annotated[Path, typer.Argument(help="What `stile reviewer lift` wrote.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """End a restriction before its time, as any one reviewer may."""
    from central.app import load_config, open_use_cases
    from central.rules.review import Lifting

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        use_cases.standings.lift_restriction(_decoded(file, Lifting))


def _key(text: str) -> RestrictionId | ContestCode:
    return parse_contest_code(text) if "-" in text else parse_restriction_id(text)


def case_fields(case: Case) -> dict[str, Any]:
    """A case for programs."""
    ruling = case.ruling
    return {
        "matter": case.matter.value,
        "target": case.target,
        "number": case.number,
        "opened_at_ms": case.opened_at_ms,
        "opened_by": case.opened_by,
        "note": case.note,
        "settled_at_ms": case.settled_at_ms,
        "settled_by": None if ruling is None else ruling.reviewer,
        "outcome": None if ruling is None else ruling.outcome.value,
        "ruling": None if ruling is None else ruling.note,
    }


def _case_line(case: Case) -> str:
    opened = f"{when(case.opened_at_ms)}  {case.opened_by}: {case.note}"
    if case.ruling is None or case.settled_at_ms is None:
        return f"{opened}\n  waits for a reviewer"
    by, outcome = case.ruling.reviewer, case.ruling.outcome.value
    return f"{opened}\n  {when(case.settled_at_ms)}  {outcome} by {by}: {case.ruling.note}"


def tell_case(case: Case, *, as_json: bool) -> None:
    """Tell what became of a case."""
    if as_json:
        tell_json(case_fields(case))
    else:
        typer.echo(_case_line(case))


def _history_fields(history: History) -> dict[str, Any]:
    restriction = history.held.restriction
    return {
        "restriction_id": restriction.restriction_id,
        "subject": restriction.subject,
        "purpose": restriction.purpose,
        "reason": restriction.reason,
        "reason_text": restriction.reason_text,
        "contest_code": restriction.contest_code,
        "reviewers": restriction.reviewers,
        "issued_at_ms": restriction.issued_at_ms,
        "expires_at_ms": restriction.expires_at_ms,
        "lifted_at_ms": history.held.lifted_at_ms,
        "lifted_by": history.held.lifted_by,
        "binds": history.binds,
        "state": history.state,
        "cases": [case_fields(case) for case in history.cases],
    }


@restriction_app.command("show")
def restriction_show(
    restriction: Annotated[str, typer.Argument(help="Its id or contest code.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show a restriction and everything that was said about it."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        history = use_cases.reviews.history(_key(restriction))
    if as_json:
        tell_json(_history_fields(history))
        return
    each = history.held.restriction
    typer.echo(f"{when(each.issued_at_ms)}  {', '.join(each.reviewers)}: {each.reason}, {each.reason_text}")
    typer.echo(f"  until {when(each.expires_at_ms)}; {history.state}")
    for case in history.cases:
        typer.echo(_case_line(case))


@restriction_app.command("list")
def restriction_list(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List every restriction that is kept, and its state."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        histories = use_cases.reviews.histories()
    if as_json:
        tell_json({"restrictions": [_history_fields(each) for each in histories]})
        return
    for history in histories:
        each = history.held.restriction
        said = (
            f"{each.reason} by {', '.join(each.reviewers)} until {when(each.expires_at_ms)}: {history.state}"
        )
        typer.echo(f"{each.restriction_id} of {each.subject}\n  {said}")


@restriction_app.command("contest")
def restriction_contest(
    code: Annotated[str, typer.Argument(help="The contest code, as the member has it.")],
    note: Note,
    reviewer: AskedBy = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Contest a restriction: another reviewer has to settle it in 14 days, or it ends."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        case = use_cases.reviews.contest(_key(code), note, opened_by(use_cases, reviewer))
    tell_case(case, as_json=as_json)


@restriction_app.command("settle")
def restriction_settle(
    file: RulingFile,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Settle a contest by the signed ruling of a reviewer who did not sign the restriction."""
    settle(file, config, as_json=as_json)


def settle(file: Path, config: Path, *, as_json: bool) -> None:
    """Settle a dispute or a contest by a signed ruling."""
    from central.app import load_config, open_use_cases
    from central.rules.review import Ruling

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        case = use_cases.reviews.settle(_decoded(file, Ruling))
    tell_case(case, as_json=as_json)


def opened_by(use_cases: UseCases, reviewer: str | None) -> str:
    """Who asks for a review: the member, or a reviewer who is listed; raises UnknownError."""
    from central.rules.review import MEMBER

    return MEMBER if reviewer is None else use_cases.reviews.listed(parse_reviewer_id(reviewer))


def ruled_outcome(text: str) -> Any:
    """The outcome of a ruling, as typed; raises RefusedError."""
    from central.errors import RefusedError
    from central.rules.review import Outcome as Closed

    if text not in {each.value for each in Closed}:
        raise RefusedError(f"the outcome {text!r} is none: give upheld or struck")
    return Closed(text)


def _share_fields(share: Share) -> dict[str, Any]:
    return {
        "issued": share.issued,
        "lowest_tier": share.lowest_tier,
        "share": share.share,
        "base_share": share.base_share,
        "by_chance": share.by_chance,
        "low_n": share.low_n,
        "follows_score": share.follows_score,
    }


@restriction_app.command("report")
def restriction_report(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How often a restriction follows a low score, beside how common low scores are."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        report = use_cases.reviews.report()
    groups: dict[str, dict[str, Share]] = {
        "reviewers": {str(name): share for name, share in report.reviewers.items()},
        "reasons": {str(code): share for code, share in report.reasons.items()},
        "purposes": {str(purpose): share for purpose, share in report.purposes.items()},
    }
    if as_json:
        told: dict[str, Any] = {"overall": _share_fields(report.overall)}
        for name, shares in groups.items():
            told[name] = {each: _share_fields(share) for each, share in shares.items()}
        told["base"] = {
            purpose: {"tier": base.tier, "members": base.members, "lowest_tier": base.lowest_tier}
            for purpose, base in report.base.items()
        }
        tell_json(told)
        return
    table = Table("of", "issued", "after a lowest-tier score", "share", "of members", "")
    rows = [("all", report.overall)]
    rows += [(name, share) for shares in groups.values() for name, share in shares.items()]
    for name, share in rows:
        remark = "too few to tell" if share.low_n else "FOLLOWS THE SCORE" if share.follows_score else ""
        shares_told = (_percent(share.share), _percent(share.base_share), remark)
        table.add_row(name, str(share.issued), str(share.lowest_tier), *shares_told)
    Console(markup=False).print(table)


@reviewer_app.command("cases")
def reviewer_cases(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the disputes and contests that wait for a reviewer, oldest first."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        waiting: Sequence[Case] = use_cases.reviews.open_cases()
    if as_json:
        tell_json({"cases": [case_fields(case) for case in waiting]})
        return
    for case in waiting:
        typer.echo(f"{case.matter} {case.target}\n  {_case_line(case)}")
