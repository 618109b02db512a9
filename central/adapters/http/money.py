"""HTTP routes of the ledger: top-ups, refunds, settlements, balances; behind the token."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct

from central.adapters.http import bodies as b
from central.adapters.http.answers import changes
from central.rules.ledger import Day
from central.service.use_cases import UseCases
from wire import fields as f
from wire.fields import AMOUNT_MAX_MINOR
from wire.ids import RecordId, SubjectId
from wire.requests import RefundReason
from wire.transport.guard import problem
from wire.transport.routes import Routes

AmountMinor = Annotated[int, Meta(ge=1, le=AMOUNT_MAX_MINOR)]
CurrencyText = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", max_length=3)]
_WHY = {
    RefundReason.NO_CHARGE: (404, "nothing stands under that key"),
    RefundReason.ABOVE_CHARGE: (409, "that is more than is left of the charge"),
    RefundReason.DECLINED: (409, "that key gave back other money before: send a new one"),
}


class TopUpBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Money a member brought; the same key does it once."""

    subject: b.TokenText
    amount_minor: AmountMinor
    currency: CurrencyText
    key: b.TokenText


class RefundBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to give back of a charge; the same key does it once."""

    charge: b.TokenText
    amount_minor: AmountMinor
    key: b.TokenText


class SettlementBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant's day that is over."""

    merchant: b.SlugText
    day: date


def money(use_cases: UseCases) -> Routes:
    """The ledger's routes."""
    routes = Routes()

    @routes.add("GET", "/subjects/{subject}/balance")
    def balance(subject: f.Subject) -> Any:
        account = use_cases.ledger.account_of(subject)
        held = use_cases.ledger.balances(account)
        return {"account": account, "balances": [asdict(each) for each in held]}

    @routes.add("POST", "/ledger/top-ups", status=201)
    @changes
    def top_up(body: TopUpBody) -> Any:
        subject, key = SubjectId(body.subject), RecordId(body.key)
        made = use_cases.ledger.top_up(subject, body.amount_minor, body.currency, key)
        return {"transaction": made.posting, "account": made.account, "day": made.day}

    @routes.add("POST", "/ledger/refunds", status=201)
    @changes
    def refund(body: RefundBody) -> Any:
        charge, key = RecordId(body.charge), RecordId(body.key)
        said = use_cases.ledger.refund(key, charge, body.amount_minor)
        if said is not RefundReason.REFUNDED:
            status, why = _WHY[said]
            return problem(status, said.value, why)
        return {"key": key, "charge": charge, "left_minor": use_cases.ledger.charge_of(charge).left_minor}

    @routes.add("POST", "/ledger/settlements", status=201)
    @changes
    def settle(body: SettlementBody) -> Any:
        found = use_cases.ledger.settle(body.merchant, Day(body.day.isoformat()))
        return {"settlements": [asdict(each) for each in found]}

    return routes
