"""Golden vectors: what dlib and LiteRT themselves answer on fixed pictures. Needs the export environment.

They are evidence, not a product of the export: kept in the pack, compared by `models.verify` on every
machine, and recomputed by the tests of the export environment.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import dlib
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.export.default import RECIPES, Recipe
from models.export.sources import DLIB_DESCRIPTOR, read_source
from models.preprocessing import to_input

Pictures = NDArray[np.uint8]

CROPS: Final[dict[str, tuple[tuple[str, tuple[slice, slice], int], ...]]] = {
    "blazeface_back.onnx": (("astronaut.png", (slice(0, 512), slice(0, 512)), 256),),
    "blazeface_short.onnx": (("astronaut.png", (slice(0, 512), slice(0, 512)), 128),),
    "face_mesh.onnx": (("astronaut.png", (slice(20, 212), slice(130, 322)), 192),),
    "dlib_descriptor.onnx": (
        ("astronaut.png", (slice(60, 180), slice(160, 280)), 150),
        ("grace_hopper.jpg", (slice(120, 320), slice(155, 355)), 150),
    ),
}
"""Per network: portrait, (rows, columns) of a square in it, side it is scaled to; not aligned."""


def golden_inputs(portraits: Path) -> dict[str, Pictures]:
    """The pictures each network is asked about: RGB, (n, side, side, 3), cut from the shipped portraits."""
    return {
        path: np.stack([_crop(portraits / file, square, side) for file, square, side in crops])
        for path, crops in CROPS.items()
    }


def _crop(path: Path, square: tuple[slice, slice], side: int) -> Pictures:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    cut = cv2.resize(np.ascontiguousarray(picture[square]), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(cut[..., ::-1]).astype(np.uint8)


def reference_outputs(recipe: Recipe, pictures: Pictures) -> dict[str, NDArray[np.float32]]:
    """The original implementation's answers to `pictures`, under the pack's output names, batch first."""
    content = read_source(recipe.source)
    if recipe.source is DLIB_DESCRIPTOR:
        return {"descriptors": _dlib(content, pictures)}
    answers = [_litert(content, to_input(one[None], recipe.preprocessing)) for one in pictures]
    return {
        recipe.outputs[name]: np.concatenate([answer[name] for answer in answers]) for name in recipe.outputs
    }


def _dlib(content: bytes, chips: Pictures) -> NDArray[np.float32]:
    with tempfile.NamedTemporaryFile(suffix=".dat") as weights:  # dlib reads from a path only
        weights.write(content)
        weights.flush()
        network: Any = dlib.face_recognition_model_v1(weights.name)
        return np.array([network.compute_face_descriptor(chip) for chip in chips], dtype=np.float32)


def _litert(content: bytes, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
    interpreter.invoke()
    return {each["name"]: interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()}


def make_golden(portraits: Path) -> bytes:
    """The whole golden file's bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    inputs: Mapping[str, Pictures] = golden_inputs(portraits)
    for recipe in RECIPES:
        arrays[f"{recipe.path}/input"] = inputs[recipe.path]
        for name, values in reference_outputs(recipe, inputs[recipe.path]).items():
            arrays[f"{recipe.path}/{name}"] = values
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)  # type: ignore[arg-type]
    return written.getvalue()
