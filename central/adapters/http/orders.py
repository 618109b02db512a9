"""HTTP routes of kiosks' orders and desired settings, behind the token."""

from __future__ import annotations

from typing import Any

from central.adapters.http import bodies as b
from central.adapters.http.answers import changes
from central.rules.fleet import Order, Shadow
from central.service.use_cases import UseCases
from wire import fields as f
from wire.ids import Nonce
from wire.transport.routes import Routes


def orders(use_cases: UseCases) -> Routes:
    """Commands and shadows; a running central sends both within a second."""
    routes = Routes()

    @routes.add("POST", "/kiosks/{kiosk}/commands", status=201)
    @changes
    def command(kiosk: f.Kiosk, body: b.CommandBody) -> Any:
        return order_fields(use_cases.commands.order(kiosk, body.action, body.staff, body.for_s))

    @routes.add("GET", "/commands/{nonce}")
    def outcome(nonce: b.TokenText) -> Any:
        return order_fields(use_cases.commands.of(Nonce(bytes.fromhex(nonce))))

    @routes.add("GET", "/kiosks/{kiosk}/settings")
    def settings(kiosk: f.Kiosk) -> Any:
        return shadow_fields(use_cases.shadows.of(kiosk))

    @routes.add("PATCH", "/kiosks/{kiosk}/settings")
    @changes
    def desire(kiosk: f.Kiosk, body: b.SettingsBody) -> Any:
        return shadow_fields(use_cases.shadows.set(kiosk, body.settings))

    return routes


def order_fields(order: Order) -> dict[str, Any]:
    """An order as programs read it."""
    return {
        "nonce": order.nonce.hex(),
        "kiosk": order.kiosk,
        "action": order.action.value,
        "staff": order.staff,
        "issued_at_ms": order.issued_at_ms,
        "not_after_ms": order.not_after_ms,
        "sent_at_ms": order.sent_at_ms,
        "outcome": None if order.outcome is None else order.outcome.value,
        "passage": order.passage,
        "answered_at_ms": order.answered_at_ms,
    }


def shadow_fields(shadow: Shadow) -> dict[str, Any]:
    """A shadow as programs read it."""
    return {
        "kiosk": shadow.kiosk,
        "desired_version": shadow.desired_version,
        "desired": dict(shadow.desired),
        "reported_version": shadow.reported_version,
        "reported": dict(shadow.reported),
        "remarks": dict(shadow.remarks),
        "reported_at_ms": shadow.reported_at_ms,
    }
