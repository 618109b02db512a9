"""How tests wait for what must come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

WAIT_S = 60.0
"""For what must come, however busy the machine; nothing is asserted about how soon it does."""

Found = TypeVar("Found")


async def eventually(found: Callable[[], Found], what: str = "") -> Found:
    """What `found` gives once it is true, within `WAIT_S`; for what no event tells of."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not (value := found()):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.005)
            return value
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_S:.0f} s: {what or found}") from None
