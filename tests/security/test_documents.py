"""The OpenAPI documents are true: what they admit is answered as they say, and nothing breaks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from central.adapters.http.api import make_api
from central.adapters.http.document import described
from tests.doubles.central_rig import Rig
from tests.doubles.route_table import CENTRAL

schemathesis = pytest.importorskip("schemathesis")
from schemathesis import GenerationMode  # noqa: E402 - only where it is installed
from schemathesis.checks import CHECKS  # noqa: E402

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
SHORT_S, LONG_S = 8.0, 120.0


def try_out(document: dict[str, Any], url: str, token: str, examples: int, seconds: float) -> dict[str, int]:
    """Call every operation with what its schema admits and what it does not; how many cases each got."""
    schema = schemathesis.openapi.from_dict(document)
    checks = [CHECKS.get_one(name) for name in CHECKED]
    until_s, tried = time.monotonic() + seconds, {}
    for found in schema.get_all_operations():
        operation = found.ok()
        tried[operation.label] = 0
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            bare = operation.body or operation.path_parameters or operation.query
            if mode is GenerationMode.NEGATIVE and not bare:
                continue  # nothing about it can be wrong

            @settings(
                max_examples=examples,
                derandomize=True,  # the same cases each time
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def one(case: Any) -> None:
                label = case.operation.label
                if tried[label] and time.monotonic() > until_s:
                    return  # each was tried at least once
                tried[label] += 1
                answer = case.call(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=10)
                case.validate_response(answer, checks=checks)

            one()
    return tried


async def check(rig: Rig, examples: int, seconds: float) -> None:
    central = rig.central
    document = described(make_api(central.desk, central.switchboard, "t", central.broker))
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
