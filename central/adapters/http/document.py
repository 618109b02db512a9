"""The API's OpenAPI document, behind the token like what it tells of."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Response
from fastapi.security import HTTPBearer

from central.adapters.http.answers import as_json
from central.rules.review import Ruling
from wire.pairing import PairRequest
from wire.values import Restriction

TOKEN = HTTPBearer(auto_error=False, description="keys/api.token")
"""The scheme that the guard asks for."""
_REFERENCE = "#/components/schemas/{name}"
_READ_BY_MSGSPEC = (PairRequest, Restriction, Ruling)
_PROBLEM = {
    "type": "object",
    "description": "An error: a code for programs, a sentence for people.",
    "required": ["error", "detail"],
    "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
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
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": why,
        "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
    }
    for status, why in _REFUSALS.items()
}
"""What any route may answer, for FastAPI's `responses`."""


def reads(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a value of the wire from its body."""
    reference = {"$ref": _REFERENCE.format(name=kind.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def described(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    document = app.openapi()
    _, wire = msgspec.json.schema_components(_READ_BY_MSGSPEC, ref_template=_REFERENCE)
    document["components"]["schemas"] |= {**wire, "Problem": _PROBLEM}
    _in_ecmascript(document)
    return document


def _in_ecmascript(part: Any) -> None:
    """OpenAPI's regular expressions are ECMAScript's: there `$` is the end and nothing else."""
    if isinstance(part, list):
        for each in part:
            _in_ecmascript(each)
    if isinstance(part, dict):
        if isinstance(pattern := part.get("pattern"), str):
            part["pattern"] = re.sub(r"\\[zZ]", "$", pattern)
        for each in part.values():
            _in_ecmascript(each)


def document(app: FastAPI) -> APIRouter:
    """The route that hands the document out."""
    router = APIRouter()

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return as_json(described(app))

    return router
