"""A fresh central, and a kiosk paired with it, for each test that asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.conftest import clock, config, rig, soon_told
from tests.doubles.central_rig import Rig
from tests.doubles.kiosk_rig import Kiosk, paired

__all__ = ["clock", "config", "kiosk", "rig", "soon_told"]


@pytest.fixture
async def kiosk(rig: Rig, tmp_path: Path) -> Kiosk:
    return await paired(rig, tmp_path / "kiosk")
