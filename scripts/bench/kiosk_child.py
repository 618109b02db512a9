"""A whole kiosk in a process of its own, before a camera that shows nobody; `stile bench` watches it.

It loads what `stile kiosk run` loads. Its arguments are a configuration as JSON and a folder of pictures.
Says one line of JSON once it is ready, and one for each line it reads: the name of a recording to show, or
`acquire` to recognise the face in the picture of that name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.cli.main import build

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.sample import Image
    from edge.modes.lane import OpenKiosk

FRAMES_PER_S = 30
ACQUISITIONS = 20
POLL_S = 0.005
ACQUIRE = "acquire"


class Recording:
    """A sensor's pictures in turn, each converted as OpenCV converts a webcam's: a `Reel`."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        """`pictures`: N x height x width x 2, YUYV."""
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Image:
        """One picture, RGB."""
        import cv2
        import numpy as np

        blue_first = cv2.cvtColor(self._pictures[index], cv2.COLOR_YUV2BGR_YUYV)
        return np.asarray(cv2.cvtColor(blue_first, cv2.COLOR_BGR2RGB), np.uint8)


class Recordings:
    """A `Reel` that shows whichever recording is on."""

    def __init__(self, named: Mapping[str, Recording]) -> None:
        self._named = named
        self.showing = next(iter(named))

    def __len__(self) -> int:
        return len(self._named[self.showing])

    def __getitem__(self, index: int) -> Image:
        return self._named[self.showing][index % len(self)]


async def serve(config_json: str, folder: Path) -> None:
    """Run the kiosk until standard input ends."""
    import msgspec

    from edge.adapters.camera.clip import ClipDevice, clip_camera
    from edge.config import KioskConfig
    from edge.modes.common import Extras
    from edge.modes.lane import open_kiosk
    from firmware_bridge.gate import LinkStatus

    config = msgspec.json.decode(config_json, type=KioskConfig)
    recordings = Recordings(_load(folder))
    extras = Extras(
        camera=lambda clock_ms: clip_camera(ClipDevice(recordings, FRAMES_PER_S, clock_ms), clock_ms)
    )
    async with open_kiosk(config, extras) as kiosk:
        while kiosk.gate.state().link is not LinkStatus.UP:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(POLL_S)
        _say(kiosk)
        while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if word == ACQUIRE:
                await asyncio.to_thread(_acquire, kiosk, folder / f"{ACQUIRE}.npy")
            else:
                recordings.showing = word
            _say(kiosk)


def _load(folder: Path) -> dict[str, Recording]:
    import numpy as np

    return {
        file.stem: Recording(np.load(file)) for file in sorted(folder.glob("*.npy")) if file.stem != ACQUIRE
    }


def _acquire(kiosk: OpenKiosk, file: Path) -> None:
    import numpy as np

    from edge.capture.sample import Frame

    frame = Frame(np.load(file), 0, "bench")
    for _ in range(ACQUISITIONS):
        kiosk.pipeline.acquire(frame)


def _say(kiosk: OpenKiosk) -> None:
    sys.stdout.write(json.dumps({"embedded_frames": kiosk.kiosk.embedded_frames}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    build(["kiosk"])
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
