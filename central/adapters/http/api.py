"""The HTTP API: pairing and what members may read without a token, everything else behind one."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError

from central.adapters.http import bodies as b
from central.adapters.http.answers import RawBody, as_json, changes, problem
from central.adapters.http.orders import orders
from central.adapters.http.reviews import needs_token, public, reviews
from central.adapters.switchboard import Desk, Switchboard
from central.enrolment import Consent
from central.errors import ConflictError, RefusedError, UnknownError
from central.scorecard import Event
from central.service.kiosks import BrokerAddress
from wire.claims import ClaimKind
from wire.errors import MalformedIdError
from wire.ids import KioskId, PassageId, Purpose, RestrictionId, SubjectId
from wire.pairing import PairRequest
from wire.values import Restriction, SealedTemplate

BODY_MAX_BYTES = 8 * 1024  # the largest body, a sealed template in base64, is 5.5 KB

SubjectPath = Annotated[SubjectId, Path(pattern=b.TOKEN_REGEX, max_length=32)]
TokenPath = Annotated[str, Path(pattern=b.TOKEN_REGEX, max_length=32)]
SlugPath = Annotated[str, Path(pattern=b.SLUG_REGEX, max_length=32)]

_STATUS: dict[type[Exception], tuple[int, str]] = {
    UnknownError: (404, "unknown"),
    ConflictError: (409, "conflict"),
    RefusedError: (422, "refused"),
    MalformedIdError: (422, "malformed"),
}


def make_api(desk: Desk, switchboard: Switchboard, token: str, broker: BrokerAddress) -> FastAPI:
    """The ASGI application over a desk."""
    app = FastAPI(title="Stile central", docs_url=None, redoc_url=None, openapi_url=None)
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def bounded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse bodies past the bound before reading them, and requests without the token."""
        length = request.headers.get("content-length", "0")
        if request.headers.get("transfer-encoding") or not length.isdigit() or int(length) > BODY_MAX_BYTES:
            refusal = problem(413, "too_large", f"a body has a length, of at most {BODY_MAX_BYTES} bytes")
            refusal.headers["connection"] = "close"  # or the rest of it would be read, however long
            return refusal
        if needs_token(request.url.path):
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, expected):
                return problem(401, "no_token", "send the token of keys/api.token as a bearer token")
        return await call_next(request)

    async def expected_error(_request: Request, error: Exception) -> Response:
        status, code = _STATUS[type(error)]
        return problem(status, code, str(error))

    for kind in _STATUS:
        app.add_exception_handler(kind, expected_error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return problem(422, "malformed", f"{place}: {first['msg']}")

    app.add_exception_handler(RequestValidationError, invalid)
    for router in routers(desk, switchboard, broker):
        app.include_router(router, prefix="/v1")
    return app


def routers(desk: Desk, switchboard: Switchboard, broker: BrokerAddress) -> tuple[APIRouter, ...]:
    """Every route, below `/v1`."""
    return (
        _pairing(desk, broker),
        _members(desk),
        _standings(desk),
        _fleet(desk, switchboard),
        orders(desk),
        public(desk),
        reviews(desk),
    )


def _pairing(desk: Desk, broker: BrokerAddress) -> APIRouter:
    router = APIRouter()

    @router.post("/pair")
    @changes
    def pair(body: RawBody) -> Response:
        try:
            request = msgspec.json.decode(body, type=PairRequest)
        except ValueError as error:
            return problem(400, "malformed", str(error))
        try:
            return as_json(desk.kiosks.pair(request, broker))
        except RefusedError as error:
            return problem(403, "pairing_refused", str(error))

    return router


def _members(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/subjects")

    @router.post("", status_code=201)
    @changes
    def enrol(body: b.EnrolBody) -> Any:
        template = None if body.template is None else _sealed(body.template)
        enrolled = desk.members.enrol(SubjectId(body.subject), template, _consent(body.consent))
        return {"subject": enrolled.subject}

    @router.put("/{subject}/template")
    @changes
    def enrol_again(subject: SubjectPath, body: b.EnrolAgainBody) -> Any:
        template, consent = _sealed(body.template), _consent(body.consent)
        return {"waits_for_switch": desk.reenrolments.enrol_again(subject, template, consent)}

    @router.delete("/{subject}")
    @changes
    def withdraw(subject: SubjectPath) -> Any:
        desk.members.withdraw(subject)
        return {"withdrawn": subject}

    @router.post("/{subject}/claims", status_code=201)
    @changes
    def claim(subject: SubjectPath, body: b.ClaimBody) -> Any:
        if body.kind is ClaimKind.QR:
            return {"claim_id": desk.members.add_qr_claim(subject)}
        return {"digest": desk.members.add_claim(subject, body.kind, body.text).hex()}

    @router.put("/{subject}/pin")
    @changes
    def set_pin(subject: SubjectPath, body: b.PinBody) -> Any:
        desk.members.set_pin(subject, body.pin)
        return {"subject": subject}

    @router.post("/{subject}/pin/unlock")
    @changes
    def unlock(subject: SubjectPath) -> Any:
        desk.members.unlock_pin(subject)
        return {"subject": subject}

    return router


def _sealed(given: b.TemplateBody) -> SealedTemplate:
    return SealedTemplate(given.sealed, given.key_version, given.recipe_digest, given.images)


def _consent(given: b.ConsentBody) -> Consent:
    return Consent(given.text_version, given.language, given.at_ms)


def _standings(desk: Desk) -> APIRouter:
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
        return as_json(desk.standings.record_event(event).score)

    @router.get("/subjects/{subject}/standing/{purpose}")
    def explain(subject: SubjectPath, purpose: SlugPath) -> Any:
        found = desk.standings.explain(subject, Purpose(purpose))
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

    @router.post("/restrictions", status_code=201)
    @changes
    def restrict(body: RawBody) -> Response:
        try:
            restriction = msgspec.json.decode(body, type=Restriction)
        except ValueError as error:
            return problem(422, "malformed", str(error))
        desk.standings.add_restriction(restriction)
        return as_json({"restriction_id": restriction.restriction_id})

    @router.delete("/restrictions/{restriction_id}")
    @changes
    def lift(restriction_id: TokenPath) -> Any:
        desk.standings.lift_restriction(RestrictionId(restriction_id))
        return {"lifted": restriction_id}

    return router


def _fleet(desk: Desk, switchboard: Switchboard) -> APIRouter:
    router = APIRouter()

    @router.post("/kiosks", status_code=201)
    @changes
    def add(body: b.KioskBody) -> Any:
        if Purpose(body.purpose) not in desk.standings.purposes:
            raise UnknownError("purpose", body.purpose)
        code = desk.kiosks.add(KioskId(body.kiosk), Purpose(body.purpose))
        return {"kiosk": body.kiosk, "pairing_code": code}

    @router.get("/kiosks")
    def kiosks() -> Any:
        sightings = desk.kiosks.sightings()
        rows = []
        for kiosk in desk.kiosks.all():
            seen = sightings.get(kiosk.kiosk)
            rows.append(
                {
                    "kiosk": kiosk.kiosk,
                    "purpose": kiosk.purpose,
                    "paired": kiosk.certificate is not None,
                    "revoked": kiosk.revoked_at_ms is not None,
                    "presence": None if seen is None else seen.presence,
                    "seen_at_ms": None if seen is None else seen.seen_at_ms,
                }
            )
        return {"kiosks": rows, "ignored": dict(switchboard.ignored)}

    @router.delete("/kiosks/{kiosk}")
    @changes
    def revoke(kiosk: SlugPath) -> Any:
        desk.kiosks.revoke(KioskId(kiosk))
        return {"revoked": kiosk}

    @router.get("/passages/{passage}")
    def passage(passage: TokenPath) -> Response:
        return as_json(desk.records.of_passage(PassageId(passage)))

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
            for each in desk.records.verify()
        ]

    return router
