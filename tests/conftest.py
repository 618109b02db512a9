"""The lane of the end-to-end tests, one for each module that asks for it, calm before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.doubles.lane import Lane

pytest_plugins = ["tests.closing"]

# How fast an example is says something about the machine, not about the code: some are busy, some emulated.
any_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time, so that a change is to blame for what fails; --long looks for new ones.
settings.register_profile("fixed", any_machine, derandomize=True)
# CI=true makes even hypothesis's default derandomized.
settings.register_profile("fresh", any_machine, derandomize=False, max_examples=500, print_blob=True)
settings.load_profile("fixed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_lanes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lane]:
    # Only here: whoever needs no lane need not load networks, broker and screen.
    from tests.doubles.lane import open_lane

    async with open_lane(tmp_path_factory.mktemp("lane")) as lane:
        yield lane


@pytest_asyncio.fixture(loop_scope="module")
async def lane(open_lanes: Lane) -> AsyncIterator[Lane]:
    """Nothing is wrong when a test begins; when it ends, every record is at central exactly once."""
    await open_lanes.calm()
    yield open_lanes
    await open_lanes.calm()
    told = {report.record.passage for report in open_lanes.reports}
    assert told == set(await open_lanes.records())
