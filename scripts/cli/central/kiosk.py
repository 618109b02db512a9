"""`stile central kiosk command | set | show`: order a kiosk, change its desired settings, see what it has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import EXIT_FAILED, AsJson, tell_json
from wire.fleet import CommandAction, OrderOutcome
from wire.ids import KioskId, parse_kiosk_id

if TYPE_CHECKING:
    from central.app import UseCases
    from central.rules.fleet import Order

LOOK_S = 0.1
ANSWER_S = 5.0
"""How long after an order's end its answer may still come: central's tick, and the kiosk's next `state`."""
ACTIONS = {action.value.replace("_", "-"): action for action in CommandAction}
_UNSENT = "not sent: no central runs on this configuration, or it has no broker; the order is over"
_UNANSWERED = "sent, and not answered: the kiosk is away or busy; it does nothing with the order any more"
_SAID = {
    OrderOutcome.OBEYED: "done",
    OrderOutcome.PASSAGE_UNDER_WAY: "not done: somebody is in a passage; order it again after them",
    OrderOutcome.FREE_GATE: "not needed: emergency, the gate stands open",
    OrderOutcome.GATE_FAULT: "not done: the gate reports a fault, or is silent; see the kiosk's state",
    OrderOutcome.GATE_REFUSED: "not done: the gate refused the release; the kiosk's log has the reason",
    OrderOutcome.GATE_UNANSWERED: "the gate did not answer: the passage's record says whether it opened",
    OrderOutcome.NOT_KEPT: "not done: the kiosk's disk did not take it; see the kiosk's state",
    OrderOutcome.OTHER_GATE: "not done: the order names another gate than this kiosk's",
    OrderOutcome.NOT_READY: "not done: the kiosk is starting; order it again",
    OrderOutcome.LATE: "not done: it reached the kiosk too late; order it again",
    OrderOutcome.LONG: "not done: by the kiosk's clock it would hold for too long; see both clocks",
    OrderOutcome.RETAINED: "not done: the broker sent a stored copy; see who may write to its command topics",
    OrderOutcome.BEFORE_START: "not done: by its clock it was given before the kiosk started; order it again",
    OrderOutcome.CLOCK_UNSURE: "not done: the kiosk does not know the time yet; order it again in a minute",
    OrderOutcome.TOO_MANY: "not done: too many orders within a minute",
}


def command(
    *,
    kiosk: Annotated[str, typer.Argument(help="The kiosk's id.")],
    action: Annotated[str, typer.Argument(help=" | ".join(ACTIONS))],
    staff: Annotated[str, typer.Option(help="Who orders it; the record of a release names them.")],
    life_s: Annotated[int, typer.Option("--for", help="Seconds the order is good for, up to 60.")] = 10,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Order a kiosk to release its gate, or to close or open its lane; exit code 1 unless it did."""
    from central.app import load_config, open_use_cases
    from central.errors import RefusedError

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        if (ordered := ACTIONS.get(action)) is None:
            raise RefusedError(f"{action}: give one of {', '.join(ACTIONS)}")
        given = use_cases.commands.order(parse_kiosk_id(kiosk), ordered, staff, life_s)
        order = _answered(use_cases, given)
    said = _UNANSWERED if order.sent_at_ms is not None else _UNSENT
    if order.outcome is not None:
        said = _SAID[order.outcome]
    if as_json:
        tell_json(
            {
                "kiosk": order.kiosk,
                "action": order.action.value,
                "staff": order.staff,
                "nonce": order.nonce.hex(),
                "sent": order.sent_at_ms is not None,
                "outcome": None if order.outcome is None else order.outcome.value,
                "passage": order.passage,
                "said": said,
            }
        )
    else:
        typer.echo(said if order.passage is None else f"{said}\npassage {order.passage}")
    if order.outcome is not OrderOutcome.OBEYED:
        raise typer.Exit(EXIT_FAILED)


def _answered(use_cases: UseCases, order: Order) -> Order:
    """The order once it is answered, or can be no more."""
    life_s = (order.not_after_ms - order.issued_at_ms) / 1000
    until_s = time.monotonic() + life_s + ANSWER_S
    while True:
        order = use_cases.commands.of(order.nonce)
        over = order.sent_at_ms is None and time.monotonic() > until_s - ANSWER_S
        if order.outcome is not None or over or time.monotonic() > until_s:
            return order
        time.sleep(LOOK_S)


def set_settings(
    kiosk: Annotated[str, typer.Argument(help="The kiosk's id.")],
    settings: Annotated[
        list[str], typer.Argument(help="SECTION.KEY=VALUE; KEY= takes a desired setting back.")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Change a kiosk's desired settings; a running central tells it within a second."""
    from central.app import load_config, open_use_cases
    from central.errors import RefusedError

    with expected_errors():
        changes: dict[str, str | None] = {}
        for each in settings:
            key, equals, value = each.partition("=")
            if not equals:
                raise RefusedError(f"{each}: give KEY=VALUE, or KEY= to take a desired setting back")
            changes[key] = value or None
        with open_use_cases(load_config(config)) as use_cases:
            shadow = use_cases.shadows.set(parse_kiosk_id(kiosk), changes)
    if as_json:
        tell_json({"kiosk": kiosk, "version": shadow.desired_version, "desired": dict(shadow.desired)})
    else:
        typer.echo(
            f"version {shadow.desired_version}: see `stile central kiosk show {kiosk}` for what it has"
        )


def show(
    kiosk: Annotated[str, typer.Argument(help="The kiosk's id.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show a kiosk's desired settings beside those it reports."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        shadow = use_cases.shadows.of(KioskId(parse_kiosk_id(kiosk)))
    rows = [
        {
            "key": key,
            "desired": shadow.desired.get(key),
            "reported": shadow.reported.get(key),
            "remark": shadow.remarks.get(key),
        }
        for key in sorted({*shadow.desired, *shadow.reported, *shadow.remarks})
    ]
    if as_json:
        versions = {"desired_version": shadow.desired_version, "reported_version": shadow.reported_version}
        tell_json({"kiosk": kiosk, **versions, "reported_at_ms": shadow.reported_at_ms, "settings": rows})
        return
    table = Table(
        "key", f"desired (version {shadow.desired_version})", f"reported ({shadow.reported_version})", ""
    )
    for row in rows:
        table.add_row(*("" if cell is None else cell for cell in row.values()))
    Console(markup=False).print(table)
