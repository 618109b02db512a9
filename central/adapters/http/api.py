"""The HTTP API: pairing and what members may read without a token, everything else behind one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from central.adapters.http import bodies as b
from central.adapters.http.answers import RawBody, as_json, changes
from central.adapters.http.document import REFUSALS, TOKEN, document, reads
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
from wire.claims import ClaimKind
from wire.errors import MalformedIdError
from wire.ids import KioskId, PassageId, Purpose, RestrictionId, SubjectId
from wire.pairing import PairRequest
from wire.transport.guard import Access, ApiGuard, Guard, Names, problem
from wire.values import Restriction, SealedTemplate

SubjectPath = Annotated[SubjectId, Path(pattern=b.TOKEN_REGEX, max_length=32)]
TokenPath = Annotated[str, Path(pattern=b.TOKEN_REGEX, max_length=32)]
SlugPath = Annotated[str, Path(pattern=b.SLUG_REGEX, max_length=32)]

BODY_MAX_BYTES = 8 * 1024
"""The largest body, a sealed template in base64, is 5.5 KB."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Not `no-referrer`: forms would then be sent with `Origin: null`, and their origin is looked at.
    "Referrer-Policy": "same-origin",
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
) -> FastAPI:
    """The ASGI application: the API below `/v1`, and members' pages unless `http` says no."""
    http = http or HttpConfig()
    app = FastAPI(title="Stile central", version="1", docs_url=None, redoc_url=None, openapi_url=None)
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

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return problem(422, "malformed", f"{place}: {first['msg']}")

    for kind in _STATUS:
        app.add_exception_handler(kind, expected_error)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(RequestValidationError, invalid)
    for router in (_pairing(use_cases, broker), public(use_cases)):
        app.include_router(router, prefix="/v1", responses=REFUSALS)
    for router in behind_token(use_cases, requests):
        app.include_router(router, prefix="/v1", responses=REFUSALS, dependencies=[Security(TOKEN)])
    app.include_router(document(app), prefix="/v1")

    if pages is not None:
        app.include_router(pages.router)

    def is_open(path: str) -> bool:
        return path in open_paths or not needs_token(path)

    access = Access(token, "keys/api.token", is_open, BODY_MAX_BYTES)
    app.add_middleware(ApiGuard, access=access, refuse=refuse)
    app.add_middleware(Guard, names=Names(http.names), headers=HEADERS, refuse=refuse)
    return app


def routers(use_cases: UseCases, requests: RequestRouter, broker: BrokerAddress) -> tuple[APIRouter, ...]:
    """Every route of the API, below `/v1`."""
    return (_pairing(use_cases, broker), public(use_cases), *behind_token(use_cases, requests))


def behind_token(use_cases: UseCases, requests: RequestRouter) -> tuple[APIRouter, ...]:
    """Those that only who has the token may use."""
    return (
        _members(use_cases),
        _standings(use_cases),
        _fleet(use_cases, requests),
        orders(use_cases),
        money(use_cases),
        reviews(use_cases),
    )


def _pairing(use_cases: UseCases, broker: BrokerAddress) -> APIRouter:
    router = APIRouter()

    @router.post("/pair", openapi_extra=reads(PairRequest))
    @changes
    def pair(body: RawBody) -> Response:
        try:
            request = msgspec.json.decode(body, type=PairRequest)
        except ValueError as error:
            return problem(400, "malformed", str(error))
        try:
            return as_json(use_cases.kiosks.pair(request, broker))
        except RefusedError as error:
            return problem(403, "pairing_refused", str(error))

    return router


