"""Stand-ins for what users bring: networks of the recipes' shapes, fitted to the shipped portraits."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.capture.alignment import align
from edge.capture.detection import Letterbox
from edge.capture.pipeline import Observation
from edge.capture.sample import Frame
from edge.modes.common import open_pipeline
from models.manifest import Alignment, ModelFile, PadNetwork, Preprocessing, Source, Tensor
from models.manifest_text import write_manifest
from models.preprocessing import to_input
from models.recipes import FoundRecipe, Recipe, find_recipe
from models.registry import MANIFEST_FILE, Pack, open_pack
from scripts.packs.networks import portraits
from tests.doubles.onnx_standin import fitted, steady

SEED = 20261123
PLAIN = Preprocessing(layout="NCHW", channels="RGB", scale=1.0, offset=0.0)


@cache
def observed() -> tuple[tuple[str, Observation], ...]:
    """Each portrait's person and face, as the default pack sees it with each of its detectors."""
    found = []
    for name in (detector.name for detector in open_pack().manifest.detectors):
        pipeline = open_pipeline(open_pack(), 1, detector=name)
        for picture in portraits():
            decoded = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR_RGB)
            frame = Frame(np.asarray(decoded, np.uint8), 0, "portrait")
            observation = pipeline.observe(frame, pipeline.detect(frame)[0])
            assert isinstance(observation, Observation)
            found.append((picture.person, observation))
    return tuple(found)


def chips(alignment: Alignment) -> tuple[list[str], NDArray[np.uint8]]:
    """The portraits' people, and their faces aligned so, each with its mirror image."""
    people, shown = [], []
    for person, observation in observed():
        (aligned,) = align(observation.frame.image, observation.points, (alignment,))
        people += [person, person]
        shown += [aligned.image, aligned.image[:, ::-1]]
    return people, np.stack(shown)


@cache
def embedder(recipe_name: str, channels: str = "RGB", names: tuple[str, str] = ("image", "out")) -> bytes:
    """A stand-in for the embedder of a shipped recipe, fed as it says, or in another channel order."""
    recipe = find_recipe(recipe_name).recipe
    (alignment,), (wanted,) = recipe.alignments, recipe.files
    dimensions = recipe.embedders[0].dimensions
    people, shown = chips(alignment)
    random = np.random.default_rng(SEED)
    direction = {person: random.standard_normal(dimensions) for person in sorted(set(people))}
    # Not exactly one direction a person: a photograph is not another.
    targets = np.stack([direction[p] + 0.2 * random.standard_normal(dimensions) for p in people])
    fed = to_input(shown, msgspec.structs.replace(wanted.preprocessing, channels=channels))
    return fitted(
        fed,
        {names[1]: targets.astype(np.float32)},
        input_name=names[0],
        input_shape=["N", *wanted.inputs[0].shape[1:]],
        output_shapes={names[1]: ["N", dimensions]},
    )


@cache
def yunet(recipe_name: str) -> bytes:
    """A stand-in for YuNet that finds the portraits' faces where the default detector found them."""
    recipe = find_recipe(recipe_name).recipe
    side, wanted = recipe.detectors[0].side, recipe.files[0]
    cells = side // 32
    outputs = {
        f"{part}_{stride}": np.zeros((0, (side // stride) ** 2, width), np.float32)
        for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in (8, 16, 32)
    }
    known = observed()[: len(portraits())]
    letters = []
    answers: dict[str, list[NDArray[np.float32]]] = {name: [] for name in outputs}
    for _, observation in known:
        letterbox = Letterbox.fit(observation.frame.image, side)
        letters.append(letterbox.apply(observation.frame.image))
        box, scale = observation.face.box, letterbox.scale
        offset = np.array([letterbox.offset_x_px, letterbox.offset_y_px])
        centre = np.array(box.centre) * scale + offset
        points = np.array(observation.face.keypoints)[[0, 1, 2, 3, 3]] * scale + offset
        column, row = (centre // 32).astype(int)
        cell = row * cells + column
        one = {name: np.zeros(empty.shape[1:], np.float32) for name, empty in outputs.items()}
        one["cls_32"][cell] = one["obj_32"][cell] = 1.0
        corner = np.array([column, row])
        sizes = np.log(np.array([box.width, box.height]) * scale / 32)
        one["bbox_32"][cell] = [*(centre / 32 - corner), *sizes]
        one["kps_32"][cell] = (points / 32 - corner).reshape(-1)
        for name, values in one.items():
            answers[name].append(values)
    return fitted(
        to_input(np.stack(letters), wanted.preprocessing),
        {name: np.stack(values) for name, values in answers.items()},
        input_name="input",
        input_shape=[1, 3, side, side],
        output_shapes={name: [1, *empty.shape[1:]] for name, empty in outputs.items()},
    )


def anti_spoofing(names: tuple[str, str] = ("image", "logits")) -> bytes:
    """A network of MiniFASNet's shapes; what it answers proves nothing."""
    fed = np.linspace(0, 255, 2 * 3 * 80 * 80, dtype=np.float32).reshape(2, 3, 80, 80)
    return fitted(
        fed,
        {names[1]: np.array([[0, 1, 0], [1, 0, 0]], np.float32)},
        input_name=names[0],
        input_shape=[1, 3, 80, 80],
        output_shapes={names[1]: [1, 3]},
    )


def pack_with_passive_networks(folder: Path, live: float, live_min: float = 0.5) -> Pack:
    """The default pack and two networks of MiniFASNet's shapes that take everything to be so live."""
    default = open_pack()
    shutil.copytree(str(default.root), folder, dirs_exist_ok=True)
    rest = float(np.log((1 - live) / 2))
    content = steady("image", [1, 3, 80, 80], "logits", [rest, float(np.log(live)), rest])
    files, networks = [], []
    for name, crop_scale in (("near", 2.7), ("far", 4.0)):
        (folder / f"{name}.onnx").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(
            ModelFile(
                f"{name}.onnx",
                digest,
                "MIT",
                Source("a test", "1", f"{name}.onnx", digest),
                msgspec.structs.replace(PLAIN, channels="BGR"),
                (Tensor("image", "float32", (1, 3, 80, 80)),),
                (Tensor("logits", "float32", (1, 3)),),
            )
        )
        networks.append(PadNetwork(name, f"{name}.onnx", 80, crop_scale, 1, live_min))
    manifest = msgspec.structs.replace(
        default.manifest, files=(*default.manifest.files, *files), pad=tuple(networks)
    )
    (folder / MANIFEST_FILE).write_bytes(write_manifest(manifest, "a test"))
    return open_pack(folder)


def without_evidence(name: str, **changes: object) -> FoundRecipe:
    """A shipped recipe that takes any file and has no golden vectors: stand-ins are not the real networks."""
    recipe = find_recipe(name).recipe
    files = tuple(
        msgspec.structs.replace(
            file,
            ways=tuple(
                msgspec.structs.replace(
                    way,
                    files=tuple(
                        msgspec.structs.replace(each, sha256=(), conversions=True, max_bytes=8_000_000)
                        for each in way.files
                    ),
                )
                for way in file.ways
                if way.kind == "onnx"
            ),
        )
        for file in recipe.files
    )
    replaced: Recipe = msgspec.structs.replace(
        recipe, files=files, golden=None, operating_points=(), **changes
    )
    return FoundRecipe(replaced, None)
