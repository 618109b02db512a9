"""The till's API: create a checkout, look, cancel, give back; and a small page to try it by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge.adapters.central.payments import CentralPayments
from edge.adapters.screen.fonts import font_files
from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.till import bodies as b
from edge.enact.charge import Due, PayConfig, expired
from edge.errors import CheckoutError, StoreError
from wire import fields as f
from wire.canonical import canonical
from wire.ids import RecordId
from wire.transport.guard import PAGE_HEADERS, Access, ApiGuard, Guard, Names, problem
from wire.transport.routes import Routes, as_json, document, mount, route

STATIC = Path(__file__).parent / "static"
BODY_MAX_BYTES = 4_096
"""The largest body, a checkout with 200 characters of reference, all escaped, has 2.6 KB."""
RETRY_S = 5
"""When a till may ask again for what central has not answered."""
_PAGE = {
    "/till": ("till.html", "text/html"),
    "/till.js": ("till.js", "text/javascript"),
    "/till.css": ("till.css", "text/css"),
}
_STATUS = {
    "unknown": 404,
    "key_reused": 409,
    "checkout_open": 409,
    "not_open": 409,
    "above_charge": 409,
    "refund_refused": 409,
    "central_silent": 503,
}
_REFUSALS = {
    400: "not HTTP",
    401: "without the token",
    404: "no such checkout or path",
    405: "another method",
    409: "the checkout is not in the state for that",
    413: "a body past the bound",
    421: "called by another name",
    422: "malformed",
    500: "a fault of this kiosk",
    503: "central or the disk has not answered",
}


@dataclass(frozen=True, slots=True)
class Counter:
    """What the till's API is about; `now_ms` is the best guess at UTC."""

    checkouts: Checkouts
    payments: CentralPayments
    config: PayConfig
    now_ms: Callable[[], int]


def _problem(status: int, code: str, detail: str) -> Response:
    answer = problem(status, code, detail)
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_S)
    return answer


def till_app(counter: Counter, token: str, names: Names) -> Starlette:
    """The application under its names; tills may reach it by whichever address the kiosk has."""
    app = Starlette()
    app.router.redirect_slashes = False
    files = _page_files()
    # Paths that need no token: nothing of anybody is in them.
    open_paths = {*files, "/openapi.json"}
    access = Access(token, "till.token_file", open_paths.__contains__, BODY_MAX_BYTES)
    app.add_middleware(ApiGuard, access=access)
    app.add_middleware(Guard, names=names, headers=PAGE_HEADERS)
    _add_errors(app)
    operations = _routes(counter).under("", needs_token=True)
    mount(app, operations)
    told = as_json(document("Stile till", operations, _REFUSALS))
    _add_page(app, files | {"/openapi.json": ("application/json", bytes(told.body))})
    return app


def _add_errors(app: Starlette) -> None:
    async def checkout_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, CheckoutError)
        return _problem(_STATUS.get(error.code, 409), error.code, str(error))

    async def store_error(_request: Request, error: Exception) -> Response:
        return _problem(503, "not_kept", f"the kiosk's disk did not take it: {error}")

    async def no_route(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "no_route", 405: "wrong_method"}.get(error.status_code, "malformed")
        answer = _problem(error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(CheckoutError, checkout_error)
    app.add_exception_handler(StoreError, store_error)
    app.add_exception_handler(HTTPException, no_route)


def _routes(counter: Counter) -> Routes:
    checkouts, config, routes = counter.checkouts, counter.config, Routes()
    key_of = {"key": "Idempotency-Key"}

    @routes.add("POST", "/checkouts", status=201, headers=key_of, also={200: "this key made it before"})
    async def create(body: b.CheckoutBody, key: b.Key) -> b.CheckoutAnswer:
        """Ask for an amount. The same key and body give the same checkout, another body is refused."""
        asked = hashlib.sha256(canonical(body)).digest()
        merchant = body.merchant or config.merchant
        own_name = config.shown_name if merchant == config.merchant else merchant
        due = Due(
            RecordId(""),
            merchant,
            body.merchant_name or own_name,
            amount_minor=body.amount_minor,
            currency=body.currency,
            reference=body.reference,
        )
        now_ms = counter.now_ms()
        made, fresh = await checkouts.open(key, asked, due, now_ms, config.checkout_s * 1000)
        told: Any = as_json(b.shown(expired(made, now_ms)), 201 if fresh else 200)
        return cast(b.CheckoutAnswer, told)

    @routes.add("GET", "/checkouts/{checkout}")
    async def look(checkout: f.Record) -> b.CheckoutAnswer:
        """A checkout as it is now."""
        found = checkouts.find(checkout)
        if found is None:
            raise CheckoutError("unknown", "there is no such checkout here")
        return b.shown(expired(found, counter.now_ms()))

    @routes.add("POST", "/checkouts/{checkout}/cancel")
    async def cancel(checkout: f.Record) -> b.CheckoutAnswer:
        """Take an open checkout back; once somebody has agreed it is too late."""
        return b.shown(await checkouts.cancel(checkout, counter.now_ms()))

    @routes.add("POST", "/checkouts/{checkout}/refund", headers=key_of)
    async def refund(checkout: f.Record, body: b.RefundBody, key: b.Key) -> b.RefundAnswer:
        """Give some or all back, once per key; central must answer for it."""
        given = await counter.payments.refund(key, checkout, body.amount_minor)
        if given.accepted is None:
            raise CheckoutError(
                "central_silent", "central has not answered: ask again with the same Idempotency-Key"
            )
        if not given.accepted:
            raise CheckoutError("refund_refused", f"central gives nothing back: {given.reason}")
        return b.RefundAnswer(refund=given.refund_id, checkout=checkout, amount_minor=given.amount_minor)

    return routes


def _page_files() -> dict[str, tuple[str, bytes]]:
    """The till's own page and what it is set in, by path: content type and bytes."""
    own = {
        path: (f"{kind}; charset=utf-8", (STATIC / name).read_bytes()) for path, (name, kind) in _PAGE.items()
    }
    return own | font_files()


def _add_page(app: Starlette, files: dict[str, tuple[str, bytes]]) -> None:
    def file(kind: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
        async def give(_request: Request) -> Response:
            return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

        return give

    app.router.routes += [route(path, "GET", file(kind, content)) for path, (kind, content) in files.items()]
