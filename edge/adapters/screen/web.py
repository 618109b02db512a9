"""The screen as the kiosk sees it, served by uvicorn inside the kiosk's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from edge.adapters.connections import HEAD_MAX_BYTES, BoundedConnection
from edge.adapters.screen.app import load_page, screen_app
from edge.adapters.screen.board import Board
from edge.adapters.screen.guard import authorities
from edge.adapters.screen.lens import JPEG_MAX_BYTES, Lens
from edge.adapters.screen.preview import Preview
from edge.adapters.screen.texts import read_texts
from edge.enact.display import Display, Notice, Touch
from edge.errors import ConfigError

LOOPBACK = "127.0.0.1"
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - named to be told apart, not bound
REQUESTS_MAX = 32
"""Connections at once before the next is refused; a page opens six."""
MESSAGE_MAX_BYTES = 4096
"""Past this a WebSocket message is not even read: the connection closes (1009). A touch may have 512."""
PING_S = 5.0
"""A page that does not answer a ping for so long is gone, and gives its place among the watchers back."""
PORT_MAX = 65535
"""TCP."""
GOODBYE_S = 2
"""How long closing waits for open pages."""


class WebScreen:
    """Fulfils `edge.ports.Screen` with a local web page.

    `language` is what each passage begins in; `hosts` are names besides loopback under which browsers may
    reach the server (needed only when it is bound elsewhere); `lens` takes the pictures of a page that is the
    camera. Raises ConfigError for a language without a
    message file.
    """

    def __init__(
        self,
        *,
        language: str = "en",
        hosts: tuple[str, ...] = (),
        lens: Lens | None = None,
        preview: Preview | None = None,
    ) -> None:
        self._lens = lens
        self.preview = preview or Preview()
        """What the kiosk offers its frames to; only pages on loopback get pictures."""
        self._page = load_page(read_texts(language), lens=lens is not None)
        self._board = Board(self._page.digest)
        self._hosts = hosts
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    def speak(self, language: str) -> None:
        """Begin each passage in another language; open pages load themselves anew. Raises ConfigError."""
        fresh = load_page(read_texts(language), lens=self._lens is not None)
        self._page.files.update(fresh.files)
        self._board.renew(fresh.digest)

    def show(self, display: Display, notice: Notice) -> None:
        """Replace what is shown; never waits. Call it from the event loop that serves."""
        self._board.show(display, notice)

    async def touch(self) -> Touch:
        """The next thing the person did; waits for it."""
        return await self._board.touch()

    @property
    def watching(self) -> int:
        """How many pages are open."""
        return self._board.watching

    async def serve(self, host: str = LOOPBACK, port: int = 0) -> int:
        """Start listening and return the port, chosen by the system if 0 was asked for.

        Raises ConfigError when the address cannot be had, RuntimeError when already serving.
        """
        if self._serving is not None:
            raise RuntimeError("the screen is being served already: close it first")
        listener = _listen(host, port)
        bound: int = listener.getsockname()[1]
        names = self._hosts if host in WILDCARDS else (*self._hosts, f"[{host}]" if ":" in host else host)
        filming = self._lens is not None and self._lens.wanted.frames
        config = uvicorn.Config(
            screen_app(
                self._board,
                self._page,
                authorities(names, bound),
                self._lens,
                preview=self.preview,
                near=authorities((), bound) if _is_loopback(host) else frozenset(),
            ),
            http=BoundedConnection,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws=_Unlogged,
            ws_max_size=JPEG_MAX_BYTES if filming else MESSAGE_MAX_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=REQUESTS_MAX,
            timeout_graceful_shutdown=GOODBYE_S,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="screen")
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
        if serving.done():
            listener.close()
            await serving
            raise RuntimeError("the screen's server ended before it listened")
        self._server, self._serving = server, serving
        return bound

    async def close(self) -> None:
        """Say goodbye to open pages and give the port back; closing again does nothing."""
        server, serving = self._server, self._serving
        self._server = self._serving = None
        if server is not None and serving is not None:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


class _Unlogged(WebSocketsSansIOProtocol):
    """A WebSocket whose frames are never logged: at level DEBUG they would be, PINs included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.debug = False


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name may be pointed anywhere, so it does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, or ConfigError."""
    if not 0 <= port <= PORT_MAX:
        raise ConfigError("screen.port", port, f"0 (any that is free) to {PORT_MAX}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError("screen.address", f"{host}:{port}", f"an address that is free: {error}") from error
