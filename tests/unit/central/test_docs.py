"""What can be configured, called or answered has its line in the docs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec import inspect as i

import central
import wire
from central.adapters.http import api
from central.adapters.keyfiles import KEY_FILES
from central.config import CentralConfig
from wire.codec import Reason
from wire.records import RecordFault
from wire.requests import PinOutcome, Refusal
from wire.topics import RULES

CENTRAL = (Path(central.__path__[0]) / "README.md").read_text()
WIRE = (Path(wire.__path__[0]) / "README.md").read_text()


def config_keys() -> list[str]:
    names = []
    for field in msgspec.structs.fields(CentralConfig):
        if isinstance(i.type_info(field.type), i.StructType):
            names += [f"{field.name}.{inner.name}" for inner in msgspec.structs.fields(field.type)]
        else:
            names.append(field.name)
    return names


@pytest.mark.parametrize("key", config_keys())
def test_every_configuration_key_has_a_line(key: str):
    assert f"`{key}`" in CENTRAL


def test_every_route_has_a_line_and_every_line_a_route():
    routes = {f"`{each.method} {each.path}`" for each in api.operations_of(None, None, None)}
    assert len(routes) > 15
    lines = {line.split(" | ")[0].removeprefix("| ") for line in CENTRAL.splitlines() if " /v1/" in line}
    assert lines == routes


@pytest.mark.parametrize("name", KEY_FILES)
def test_every_key_file_has_a_line(name: str):
    assert f"`{name}`" in CENTRAL


@pytest.mark.parametrize("kind", list(RULES))
def test_every_topic_has_its_line_with_sender_quality_and_size(kind: str):
    rule = RULES[kind]
    retained = "yes" if rule.retained else "no"
    ending = f"` | {rule.sender.value} | {rule.qos} | {retained} | {rule.max_bytes // 1024} |"
    first, _, last = kind.partition("{}")
    (line,) = [line for line in WIRE.splitlines() if line.startswith(f"| `{first}") and f"{last}` |" in line]
    assert line.endswith(ending)


@pytest.mark.parametrize("word", [*Reason, *RecordFault, *PinOutcome])
def test_every_reason_fault_and_outcome_is_named(word: str):
    assert word.value in WIRE


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_is_explained(refusal: Refusal):
    assert f"`Refused({refusal.value})`" in WIRE
