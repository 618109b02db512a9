"""The screen as the kiosk sees it, served inside the kiosk's own event loop."""

from __future__ import annotations

import ipaddress

from edge.adapters.screen.app import load_page, screen_app
from edge.adapters.screen.board import Board
from edge.adapters.screen.lens import JPEG_MAX_BYTES, Lens
from edge.adapters.screen.preview import Preview
from edge.adapters.screen.texts import read_texts
from edge.enact.display import Display, Notice, Touch
from edge.errors import ConfigError
from wire.errors import ListenError
from wire.transport.guard import Names
from wire.transport.http import HttpServer, Limits

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 32
"""At once before the next is refused; a page opens six."""
PER_ADDRESS_MAX = 24
"""Most pages are on the kiosk itself: four may be open, each with three WebSockets and its files."""
MESSAGE_MAX_BYTES = 4096
"""Past this a WebSocket message is not even read: the connection closes (1009). A touch may have 512."""


class WebScreen:
    """Fulfils `edge.ports.Screen` with a local web page.

    `language` is what each passage begins in; `hosts` are names besides addresses and `localhost`
    under which browsers may reach the server; `lens` takes the pictures of a page that is the
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
        self._server: HttpServer | None = None

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
        if self._server is not None:
            raise RuntimeError("the screen is being served already: close it first")
        filming = self._lens is not None and self._lens.wanted.frames
        largest = JPEG_MAX_BYTES if filming else MESSAGE_MAX_BYTES
        try:
            server = HttpServer(host, port, Limits(CONNECTIONS_MAX, PER_ADDRESS_MAX, largest))
        except ListenError as error:
            raise ConfigError("screen.port", error.address, error.why) from error
        app = screen_app(
            self._board,
            self._page,
            Names((*self._hosts, host), server.port),
            self._lens,
            preview=self.preview,
            near=_is_loopback(host),
        )
        self._server = server
        await server.open(app, "screen")
        return server.port

    async def close(self) -> None:
        """Say goodbye to open pages and give the port back; closing again does nothing."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name may be pointed anywhere, so it does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
