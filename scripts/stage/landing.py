"""The demo's first page: where to enrol, pass and pay on this machine; links and nothing else."""

from __future__ import annotations

import contextlib
import html
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wire.transport.guard import Guard, Names
from wire.transport.http import HttpServer, Limits

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 16
"""At once before the next is refused; one person opens one page."""
PER_ADDRESS_MAX = 12
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_STYLE = """\
:root { color-scheme: light; font: 1.125rem/1.5 system-ui, sans-serif; color: #1b1a17; background: #f3efe4; }
body { max-width: 42rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
h1 { font-size: 2rem; margin: 0 0 .5rem; }
ol { list-style: none; margin: 2rem 0; padding: 0; display: grid; gap: 1rem; }
a { display: block; padding: 1.25rem 1.5rem; border: 3px solid #1b1a17; border-radius: .75rem; color: inherit;
    background: #fffdf6; text-decoration: none; min-height: 4rem; }
a:focus-visible, a:hover { outline: 5px solid #0b57a4; outline-offset: 2px; }
strong { display: block; font-size: 1.375rem; text-decoration: underline; }
"""


@dataclass(frozen=True, slots=True)
class Link:
    """One page of the demo: an address, what to do there, and a sentence about it."""

    url: str
    title: str
    text: str


def page(links: tuple[Link, ...], about: str) -> str:
    """The page as HTML; every text in it is escaped."""
    items = "\n".join(
        f'    <li><a href="{html.escape(link.url)}" target="_blank" rel="noopener">'
        f"<strong>{html.escape(link.title)}</strong> {html.escape(link.text)}</a></li>"
        for link in links
    )
    return f"""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Stile on this machine</title>
  <link rel="stylesheet" href="/landing.css">
</head>
<body>
  <main>
    <h1>Stile on this machine</h1>
    <p>{html.escape(about)}</p>
    <ol>
{items}
    </ol>
  </main>
</body>
</html>
"""


def landing_app(links: tuple[Link, ...], about: str, port: int) -> ASGIApp:
    """The page and its style sheet, for requests to this machine's own address."""

    def give(content: str, kind: str) -> Callable[[Request], Response]:
        return lambda _: Response(content, media_type=kind)

    routes = [
        Route("/", give(page(links, about), "text/html"), methods=["GET"]),
        Route("/landing.css", give(_STYLE, "text/css"), methods=["GET"]),
    ]
    return Guard(Starlette(routes=routes), Names(port=port), HEADERS)


@contextlib.asynccontextmanager
async def serve_landing(links: tuple[Link, ...], about: str) -> AsyncIterator[str]:
    """The page's address on a free port of 127.0.0.1, while the context lasts."""
    server = HttpServer(LOOPBACK, 0, Limits(CONNECTIONS_MAX, PER_ADDRESS_MAX))
    try:
        await server.open(landing_app(links, about, server.port), "landing page")
        yield f"{server.url}/"
    finally:
        await server.close()
