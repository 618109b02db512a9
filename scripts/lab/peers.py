"""Stile beside what people use today: the same frames in turn, frame in and descriptor out, in one run.

The peer runs in child processes of the environment that `scripts/bench-peers` sets up, as pip installs it and
at its fastest. It is timed inside those processes, so that handing over the frame costs it nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.capture.pipeline import Pipeline
from edge.capture.sample import FailureToAcquire, Frame, Image
from edge.errors import FixtureError
from scripts.bench.laps import Spread, peak_mb
from scripts.people.cast import FACES, Cast
from scripts.people.clip import APPROACH_S, SHOW_S, Studio

FACE_RECOGNITION: Final = "face_recognition"
PEERS: Final = (FACE_RECOGNITION,)
CHILD: Final = Path(__file__).with_name("peer_child.py")
SEED: Final = 20
WARM_ROUNDS: Final = 3
ROUNDS_MIN, ROUNDS_MAX = 24, 120
SECONDS: Final = 40.0
"""Of comparing; `ROUNDS_MIN` rounds all the same."""
ENDS_WITHIN_S: Final = 5.0
SAME_FACE: Final = 0.1
"""Distance below which two builds of dlib describe one face alike; two people are at .6 and more."""


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """The environment of `scripts/bench-peers`; `openblas` is where dlib's faster build lies."""

    folder: Path

    @property
    def openblas(self) -> Path:
        """The folder of the build against OpenBLAS."""
        return self.folder / "openblas"

    def require(self) -> PeerEnvironment:
        """Itself, if it is whole; raises `FixtureError` saying which command makes it so."""
        if not ((self.folder / "bin/python").exists() and (self.openblas / "dlib").is_dir()):
            raise FixtureError(
                f"{self.folder.name}: the peer is not set up here; run scripts/bench-peers, which needs a "
                "checkout of the project and, the first time, a quarter of an hour"
            )
        return self


def peer_environment() -> PeerEnvironment:
    """Where this checkout has it, whether it is there or not."""
    return PeerEnvironment(Path(__file__).parents[2] / ".venv-peers")


class Described(msgspec.Struct, frozen=True):
    """A peer's answer to one frame; boxes as top, right, bottom, left."""

    boxes: list[list[int]]
    descriptors: list[list[float]]
    locate_ms: float
    encode_ms: float
    cpu_ms: float
    peak_mb: float
    threads: int


class PeerProcess:
    """One process of the peer; close it with the context."""

    def __init__(self, environment: PeerEnvironment, *, openblas: bool) -> None:
        known = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        if openblas:
            known["PYTHONPATH"] = str(environment.openblas)
        self._process = subprocess.Popen(
            [str(environment.folder / "bin/python"), str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=known,
        )

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end by itself, or end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, what: str, image: Image, boxes: Sequence[Sequence[int]] = ()) -> Described:
        """Have a frame located, encoded or both; raises `FixtureError` when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        height, width = image.shape[:2]
        request = {"do": what, "width": width, "height": height, "boxes": boxes}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n" + image.tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            line = b""
        else:
            line = self._process.stdout.readline()
        if not line:
            raise FixtureError(
                f"{FACE_RECOGNITION} has stopped (its words are above); remove .venv-peers and run "
                "scripts/bench-peers"
            )
        return msgspec.json.decode(line, type=Described)


@dataclass(slots=True)
class Taken:
    """What one contender took, frame by frame."""

    laps_ms: list[float] = field(default_factory=list)
    locate_ms: list[float] = field(default_factory=list)
    encode_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    threads: int = 0

    def add(self, located: Described, encoded: Described) -> None:
        """One frame, of one process or of two."""
        answers = (located,) if located is encoded else (located, encoded)
        self.cpu_ms.append(sum(answer.cpu_ms for answer in answers))
        self.laps_ms.append(located.locate_ms + encoded.encode_ms)
        self.locate_ms.append(located.locate_ms)
        self.encode_ms.append(encoded.encode_ms)
        self.peak_mb = max(self.peak_mb, located.peak_mb, encoded.peak_mb)
        self.threads = max(self.threads, located.threads, encoded.threads)

    def as_json(self, ours: Spread, ours_cpu_ms: float) -> dict[str, float]:
        """The keys of the report; `ratio_p50` is how many times ours it takes.

        `ratio_cpu` counts the time of all cores, so what else the machine does hardly changes it.
        """
        cpu_ms = float(np.median(self.cpu_ms))
        whole = Spread.of(self.laps_ms)
        return {
            **whole.as_json(),
            "ratio_p50": round(whole.p50_ms / ours.p50_ms, 2),
            "ratio_p95": round(whole.p95_ms / ours.p95_ms, 2),
            "ratio_min": round(whole.min_ms / ours.min_ms, 2),
            "cpu_p50_ms": round(cpu_ms, 3),
            "ratio_cpu": round(cpu_ms / ours_cpu_ms, 2),
            "locate_p50_ms": round(float(np.median(self.locate_ms)), 3),
            "encode_p50_ms": round(float(np.median(self.encode_ms)), 3),
            "peak_mb": round(self.peak_mb, 1),
            "threads": self.threads,
        }


def people_frames() -> tuple[Frame, ...]:
    """Eight 640 x 480 frames: the people of the project's portraits, standing before the kiosk."""
    cast, studio = Cast(), Studio(SEED)
    stands = studio.format.frames(SHOW_S + APPROACH_S)
    frames = []
    for number, file in zip(range(8), cycle(FACES), strict=False):
        scene = studio.walk_up(cast.portrait(file), None, f"{file}, take {number}")
        frames.append(Frame(scene[stands + 4 * number], number * 33, file))
    return tuple(frames)


