"""A manifest as TOML text: what `parse_manifest` reads back as the same manifest. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from models.manifest import Manifest, ModelFile, QualityFloors


def write_manifest(manifest: Manifest, heading: str) -> bytes:
    """The whole manifest; `heading` becomes a comment on its first line."""
    blocks = [f"# {heading}", *_top(manifest)]
    if manifest.quality != QualityFloors():
        blocks.append(_table("[quality]", manifest.quality))
    if manifest.golden is not None:
        blocks.append(_table("[golden]", manifest.golden))
    blocks += [_table("[[detectors]]", detector) for detector in manifest.detectors]
    blocks.append(_table("[landmarks]", manifest.landmarks))
    for key in ("alignments", "embedders", "pad", "operating_points"):
        blocks += [_table(f"[[{key}]]", each) for each in getattr(manifest, key)]
    blocks += [file_table(file) for file in manifest.files]
    return "\n".join(blocks).encode()


def _top(manifest: Manifest) -> Iterator[str]:
    for key in ("format", "name", "version", "summary"):
        yield f"{key} = {_value(getattr(manifest, key))}"
    if manifest.non_commercial:
        yield "non_commercial = true"
    yield ""


def _table(heading: str, struct: msgspec.Struct) -> str:
    fields = msgspec.to_builtins(struct)
    return "\n".join([heading, *(f"{key} = {_value(value)}" for key, value in fields.items())]) + "\n"


def _value(value: Any) -> str:
    """JSON strings, numbers, booleans and arrays of them are TOML as well; only DEL is written otherwise."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def file_table(file: ModelFile) -> str:
    """One `[[files]]` table."""
    pixels, source = file.preprocessing, file.source
    lines = [
        "[[files]]",
        f"path = {_value(file.path)}",
        f"sha256 = {_value(file.sha256)}",
        f"licence = {_value(file.licence)}",
        *([f"arithmetic = {_value(file.arithmetic)}"] if file.arithmetic != "float32" else []),
        f"source = {{ package = {_value(source.package)}, version = {_value(source.version)}, "
        f"file = {_value(source.file)}, sha256 = {_value(source.sha256)} }}",
        f"preprocessing = {{ layout = {_value(pixels.layout)}, channels = {_value(pixels.channels)}, "
        f"scale = {pixels.scale!r}, offset = {pixels.offset!r} }}",
    ]
    for key, tensors in (("inputs", file.inputs), ("outputs", file.outputs)):
        listed = ", ".join(
            f"{{ name = {_value(each.name)}, dtype = {_value(each.dtype)}, shape = {_value(each.shape)} }}"
            for each in tensors
        )
        lines.append(f"{key} = [{listed}]")
    return "\n".join(lines) + "\n"
