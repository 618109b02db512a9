"""Routes of an HTTP API: plain functions with typed parameters, and the OpenAPI document of them.

What comes in is decoded by msgspec into the types of the function's parameters; the document is made from
the same types.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_type_hints

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wire.transport.guard import problem

F = TypeVar("F", bound=Callable[..., Any])

BODY = "body"
"""The parameter that takes the body, as its type says."""
_REFERENCE = "#/components/schemas/{name}"
_SECURITY = "HTTPBearer"


class MalformedError(Exception):
    """A request of which a part is not as its type says."""


class Problem(msgspec.Struct, frozen=True):
    """An error: a code for programs, a sentence for people."""

    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `headers` names the header of each parameter that is taken from one."""

    method: str
    path: str
    call: Callable[..., Any]
    status: int
    headers: Mapping[str, str]
    also: Mapping[int, str] = field(default_factory=dict)
    """Other answers with the same body: status and what it means."""
    needs_token: bool = False

    @property
    def types(self) -> dict[str, Any]:
        """The types of the parameters, and of the answer under `return`."""
        return get_type_hints(self.call, include_extras=True)

    @property
    def taken_in(self) -> Iterable[tuple[str, str, str]]:
        """Parameter, where it comes from (`path`, `header`), and its name there."""
        for name in inspect.signature(self.call).parameters:
            if name in self.headers:
                yield name, "header", self.headers[name]
            elif name != BODY:
                yield name, "path", name

    async def answer(self, request: Request) -> Response:
        """Call the function with what the request holds; raises `MalformedError`."""
        types = self.types
        given: dict[str, Any] = {}
        for name, place, there in self.taken_in:
            source: Mapping[str, str] = request.path_params if place == "path" else request.headers
            given[name] = _converted(source.get(there), types[name], f"{place}.{there}")
        if BODY in types:
            given[BODY] = _decoded(await request.body(), types[BODY])
        found = self.call(**given) if _is_async(self.call) else run_in_threadpool(self.call, **given)
        said = await found
        return said if isinstance(said, Response) else as_json(said, self.status)


class Routes:
    """A table of operations, filled by decorating functions."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.operations: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        also: Mapping[int, str] | None = None,
    ) -> Callable[[F], F]:
        """Have a function answer a method of a path; plain functions run in threads."""

        def added(call: F) -> F:
            self.operations.append(
                Operation(method, self._prefix + path, call, status, headers or {}, also or {})
            )
            return call

        return added

    def under(self, prefix: str, *, needs_token: bool) -> list[Operation]:
        """The operations below a prefix."""
        return [replace(each, path=prefix + each.path, needs_token=needs_token) for each in self.operations]


def as_json(value: object, status: int = 200) -> Response:
    """Any value of ours as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def mount(app: Starlette, operations: Iterable[Operation]) -> None:
    """Add operations to an application, and an answer to what is malformed."""
    for each in operations:
        app.router.routes.append(route(each.path, each.method, each.answer))

    async def malformed(_request: Request, error: Exception) -> Response:
        return problem(422, "malformed", str(error))

    app.add_exception_handler(MalformedError, malformed)


def route(path: str, method: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
    """One method of one path, and no other: HEAD is not GET here."""
    made = Route(path, answer, methods=[method])
    made.methods = {method}
    return made


def document(title: str, operations: Iterable[Operation], refusals: Mapping[int, str]) -> dict[str, Any]:
    """The OpenAPI document; `refusals` are what any operation may answer besides, and what each means."""
    listed = tuple(operations)
    kinds = _Schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    failures = {
        str(status): {"description": why, "content": _content(kinds.of(Problem))}
        for status, why in refusals.items()
    }
    for each in listed:
        types = each.types
        answers = _content(kinds.of(types["return"])) if _is_known(types.get("return")) else None
        told: dict[str, Any] = {
            str(status): {"description": why} | ({} if answers is None else {"content": answers})
            for status, why in {each.status: "done", **each.also}.items()
        }
        operation: dict[str, Any] = {
            "summary": (inspect.getdoc(each.call) or each.call.__name__.replace("_", " ")).partition("\n")[0],
            "operationId": f"{each.call.__name__}_{each.method}{each.path}",
            "parameters": [
                {"name": there, "in": place, "required": True, "schema": kinds.of(types[name])}
                for name, place, there in each.taken_in
            ],
            "responses": failures | told,
        }
        if BODY in types:
            operation["requestBody"] = {"required": True, "content": _content(kinds.of(types[BODY]))}
        if each.needs_token:
            operation["security"] = [{_SECURITY: []}]
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {
            "schemas": kinds.components,
            "securitySchemes": {_SECURITY: {"type": "http", "scheme": "bearer"}},
        },
    }
    _in_ecmascript(made)
    return made


class _Schemas:
    """The schemas of every type that operations take in and give out."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds = [Problem]
        for each in operations:
            kinds += [kind for kind in each.types.values() if _is_known(kind)]
        made, self.components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._made = list(zip(kinds, made, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of one of the types, or a reference to it."""
        return next(dict(schema) for known, schema in self._made if known == kind)


def _is_known(kind: Any) -> bool:
    return kind not in (None, Any, type(None)) and not (inspect.isclass(kind) and issubclass(kind, Response))


def _is_async(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call)


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _converted(text: str | None, kind: Any, place: str) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedError(f"{place}: {error}") from error


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's own are among them
        what, _, where = str(error).partition(" - at `$")
        raise MalformedError(f"body{where.rstrip('`')}: {what}") from error


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
