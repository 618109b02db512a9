"""The OpenAPI documents are true: what they admit is answered as they say, and nothing breaks."""

from __future__ import annotations

import asyncio

import pytest

from central.adapters.http.api import described, operations_of
from tests.doubles.central_rig import Rig
from tests.doubles.route_table import CENTRAL
from tests.doubles.schema_fuzz import try_out

SHORT_S, LONG_S = 8.0, 120.0


async def check(rig: Rig, examples: int, seconds: float) -> None:
    central = rig.central
    document = described(operations_of(central.use_cases, central.router, central.broker))
    tried = await asyncio.to_thread(try_out, document, central.http_url, central.api_token, examples, seconds)
    documented = {
        f"{method} {path}" for method, path in CENTRAL if path.startswith("/v1/") and "openapi" not in path
    }
    assert set(tried) == documented
    assert min(tried.values()) > 0


async def test_central_answers_as_its_document_says(rig: Rig) -> None:
    await check(rig, 4, SHORT_S)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_central_answers_as_its_document_says_for_long(rig: Rig) -> None:
    await check(rig, 200, LONG_S)
