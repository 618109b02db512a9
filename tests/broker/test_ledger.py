"""Money over the wire, over HTTP and from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli.central.app import app
from tests.doubles.central_rig import Rig
from tests.doubles.ledger_samples import asked, key, told
from wire import chain
from wire.fields import AMOUNT_MAX_MINOR
from wire.records import ChargeOutcome
from wire.requests import ChargeReply, ChargeRequest, RefundReply, RefundRequest

DAY_MS = 86_400_000


def fields_of(request) -> dict[str, object]:
    names = ("subject", "amount_minor", "currency", "reference", "checkout", "merchant")
    found = {name: getattr(request.request, name) for name in names}
    return {**found, "idempotency_key": request.charge, "passage": request.charge}


async def test_a_kiosk_charges_and_refunds_once_whatever_it_sends_again(rig: Rig):
    subject, _ = rig.add_member()
    ledger = rig.central.use_cases.ledger
    ledger.top_up(subject, 1000, "EUR")
    async with rig.kiosk("till-1") as kiosk:
        request = asked(1, subject=subject)
        for _ in range(2):
            reply = await kiosk.ask(ChargeRequest, **fields_of(request))
            assert (type(reply), reply.accepted, reply.reason) == (ChargeReply, True, "charged")
        declined = await kiosk.ask(ChargeRequest, **fields_of(asked(2, 900, subject=subject)))
        assert (declined.accepted, declined.reason) == (False, "declined")
        for amount, reason in ((200, "refunded"), (200, "refunded"), (900, "declined")):
            back = await kiosk.ask(
                RefundRequest, idempotency_key=key(7), charge=request.charge, amount_minor=amount
            )
            assert (type(back), back.reason) == (RefundReply, reason)
        await kiosk.ask(ChargeRequest, **fields_of(request))
    (held,) = ledger.balances(ledger.account_of(subject))
    assert (held.stored_minor, held.debt_minor) == (700, 0)
    assert ledger.check().wrong == ()


async def test_operators_move_money_over_http_and_each_key_once(rig: Rig):
    subject, _ = rig.add_member()
    async with rig.http() as http:
        body = {"subject": subject, "amount_minor": 1000, "currency": "EUR", "key": key(1)}
        for _ in range(2):
            assert (await http.post("/v1/ledger/top-ups", json=body)).status_code == 201
        other = {**body, "amount_minor": 999}
        assert (await http.post("/v1/ledger/top-ups", json=other)).json()["error"] == "conflict"
        rig.central.use_cases.ledger.charge(*asked(2, subject=subject))
        refund = {"charge": key(2), "amount_minor": 200, "key": key(3)}
        for _ in range(2):
            answer = await http.post("/v1/ledger/refunds", json=refund)
            assert (answer.status_code, answer.json()["left_minor"]) == (201, 300)
        for change, status in (
            ({"key": key(4), "amount_minor": 301}, 409),
            ({"key": key(4), "charge": key(99)}, 404),
            ({"amount_minor": 0}, 422),
            ({"amount_minor": AMOUNT_MAX_MINOR + 1}, 422),
            ({"amount_minor": 1.5}, 422),
            ({"surprise": 1}, 422),
        ):
            answer = await http.post("/v1/ledger/refunds", json={**refund, **change})
            assert answer.status_code == status
            assert answer.json()["detail"]
        day = rig.central.use_cases.ledger.moment().today
        settlement = {"merchant": "cafe", "day": day}
        assert (await http.post("/v1/ledger/settlements", json=settlement)).status_code == 422
        rig.clock.advance(DAY_MS)
        for _ in range(2):
            answer = await http.post("/v1/ledger/settlements", json=settlement)
            assert answer.json()["settlements"][0]["net_minor"] == 300
        found = (await http.get(f"/v1/subjects/{subject}/balance")).json()
        assert found["balances"] == [{"currency": "EUR", "stored_minor": 700, "debt_minor": 0}]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/subjects/{'a' * 32}/balance"),
        ("POST", "/v1/ledger/top-ups"),
        ("POST", "/v1/ledger/refunds"),
        ("POST", "/v1/ledger/settlements"),
    ],
)
async def test_without_the_token_no_money_moves(rig: Rig, method: str, path: str):
    async with rig.http() as http:
        answer = await http.request(method, path, json={}, headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401


async def test_the_command_line_tops_up_refunds_settles_exports_and_checks(rig: Rig, tmp_path: Path):
    subject, _ = rig.add_member()
    ledger = rig.central.use_cases.ledger

    def run(*words: str, code: int = 0) -> dict[str, object]:
        found = CliRunner().invoke(app, ["ledger", *words, "--config", str(rig.config), "--json"])
        assert found.exit_code == code, found.output
        return json.loads(found.stdout.splitlines()[-1]) if code == 0 else {}

    run("top-up", subject, "--amount", "10.00", "--currency", "EUR", "--key", key(1))
    run("top-up", subject, "--amount", "10", "--currency", "EUR", "--key", key(1))
    run("top-up", subject, "--amount", "1.005", "--currency", "EUR", code=1)
    ledger.charge(*asked(2, subject=subject))
    assert run("refund", key(2), "--amount", "2")["left_minor"] == 300
    run("refund", key(2), "--amount", "3.01", code=1)
    run("pay-out", subject, "--amount", "1", "--currency", "EUR")
    (held,) = run("balance", subject)["balances"]  # type: ignore[misc]
    assert held == {"currency": "EUR", "stored_minor": 600, "debt_minor": 0}
    run("settle", "--merchant", "cafe", "--day", "2099-01-01", code=1)
    assert run("settle", "--merchant", "cafe", "--day", "2020-01-01")["settlements"] == []
    file = tmp_path / "ledger.csv"
    run("export", str(file), "--from", "2026-01-01", "--until", "2099-12-31")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert {row["kind"] for row in rows} == {"top_up", "charge", "refund", "pay_out"}
    assert sum(int(row["amount_minor"]) for row in rows) == 0
    assert run("check")["holds"] is True


async def test_a_record_reaches_the_ledger_over_the_broker(rig: Rig):
    subject, _ = rig.add_member()
    async with rig.kiosk("till-1") as kiosk:
        record = told(asked(1, subject=subject), ChargeOutcome.OFFLINE)
        link = chain.genesis(kiosk.grant.kiosk)
        kiosk.chain.append(chain.chained(link, 1, record, kiosk.dice.randbytes(16)))
        for _ in range(2):
            await kiosk.deliver(kiosk.batch(1, 1))
    ledger = rig.central.use_cases.ledger
    assert ledger.balances(ledger.account_of(subject))[0].debt_minor == 500
