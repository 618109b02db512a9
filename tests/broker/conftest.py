"""A fresh central for each test that asks for one, and every central looks often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.central_rig import Clock, Rig, new_config, running

LOOK_S = 0.1


@pytest.fixture(autouse=True)
def soon_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Central looks more often than in the field for what another program changed."""
    monkeypatch.setattr("central.running.TICK_S", LOOK_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def config(tmp_path: Path, clock: Clock) -> Path:
    return new_config(tmp_path, clock)


@pytest.fixture
async def rig(config: Path, clock: Clock) -> AsyncIterator[Rig]:
    async with running(config, clock) as opened:
        yield opened
