"""What a request passes before a route runs: whose name it calls, whose page sent it, its size, its token.

A page elsewhere whose name was pointed at this machine (DNS rebinding) is known by its Host, a page elsewhere
that sends something here is known by its Origin. What is refused is answered unread.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

log = logging.getLogger(__name__)

LOCAL_NAME = "localhost"
"""Browsers resolve it to this machine, whatever a name server says."""
HTTP_PORT = 80
"""The port that browsers leave out of Host and Origin (RFC 9110, 4.2.1)."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They ask for nothing to be changed (RFC 9110, 9.2.1)."""
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer of every server; each adds its own."""
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Besides, for a page with scripts of its own."""
DETAIL_MAX_CHARS = 500

_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:@/\s]+))(?::([0-9]{0,5}))?")

Refuse = Callable[[Scope, int, str, str], Response]
"""Makes an answer of a status, a code for programs and a sentence, fit for what was asked for."""


def problem(status: int, code: str, detail: str) -> JSONResponse:
    """An error as JSON: a code for programs, a sentence for people."""
    return JSONResponse({"error": code, "detail": detail[:DETAIL_MAX_CHARS]}, status_code=status)


def as_problem(_scope: Scope, status: int, code: str, why: str) -> Response:
    """A refusal for programs, whatever was asked for."""
    return problem(status, code, why)


@dataclass(frozen=True, slots=True)
class Names:
    """Under which names a server answers, besides every address and `localhost`.

    `port`: the one it is reached at; None where a proxy may stand before it, with any port, and https.
    """

    names: Collection[str] = ()
    port: int | None = None


def answers_to(host: str, names: Names) -> bool:
    """Whether a Host is an address, this machine, or one of our names.

    Whoever points a name of their own at us (DNS rebinding) sends that name; an address cannot be pointed.
    """
    if (found := _AUTHORITY.fullmatch(host.lower())) is None:
        return False
    bracketed, name, port = found.groups()
    if names.port is not None and int(port or HTTP_PORT) != names.port:
        return False
    if bracketed is not None:
        return _version(bracketed) == 6
    return name == LOCAL_NAME or name in names.names or _version(name) == 4


def on_this_machine(host: str) -> bool:
    """Whether a Host means the machine that the browser runs on."""
    found = _AUTHORITY.fullmatch(host.lower())
    name = "" if found is None else found[1] or found[2]
    return name == LOCAL_NAME or (_version(name) is not None and ipaddress.ip_address(name).is_loopback)


def _version(address: str) -> int | None:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return None


class Guard:
    """ASGI middleware: foreign Host 421, a change or WebSocket of a foreign page 403, headers on all."""

    def __init__(
        self, app: ASGIApp, names: Names, headers: Mapping[str, str], refuse: Refuse = as_problem
    ) -> None:
        """`headers` are put on every answer that has not set them itself, beside those of every server."""
        self._app, self._refuse = app, refuse
        self._names = Names(frozenset(each.lower() for each in names.names), names.port)
        self._headers = {**HEADERS, **headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""

        async def send_guarded(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send_guarded).send_denial_response(refusal)
        else:
            await refusal(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not answers_to(hosts[0], self._names):
            why = "this server does not answer to that name: use its address, or a name it was given"
            return self._refuse(scope, 421, "wrong_host", why)
        if scope["type"] == "websocket":
            ours = self._own_page(headers, hosts[0])
        else:
            ours = scope["method"] in SAFE_METHODS or self._own_request(headers, hosts[0])
        if not ours:
            return self._refuse(scope, 403, "foreign_page", "this was sent from a page of somebody else")
        return None

    def _own_page(self, headers: Headers, host: str) -> bool:
        """Whether it comes from a page that was reached under the same Host."""
        schemes = ("http", "https") if self._names.port is None else ("http",)
        origins = headers.getlist("origin")
        return len(origins) == 1 and origins[0].lower() in {
            f"{scheme}://{host.lower()}" for scheme in schemes
        }

    def _own_request(self, headers: Headers, host: str) -> bool:
        """Whether a change was asked for by a page of ours, or by no page at all.

        Every browser of today says so itself (Sec-Fetch-Site), older ones name the origin; a program does
        neither, and holds nothing (no cookie, no session) that another page could make it use.
        """
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        return "origin" not in headers or self._own_page(headers, host)


@dataclass(frozen=True, slots=True)
class Access:
    """`token` opens every path, of `token_file` as people know it; `is_open` paths need none."""

    token: str = field(repr=False)
    token_file: str
    is_open: Callable[[str], bool]
    body_max_bytes: int


class ApiGuard:
    """ASGI middleware of an API, within its `Guard`: size, token, and no word of what broke inside.

    A body is read whole before a route runs, since it is small.
    """

    def __init__(self, app: ASGIApp, access: Access, refuse: Refuse = as_problem) -> None:
        self._app, self._access, self._refuse = app, access, refuse
        self._expected = f"Bearer {access.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return  # whoever asked has gone
        try:
            await self._app(scope, _again(body, receive), send_watched)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is shown a stack trace
            report(error)
            if not started:
                broken = self._refuse(scope, 500, "failed", "something went wrong here; try again later")
                await broken(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        access = self._access
        if "transfer-encoding" in headers or not _fits(
            headers.get("content-length", "0"), access.body_max_bytes
        ):
            why = f"a body has a length, of at most {access.body_max_bytes} bytes"
            refusal = self._refuse(scope, 413, "too_large", why)
            refusal.headers["connection"] = "close"  # or the rest of it would be read, however long
            return refusal
        given = headers.get("authorization", "").encode()
        if not access.is_open(scope["path"]) and not hmac.compare_digest(given, self._expected):
            why = f"send the token of {access.token_file} as a bearer token"
            refusal = self._refuse(scope, 401, "no_token", why)
            refusal.headers["www-authenticate"] = "Bearer"
            return refusal
        return None


def report(error: Exception) -> None:
    """Log where something went wrong, and not what it says: that may quote what somebody sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed with %s\n%s", type(error).__name__, where)


def _fits(length: str, body_max_bytes: int) -> bool:
    return length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= body_max_bytes


async def _whole(receive: Receive) -> bytes | None:
    """The body, which has a length that was looked at; None when the other end left."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read, to be read by the application."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
