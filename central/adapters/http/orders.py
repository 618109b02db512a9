"""HTTP routes of kiosks' orders and desired settings, behind the token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from central.adapters.http import bodies as b
from central.adapters.http.answers import changes
from central.rules.fleet import Order, Shadow
from central.service.use_cases import UseCases
from wire.ids import KioskId, Nonce

KioskPath = Annotated[KioskId, Path(pattern=b.SLUG_REGEX, max_length=32)]
NoncePath = Annotated[str, Path(pattern=b.TOKEN_REGEX, max_length=32)]


def orders(use_cases: UseCases) -> APIRouter:
    """Commands and shadows; a running central sends both within a second."""
    router = APIRouter()

    @router.post("/kiosks/{kiosk}/commands", status_code=201)
    @changes
    def command(kiosk: KioskPath, body: b.CommandBody) -> Any:
        return order_fields(use_cases.commands.order(kiosk, body.action, body.staff, body.for_s))

    @router.get("/commands/{nonce}")
    def outcome(nonce: NoncePath) -> Any:
        return order_fields(use_cases.commands.of(Nonce(bytes.fromhex(nonce))))

    @router.get("/kiosks/{kiosk}/settings")
    def settings(kiosk: KioskPath) -> Any:
        return shadow_fields(use_cases.shadows.of(kiosk))

    @router.patch("/kiosks/{kiosk}/settings")
    @changes
    def desire(kiosk: KioskPath, body: b.SettingsBody) -> Any:
        return shadow_fields(use_cases.shadows.set(kiosk, body.settings))

    return router


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
