"""The screen's ASGI app: a closed table of files held in memory, and one WebSocket."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Scope
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.adapters.screen.board import Board
from edge.adapters.screen.fonts import font_files
from edge.adapters.screen.lens import Lens, film
from edge.adapters.screen.preview import Preview
from edge.adapters.screen.texts import Texts
from wire.transport.guard import PAGE_HEADERS, Guard, Names, on_this_machine

STATIC = Path(__file__).parent / "static"
HEARTBEAT_S = 2.0
"""The state is sent again after so much silence; the page calls 3 missed ones a lost kiosk (screen.js)."""
FAR = "The live picture is for pages on this machine only."
CAMERA_HEADERS = PAGE_HEADERS | {
    "Permissions-Policy": PAGE_HEADERS["Permissions-Policy"].replace("camera=()", "camera=(self)")
}
"""Where the page is the kiosk's camera; everywhere else the browser does not even ask."""

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/screen.css": ("screen.css", "text/css; charset=utf-8"),
    "/screen.js": ("screen.js", "text/javascript; charset=utf-8"),
    "/link.js": ("link.js", "text/javascript; charset=utf-8"),
    "/keypad.js": ("keypad.js", "text/javascript; charset=utf-8"),
    "/prompts.js": ("prompts.js", "text/javascript; charset=utf-8"),
    "/panel.js": ("panel.js", "text/javascript; charset=utf-8"),
    "/pay.js": ("pay.js", "text/javascript; charset=utf-8"),
    "/enrol.js": ("enrol.js", "text/javascript; charset=utf-8"),
    "/money.js": ("money.js", "text/javascript; charset=utf-8"),
    "/qr.js": ("qr.js", "text/javascript; charset=utf-8"),
    "/preview.js": ("preview.js", "text/javascript; charset=utf-8"),
    "/panel.css": ("panel.css", "text/css; charset=utf-8"),
    "/cues.js": ("cues.js", "text/javascript; charset=utf-8"),
    "/reading.js": ("reading.js", "text/javascript; charset=utf-8"),
    "/comfort.css": ("comfort.css", "text/css; charset=utf-8"),
    "/print.css": ("print.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """The page's files by path: content type and bytes; `digest` tells an open page that it is outdated."""

    files: dict[str, tuple[str, bytes]]
    digest: str


def load_page(texts: Texts, *, lens: bool = False) -> Page:
    """Read the static files once and put the texts beside them; `lens`: and the page's part as a camera."""
    files = {path: (kind, (STATIC / name).read_bytes()) for path, (name, kind) in _FILES.items()}
    files |= font_files()
    if lens:
        kind, index = files["/"]
        files["/"] = (
            kind,
            index.replace(b"</head>", b'  <script type="module" src="/camera.js"></script>\n</head>'),
        )
        files["/camera.js"] = "text/javascript; charset=utf-8", (STATIC / "camera.js").read_bytes()
    files["/messages.json"] = ("application/json", msgspec.json.encode(texts))
    digest = hashlib.sha256(b"".join(content for _, content in files.values())).hexdigest()
    return Page(files, digest[:16])


def screen_app(
    board: Board,
    page: Page,
    names: Names,
    lens: Lens | None = None,
    *,
    preview: Preview,
    near: bool,
) -> ASGIApp:
    """The app for one server under its names; `lens` is a page's camera.

    `near`: only this machine reaches it. Then a page that calls it this machine gets the preview, else none.
    """

    async def give(request: Request) -> Response:
        kind, content = page.files[request.url.path]
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    async def converse(socket: WebSocket) -> None:
        await _converse(socket, board)

    async def look(socket: WebSocket) -> None:
        if near and on_this_machine(socket.headers["host"]):
            await preview.serve(socket)
        else:
            await socket.send_denial_response(PlainTextResponse(FAR, 403))

    routes = [
        *(Route(path, give, methods=["GET"]) for path in page.files),
        WebSocketRoute("/live", converse),
        WebSocketRoute("/preview", look),
    ]
    if lens is not None:
        routes.append(WebSocketRoute("/camera", partial(film, lens=lens)))
    filming = lens is not None and lens.wanted.frames
    return Guard(Starlette(routes=routes), names, CAMERA_HEADERS if filming else PAGE_HEADERS, _plainly)


def _plainly(_scope: Scope, status: int, _code: str, why: str) -> Response:
    """A refusal for people."""
    return PlainTextResponse(why, status)


async def _converse(socket: WebSocket, board: Board) -> None:
    """One page, from connecting to leaving."""
    with board.watch() as changed:
        if changed is None:
            await socket.send_denial_response(PlainTextResponse("Too many screens are open: close one.", 503))
            return
        await socket.accept()
        pushing = asyncio.create_task(_push(socket, board, changed))
        try:
            await _hear(socket, board)
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)


async def _push(socket: WebSocket, board: Board, changed: asyncio.Event) -> None:
    """Send the newest state at each change; a slow page misses the ones between."""
    with suppress(WebSocketDisconnect):
        while True:
            changed.clear()
            await socket.send_text(board.state)
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await changed.wait()


async def _hear(socket: WebSocket, board: Board) -> None:
    """Answer each touch until the page leaves."""
    with suppress(WebSocketDisconnect):
        while (message := await socket.receive())["type"] == "websocket.receive":
            typed = message.get("text")
            await socket.send_text(board.offer(message["bytes"] if typed is None else typed))
