"""Passive presentation attack detection: how live a pack's networks take the face in one frame to be.

It sees the marks of a recapture (a screen's grid, a print's paper) and nothing else: a file fed in the place
of a camera scores live. So it may ask for more evidence, and proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.capture.sample import Box, Image, Inference
from edge.capture.tensors import to_tensor
from models.manifest import ModelFile, PadNetwork

PadNetworks = Sequence[tuple[PadNetwork, ModelFile, Inference]]


def surroundings_of(image: Image, box: Box, network: PadNetwork) -> Image:
    """The square of `crop_scale` times the box's longer side around it, as side x side x 3.

    Moved into the frame where it reaches beyond, and shrunk where the frame is smaller: these networks were
    trained on crops without an invented border.
    """
    height, width = image.shape[:2]
    side = max(1, min(round(max(box.width, box.height) * network.crop_scale), width, height))
    left, top = (
        min(max(round(centre - side / 2), 0), most - side)
        for centre, most in zip(box.centre, (width, height), strict=True)
    )
    crop = image[top : top + side, left : left + side]
    size = (network.side, network.side)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)


def live_score(image: Image, box: Box, networks: PadNetworks) -> float:
    """The networks' mean probability that the face is live, 0 to 1. At least one network.

    Each answers one logit a class; all count alike, as upstream of MiniFASNet adds them.
    """
    shares = []
    for network, file, inference in networks:
        crop = surroundings_of(image, box, network)
        logits = inference.infer(to_tensor((crop,), file.preprocessing))[0].reshape(-1)
        raised = np.exp(logits - logits.max())
        shares.append(float(raised[network.live_class] / raised.sum()))
    return float(np.mean(shares))


def live_min(networks: Sequence[PadNetwork]) -> float | None:
    """The least mean live score, over networks and frames, that is taken for a person; None without one."""
    return float(np.mean([network.live_min for network in networks])) if networks else None