def compare(pipeline: Pipeline, environment: PeerEnvironment) -> dict[str, Any]:
    """Ours and both of theirs on each frame in turn; raises `FixtureError` where one finds no face."""
    environment.require()
    frames = people_frames()
    ours_ms: list[float] = []
    ours_cpu_ms: list[float] = []
    as_pip, fastest = Taken(), Taken()
    load_before = os.getloadavg()[0]
    with ExitStack() as stack:
        wheel = stack.enter_context(PeerProcess(environment, openblas=False))
        built = stack.enter_context(PeerProcess(environment, openblas=True))
        deadline_s = time.perf_counter() + SECONDS
        for number, frame in zip(range(WARM_ROUNDS + ROUNDS_MAX), cycle(frames), strict=False):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            acquired = pipeline.acquire(frame)
            took_ms = (time.perf_counter() - began_s) * 1000
            took_cpu_ms = (time.process_time() - began_cpu_s) * 1000
            if isinstance(acquired.probe, FailureToAcquire):
                raise FixtureError(f"{frame.source}: no probe ({acquired.probe.reason.value})")
            described = _one_face(wheel.ask("describe", frame.image), frame)
            located = wheel.ask("locate", frame.image)
            encoded = _one_face(built.ask("encode", frame.image, located.boxes), frame)
            _require_alike(described, encoded, frame)
            if number >= WARM_ROUNDS:
                ours_ms.append(took_ms)
                ours_cpu_ms.append(took_cpu_ms)
                as_pip.add(described, described)
                fastest.add(located, encoded)
            if len(ours_ms) >= ROUNDS_MIN and time.perf_counter() > deadline_s:
                break
    ours, cpu_ms = Spread.of(ours_ms), float(np.median(ours_cpu_ms))
    return {
        "as_pip_installs": as_pip.as_json(ours, cpu_ms),
        "fastest": fastest.as_json(ours, cpu_ms),
        "ours": {**ours.as_json(), "cpu_p50_ms": round(cpu_ms, 3), "peak_mb": peak_mb()},
        "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
    }


def rows(compared: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    """The lines of the table."""
    return [
        ("Stile, in turn with", compared["ours"]),
        (f"{FACE_RECOGNITION} as pip installs it", compared["as_pip_installs"]),
        (f"{FACE_RECOGNITION} at its fastest", compared["fastest"]),
    ]


def _one_face(described: Described, frame: Frame) -> Described:
    if len(described.descriptors) != 1:
        raise FixtureError(f"{frame.source}: {FACE_RECOGNITION} finds {len(described.descriptors)} faces")
    return described


def _require_alike(one: Described, other: Described, frame: Frame) -> None:
    """That both builds do the same work."""
    first, second = (_vector(described) for described in (one, other))
    if float(np.linalg.norm(first - second)) > SAME_FACE:
        raise FixtureError(f"{frame.source}: the two builds of dlib describe one face differently")


def _vector(described: Described) -> NDArray[np.float64]:
    return np.array(described.descriptors[0], np.float64)
