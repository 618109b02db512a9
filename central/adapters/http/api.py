"""The HTTP API: pairing and what members may read without a token, everything else behind one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from central.adapters.http import bodies as b
from central.adapters.http.answers import changes
from central.adapters.http.member_pages.routes import make_pages
from central.adapters.http.money import money
from central.adapters.http.orders import orders
from central.adapters.http.reviews import needs_token, public, reviews
from central.adapters.mqtt.router import RequestRouter
from central.config import HttpConfig
from central.errors import ConflictError, RefusedError, UnknownError
from central.rules.enrolment import Consent
from central.rules.scorecard import Event
from central.service.kiosks import BrokerAddress
from central.service.use_cases import UseCases, state_fields
from central.service.withdrawals import Reach
from wire import fields as f
from wire.claims import ClaimKind
from wire.errors import MalformedIdError
from wire.ids import KioskId, PassageId, Purpose, SubjectId
from wire.pairing import PairRequest
from wire.transport.guard import Access, ApiGuard, Guard, Names, problem
from wire.transport.routes import Operation, Routes, as_json, document, mount, route
from wire.values import Restriction, SealedTemplate

BODY_MAX_BYTES = 8 * 1024
"""The largest body, a sealed template in base64, is 5.5 KB."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Not `no-referrer`: forms would then be sent with `Origin: null`, and their origin is looked at.
    "Referrer-Policy": "same-origin",
}

_REFUSALS = {
    400: "not read",
    401: "without the token",
    403: "not let in, or sent from a foreign page",
    404: "nothing of that name",
    409: "not in the state the change needs",
    413: "a body past the bound, or without a length",
    421: "called by another server's name",
    422: "malformed, or against a rule",
    500: "a fault of this server; its log says where",
}
_NO_ROUTE = {404: "no_route", 405: "wrong_method"}
_STATUS: dict[type[Exception], tuple[int, str]] = {
    UnknownError: (404, "unknown"),
    ConflictError: (409, "conflict"),
    RefusedError: (422, "refused"),
    MalformedIdError: (422, "malformed"),
}


def make_api(
    use_cases: UseCases,
    requests: RequestRouter,
    token: str,
    broker: BrokerAddress,
    http: HttpConfig | None = None,
) -> Starlette:
    """The ASGI application: the API below `/v1`, and members' pages unless `http` says no."""
    http = http or HttpConfig()
    app = Starlette()
    app.router.redirect_slashes = False
    pages = make_pages(use_cases) if http.pages else None
    open_paths = frozenset() if pages is None else pages.paths

    def refuse(scope: Scope, status: int, code: str, why: str) -> Response:
        if pages is not None and scope["path"] in open_paths:
            return pages.refuse(scope, status, code)
        return problem(status, code, why)

    async def expected_error(request: Request, error: Exception) -> Response:
        status, code = _STATUS[type(error)]
        return refuse(request.scope, status, code, str(error))

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _NO_ROUTE.get(error.status_code, "refused")
        answer = refuse(request.scope, error.status_code, code, error.detail)
        answer.headers.update(error.headers or {})
        return answer

    for kind in _STATUS:
        app.add_exception_handler(kind, expected_error)
    app.add_exception_handler(HTTPException, no_route)
    operations = operations_of(use_cases, requests, broker)
    mount(app, operations)
    told = as_json(described(operations))

    async def openapi(_request: Request) -> Response:
        return told

    app.router.routes.append(route("/v1/openapi.json", "GET", openapi))
    if pages is not None:
        app.router.routes += pages.routes

    def is_open(path: str) -> bool:
        return path in open_paths or not needs_token(path)

    access = Access(token, "keys/api.token", is_open, BODY_MAX_BYTES)
    app.add_middleware(ApiGuard, access=access, refuse=refuse)
    app.add_middleware(Guard, names=Names(http.names), headers=HEADERS, refuse=refuse)
    return app


def operations_of(use_cases: UseCases, requests: RequestRouter, broker: BrokerAddress) -> list[Operation]:
    """Every operation of the API, below `/v1`."""
    public_ones = (_pairing(use_cases, broker), public(use_cases))
    return [
        each
        for tables, needs in ((public_ones, False), (behind_token(use_cases, requests), True))
        for table in tables
        for each in table.under("/v1", needs_token=needs)
    ]


