"""Follows a recipe: the user's files and the default pack become a new pack, in memory, not yet verified."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.brought import BroughtContent, take_brought
from models.errors import BroughtFileError, LicenceError, RecipeError, TensorError
from models.graph_outline import require_usable_graph
from models.licences import allows_commerce
from models.manifest import (
    ANY_SIZE,
    Embedder,
    Golden,
    Manifest,
    ModelFile,
    Source,
    Tensor,
    check_manifest,
    recipe_digest,
)
from models.recipes import FoundRecipe, Recipe, RecipeFile
from models.registry import Pack
from models.verify import INPUT, read_arrays, spelled

GOLDEN_FILE: Final = "golden.npz"
GOLDEN_TOLERANCE: Final = 0.002
"""As the default pack's: float32 on another machine stays within 1e-5, a wrong feed is beyond .1."""

OTHER_CONVERSION: Final = "; measured with another conversion of the same weights"
TEST_SET_CHARS: Final = 240
"""Of the measured set's name, so that both together stay within what a manifest allows."""

Tensors = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
ProbeTensors = Callable[[bytes, str, tuple[int, ...]], Tensors]
"""From an ONNX file's bytes, name and input shape (-1 = the file's) to its tensors; raises `GraphError`."""
ConvertMxnet = Callable[[bytes, bytes], bytes]
"""From MXNet parameters and symbol to ONNX; raises a `ModelsError`."""


@dataclass(frozen=True, slots=True)
class AssembledPack:
    """A manifest and the bytes of every file it names; `unknown` are files whose digest no recipe lists."""

    manifest: Manifest
    contents: Mapping[str, bytes]
    unknown: tuple[str, ...]


def assemble(
    found: FoundRecipe,
    base: Pack,
    brought: Sequence[BroughtContent],
    probe_tensors: ProbeTensors,
    convert_mxnet: ConvertMxnet,
    *,
    non_commercial: bool,
) -> AssembledPack:
    """The pack that a recipe makes of `base` and the brought files; raises a `ModelsError`."""
    recipe = found.recipe
    for wanted in recipe.files:
        if not allows_commerce(wanted.licence) and not non_commercial:
            raise LicenceError(wanted.path, wanted.licence)
    remaining = list(brought)
    networks: dict[str, bytes] = {}
    declared: list[ModelFile] = []
    unknown: list[str] = []
    for wanted in recipe.files:
        way, taken = take_brought(recipe, wanted, remaining)
        unknown += [
            each.name for each, item in zip(taken, way.files, strict=True) if each.sha256 not in item.sha256
        ]
        content = (
            taken[0].content if way.kind == "onnx" else convert_mxnet(taken[0].content, taken[1].content)
        )
        require_usable_graph(content, taken[0].name)
        networks[wanted.path] = content
        tensors = _settled(recipe, wanted, probe_tensors(content, taken[0].name, wanted.inputs[0].shape))
        declared.append(_declare(wanted, taken[0], content, tensors))
    if remaining:
        raise BroughtFileError(recipe.name, remaining[0].name, "is not a file that this recipe uses")
    manifest = _merged(recipe, base.manifest, tuple(declared), non_commercial=non_commercial)
    contents = {
        file.path: networks[file.path] if file.path in networks else base.read(file.path)
        for file in manifest.files
    }
    golden = _golden(found, base, manifest)
    if golden is not None:
        contents[GOLDEN_FILE] = golden
        digest = hashlib.sha256(golden).hexdigest()
        kept = Golden(path=GOLDEN_FILE, sha256=digest, tolerance=GOLDEN_TOLERANCE)
        manifest = msgspec.structs.replace(manifest, golden=kept)
    manifest = check_manifest(manifest, f"recipe {recipe.name}")
    return AssembledPack(_with_points(recipe, manifest, golden), contents, tuple(unknown))


def _settled(recipe: Recipe, wanted: RecipeFile, found: Tensors) -> Tensors:
    """The tensors to declare: the recipe's, with the file's sizes where it leaves them free.

    Where a side has one tensor its name is the file's, since conversions name them as they like.
    """
    declared = (wanted.inputs, wanted.outputs)
    sides = [_settled_side(ours, theirs) for ours, theirs in zip(declared, found, strict=True)]
    if sides[0] is None or sides[1] is None:
        raise TensorError(recipe.name, wanted.path, spelled(*declared), spelled(*found))
    return sides[0], sides[1]


