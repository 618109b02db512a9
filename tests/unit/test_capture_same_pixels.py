"""What the detector is shown is the same, bit for bit, on every processor.

The digests were made on x86-64 and hold on arm64, where OpenCV's plain bilinear resize rounds otherwise.
Frames that are halved have even sides here, as cameras' frames do: halving an odd side is not exact.
"""

import hashlib

import numpy as np
import pytest
from capture_people import portrait

from edge.capture.detection import Letterbox

CANVASES = {
    (256, (512, 512)): "04dfc661f6b4ea61",
    (128, (480, 300)): "a63e79d8168d9e6a",
    (256, (211, 190)): "9bbfc651d5818a5a",
}


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("side_px", "size"), CANVASES)
def test_the_detectors_square_is_the_same_on_every_processor(side_px: int, size: tuple[int, int]) -> None:
    image = portrait("astronaut.png")[: size[0], : size[1]]
    square = Letterbox.fit(image, side_px).apply(image)
    assert digest(square) == CANVASES[side_px, size]
