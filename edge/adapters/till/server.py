"""The till's API on a socket, and the token that tills must bring."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from edge.adapters.storage.keyfile import read_secret, write_secret
from edge.adapters.till.app import Counter, till_app
from edge.errors import ConfigError, StoreError
from wire.errors import ListenError
from wire.transport.guard import Names
from wire.transport.http import HttpServer, Limits

CONNECTIONS_MAX = 16
"""At once before the next is refused: one till, and its page."""
PER_ADDRESS_MAX = 12
TOKEN_BYTES = 24
TOKEN_PATTERN = re.compile(rb"[!-~]{20,200}")
"""What a token may be that somebody puts into the file: too long to be guessed, and fit for a header."""


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


@contextlib.asynccontextmanager
async def serve_till(counter: Counter, token: str, host: str, port: int) -> AsyncIterator[str]:
    """Serve tills while the context lasts; gives the address. Raises `ConfigError` where it cannot be had."""
    try:
        server = HttpServer(host, port, Limits(CONNECTIONS_MAX, PER_ADDRESS_MAX))
    except ListenError as error:
        raise ConfigError("till.port", error.address, error.why) from error
    try:
        await server.open(till_app(counter, token, Names((host,))), "till")
        yield server.url
    finally:
        await server.close()
