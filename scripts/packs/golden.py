"""`stile models golden --pack`: what this machine's onnxruntime answers for the networks of a pack.

For networks whose original implementation is not at hand. It proves that another machine, or another
conversion, computes the same; not that the first one was right: the sanity set and an evaluation do that.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture.sample import Box, FailureToAcquire, Frame
from edge.modes.common import open_pipeline
from models.assembly import write_arrays
from models.errors import SanityError
from models.preprocessing import to_input
from models.registry import Pack
from scripts.packs.networks import SANITY_THREADS, SessionNetwork, portraits

Pictures = NDArray[np.uint8]

SHOWN: Final = ("collins", "hopper")
"""The people whose portraits are asked about."""


def golden_of(pack: Pack) -> bytes:
    """An .npz of every network's inputs and answers, in the manifest's form."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for path, pictures in _pictures(pack).items():
        file = pack.manifest.file(path)
        network = SessionNetwork(pack.read(path))
        fed = to_input(pictures, file.preprocessing)
        answers = [network.run({file.inputs[0].name: one[None]}) for one in fed]
        arrays[f"{path}/input"] = pictures
        for output in file.outputs:
            arrays[f"{path}/{output.name}"] = np.concatenate([answer[output.name] for answer in answers])
    return write_arrays(arrays)


def _pictures(pack: Pack) -> dict[str, Pictures]:
    """What each network is asked about: aligned chips for embedders, squares around the face for the rest."""
    manifest = pack.manifest
    pipeline = open_pipeline(pack, SANITY_THREADS)
    found: dict[str, list[Pictures]] = {file.path: [] for file in manifest.files}
    for portrait in (each for each in portraits() if each.person in SHOWN):
        decoded = cv2.imdecode(np.frombuffer(portrait.content, np.uint8), cv2.IMREAD_COLOR_RGB)
        frame = Frame(np.asarray(decoded, np.uint8), 0, portrait.person)
        faces = pipeline.detect(frame)
        observed = pipeline.observe(frame, faces[0]) if faces else None
        if observed is None or isinstance(observed, FailureToAcquire):
            raise SanityError(manifest.name, f"finds no face of {portrait.person}")
        chips = {aligned.recipe: aligned.image for aligned in observed.aligned}
        for embedder in manifest.embedders:
            found[embedder.file].append(chips[embedder.alignment])
        box = faces[0].box
        landmarks = manifest.landmarks
        found[landmarks.file].append(_square(frame.image, box, landmarks.region_scale, landmarks.side))
        for network in manifest.pad:
            found[network.file].append(_square(frame.image, box, network.crop_scale, network.side))
        if portrait.person == SHOWN[0]:  # detectors' outputs are large: one picture is enough
            for detector in manifest.detectors:
                found[detector.file].append(_square(frame.image, box, 2.0, detector.side))
    return {path: np.stack(pictures) for path, pictures in found.items()}


def _square(image: Pictures, box: Box, scale: float, side_px: int) -> Pictures:
    """A square of `scale` times the box's longer side about its centre, black beyond the edge."""
    wide = scale * max(box.width, box.height)
    to_side = side_px / wide
    left, top = box.centre[0] - wide / 2, box.centre[1] - wide / 2
    matrix = np.array([[to_side, 0, -left * to_side], [0, to_side, -top * to_side]])
    return np.asarray(cv2.warpAffine(image, matrix, (side_px, side_px), flags=cv2.INTER_AREA), np.uint8)
