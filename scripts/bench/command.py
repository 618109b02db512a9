"""`stile bench`: how fast and how large the kiosk is on this machine, in about a minute.

One 640 x 480 frame with one face goes through the pipeline again and again, each time a little displaced, and
in turn with it the same runs of the networks bare, so that what is Stile's own can be told from theirs.
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
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from edge.capture.detection import ZoneConfig
from edge.capture.pipeline import STAGES, Pipeline
from edge.capture.recording import Shown
from edge.capture.sample import FailureToAcquire, Frame, Image, Inference, Probe, Tensor
from edge.compare.search import choose_point
from edge.enact.release import ReleaseConfig
from edge.errors import ConfigError, FixtureError, StileError
from edge.modes.common import open_pipeline, open_recording
from models.errors import ModelsError
from models.manifest import MaxFmr
from models.registry import open_pack
from scripts.bench.cache import tell_cache
from scripts.bench.gate import measure_gate, measured_only
from scripts.bench.ingest import tell_ingest
from scripts.bench.kiosk import KioskCost, measure_kiosk
from scripts.bench.lane import PEOPLE, PER_MINUTE, tell_lane
from scripts.bench.laps import Spread, peak_mb, too_busy
from scripts.bench.screen import tell_screen
from scripts.bench.search import LONG, ORDINARY, measure_search
from scripts.lab.peers import FACE_RECOGNITION, PEERS, PeerEnvironment, compare, peer_environment
from scripts.lab.peers import rows as peer_rows
from scripts.output import EXIT_UNUSABLE, AsJson, fail, tell_json
from scripts.people.cast import PORTRAITS, SCRIPT
from scripts.stage.stage import Staging, open_stage, unhurried

FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 640, 480
FACE_PORTRAIT = PORTRAITS / "obama.jpg"
PORTRAIT_HEIGHT_PX = 400
"""Height of the whole portrait in the frame; its face is then about a third of the frame's height."""
WARM_FRAMES, FRAMES = 10, 300
FRAMES_BUDGET_S = 12.0
"""Measuring stops here even if fewer frames were seen, so that a slow machine stays within the minute."""
PASSES_BUDGET_S = 12.0
ABOUT_S, LONG_SEARCH_S, AGAINST_S = 70, 60, 50
GREY = 96
SEED = 20


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


@dataclass(frozen=True, slots=True)
class Measured:
    """Spreads of each stage, of the whole from frame to probe, and of the same networks' runs alone."""

    stages: Mapping[str, Spread]
    whole: Spread
    bare: Spread
    overhead_ratio: float
    """Median of the whole over the bare runs right after it."""
    probe: Probe