def _members(use_cases: UseCases) -> APIRouter:
    router = APIRouter(prefix="/subjects")

    @router.post("", status_code=201)
    @changes
    def enrol(body: b.EnrolBody) -> Any:
        template = None if body.template is None else _sealed(body.template)
        consent = _consent(body.consent)
        enrolled = use_cases.members.enrol(SubjectId(body.subject), template, consent, body.agree_by)
        return {"subject": enrolled.subject}

    @router.put("/{subject}/template")
    @changes
    def enrol_again(subject: SubjectPath, body: b.EnrolAgainBody) -> Any:
        template, consent = _sealed(body.template), _consent(body.consent)
        return {"waits_for_switch": use_cases.reenrolments.enrol_again(subject, template, consent)}

    @router.delete("/{subject}")
    @changes
    def withdraw(subject: SubjectPath) -> Any:
        use_cases.members.withdraw(subject)
        return {"withdrawn": subject}

    @router.get("/{subject}/withdrawal")
    def withdrawal(subject: SubjectPath) -> Any:
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

    @router.post("/{subject}/claims", status_code=201)
    @changes
    def claim(subject: SubjectPath, body: b.ClaimBody) -> Any:
        if body.kind is ClaimKind.QR:
            return {"claim_id": use_cases.members.add_qr_claim(subject)}
        return {"digest": use_cases.members.add_claim(subject, body.kind, body.text).hex()}

    @router.put("/{subject}/pin")
    @changes
    def set_pin(subject: SubjectPath, body: b.PinBody) -> Any:
        use_cases.members.set_pin(subject, body.pin)
        return {"subject": subject}

    @router.post("/{subject}/pin/unlock")
    @changes
    def unlock(subject: SubjectPath) -> Any:
        use_cases.members.unlock_pin(subject)
        return {"subject": subject}

    return router


def _sealed(given: b.TemplateBody) -> SealedTemplate:
    return SealedTemplate(given.sealed, given.key_version, given.recipe_digest, given.images)


def _consent(given: b.ConsentBody) -> Consent:
    return Consent(given.text_version, given.language, given.at_ms)


def _standings(use_cases: UseCases) -> APIRouter:
    router = APIRouter()

    @router.post("/subjects/{subject}/events", status_code=201)
    @changes
    def record(subject: SubjectPath, body: b.EventBody) -> Response:
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

    @router.get("/subjects/{subject}/standing/{purpose}")
    def explain(subject: SubjectPath, purpose: SlugPath) -> Any:
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

    @router.post("/restrictions", status_code=201, openapi_extra=reads(Restriction))
    @changes
    def restrict(body: RawBody) -> Response:
        try:
            restriction = msgspec.json.decode(body, type=Restriction)
        except ValueError as error:
            return problem(422, "malformed", str(error))
        use_cases.standings.add_restriction(restriction)
        return as_json({"restriction_id": restriction.restriction_id}, 201)

    @router.delete("/restrictions/{restriction_id}")
    @changes
    def lift(restriction_id: TokenPath) -> Any:
        use_cases.standings.lift_restriction(RestrictionId(restriction_id))
        return {"lifted": restriction_id}

    return router


def _fleet(use_cases: UseCases, requests: RequestRouter) -> APIRouter:
    router = APIRouter()

    @router.post("/kiosks", status_code=201)
    @changes
    def add(body: b.KioskBody) -> Any:
        if Purpose(body.purpose) not in use_cases.standings.purposes:
            raise UnknownError("purpose", body.purpose)
        code = use_cases.kiosks.add(KioskId(body.kiosk), Purpose(body.purpose), enrols=body.enrols)
        return {"kiosk": body.kiosk, "pairing_code": code}

    @router.get("/kiosks")
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

    @router.delete("/kiosks/{kiosk}")
    @changes
    def revoke(kiosk: SlugPath) -> Any:
        use_cases.kiosks.revoke(KioskId(kiosk))
        return {"revoked": kiosk}

    @router.get("/passages/{passage}")
    def passage(passage: TokenPath) -> Response:
        return as_json(use_cases.records.of_passage(PassageId(passage)))

    @router.get("/state")
    def state() -> Any:
        return state_fields(use_cases)

    @router.get("/audit")
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

    return router
