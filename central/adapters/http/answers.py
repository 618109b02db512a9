"""How routes that change something take turns."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_ONE_AT_A_TIME = threading.Lock()
P = ParamSpec("P")
R = TypeVar("R")


def changes(route: Callable[P, R]) -> Callable[P, R]:
    """One change at a time: what a use case has looked at still holds when it writes.

    Routes are plain functions, which run in threads: a database that another program holds, or a
    slow disk, keeps only them waiting, and kiosks are answered meanwhile.
    """

    @functools.wraps(route)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _ONE_AT_A_TIME:
            return route(*args, **kwargs)

    return alone
