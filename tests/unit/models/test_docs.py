"""PACKS.md: every key that a manifest may hold has a line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from models import manifest

STRUCTS = (
    *(manifest.Manifest, manifest.ModelFile, manifest.Tensor, manifest.Preprocessing, manifest.Source),
    *(manifest.Golden, manifest.Detector, manifest.Landmarks, manifest.Alignment, manifest.Embedder),
    *(manifest.QualityFloors, manifest.PadNetwork, manifest.OperatingPoint),
)
TABLES = {
    "files",
    "quality",
    "golden",
    "detectors",
    "landmarks",
    "alignments",
    "embedders",
    "pad",
    "operating_points",
}


def _keys() -> list[str]:
    return sorted({field.name for struct in STRUCTS for field in msgspec.structs.fields(struct)})


@pytest.mark.parametrize("key", _keys())
def test_a_key_of_the_manifest_is_explained(key: str) -> None:
    page = (Path(manifest.__file__).parent / "PACKS.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    named = f"[{key}]" if key in TABLES else f"`{key}`"
    assert any(named in row for row in rows)


def test_every_struct_of_the_manifest_is_among_those_explained() -> None:
    defined = {
        each
        for each in vars(manifest).values()
        if isinstance(each, type)
        and issubclass(each, msgspec.Struct)
        and each.__module__ == manifest.__name__
    }
    assert defined == set(STRUCTS)
