"""The bill of materials."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from models.manifest import parse_manifest
from scripts.lab.sbom import ROOT, bill, licence_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_bill_names_packages_networks_and_fonts_each_with_a_licence_of_the_spdx_list() -> None:
    told = json.loads(bill(AT))
    parts = {part["name"]: part for part in told["components"]}
    assert told["metadata"]["component"]["name"] == "stile"
    assert {"msgspec", "onnxruntime", "models/packs/default/dlib_descriptor.onnx"} <= parts.keys()
    assert sum(name.endswith(".woff2") for name in parts) == 12
    named = {
        name: [each.get("expression") or each["license"].get("id") for each in part.get("licenses", [])]
        for name, part in parts.items()
    }
    assert {name: licences for name, licences in named.items() if not licences or None in licences} == {}


def test_a_package_has_the_version_that_is_pinned_and_a_file_its_digest() -> None:
    parts = {part["name"]: part for part in json.loads(bill(AT))["components"]}
    pins = (ROOT / "requirements" / "run.txt").read_text()
    assert f"msgspec=={parts['msgspec']['version']} " in pins
    manifest = parse_manifest((ROOT / "models/packs/default/manifest.toml").read_bytes())
    for file in manifest.files:
        hashes = parts[f"models/packs/default/{file.path}"]["hashes"]
        assert hashes == [{"alg": "SHA-256", "content": file.sha256}]


def test_the_same_tree_and_instant_give_the_same_bill() -> None:
    assert bill(AT) == bill(AT)


@pytest.mark.parametrize(("package", "licence"), [("pyserial", "BSD-3-Clause"), ("alembic", "MIT")])
def test_a_licence_told_in_words_becomes_an_identifier(package: str, licence: str) -> None:
    assert licence_of(package) == licence
