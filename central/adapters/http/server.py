"""Uvicorn on a socket of ours, inside the running loop, leaving signals to the program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from central.adapters.http.connections import HEAD_MAX_BYTES, BoundedConnection

KEEP_ALIVE_S = 5
STOP_S = 5.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: they are the program's."""
        yield


class HttpServer:
    """Serves an ASGI application until closed; `url` is known once opened."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port))
        bound_port: int = self._socket.getsockname()[1]
        self.url = f"http://{host}:{bound_port}"
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                h11_max_incomplete_event_size=HEAD_MAX_BYTES,
                log_config=None,
                lifespan="off",
                ws="none",
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                server_header=False,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to serve; connections wait in the socket's queue until then."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")

    async def close(self) -> None:
        """Stop serving and close the socket."""
        if self._serving is not None:
            # Uvicorn looks at should_exit only once it has started.
            while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - it offers no event
                await asyncio.sleep(0.01)
            self._server.should_exit = True
            self._server.force_exit = True
            async with asyncio.timeout(STOP_S):
                await self._serving
        self._socket.close()
