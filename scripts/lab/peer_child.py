"""The peer at work in its own environment, run by path with that environment's Python.

Reads requests from standard input and answers each with one JSON line: a line `{"do": …, "width": …,
"height": …, "boxes": …}`, then width * height * 3 bytes of RGB. `locate` gives boxes, `encode` takes them,
`describe` is both. Times are taken here, so that pipes and decoding are nobody's.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import face_recognition  # type: ignore[import-not-found] # noqa: E402 - it warns of pkg_resources at once
import numpy as np  # noqa: E402


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def serve() -> None:
    """Answer until standard input ends."""
    source = sys.stdin.buffer
    while line := source.readline():
        request = json.loads(line)
        height, width = request["height"], request["width"]
        image = np.frombuffer(source.read(height * width * 3), np.uint8).reshape(height, width, 3)
        boxes = [tuple(box) for box in request.get("boxes", [])]
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        if request["do"] != "encode":
            # As its examples call it: HOG, the picture upsampled once.
            boxes = face_recognition.face_locations(image)
        located_s = time.perf_counter()
        descriptors = []
        if request["do"] != "locate":
            descriptors = face_recognition.face_encodings(image, boxes)
        ended_s = time.perf_counter()
        answer = {
            "boxes": boxes,
            "descriptors": [descriptor.tolist() for descriptor in descriptors],
            "locate_ms": (located_s - began_s) * 1000,
            "encode_ms": (ended_s - located_s) * 1000,
            "cpu_ms": (time.process_time() - began_cpu_s) * 1000,
            "peak_mb": _status("VmHWM") / 1024,
            "threads": _status("Threads"),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
