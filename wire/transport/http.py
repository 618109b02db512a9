"""The one HTTP server: uvicorn inside the running loop, with bounds on connections, requests and time.

Uvicorn bounds the time between two requests, but neither before the first nor within one; and it answers past
its bound on connections, but keeps them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h11
import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from wire.errors import ListenError

REQUEST_S = 10.0
"""For a whole request, head and body; the largest has some 24 KB."""
HEAD_MAX_BYTES = 16 * 1024
"""A browser sends less than 2 KB."""
KEEP_ALIVE_S = 5
"""Between two requests of a connection."""
PING_S = 5.0
"""A page that does not answer a WebSocket's ping for so long is gone, and its place is free again."""
GOODBYE_S = 2
"""How long closing waits for answers and pages under way."""
NETWORK_BITS = 64
"""Of an IPv6 address: what one subscriber has at least (RFC 6177)."""
PORT_MAX = 65535
"""TCP."""

_WAITING = (h11.IDLE, h11.SEND_BODY)


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections at once, WebSockets included, before the next is refused: in all, and of one address.

    `message_bytes` is the largest message of a WebSocket; 0 where none is served.
    """

    connections: int
    per_address: int
    message_bytes: int = 0


class _Config(uvicorn.Config):
    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        super().__init__(
            app,
            http=_BoundedConnection,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws=_Unlogged if limits.message_bytes else "none",
            ws_max_size=limits.message_bytes,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GOODBYE_S,
        )
        self.limits = limits


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it, and says when it listens."""

    def __init__(self, config: _Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


class HttpServer:
    """Serves an ASGI application from `open` to `close`; its address is taken, and known, at once.

    Raises `ListenError` for an address that cannot be had.
    """

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        self._limits = limits
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self, app: ASGIApp, name: str) -> None:
        """Serve in a task of that name; returns once connections are taken. They have waited until then."""
        self._server = server = _Server(_Config(app, self._limits))
        self._serving = serving = asyncio.create_task(server.serve(sockets=[self._socket]), name=name)
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
        if serving.done():
            await self.close()
            raise ListenError(self.url, "the server ended before it listened")

    async def close(self) -> None:
        """Let what is under way end, for a while, and give the port back; closing again does nothing."""
        server, serving = self._server, self._serving
        self._server = self._serving = None
        if server is not None and serving is not None:
            server.should_exit = True
            await serving
        self._socket.close()


class _BoundedConnection(H11Protocol):
    """Ends a connection that has not sent a whole request in time, and one too many at once.

    What is refused here is told as JSON, a sentence and a code. An upgrade to a WebSocket is a whole request:
    from there its pings bound it.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, while there are not too many."""
        super().connection_made(transport)  # type: ignore[arg-type]  # a TCP transport, as uvicorn says
        # asyncio does so only for sockets that name their protocol; else a second small write waits 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert isinstance(self.config, _Config)
        limits, place = self.config.limits, _place(self)
        near = sum(_place(each) == place for each in self.connections)
        if len(self.connections) > limits.connections or near > limits.per_address:
            self._refuse(503, "busy", "too many connections just now: try again in a moment")
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the time runs from the first one of a request, or from connecting."""
        if self.transport.is_closing():
            return
        if self._deadline is None and self.conn.their_state in _WAITING:
            self._begin()
        super().data_received(data)
        if self.conn.their_state not in _WAITING:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._end()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The head is there and no body follows: the rest is the WebSocket's."""
        self._end()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "malformed", "that is not a request in HTTP/1.1")

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self._too_slow)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.conn.their_state in _WAITING:
            self._refuse(408, "too_slow", f"the request did not come within {REQUEST_S:.0f} seconds")

    def _refuse(self, status: int, code: str, why: str) -> None:
        """Answer, where nothing was answered yet, and close."""
        self._end()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = msgspec.json.encode({"error": code, "detail": why})
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
                ("cache-control", "no-store"),
            ]
            response = h11.Response(status_code=status, headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Unlogged(WebSocketsSansIOProtocol):
    """A WebSocket whose frames are never logged: at level DEBUG they would be, PINs included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.debug = False


def _place(connection: Any) -> str:
    """Where a connection comes from: an address, or the network that an IPv6 address is in."""
    client: tuple[str, int] | None = connection.client
    if client is None:
        return ""
    host = client[0]
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((host.partition("%")[0], NETWORK_BITS), strict=False))


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises `ListenError`."""
    if not 0 <= port <= PORT_MAX:
        raise ListenError(f"{host}:{port}", f"a port is 0 (any that is free) to {PORT_MAX}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ListenError(
            f"{host}:{port}", f"give an address of this machine that is free ({error})"
        ) from error
