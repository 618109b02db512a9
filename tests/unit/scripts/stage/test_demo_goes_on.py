"""A demo goes on after a pass that did not settle, and ends only with its kiosk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.errors import FixtureError
from scripts.people.cast import SCRIPT
from scripts.stage.command import _play


class Kiosk:
    def __init__(self) -> None:
        self.serving: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Unsettled:
    """A stage on which no passage settles; it may have lost its kiosk."""

    def __init__(self) -> None:
        self.kiosk = Kiosk()

    async def play(self, part: Any) -> None:
        raise FixtureError("no passage settled within 120 s of its scene")


async def test_a_pass_that_did_not_settle_is_told_and_the_next_can_be_played() -> None:
    stage: Any = Unsettled()
    assert await _play(stage, SCRIPT[0]) == (None, "no passage settled within 120 s of its scene")


async def test_a_kiosk_that_has_ended_ends_the_demo() -> None:
    stage: Any = Unsettled()
    stage.kiosk.serving.set_result(None)
    with pytest.raises(FixtureError, match="no passage settled"):
        await _play(stage, SCRIPT[0])
