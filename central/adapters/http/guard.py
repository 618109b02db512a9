"""What every request passes before a route runs: whose name it calls, its size, its origin, its token.

What is refused here is answered unread. A body is read whole before a route runs, since it is small; and what
no route expected ends as a sentence and a code, with the place in the log and nothing of what was sent.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

BODY_MAX_BYTES = 8 * 1024
"""The largest body, a sealed template in base64, is 5.5 KB."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for no change (RFC 9110, 9.2.1)."""
LOCAL_NAME = "localhost"
"""Browsers resolve it to this machine, whatever a name server says."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: forms would then be sent with `Origin: null`, and their origin is looked at.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Refuse = Callable[[Scope, int, str, str], Response]
"""Makes an answer of a status, a code and a sentence, fit for what was asked for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which token is asked for, on which paths none is, and under which names the server answers."""

    token: str
    is_open: Callable[[str], bool]
    names: frozenset[str]


class Guard:
    """ASGI middleware around every route of central."""

    def __init__(self, app: ASGIApp, rules: Rules, refuse: Refuse) -> None:
        self._app = app
        self._rules = rules
        self._refuse = refuse
        self._expected = f"Bearer {rules.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        body = await _whole(receive)
        if body is None:
            return  # whoever asked has gone
        try:
            await self._app(scope, _again(body, receive), send_guarded)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is shown a stack trace
            report(error)
            if not started:
                broken = self._refuse(scope, 500, "failed", "something went wrong here; try again later")
                await broken(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not answers_to(hosts[0], self._rules.names):
            why = "this server does not answer to that name: use its address, or have it put into http.names"
            return self._refuse(scope, 421, "wrong_host", why)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not _fits(length):
            why = f"a body has a length, of at most {BODY_MAX_BYTES} bytes"
            refusal = self._refuse(scope, 413, "too_large", why)
            refusal.headers["connection"] = "close"  # or the rest of it would be read, however long
            return refusal
        if scope["method"] not in SAFE_METHODS and not same_origin(headers):
            return self._refuse(scope, 403, "foreign_page", "this was sent from a page of somebody else")
        if not self._rules.is_open(scope["path"]):
            given = headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                why = "send the token of keys/api.token as a bearer token"
                refusal = self._refuse(scope, 401, "no_token", why)
                refusal.headers["www-authenticate"] = "Bearer"
                return refusal
        return None


def report(error: Exception) -> None:
    """Log where something went wrong, and not what it says: that may quote what somebody sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed with %s\n%s", type(error).__name__, where)


def answers_to(host: str, names: Iterable[str]) -> bool:
    """Whether a Host is an address, this machine, or one of our names.

    Whoever points a name of their own at us (DNS rebinding) sends that name; an address cannot be pointed.
    """
    name = host.lower()
    if not name.startswith("["):
        name, _, port = name.partition(":")
    else:
        name, _, port = name[1:].partition("]")
        port = port.removeprefix(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name == LOCAL_NAME or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def same_origin(headers: Headers) -> bool:
    """Whether a change was asked for by a page of ours, or by no page at all.

    Every browser of today says so itself (Sec-Fetch-Site), older ones name the origin; a program does
    neither, and holds nothing (no cookie, no session) that another page could make it use.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _fits(length: str) -> bool:
    return length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= BODY_MAX_BYTES


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
