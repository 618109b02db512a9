"""Connections that do not wait for ever: uvicorn's protocol with bounds on the time and size of a request.

Uvicorn bounds the time between two requests, but neither before the first nor within one.
"""

from __future__ import annotations

import asyncio
import socket

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""Time for a whole request, head and body; the largest is some 24 KB."""
HEAD_MAX_BYTES = 16 * 1024
"""A browser sends less than 2 KB."""
CONNECTIONS_MAX = 200
"""Beyond so many a connection is refused at once."""

_WAITING = (h11.IDLE, h11.SEND_BODY)


class BoundedConnection(H11Protocol):
    """Ends a connection that has not sent a whole request in time; what it refuses is JSON too."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, while there are not too many."""
        super().connection_made(transport)  # type: ignore[arg-type]  # a TCP transport, as uvicorn says
        # asyncio does so only for sockets that name their protocol; else a second small write waits 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > CONNECTIONS_MAX:
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