class _Fed:
    """A network that keeps what it is fed."""

    def __init__(self, network: Inference, kept: list[tuple[Inference, Tensor]]) -> None:
        self._network, self._kept = network, kept

    def infer(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """What the network answers."""
        self._kept.append((self._network, tensor))
        return self._network.infer(tensor)


def bare_runs(pipeline: Pipeline, detector: str | None, frame: Frame) -> tuple[tuple[Inference, Tensor], ...]:
    """The runs of networks that one frame's way to a probe is made of, and what each is fed."""
    kept: list[tuple[Inference, Tensor]] = []
    Pipeline(
        pipeline.manifest,
        pipeline.recipe_digest,
        {file: _Fed(network, kept) for file, network in pipeline.networks.items()},
        detector=detector,
        zone=ZoneConfig(),
        clock_ms=lambda: 0.0,
    ).acquire(frame)
    return tuple(kept)


def measure_pipeline(
    pipeline: Pipeline, frames: tuple[Frame, ...], bare: tuple[tuple[Inference, Tensor], ...]
) -> Measured:
    """The pipeline and the bare runs in turn; raises `FixtureError` without a face."""
    laps: dict[str, list[float]] = {stage: [] for stage in STAGES}
    whole: list[float] = []
    alone: list[float] = []
    last: Probe | None = None
    deadline_s = time.perf_counter() + FRAMES_BUDGET_S
    for number, frame in zip(range(WARM_FRAMES + FRAMES), cycle(frames), strict=False):
        started_s = time.perf_counter()
        acquired = pipeline.acquire(frame)
        acquired_s = time.perf_counter()
        for network, tensor in bare:
            network.infer(tensor)
        ended_s = time.perf_counter()
        if isinstance(acquired.probe, FailureToAcquire):
            raise FixtureError(
                f"{frame.source}: no probe ({acquired.probe.reason.value}); choose another detector"
            )
        last = acquired.probe
        if number >= WARM_FRAMES:
            whole.append((acquired_s - started_s) * 1000)
            alone.append((ended_s - acquired_s) * 1000)
            for stage in STAGES:
                laps[stage].append(acquired.laps_ms[stage])
        if whole and time.perf_counter() > deadline_s:
            break
    assert last is not None
    return Measured(
        {stage: Spread.of(taken) for stage, taken in laps.items()},
        Spread.of(whole),
        Spread.of(alone),
        round(float(np.median(np.array(whole) / np.array(alone))), 3),
        last,
    )


async def measure_stage(folder: Path) -> tuple[Spread, KioskCost]:
    """First detection to release command, through a whole kiosk; then what such a kiosk costs by itself.

    Standings are cached, frames come at 30 a second or as fast as the kiosk looks. Raises `FixtureError` when
    nobody passes in time.
    """
    parts = cycle([part for part in SCRIPT if part.shown and part.verdict == "grant"])
    laps_ms: list[float] = []
    tried = 0
    staging = unhurried(Staging(release=ReleaseConfig(linger_ms=0)))
    async with open_stage(folder, SEED, staging) as stage:
        deadline_s = time.perf_counter() + PASSES_BUDGET_S
        while time.perf_counter() < deadline_s:
            part = next(parts)
            report = await stage.perform(part, stage.standing(part))
            tried += 1
            if report is not None and report.first_face_ms is not None and report.released_ms is not None:
                laps_ms.append(report.released_ms - report.first_face_ms)
        if not laps_ms:
            raise FixtureError(f"none of {tried} members passed within {PASSES_BUDGET_S:.0f} s: {too_busy()}")
        await stage.stop_kiosk()
        pictures = folder / "pictures"
        pictures.mkdir()
        cost = await measure_kiosk(stage.config, bench_frames()[0], pictures)
    return Spread.of(laps_ms), cost


def measure(
    threads: int,
    subjects: int,
    detector: str | None,
    pack_folder: Path | None,
    *,
    long_search: bool = False,
    against: str | None = None,
) -> dict[str, Any]:
    """The whole report; the peer first, while nothing else of the project runs."""
    environment = None if against is None else _environment(against)
    pipeline = open_pipeline(open_pack(pack_folder), threads, detector=detector)
    compared = {} if environment is None else {FACE_RECOGNITION: compare(pipeline, environment)}
    frames = bench_frames()
    for frame in frames:
        pipeline.acquire(frame)
    peak = peak_mb()
    measured = measure_pipeline(pipeline, frames, bare_runs(pipeline, detector, frames[0]))
    point = choose_point(pipeline.manifest, pipeline.recipe_digest, 1, 1, MaxFmr("1e-4"))
    probe = measured.probe
    searched = measure_search(subjects, probe.vector.size, probe.recipe_digest, point)
    stages = {**measured.stages, "search": Spread.of(searched.laps_ms)}
    searches = [searched] + [
        measure_search(size, dimensions, probe.recipe_digest, point)
        for size, dimensions in (*ORDINARY, *(LONG if long_search else ()))
    ]
    with tempfile.TemporaryDirectory(prefix="stile-bench-") as folder:
        passed, kiosk = asyncio.run(measure_stage(Path(folder)))
    return {
        "stages": {stage: spread.as_json() for stage, spread in stages.items()},
        "pipeline": measured.whole.as_json(),
        "bare_ort_ms": measured.bare.p50_ms,
        "bare_ort": measured.bare.as_json(),
        "overhead_ratio": measured.overhead_ratio,
        "pass": passed.as_json(),
        "gate": measure_gate(),
        "kiosk": kiosk.as_json(),
        "peak_mb": peak,
        "rss_mb": kiosk.peak_mb,
        "start_s": kiosk.start_s,
        "threads": threads,
        "search_subjects": subjects,
        "search": [each.as_json() for each in searches],
        "pack": pipeline.manifest.name,
        **({"against": compared} if compared else {}),
    }


def _environment(against: str) -> PeerEnvironment:
    if against not in PEERS:
        raise ConfigError("--against", against, f"give {', '.join(PEERS)}")
    return peer_environment().require()


def main(
    *,
    threads: Annotated[int, typer.Option(help="Threads for the networks.")] = 2,
    subjects: Annotated[int, typer.Option(min=1, max=1_000_000, help="Templates to search among.")] = 10_000,
    detector: Annotated[
        str | None, typer.Option(help="A detector of the pack; its default if left out.")
    ] = None,
    pack: Annotated[Path | None, typer.Option(help="Folder of a pack; the default pack if left out.")] = None,
    long_search: Annotated[
        bool, typer.Option("--long-search", help="Search a million templates too; needs 3 GB and a minute.")
    ] = False,
    against: Annotated[
        str | None, typer.Option(help="Compare with a peer, face_recognition: see scripts/bench-peers.")
    ] = None,
    cache: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Fill a cache of so many standings, and nothing else."),
    ] = None,
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Commit records as central does, and nothing else.")
    ] = False,
    database: Annotated[
        str | None, typer.Option(help="With --ingest: the URL of an empty PostgreSQL database, too.")
    ] = None,
    lane: Annotated[
        bool, typer.Option("--lane", help="Send people through a simulated lane, and nothing else.")
    ] = False,
    people: Annotated[int, typer.Option(min=2, max=1000, help="With --lane: how many people.")] = PEOPLE,
    per_minute: Annotated[
        int, typer.Option(min=1, max=120, help="With --lane: how many of them come a minute.")
    ] = PER_MINUTE,
    screen: Annotated[
        bool, typer.Option("--screen", help="Look at the kiosk's screen with Chromium, and nothing else.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure speed, memory and start of the kiosk on this machine, in about a minute."""
    if ingest or database is not None:
        tell_ingest(database, as_json=as_json)
        return
    if screen:
        tell_screen(as_json=as_json)
        return
    if lane:
        tell_lane(people, per_minute, as_json=as_json)
        return
    if cache is not None:
        tell_cache(cache, as_json=as_json)
        return
    about_s = ABOUT_S + (LONG_SEARCH_S if long_search else 0) + (AGAINST_S if against else 0)
    try:
        with Console(stderr=True).status(f"measuring, about {about_s} s"):
            report = measure(threads, subjects, detector, pack, long_search=long_search, against=against)
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json(report)
    else:
        Console().print(_table(report))


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield from report["stages"].items()
    yield "pipeline", report["pipeline"]
    yield "its networks alone", report["bare_ort"]
    yield "pass", report["pass"]
    yield from measured_only(report["gate"])
    for compared in report.get("against", {}).values():
        yield from peer_rows(compared)
    for each in report["search"]:
        yield f"search {each['subjects']:,} x {each['dimensions']}", each


def _table(report: Mapping[str, Any]) -> Table:
    kiosk = report["kiosk"]
    idle = ", ".join(f"{share} % ({name})" for name, share in kiosk["idle_cpu_percent"].items())
    table = Table(
        title=f"{report['threads']} threads; a kiosk: {kiosk['peak_mb']} MB at most, ready after "
        f"{kiosk['start_s']} s, of one core while idle {idle}"
    )
    for column in ("", "p50 ms", "p95 ms", "min ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, spread in _rows(report):
        ratio = f"  ({spread['ratio_p50']:.1f} times)" if "ratio_p50" in spread else ""
        table.add_row(
            name + ratio, f"{spread['p50_ms']:.2f}", f"{spread['p95_ms']:.2f}", f"{spread['min_ms']:.2f}"
        )
    return table
