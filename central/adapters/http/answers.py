"""How routes answer, and how those that change something take turns."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import msgspec
from fastapi import Depends, Request, Response

_ONE_AT_A_TIME = threading.Lock()
P = ParamSpec("P")
R = TypeVar("R")


def as_json(value: object, status: int = 200) -> Response:
    """Any value of ours as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def changes(route: Callable[P, R]) -> Callable[P, R]:
    """One change at a time: what a use case has looked at still holds when it writes.

    Routes are plain functions, which FastAPI runs in threads: a database that another program holds, or a
    slow disk, keeps only them waiting, and kiosks are answered meanwhile.
    """

    @functools.wraps(route)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _ONE_AT_A_TIME:
            return route(*args, **kwargs)

    return alone


async def _body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_body)]