def described(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document of the API."""
    return document("Stile central", operations, _REFUSALS)


def behind_token(use_cases: UseCases, requests: RequestRouter) -> tuple[Routes, ...]:
    """Those that only who has the token may use."""
    return (
        _members(use_cases),
        _standings(use_cases),
        _fleet(use_cases, requests),
        orders(use_cases),
        money(use_cases),
        reviews(use_cases),
    )


def _pairing(use_cases: UseCases, broker: BrokerAddress) -> Routes:
    routes = Routes()

    @routes.add("POST", "/pair")
    @changes
    def pair(body: PairRequest) -> Response:
        try:
            return as_json(use_cases.kiosks.pair(body, broker))
        except RefusedError as error:
            return problem(403, "pairing_refused", str(error))

    return routes


def _members(use_cases: UseCases) -> Routes:
    routes = Routes("/subjects")

    @routes.add("POST", "", status=201)
    @changes
    def enrol(body: b.EnrolBody) -> Any:
        template = None if body.template is None else _sealed(body.template)
        consent = _consent(body.consent)
        enrolled = use_cases.members.enrol(SubjectId(body.subject), template, consent, body.agree_by)
        return {"subject": enrolled.subject}

    @routes.add("PUT", "/{subject}/template")
    @changes
    def enrol_again(subject: f.Subject, body: b.EnrolAgainBody) -> Any:
        template, consent = _sealed(body.template), _consent(body.consent)
        return {"waits_for_switch": use_cases.reenrolments.enrol_again(subject, template, consent)}

    @routes.add("DELETE", "/{subject}")
    @changes
    def withdraw(subject: f.Subject) -> Any:
        use_cases.members.withdraw(subject)
        return {"withdrawn": subject}

    @routes.add("GET", "/{subject}/withdrawal")
    def withdrawal(subject: f.Subject) -> Any:
        found = use_cases.withdrawals.progress(subject)
        return {
            "subject": found.subject,
            "withdrawn_at_ms": found.withdrawn_at_ms,
            "told": found.told,
            **{reach.value: found.count(reach) for reach in Reach},
            "kiosks": [
                {"kiosk": each.kiosk, "reach": each.reach.value, "seen_at_ms": each.seen_at_ms}
                for each in found.kiosks
            ],
        }

    @routes.add("POST", "/{subject}/claims", status=201)
    @changes
    def claim(subject: f.Subject, body: b.ClaimBody) -> Any:
        if body.kind is ClaimKind.QR:
            return {"claim_id": use_cases.members.add_qr_claim(subject)}
        return {"digest": use_cases.members.add_claim(subject, body.kind, body.text).hex()}

    @routes.add("PUT", "/{subject}/pin")
    @changes
    def set_pin(subject: f.Subject, body: b.PinBody) -> Any:
        use_cases.members.set_pin(subject, body.pin)
        return {"subject": subject}

    @routes.add("POST", "/{subject}/pin/unlock")
    @changes
    def unlock(subject: f.Subject) -> Any:
        use_cases.members.unlock_pin(subject)
        return {"subject": subject}

    return routes


def _sealed(given: b.TemplateBody) -> SealedTemplate:
    return SealedTemplate(given.sealed, given.key_version, given.recipe_digest, given.images)


def _consent(given: b.ConsentBody) -> Consent:
    return Consent(given.text_version, given.language, given.at_ms)


def _standings(use_cases: UseCases) -> Routes:
    routes = Routes()

    @routes.add("POST", "/subjects/{subject}/events", status=201)
    @changes
    def record(subject: f.Subject, body: b.EventBody) -> Response:
        event = Event(
            body.event_id,
            subject,
            Purpose(body.purpose),
            body.kind,
            body.outcome,
            body.at_ms,
            body.incident,
        )
        return as_json(use_cases.standings.record_event(event).score, 201)

    @routes.add("GET", "/subjects/{subject}/standing/{purpose}")
    def explain(subject: f.Subject, purpose: b.SlugText) -> Any:
        found = use_cases.standings.explain(subject, Purpose(purpose))
        standing = found.standing
        return {
            "subject": standing.subject,
            "purpose": standing.purpose,
            "score": standing.score,
            "tier": standing.tier,
            "factors": [msgspec.structs.asdict(factor) for factor in standing.factors],
            "limits": msgspec.structs.asdict(standing.limits),
            "scorecard_version": found.scorecard_version,
            "events_counted": found.events_counted,
            "events_disputed": found.events_disputed,
            "events_struck": found.events_struck,
            "restrictions": [each.restriction_id for each in standing.restrictions],
            "issued_at_ms": standing.issued_at_ms,
            "expires_at_ms": standing.expires_at_ms,
        }

    @routes.add("POST", "/restrictions", status=201)
    @changes
    def restrict(body: Restriction) -> Any:
        use_cases.standings.add_restriction(body)
        return {"restriction_id": body.restriction_id}

    return routes


def _fleet(use_cases: UseCases, requests: RequestRouter) -> Routes:
    routes = Routes()

    @routes.add("POST", "/kiosks", status=201)
    @changes
    def add(body: b.KioskBody) -> Any:
        if Purpose(body.purpose) not in use_cases.standings.purposes:
            raise UnknownError("purpose", body.purpose)
        code = use_cases.kiosks.add(KioskId(body.kiosk), Purpose(body.purpose), enrols=body.enrols)
        return {"kiosk": body.kiosk, "pairing_code": code}

    @routes.add("GET", "/kiosks")
    def kiosks() -> Any:
        sightings = use_cases.kiosks.sightings()
        rows = []
        for kiosk in use_cases.kiosks.all():
            seen = sightings.get(kiosk.kiosk)
            rows.append(
                {
                    "kiosk": kiosk.kiosk,
                    "purpose": kiosk.purpose,
                    "paired": kiosk.certificate is not None,
                    "revoked": kiosk.revoked_at_ms is not None,
                    "enrols": kiosk.enrols,
                    "presence": None if seen is None else seen.presence,
                    "seen_at_ms": None if seen is None else seen.seen_at_ms,
                }
            )
        return {"kiosks": rows, "ignored": dict(requests.ignored)}

    @routes.add("DELETE", "/kiosks/{kiosk}")
    @changes
    def revoke(kiosk: b.SlugText) -> Any:
        use_cases.kiosks.revoke(KioskId(kiosk))
        return {"revoked": kiosk}

    @routes.add("GET", "/passages/{passage}")
    def passage(passage: b.TokenText) -> Response:
        return as_json(use_cases.records.of_passage(PassageId(passage)))

    @routes.add("GET", "/state")
    def state() -> Any:
        return {**state_fields(use_cases), "broker_trouble": requests.broker_trouble()}

    @routes.add("GET", "/audit")
    def audit() -> Any:
        return [
            {
                "kiosk": each.kiosk,
                "records": each.records,
                "purged": each.purged,
                "signed_heads": each.signed_heads,
                "broken_at": each.broken_at,
                "why": each.why,
            }
            for each in use_cases.records.verify()
        ]

    return routes
