"""The till's API on a socket, and the token that tills must bring."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn

from edge.adapters.connections import HEAD_MAX_BYTES, BoundedConnection
from edge.adapters.screen.guard import authorities
from edge.adapters.storage.keyfile import read_secret, write_secret
from edge.adapters.till.app import Counter, till_app
from edge.errors import ConfigError, StoreError

REQUESTS_MAX = 16
"""Connections at once before the next is refused: one till, and its page."""
KEEP_ALIVE_S = 5
TOKEN_BYTES = 24
TOKEN_PATTERN = re.compile(rb"[!-~]{20,200}")
"""What a token may be that somebody puts into the file: too long to be guessed, and fit for a header."""
GOODBYE_S = 2


def token_of(path: Path) -> str:
    """The token of this kiosk's tills, made at the first start.

    Raises `StoreError` if others may read it, or it is none.
    """
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(TOKEN_BYTES).encode())
    remedy = "remove it, and a new one is made at the next start"
    token = read_secret(path, remedy).strip()
    if TOKEN_PATTERN.fullmatch(token) is None:
        raise StoreError(
            f"{path} holds no token, which has 20 characters at least, none of them odd: {remedy}"
        )
    return token.decode("ascii")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: they are the program's."""
        yield


@contextlib.asynccontextmanager
async def serve_till(counter: Counter, token: str, host: str, port: int) -> AsyncIterator[str]:
    """Serve tills while the context lasts; gives the address. Raises `ConfigError` where it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError("till.host", f"{host}:{port}", f"an address that is free: {error}") from error
    bound: int = listener.getsockname()[1]
    named = f"[{host}]" if ":" in host else host
    server = _Server(
        uvicorn.Config(
            till_app(counter, token, authorities((named,), bound)),
            http=BoundedConnection,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=REQUESTS_MAX,
            timeout_graceful_shutdown=GOODBYE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="till")
    try:
        yield f"http://{named}:{bound}"
    finally:
        # Uvicorn looks at should_exit only once it has started.
        while not server.started and not serving.done():  # noqa: ASYNC110 - it offers no event
            await asyncio.sleep(0.01)
        server.should_exit = server.force_exit = True
        await serving
        listener.close()
