"""The till's API: create a checkout, look, cancel, give back; and a small page to try it by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi import Path as PathField
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from edge.adapters.central.payments import CentralPayments
from edge.adapters.screen.fonts import font_files
from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.till import bodies as b
from edge.enact.charge import Due, PayConfig, expired
from edge.errors import CheckoutError, StoreError
from wire.ids import RecordId
from wire.transport.guard import PAGE_HEADERS, Access, ApiGuard, Guard, Names, problem

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
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": b.Problem} for status in (400, 401, 404, 405, 409, 413, 421, 422, 500, 503)
}

Key = Annotated[str, Header(alias="Idempotency-Key", pattern=b.KEY_REGEX, min_length=1, max_length=b.KEY_MAX)]
CheckoutPath = Annotated[RecordId, PathField(pattern=b.TOKEN_REGEX, max_length=32)]


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


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The document; its regular expressions are ECMAScript's, where `$` is the end and nothing else."""
        document = super().openapi()
        _in_ecmascript(document)
        return document


def _in_ecmascript(part: Any) -> None:
    if isinstance(part, list):
        for each in part:
            _in_ecmascript(each)
    if isinstance(part, dict):
        if isinstance(pattern := part.get("pattern"), str):
            part["pattern"] = pattern.replace(r"\z", "$")
        for each in part.values():
            _in_ecmascript(each)


def till_app(counter: Counter, token: str, names: Names) -> FastAPI:
    """The application under its names; tills may reach it by whichever address the kiosk has."""
    app = _Api(
        title="Stile till",
        version="1",
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
        redirect_slashes=False,
    )
    files = _page_files()
    # Paths that need no token: nothing of anybody is in them.
    open_paths = {*files, "/openapi.json"}

    @app.middleware("http")
    async def parsed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse what no parser may be given."""
        try:
            json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            return _problem(422, "malformed", "the body is not JSON, or too deep")
        return await call_next(request)

    access = Access(token, "till.token_file", open_paths.__contains__, BODY_MAX_BYTES)
    app.add_middleware(ApiGuard, access=access)
    app.add_middleware(Guard, names=names, headers=PAGE_HEADERS)
    _add_errors(app)
    _add_routes(app, counter)
    _add_page(app, files)
    return app


def _add_errors(app: FastAPI) -> None:
    async def checkout_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, CheckoutError)
        return _problem(_STATUS.get(error.code, 409), error.code, str(error))

    async def store_error(_request: Request, error: Exception) -> Response:
        return _problem(503, "not_kept", f"the kiosk's disk did not take it: {error}")

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return _problem(422, "malformed", f"{place}: {first['msg']}")

    async def no_route(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "no_route", 405: "wrong_method"}.get(error.status_code, "malformed")
        answer = _problem(error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(CheckoutError, checkout_error)
    app.add_exception_handler(StoreError, store_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, no_route)


def _add_routes(app: FastAPI, counter: Counter) -> None:
    checkouts, config = counter.checkouts, counter.config
    behind_token = [Depends(HTTPBearer(auto_error=False))]

    @app.post(
        "/checkouts",
        status_code=201,
        dependencies=behind_token,
        responses={200: {"model": b.CheckoutAnswer, "description": "This key made it before"}},
    )
    async def create(body: b.CheckoutBody, key: Key, response: Response) -> b.CheckoutAnswer:
        """Ask for an amount. The same key and body give the same checkout, another body is refused."""
        asked = hashlib.sha256(body.model_dump_json().encode()).digest()
        merchant = body.merchant or config.merchant
        own_name = config.shown_name if merchant == config.merchant else merchant
        due = Due(
            RecordId(""),
            merchant,
            body.merchant_name or own_name,
            body.amount_minor,
            body.currency,
            body.reference,
        )
        now_ms = counter.now_ms()
        made, fresh = await checkouts.open(key, asked, due, now_ms, config.checkout_s * 1000)
        response.status_code = 201 if fresh else 200
        return b.shown(expired(made, now_ms))

    @app.get("/checkouts/{checkout}", dependencies=behind_token)
    async def look(checkout: CheckoutPath) -> b.CheckoutAnswer:
        """A checkout as it is now."""
        found = checkouts.find(checkout)
        if found is None:
            raise CheckoutError("unknown", "there is no such checkout here")
        return b.shown(expired(found, counter.now_ms()))

    @app.post("/checkouts/{checkout}/cancel", dependencies=behind_token)
    async def cancel(checkout: CheckoutPath) -> b.CheckoutAnswer:
        """Take an open checkout back; once somebody has agreed it is too late."""
        return b.shown(await checkouts.cancel(checkout, counter.now_ms()))

    @app.post("/checkouts/{checkout}/refund", dependencies=behind_token)
    async def refund(checkout: CheckoutPath, body: b.RefundBody, key: Key) -> b.RefundAnswer:
        """Give some or all back, once per key; central must answer for it."""
        given = await counter.payments.refund(key, checkout, body.amount_minor)
        if given.accepted is None:
            raise CheckoutError(
                "central_silent", "central has not answered: ask again with the same Idempotency-Key"
            )
        if not given.accepted:
            raise CheckoutError("refund_refused", f"central gives nothing back: {given.reason}")
        return b.RefundAnswer(refund=given.refund_id, checkout=checkout, amount_minor=given.amount_minor)


def _page_files() -> dict[str, tuple[str, bytes]]:
    """The till's own page and what it is set in, by path: content type and bytes."""
    own = {
        path: (f"{kind}; charset=utf-8", (STATIC / name).read_bytes()) for path, (name, kind) in _PAGE.items()
    }
    return own | font_files()


def _add_page(app: FastAPI, files: dict[str, tuple[str, bytes]]) -> None:
    def file(kind: str, content: bytes) -> Callable[[], Awaitable[Response]]:
        async def give() -> Response:
            return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

        return give

    for path, (kind, content) in files.items():
        app.add_api_route(path, file(kind, content), methods=["GET"], include_in_schema=False)
