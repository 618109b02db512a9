"""Every operation of an OpenAPI document, called with what its schema admits and what it does not."""

from __future__ import annotations

import time
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.doubles.waiting import WAIT_S

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


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
                answer = case.call(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=WAIT_S)
                case.validate_response(answer, checks=checks)

            one()
    return tried
