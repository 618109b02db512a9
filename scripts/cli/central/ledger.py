"""`stile central ledger`: balances, top-ups, refunds, settlements, export, check."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import EXIT_FAILED, AsJson, tell_json
from wire.currency import format_amount, minor_digits
from wire.ids import RecordId, parse_record_id, parse_subject_id

if TYPE_CHECKING:
    from central.app import UseCases
    from central.rules.ledger import AccountId, Day, Transaction

ledger_app = typer.Typer(
    help="Money: balance, top-up, pay-out, refund, settle, export, check.", no_args_is_help=True
)

Amount = Annotated[str, typer.Option("--amount", help="In the currency's units, such as 12.50.")]
Currency = Annotated[str, typer.Option("--currency", help="ISO 4217, such as EUR.")]
Key = Annotated[str | None, typer.Option("--key", help="32 hexadecimal digits: the same key does it once.")]


def _minor(text: str, currency: str) -> int:
    from central.errors import RefusedError

    digits = minor_digits(currency)
    try:
        scaled = Decimal(text).scaleb(digits)
    except InvalidOperation:
        raise RefusedError(f"{text!r} is no amount: give one such as 12.50") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise RefusedError(f"{text} has more than {digits} digits after the point, which {currency} has not")
    return int(scaled)


def _day(text: str) -> Day:
    from central.errors import RefusedError
    from central.rules.ledger import Day

    try:
        return Day(date.fromisoformat(text).isoformat())
    except ValueError:
        raise RefusedError(f"{text!r} is no day: give one such as 2026-11-23") from None


def _account(use_cases: UseCases, name: str) -> AccountId | None:
    """The account of a subject, or of that number itself: whose member withdrew has no other name."""
    from central.errors import ConflictError, UnknownError
    from central.rules.ledger import AccountId

    try:
        return use_cases.ledger.account_of(parse_subject_id(name))
    except (UnknownError, ConflictError):
        if not use_cases.ledger.balances(AccountId(name)):
            raise
        return AccountId(name)


def _tell(found: Mapping[str, Any], *, as_json: bool, plain: str) -> None:
    if as_json:
        tell_json(found)
    else:
        typer.echo(plain)


def _posted(made: Transaction) -> dict[str, Any]:
    return {"transaction": made.posting, "account": made.account, "currency": made.currency, "day": made.day}


@ledger_app.command("balance")
def balance(subject: str, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What a member (or an account whose member withdrew) has stored and owes."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        account = _account(use_cases, subject)
        held = use_cases.ledger.balances(account)
    if as_json:
        tell_json({"account": account, "balances": [asdict(each) for each in held]})
        return
    table = Table("stored", "owed")
    for each in held:
        sums = (each.stored_minor, each.debt_minor)
        table.add_row(*(format_amount(sum_minor, each.currency) for sum_minor in sums))
    Console(markup=False).print(table if held else "no money was moved yet")


@ledger_app.command("top-up")
def top_up(
    *,
    subject: str,
    amount: Amount,
    currency: Currency,
    key: Key = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Money a member brought: it pays their debt first."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        once = None if key is None else parse_record_id(key)
        member = parse_subject_id(subject)
        made = use_cases.ledger.top_up(member, _minor(amount, currency), currency, once)
    _tell(_posted(made), as_json=as_json, plain=made.posting)


@ledger_app.command("pay-out")
def pay_out(
    *,
    subject: str,
    amount: Amount,
    currency: Currency,
    key: Key = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Stored value that a member (or who holds the account's number) takes back."""
    from central.app import load_config, open_use_cases
    from central.errors import RefusedError

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        once = None if key is None else parse_record_id(key)
        if (account := _account(use_cases, subject)) is None:
            raise RefusedError("no money was moved yet: there is nothing to pay out")
        made = use_cases.ledger.pay_out(account, _minor(amount, currency), currency, once)
    _tell(_posted(made), as_json=as_json, plain=made.posting)


@ledger_app.command("refund")
def refund(
    charge: str,
    amount: Annotated[str | None, typer.Option("--amount", help="All that is left, if not given.")] = None,
    key: Key = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Give back some or all of a charge or fare, by its passage's id."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.ledger.charge_of(parse_record_id(charge))
        minor = found.left_minor if amount is None else _minor(amount, found.currency)
        once: RecordId = use_cases.ledger.new_key() if key is None else parse_record_id(key)
        said = use_cases.ledger.refund(once, found.charge, minor)
        left = use_cases.ledger.charge_of(found.charge).left_minor
    told = {"key": once, "charge": found.charge, "reason": said.value, "left_minor": left}
    _tell(told, as_json=as_json, plain=f"{said.value}; {format_amount(left, found.currency)} of it is left")
    if said.value != "refunded":
        raise typer.Exit(EXIT_FAILED)


@ledger_app.command("settle")
def settle(
    merchant: Annotated[str, typer.Option(help="The merchant, as tills name it.")],
    day: Annotated[str, typer.Option(help="A day that is over, such as 2026-11-23.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Settle a merchant's day: charges less refunds and reversals. A second time tells the same."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.ledger.settle(merchant, _day(day))
    if as_json:
        tell_json({"settlements": [asdict(each) for each in found]})
        return
    table = Table("charged", "refunded", "reversed", "to pay")
    for each in found:
        sums = (each.charged_minor, each.refunded_minor, each.reversed_minor, each.net_minor)
        table.add_row(*(format_amount(sum_minor, each.currency) for sum_minor in sums))
    Console(markup=False).print(table if found else "nothing was charged on that day")


@ledger_app.command("export")
def export(
    file: Path,
    first: Annotated[str, typer.Option("--from", help="The first day.")],
    last: Annotated[str, typer.Option("--until", help="The last day.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write every entry of some days to a CSV file."""
    from central.app import load_config, open_use_cases

    lines = 0
    with (
        expected_errors(),
        open_use_cases(load_config(config)) as use_cases,
        file.open("w", encoding="utf-8", newline="") as out,
    ):
        rows = csv.writer(out)
        rows.writerow(
            ("day", "at", "transaction", "kind", "account", "amount_minor", "currency", "charge", "merchant")
        )
        for each in use_cases.ledger.transactions(_day(first), _day(last)):
            at = datetime.fromtimestamp(each.at_ms // 1000, UTC).isoformat()
            for entry in each.entries:
                rows.writerow(
                    (
                        each.day,
                        at,
                        each.posting,
                        each.kind.value,
                        entry.account,
                        entry.amount_minor,
                        each.currency,
                        each.charge or "",
                        each.merchant or "",
                    )
                )
                lines += 1
    _tell({"file": str(file), "entries": lines}, as_json=as_json, plain=f"{lines} entries in {file}")


@ledger_app.command("check")
def check(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Walk the whole ledger: whether all balances and every charge counts as it stands."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        found = use_cases.ledger.check()
    if as_json:
        tell_json({**asdict(found), "holds": not found.wrong})
    else:
        for line in (*found.wrong, *(f"refused by the provider: {each}" for each in found.failed)):
            typer.echo(line)
        typer.echo(f"{found.transactions} transactions, {found.charges} charges: {len(found.wrong)} wrong")
    if found.wrong:
        raise typer.Exit(EXIT_FAILED)
