"""Who may speak to the screen's server: only a page that the server itself gave out.

A page elsewhere whose name was pointed at this machine (DNS rebinding) is known by its Host, a page elsewhere
that opens a WebSocket here is known by its Origin; both are refused before any route runs.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = 80
"""The port that browsers leave out of Host and Origin (RFC 9110, 4.2.1)."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
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


def authorities(names: tuple[str, ...], port: int) -> frozenset[str]:
    """The values of Host that mean this server: each name with the port, or without where browsers do so."""
    named = (*LOOPBACK_NAMES, *(name.lower() for name in names))
    with_port = {f"{name}:{port}" for name in named}
    return frozenset(with_port | set(named) if port == HTTP_PORT else with_port)


class Guard:
    """ASGI middleware: foreign Host 421, WebSocket of a foreign or no Origin 403, headers on each answer."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str], *, camera: bool = False) -> None:
        """`camera`: the page may use the browser's."""
        self._app = app
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

        if not _only(headers.getlist("host"), self._hosts):
            await _refuse(421, "This screen answers only to its own address.", scope, receive, send_guarded)
        elif scope["type"] == "websocket" and not _only(headers.getlist("origin"), self._origins):
            await _refuse(403, "This screen talks only to its own page.", scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def _only(values: list[str], allowed: frozenset[str]) -> bool:
    """Exactly one value, and an allowed one."""
    return len(values) == 1 and values[0].lower() in allowed


async def _refuse(status: int, why: str, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = PlainTextResponse(why, status)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(refusal)
    else:
        await refusal(scope, receive, send)
