"""`stile bench`: how fast and how large the kiosk is on this machine, in at most 45 s.

One 640 x 480 frame with one face goes through the pipeline again and again, each time a little displaced.
Times depend on the machine and on what else it does: compare them with others of the same machine only.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from edge.app import open_pipeline, open_recording
from edge.capture.pipeline import STAGES, Pipeline
from edge.capture.recording import Shown
from edge.capture.sample import FailureToAcquire, Frame, Image, Probe
from edge.compare.search import choose_point
from edge.enact.release import ReleaseConfig
from edge.errors import FixtureError, StileError
from models.errors import ModelsError
from models.manifest import MaxFmr
from models.registry import open_pack
from scripts.bench_search import LONG, ORDINARY, measure_search
from scripts.cast import SCRIPT
from scripts.output import EXIT_UNUSABLE, AsJson, fail, tell_json
from scripts.stage import Staging, open_stage

FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 640, 480
FACE_PORTRAIT = Path(__file__).parent / "portraits" / "obama.jpg"
PORTRAIT_HEIGHT_PX = 400
"""Height of the whole portrait in the frame; its face is then about a third of the frame's height."""
WARM_FRAMES, FRAMES = 10, 300
FRAMES_BUDGET_S = 12.0
"""Measuring stops here even if fewer frames were seen, so that a slow machine stays within the 45 s."""
PASSES_BUDGET_S = 15.0
GREY = 96
SEED = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile of repeated measurements."""

    p50_ms: float
    p95_ms: float
    repeats: int

    @classmethod
    def of(cls, laps_ms: list[float]) -> Spread:
        """At least one measurement."""
        p50_ms, p95_ms = np.percentile(laps_ms, (50, 95))
        return cls(round(float(p50_ms), 3), round(float(p95_ms), 3), len(laps_ms))

    def as_json(self) -> dict[str, float]:
        """The keys of the report."""
        return {"p50_ms": self.p50_ms, "p95_ms": self.p95_ms, "repeats": self.repeats}


def bench_frames(portrait: Path = FACE_PORTRAIT) -> tuple[Frame, ...]:
    """Eight 640 x 480 frames of the same person, each displaced by a few pixels."""
    played = next(iter(open_recording(portrait)))
    if not isinstance(played, Shown):
        raise FixtureError(f"{portrait}: {played.flaw.value}; install Stile again")
    step = max(1, round(played.frame.image.shape[0] / PORTRAIT_HEIGHT_PX))
    figure = _shrunk(played.frame.image, step)[:FRAME_HEIGHT_PX, :FRAME_WIDTH_PX]
    frames = []
    for number in range(8):
        canvas = np.full((FRAME_HEIGHT_PX, FRAME_WIDTH_PX, 3), GREY, np.uint8)
        top = max(0, (FRAME_HEIGHT_PX - figure.shape[0]) // 2 - number % 3)
        left = max(0, (FRAME_WIDTH_PX - figure.shape[1]) // 2 - number)
        canvas[top : top + figure.shape[0], left : left + figure.shape[1]] = figure
        frames.append(Frame(canvas, number * 33, f"bench#{number}"))
    return tuple(frames)


def _shrunk(image: Image, step: int) -> Image:
    height, width = image.shape[0] // step * step, image.shape[1] // step * step
    blocks = image[:height, :width].reshape(height // step, step, width // step, step, 3)
    return np.asarray(blocks.mean(axis=(1, 3)), np.uint8)


def measure_pipeline(
    pipeline: Pipeline, frames: tuple[Frame, ...]
) -> tuple[dict[str, Spread], Spread, Probe]:
    """Spread of each stage, of the whole from frame to probe, and a probe. FixtureError without a face."""
    laps: dict[str, list[float]] = {stage: [] for stage in STAGES}
    whole: list[float] = []
    last: Probe | None = None
    deadline_s = time.perf_counter() + FRAMES_BUDGET_S
    for number, frame in zip(range(WARM_FRAMES + FRAMES), cycle(frames), strict=False):
        started_s = time.perf_counter()
        acquired = pipeline.acquire(frame)
        took_ms = (time.perf_counter() - started_s) * 1000
        if isinstance(acquired.probe, FailureToAcquire):
            raise FixtureError(
                f"{frame.source}: no probe ({acquired.probe.reason.value}); choose another detector"
            )
        last = acquired.probe
        if number >= WARM_FRAMES:
            whole.append(took_ms)
            for stage in STAGES:
                laps[stage].append(acquired.laps_ms[stage])
        if whole and time.perf_counter() > deadline_s:
            break
    assert last is not None
    return {stage: Spread.of(taken) for stage, taken in laps.items()}, Spread.of(whole), last


async def measure_pass(folder: Path) -> Spread:
    """First detection to release command: standing cached, frames at 30 a second, through a whole kiosk.

    Raises `FixtureError` when a member who should pass does not.
    """
    parts = cycle([part for part in SCRIPT if part.shown and part.verdict == "grant"])
    laps_ms: list[float] = []
    async with open_stage(folder, SEED, Staging(release=ReleaseConfig(linger_ms=0))) as stage:
        deadline_s = time.perf_counter() + PASSES_BUDGET_S
        while time.perf_counter() < deadline_s:
            part = next(parts)
            report = await stage.perform(part, stage.standing(part))
            if report is None or report.first_face_ms is None or report.released_ms is None:
                raise FixtureError(f"the {part.role} did not pass; run `stile demo` to see why")
            laps_ms.append(report.released_ms - report.first_face_ms)
    return Spread.of(laps_ms)


def measure(
    threads: int, subjects: int, detector: str | None, pack: Path | None, long_search: bool = False
) -> dict[str, object]:
    """The whole report; the pass is measured last, with central and its clip in the same process."""
    pipeline = open_pipeline(open_pack(pack), threads, detector=detector)
    start_s = time.time() - psutil.Process().create_time()
    stages, whole, probe = measure_pipeline(pipeline, bench_frames())
    point = choose_point(pipeline.manifest, pipeline.recipe_digest, 1, 1, MaxFmr("1e-4"))
    searched = measure_search(subjects, probe.vector.size, probe.recipe_digest, point)
    stages["search"] = Spread.of(searched.laps_ms)
    rss_mb = psutil.Process().memory_info().rss / 2**20
    searches = [searched] + [
        measure_search(size, dimensions, probe.recipe_digest, point)
        for size, dimensions in (*ORDINARY, *(LONG if long_search else ()))
    ]
    with tempfile.TemporaryDirectory(prefix="stile-bench-") as folder:
        passed = asyncio.run(measure_pass(Path(folder)))
    return {
        "stages": {stage: spread.as_json() for stage, spread in stages.items()},
        "pipeline": whole.as_json(),
        "pass": passed.as_json(),
        "rss_mb": round(rss_mb, 1),
        "start_s": round(start_s, 3),
        "threads": threads,
        "search_subjects": subjects,
        "search": [each.as_json() for each in searches],
        "pack": pipeline.manifest.name,
    }


def main(
    threads: Annotated[int, typer.Option(help="Threads for the networks.")] = 2,
    subjects: Annotated[int, typer.Option(min=1, max=1_000_000, help="Templates to search among.")] = 10_000,
    detector: Annotated[
        str | None, typer.Option(help="A detector of the pack; its default if left out.")
    ] = None,
    pack: Annotated[Path | None, typer.Option(help="Folder of a pack; the default pack if left out.")] = None,
    long_search: Annotated[
        bool, typer.Option("--long-search", help="Search a million templates too; needs 3 GB and a minute.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure speed and memory of the recognition pipeline on this machine, in at most 45 s."""
    try:
        with Console(stderr=True).status(f"measuring, at most {'105' if long_search else '45'} s"):
            report = measure(threads, subjects, detector, pack, long_search)
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json(report)
    else:
        Console().print(_table(report))


def _rows(report: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, float]]]:
    stages = report["stages"]
    assert isinstance(stages, dict)
    yield from stages.items()
    for whole in ("pipeline", "pass"):
        spread = report.get(whole)
        if isinstance(spread, dict):
            yield whole, spread
    searches = report["search"]
    assert isinstance(searches, list)
    for each in searches:
        yield f"search {each['subjects']:,} x {each['dimensions']}", each


def _table(report: Mapping[str, object]) -> Table:
    table = Table(
        title=f"{report['rss_mb']} MB, ready after {report['start_s']} s, {report['threads']} threads"
    )
    for column in ("", "p50 ms", "p95 ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, spread in _rows(report):
        table.add_row(name, f"{spread['p50_ms']:.2f}", f"{spread['p95_ms']:.2f}")
    return table
