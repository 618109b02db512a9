"""Who may speak to the screen's server: only a page that the server itself gave out.

A page elsewhere whose name was pointed at this machine (DNS rebinding) is known by its Host, a page elsewhere
that opens a WebSocket here is known by its Origin; both are refused before any route runs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = 80
"""The port that browsers leave out of Host and Origin (RFC 9110, 4.2.1)."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
CAMERA_POLICY = SECURITY_HEADERS["Permissions-Policy"].replace("camera=()", "camera=(self)")
"""Where the page is the kiosk's camera; everywhere else the browser does not even ask."""


Refuse = Callable[[int, str, str], Response]
"""Makes an answer of a status, a code for programs and a sentence."""


def authorities(names: tuple[str, ...], port: int) -> frozenset[str]:
    """The values of Host that mean this server: each name with the port, or without where browsers do so."""
    named = (*LOOPBACK_NAMES, *(name.lower() for name in names))
    with_port = {f"{name}:{port}" for name in named}
    return frozenset(with_port | set(named) if port == HTTP_PORT else with_port)


def is_address(host: str) -> bool:
    """Whether a Host is an address: nobody can point one elsewhere, as they can a name of theirs."""
    name, bracket, port = host.removeprefix("[").partition("]" if host.startswith("[") else ":")
    if bracket == "]":
        port = port.removeprefix(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    try:
        return (ipaddress.ip_address(name).version == 6) is (bracket == "]")
    except ValueError:
        return False


def plainly(status: int, _code: str, why: str) -> Response:
    """A refusal for people."""
    return PlainTextResponse(why, status)


class Guard:
    """ASGI middleware: foreign Host 421, WebSocket of a foreign or no Origin 403, headers on each answer."""

    def __init__(
        self,
        app: ASGIApp,
        allowed: frozenset[str],
        *,
        camera: bool = False,
        addresses: bool = False,
        refuse: Refuse = plainly,
    ) -> None:
        """`camera`: the page may use the browser's; `addresses`: any is answered to, besides `allowed`."""
        self._app = app
        self._addresses = addresses
        self._refuse = refuse
        self._headers = SECURITY_HEADERS | ({"Permissions-Policy": CAMERA_POLICY} if camera else {})
        self._hosts = allowed
        self._origins = frozenset(f"http://{authority}" for authority in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        hosts = headers.getlist("host")
        ours = _only(hosts, self._hosts) or (self._addresses and len(hosts) == 1 and is_address(hosts[0]))
        if not ours:
            refusal = self._refuse(421, "wrong_host", "This server answers only to its own address.")
        elif scope["type"] == "websocket" and not _only(headers.getlist("origin"), self._origins):
            refusal = self._refuse(403, "foreign_page", "This screen talks only to its own page.")
        else:
            await self._app(scope, receive, send_guarded)
            return
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send_guarded).send_denial_response(refusal)
        else:
            await refusal(scope, receive, send_guarded)


def _only(values: list[str], allowed: frozenset[str]) -> bool:
    """Exactly one value, and an allowed one."""
    return len(values) == 1 and values[0].lower() in allowed
