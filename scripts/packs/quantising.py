"""`stile models quantise`: chips of the user's pictures calibrate, the shipped portraits' chips judge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.capture.pipeline import Pipeline
from edge.capture.sample import FailureToAcquire, Frame
from edge.modes.common import open_pipeline
from models.assembly import GOLDEN_FILE, GOLDEN_TOLERANCE, AssembledPack, write_arrays
from models.errors import CalibrationError, RecipeError
from models.export.sources import require_modules
from models.manifest import Golden, Manifest, ModelFile, check_manifest
from models.preprocessing import to_input
from models.registry import Pack
from models.verify import read_arrays
from scripts.packs.building import require_target
from scripts.packs.networks import SANITY_THREADS, SessionNetwork, portraits

Pictures = NDArray[np.uint8]
Chips = dict[str, list[Pictures]]
"""Alignment to aligned faces, RGB."""

MIN_FACES: Final = 20
"""Fewer faces give ranges that the next one leaves."""
MAX_FACES: Final = 300
"""Ranges hardly change beyond; each face takes two runs."""
PICTURE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png"})
MAX_PICTURE_BYTES: Final = 50_000_000
SUMMARY_MAX_CHARS: Final = 300
"""As the manifest allows."""


def quantised_pack(
    source: Pack, calibration: Path, to: Path, *, reduce_range: bool
) -> tuple[AssembledPack, str]:
    """The pack with int8 embedders, in memory, and its heading; raises a `ModelsError` with a sentence."""
    require_target(to)
    require_modules(("onnx",))
    from models.export.quantise import quantise_network

    manifest = source.manifest
    files = {embedder.file: embedder.alignment for embedder in reversed(manifest.embedders)}
    if any(manifest.file(path).arithmetic == "int8" for path in files):
        raise RecipeError(
            "quantise", f"pack {manifest.name} has int8 embedders already: give its float32 pack"
        )
    pipeline = open_pipeline(source, SANITY_THREADS)
    pictures = _picture_files(calibration)
    chips, faces = _chips(pipeline, manifest, (_decoded(path) for path in pictures))
    if faces < MIN_FACES:
        raise CalibrationError(str(calibration), len(pictures), faces, MIN_FACES)
    shown, _ = _chips(pipeline, manifest, (_rgb(each.content) for each in portraits()))
    contents: dict[str, bytes] = {}
    arrays = _kept_golden(source, set(files))
    renamed: dict[str, ModelFile] = {}
    for path, alignment in files.items():
        file, content = manifest.file(path), source.read(path)
        inputs = _inputs(file, chips[alignment])
        written = quantise_network(content, file.inputs[0].name, inputs, reduce_range=reduce_range)
        new = _declare(file, written)
        renamed[path], contents[new.path] = new, written
        arrays[f"{new.path}/input"] = np.stack(shown[alignment])
        original = SessionNetwork(content)
        answers = [original.run({file.inputs[0].name: one[None]}) for one in _plain(file, shown[alignment])]
        output = file.outputs[0].name
        arrays[f"{new.path}/{output}"] = np.concatenate([answer[output] for answer in answers])
    golden = write_arrays(arrays)
    for file in manifest.files:
        if file.path not in renamed:
            contents[file.path] = source.read(file.path)
    contents[GOLDEN_FILE] = golden
    bits = "7-bit weights" if reduce_range else "8-bit weights"
    heading = f"Built by `stile models quantise` from pack {manifest.name} ({bits}, {faces} faces)."
    return AssembledPack(_manifest(manifest, renamed, golden, bits), contents, ()), heading


def _manifest(manifest: Manifest, renamed: dict[str, ModelFile], golden: bytes, bits: str) -> Manifest:
    digest = hashlib.sha256(golden).hexdigest()
    new = msgspec.structs.replace(
        manifest,
        name=f"{manifest.name[:59]}-int8",
        summary=f"int8 embedders ({bits}) of: {manifest.summary}"[:SUMMARY_MAX_CHARS],
        files=tuple(renamed.get(file.path, file) for file in manifest.files),
        embedders=tuple(
            msgspec.structs.replace(each, file=renamed[each.file].path) for each in manifest.embedders
        ),
        golden=Golden(path=GOLDEN_FILE, sha256=digest, tolerance=GOLDEN_TOLERANCE),
        operating_points=(),  # measured with other weights
    )
    return check_manifest(new, f"pack {new.name}")


def _declare(file: ModelFile, content: bytes) -> ModelFile:
    stem = file.path.removesuffix(".onnx")[:54]
    return msgspec.structs.replace(
        file,
        path=f"{stem}_int8.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        arithmetic="int8",
    )


def _kept_golden(source: Pack, embedding: set[str]) -> dict[str, NDArray[np.generic]]:
    """The golden vectors of the networks that stay as they are."""
    content = source.read_golden()
    arrays = {} if content is None else read_arrays(content, GOLDEN_FILE)
    return {key: values for key, values in arrays.items() if key.partition("/")[0] not in embedding}


def _picture_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_ENDINGS
        and path.is_file()
        and path.stat().st_size <= MAX_PICTURE_BYTES
    )


def _decoded(path: Path) -> Pictures | None:
    try:
        return _rgb(path.read_bytes())
    except OSError:
        return None


def _rgb(content: bytes) -> Pictures | None:
    if not content:
        return None
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # more pixels than OpenCV takes
        return None
    return None if decoded is None else np.asarray(decoded, np.uint8)


def _chips(pipeline: Pipeline, manifest: Manifest, pictures: Iterable[Pictures | None]) -> tuple[Chips, int]:
    """Aligned faces of the pictures, by alignment, and of how many pictures."""
    chips: Chips = {embedder.alignment: [] for embedder in manifest.embedders}
    faces = 0
    for picture in pictures:
        if picture is None:
            continue
        frame = Frame(picture, 0, "calibration")
        for face in pipeline.detect(frame)[:1]:
            observation = pipeline.observe(frame, face)
            if isinstance(observation, FailureToAcquire):
                continue
            faces += 1
            for aligned in observation.aligned:
                chips[aligned.recipe].append(aligned.image)
        if faces == MAX_FACES:
            break
    return chips, faces


def _plain(file: ModelFile, chips: Sequence[Pictures]) -> NDArray[np.float32]:
    return to_input(np.stack(chips), file.preprocessing)


def _inputs(file: ModelFile, chips: Sequence[Pictures]) -> list[NDArray[np.float32]]:
    """Each chip and its mirror image, as the pipeline feeds them, one at a time."""

    def both() -> Iterator[NDArray[np.float32]]:
        for chip in chips:
            for view in (chip, chip[:, ::-1]):
                yield to_input(view[None], file.preprocessing)

    return list(both())
