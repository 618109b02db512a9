"""Builds the default pack from source weights: the ONNX files, then the manifest that names their digests.

Building twice gives the same bytes. Needs the export environment (requirements/export.txt).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import onnx

from models.export import sources
from models.export.dlib_dat import read_dlib_resnet
from models.export.dlib_onnx import build_dlib_resnet
from models.export.tflite_onnx import convert_tflite
from models.manifest import ModelFile, Preprocessing, Source, Tensor, parse_manifest
from models.manifest_text import file_table
from models.registry import MANIFEST_FILE

DECLARATION: Final = "default.toml"
GOLDEN: Final = "golden.npz"

BLAZEFACE_PIXELS: Final = Preprocessing(layout="NCHW", channels="RGB", scale=1 / 127.5, offset=-1.0)
MESH_PIXELS: Final = Preprocessing(layout="NCHW", channels="RGB", scale=1 / 255, offset=0.0)
DLIB_PIXELS: Final = Preprocessing(layout="NCHW", channels="RGB", scale=1.0, offset=0.0)
"""The network's own average and scale are folded into its first convolution."""

BLAZEFACE_OUTPUTS: Final = {"regressors": "regressors", "classificators": "scores"}
MESH_OUTPUTS: Final = {"conv2d_20": "points", "conv2d_30": "presence"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one file of the pack is built from one source file."""

    path: str
    licence: str
    source: Source
    preprocessing: Preprocessing
    outputs: Mapping[str, str]
    """Output names of the original -> names in the pack."""
    build: Callable[[bytes], bytes]


RECIPES: Final = (
    Recipe(
        "blazeface_back.onnx",
        "Apache-2.0",
        sources.BLAZEFACE_BACK,
        BLAZEFACE_PIXELS,
        BLAZEFACE_OUTPUTS,
        lambda content: convert_tflite(content, "blazeface_back", BLAZEFACE_OUTPUTS),
    ),
    Recipe(
        "blazeface_short.onnx",
        "Apache-2.0",
        sources.BLAZEFACE_SHORT,
        BLAZEFACE_PIXELS,
        BLAZEFACE_OUTPUTS,
        lambda content: convert_tflite(content, "blazeface_short", BLAZEFACE_OUTPUTS),
    ),
    Recipe(
        "face_mesh.onnx",
        "Apache-2.0",
        sources.FACE_MESH,
        MESH_PIXELS,
        MESH_OUTPUTS,
        lambda content: convert_tflite(content, "face_mesh", MESH_OUTPUTS),
    ),
    Recipe(
        "dlib_descriptor.onnx",
        "CC0-1.0",
        sources.DLIB_DESCRIPTOR,
        DLIB_PIXELS,
        {},
        lambda content: build_dlib_resnet(read_dlib_resnet(content)),
    ),
)


def export_default(folder: Path) -> Iterator[str]:
    """Writes the whole pack into `folder`, yielding each file's name once it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: list[str] = []
    for recipe in RECIPES:
        content = recipe.build(sources.read_source(recipe.source))
        (folder / recipe.path).write_bytes(content)
        tables.append(file_table(_declare(recipe, content)))
        yield recipe.path
    # Made by `models.export.golden` from the original implementations; the export only carries it along.
    golden = (resources.files("models") / "packs" / "default" / GOLDEN).read_bytes()
    (folder / GOLDEN).write_bytes(golden)
    yield GOLDEN
    declaration = (resources.files("models") / "export" / DECLARATION).read_text(encoding="utf-8")
    header = f"# Written by `stile models export` from models/export/{DECLARATION}: edit that, not this.\n"
    body = declaration[declaration.index("format =") :]
    text = "\n".join([header + body, *tables]).encode()
    parse_manifest(text, where=DECLARATION)
    (folder / MANIFEST_FILE).write_bytes(text)
    yield MANIFEST_FILE


def _declare(recipe: Recipe, content: bytes) -> ModelFile:
    graph = onnx.load_from_string(content).graph
    return ModelFile(
        path=recipe.path,
        sha256=hashlib.sha256(content).hexdigest(),
        licence=recipe.licence,
        source=recipe.source,
        preprocessing=recipe.preprocessing,
        inputs=tuple(_tensor(value) for value in graph.input),
        outputs=tuple(_tensor(value) for value in graph.output),
    )


def _tensor(value: Any) -> Tensor:
    dimensions = value.type.tensor_type.shape.dim
    return Tensor(
        name=value.name,
        dtype="float32",
        shape=tuple(int(size.dim_value) if size.HasField("dim_value") else -1 for size in dimensions),
    )