def _settled_side(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    if len(ours) != len(theirs):
        return None
    by_name = {tensor.name: tensor for tensor in theirs}
    settled: list[Tensor] = []
    for tensor in ours:
        found = theirs[0] if len(theirs) == 1 else by_name.get(tensor.name)
        if found is None or found.dtype != tensor.dtype or len(found.shape) != len(tensor.shape):
            return None
        sizes = list(zip(tensor.shape, found.shape, strict=True))
        if any(ANY_SIZE not in pair and pair[0] != pair[1] for pair in sizes):
            return None
        shape = tuple(their if our == ANY_SIZE else our for our, their in sizes)
        settled.append(Tensor(name=found.name, dtype=tensor.dtype, shape=shape))
    return tuple(settled)


def _declare(wanted: RecipeFile, taken: BroughtContent, content: bytes, tensors: Tensors) -> ModelFile:
    return ModelFile(
        path=wanted.path,
        sha256=hashlib.sha256(content).hexdigest(),
        licence=wanted.licence,
        source=Source(
            package=wanted.upstream.package,
            version=wanted.upstream.version,
            file=taken.name[:300],
            sha256=taken.sha256,
        ),
        preprocessing=wanted.preprocessing,
        inputs=tensors[0],
        outputs=tensors[1],
    )


def _merged(
    recipe: Recipe, base: Manifest, files: tuple[ModelFile, ...], *, non_commercial: bool
) -> Manifest:
    detectors = (*base.detectors, *recipe.detectors)
    if recipe.default_detector is not None:
        detectors = tuple(
            msgspec.structs.replace(each, default=each.name == recipe.default_detector) for each in detectors
        )
    embedders = _embedders(recipe, base)
    alignments = (*base.alignments, *recipe.alignments)
    used = {embedder.alignment for embedder in embedders}
    pad = (*base.pad, *recipe.pad)
    named = {
        base.landmarks.file,
        *(detector.file for detector in detectors),
        *(embedder.file for embedder in embedders),
        *(network.file for network in pad),
    }
    own = {file.path for file in files}
    return Manifest(
        format=base.format,
        name=recipe.pack,
        version=recipe.version,
        summary=recipe.summary,
        files=(*(file for file in base.files if file.path in named and file.path not in own), *files),
        detectors=detectors,
        landmarks=base.landmarks,
        alignments=tuple(each for each in alignments if each.name in used),
        embedders=embedders,
        non_commercial=non_commercial and not all(allows_commerce(file.licence) for file in files),
        quality=base.quality,
        pad=pad,
        # Of the base's points, those that still belong: its digest leaves PAD and names out.
        operating_points=(*base.operating_points, *recipe.operating_points),
    )


def _embedders(recipe: Recipe, base: Manifest) -> tuple[Embedder, ...]:
    listed = {embedder.name: embedder for embedder in (*base.embedders, *recipe.embedders)}
    if not recipe.weights:
        return tuple(listed.values())
    missing = sorted(set(recipe.weights) - set(listed))
    if missing:
        raise RecipeError(recipe.name, f"weights names {missing[0]!r}, which is no embedder")
    return tuple(
        msgspec.structs.replace(listed[name], weight=weight) for name, weight in recipe.weights.items()
    )


def _with_points(recipe: Recipe, manifest: Manifest, golden: bytes | None) -> Manifest:
    """A measurement of the same weights in another conversion is this pack's too, and says so.

    Only where nothing but the bytes of the recipe's own files differs from what was measured, and golden
    vectors, which `models.verify` holds them to, say that they are the same networks.
    """
    own = {file.path: _measured_digest(file) for file in recipe.files}
    arrays = {} if golden is None else read_arrays(golden, GOLDEN_FILE)
    if not all(f"{path}/{INPUT}" in arrays for path in own):
        return manifest
    files = tuple(
        msgspec.structs.replace(file, sha256=own.get(file.path) or file.sha256) for file in manifest.files
    )
    measured = recipe_digest(msgspec.structs.replace(manifest, files=files))
    built = recipe_digest(manifest)
    if measured == built:
        return manifest
    points = tuple(
        msgspec.structs.replace(
            point, recipe_digest=built, test_set=f"{point.test_set[:TEST_SET_CHARS]}{OTHER_CONVERSION}"
        )
        if point.recipe_digest == measured
        else point
        for point in manifest.operating_points
    )
    return msgspec.structs.replace(manifest, operating_points=points)


def _measured_digest(file: RecipeFile) -> str | None:
    """Of the ONNX file that we measured with: the first that the recipe lists."""
    known = (brought.sha256 for way in file.ways if way.kind == "onnx" for brought in way.files)
    return next((digests[0] for digests in known if digests), None)


def _golden(found: FoundRecipe, base: Pack, manifest: Manifest) -> bytes | None:
    """The golden vectors of the networks that are in the pack: the base's own, and the recipe's."""
    arrays: dict[str, NDArray[np.generic]] = {}
    own = {file.path: file for file in found.recipe.files}
    files = {file.path: file for file in manifest.files}
    content = base.read_golden()
    for key, values in (read_arrays(content, GOLDEN_FILE) if content is not None else {}).items():
        path = key.partition("/")[0]
        if path in files and path not in own:
            arrays[key] = values
    for key, values in (read_arrays(found.golden, "golden") if found.golden is not None else {}).items():
        path, _, tensor = key.partition("/")
        if path not in own:
            raise RecipeError(
                found.recipe.name, f"its golden vectors name {path!r}, which is not under files"
            )
        # The recipe's name of an output, the file's name of it: conversions name theirs as they like.
        names = {
            ours.name: theirs.name
            for ours, theirs in zip(own[path].outputs, files[path].outputs, strict=True)
        }
        arrays[f"{path}/{names.get(tensor, tensor)}"] = values
    return None if not arrays else write_arrays(arrays)


def write_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The bytes of an .npz; the same arrays give the same bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.save(member, arrays[name], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return written.getvalue()
