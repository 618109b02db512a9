"""`stile bench`: what it reports, and how it compares with a peer; no figure is asserted."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge.errors import FixtureError
from edge.modes.common import open_pipeline
from models.registry import open_pack
from scripts.bench import command as bench
from scripts.bench import gate as bench_gate
from scripts.bench import kiosk as bench_kiosk
from scripts.bench.kiosk_child import Recording
from scripts.bench.laps import Spread, peak_mb
from scripts.lab import peers as bench_peers
from scripts.lab.peers import FACE_RECOGNITION, PeerEnvironment, PeerProcess, compare

REFERENCE = Path(bench.__file__).parents[2] / "docs/reference.md"
APP = typer.Typer()
APP.command("bench")(bench.main)
APP.callback()(lambda: None)

STAND_IN = """
import os, sys
import numpy as np
def face_locations(image):
    if {dies}: sys.exit(3)
    return [(120, 400, 320, 240)] * {faces}
def face_encodings(image, boxes):
    assert all(tuple(box) == (120, 400, 320, 240) for box in boxes)
    return [np.full(128, {value} + image.mean() * 1e-6) for _ in boxes]
"""
"""What `scripts/lab/peer_child.py` needs of the peer, with faults to choose."""


def environment(
    folder: Path, *, faces: int = 1, dies: bool = False, values: tuple[float, float] = (0.1, 0.1)
) -> PeerEnvironment:
    """An environment as `scripts/bench-peers` lays it out, with stand-ins for both builds of the peer."""
    found = PeerEnvironment(folder)
    for place, value in zip((folder / "wheel", found.openblas), values, strict=True):
        place.mkdir(parents=True)
        (place / "face_recognition.py").write_text(STAND_IN.format(faces=faces, dies=dies, value=value))
    (found.openblas / "dlib").mkdir()
    program = folder / "bin/python"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="${{PYTHONPATH:-{folder}/wheel}}" exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    return found


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "SECONDS", 0.0)
    monkeypatch.setattr(bench_peers, "ROUNDS_MIN", 2)
    monkeypatch.setattr(bench_peers, "WARM_ROUNDS", 1)


def test_bench_reports_every_key_of_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "FRAMES", 3)
    monkeypatch.setattr(bench, "ORDINARY", ((5_000, 16),))
    monkeypatch.setattr(bench, "PASSES_BUDGET_S", 0.01)
    monkeypatch.setattr(bench_gate, "RELEASES", 3)
    monkeypatch.setattr(bench_kiosk, "STARTS", 1)
    monkeypatch.setattr(bench_kiosk, "SETTLES_S", 0.0)
    monkeypatch.setattr(bench_kiosk, "IDLE_S", 0.2)
    ran = CliRunner().invoke(APP, ["bench", "--json", "--threads", "1", "--subjects", "100"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout.splitlines()[-1])
    assert set(report["stages"]) >= {"detect", "landmarks", "align", "embed", "search"}
    for spread in (*report["stages"].values(), report["pipeline"], report["bare_ort"], report["pass"]):
        assert 0 < spread["min_ms"] <= spread["p50_ms"] <= spread["p95_ms"]
    assert report["bare_ort_ms"] == report["bare_ort"]["p50_ms"]
    assert report["overhead_ratio"] > 0
    assert [(each["subjects"], each["dimensions"]) for each in report["search"]] == [(100, 128), (5_000, 16)]
    assert [each["top1_as_float"] for each in report["search"]] == [1.0, 1.0]
    assert report["pipeline"]["repeats"] == 3
    assert set(report["gate"]) == {"host", "simavr"}
    for measured in report["gate"].values():
        assert (
            "sudo apt install" in measured["missing"] if "missing" in measured else measured["repeats"] == 3
        )
    kiosk = report["kiosk"]
    assert 0 < kiosk["rss_mb"] <= kiosk["peak_mb"] == report["rss_mb"]
    assert 0 < kiosk["start_s"] == report["start_s"]
    assert set(kiosk["idle_cpu_percent"]) == {"still", "noise"}
    assert "against" not in report
    documented = REFERENCE.read_text().split("## What `stile bench --json` reports")[1]
    assert [key for key in report if f"`{key}`" not in documented] == []


def test_the_bare_runs_are_those_of_one_pass_the_mirror_image_with_the_chip() -> None:
    pipeline = open_pipeline(open_pack(), 1)
    runs = bench.bare_runs(pipeline, None, bench.bench_frames()[0])
    assert [tensor.shape for _, tensor in runs] == [(1, 3, 256, 256), (1, 3, 192, 192), (2, 3, 150, 150)]
    assert {network for network, _ in runs} == {*pipeline.networks.values()}


def test_a_spread_is_the_median_the_95th_percentile_and_the_minimum() -> None:
    spread = Spread.of([float(number) for number in range(101)])
    assert spread.as_json() == {"p50_ms": 50.0, "p95_ms": 95.0, "min_ms": 0.0, "repeats": 101}


def test_the_peak_of_a_process_does_not_fall_when_it_gives_memory_back() -> None:
    large = np.ones(64 << 20, np.uint8)
    peak = peak_mb()
    del large
    # The kernel keeps it to within some pages a thread.
    assert 64 < peak <= peak_mb() + 1


def test_a_recording_shows_what_was_recorded() -> None:
    rows = np.linspace(20, 220, 48).astype(np.uint8)
    hall = np.repeat(np.repeat(rows[:, None, None], 64, axis=1), 3, axis=2)
    shown = Recording(bench_kiosk._yuyv(hall)[None])[0]
    # Back through the limited range of video: to within its seven eighths of a grey level and rounding.
    assert shown.shape == hall.shape
    assert cv2.absdiff(shown[..., 0], shown[..., 2]).max() <= 3
    assert np.corrcoef(shown[..., 1].ravel(), hall[..., 1].ravel())[0, 1] > 0.999


def test_an_unknown_peer_is_an_error_that_names_the_known_ones() -> None:
    ran = CliRunner().invoke(APP, ["bench", "--against", "deepface"])
    assert ran.exit_code == 2
    assert "deepface" in ran.stderr
    assert FACE_RECOGNITION in ran.stderr


def test_without_the_peers_environment_one_sentence_says_which_command_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "peer_environment", lambda: PeerEnvironment(tmp_path / "nothing"))
    ran = CliRunner().invoke(APP, ["bench", "--against", FACE_RECOGNITION])
    assert ran.exit_code == 2
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "run scripts/bench-peers" in ran.stderr


@pytest.mark.usefixtures("few_rounds")
def test_a_comparison_gives_both_builds_of_the_peer_in_units_of_ours(tmp_path: Path) -> None:
    compared = compare(open_pipeline(open_pack(), 1), environment(tmp_path))
    ours = compared["ours"]
    for build in (compared["as_pip_installs"], compared["fastest"]):
        assert build["repeats"] == ours["repeats"] == 2
        assert build["ratio_p50"] == pytest.approx(build["p50_ms"] / ours["p50_ms"], abs=0.006)
        assert build["ratio_cpu"] == pytest.approx(build["cpu_p50_ms"] / ours["cpu_p50_ms"], abs=0.006)
        assert build["peak_mb"] > 0
        assert build["threads"] >= 1


@pytest.mark.usefixtures("few_rounds")
def test_two_builds_that_describe_a_face_differently_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="differently"):
        compare(open_pipeline(open_pack(), 1), environment(tmp_path, values=(0.1, 0.2)))


@pytest.mark.usefixtures("few_rounds")
@pytest.mark.parametrize("faces", [0, 2])
def test_a_peer_that_does_not_find_the_one_face_is_not_compared(tmp_path: Path, faces: int) -> None:
    with pytest.raises(FixtureError, match=f"finds {faces} faces"):
        compare(open_pipeline(open_pack(), 1), environment(tmp_path, faces=faces))


def test_a_peer_that_stops_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    (frame, *_) = bench.bench_frames()
    with (
        PeerProcess(environment(tmp_path, dies=True), openblas=False) as peer,
        pytest.raises(FixtureError, match="scripts/bench-peers"),
    ):
        peer.ask("describe", frame.image)


def test_each_build_of_the_peer_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    found, (frame, *_) = environment(tmp_path, values=(0.1, 0.5)), bench.bench_frames()
    values = []
    for openblas in (False, True):
        with PeerProcess(found, openblas=openblas) as peer:
            described = peer.ask("encode", frame.image, [(120, 400, 320, 240)])
        values.append(round(described.descriptors[0][0], 2))
    assert values == [0.1, 0.5]


class Busy:
    """A stage on which nobody gets through."""

    async def perform(self, part: Any, scene: Any) -> None:
        return None

    def standing(self, part: Any) -> None:
        return None


async def test_a_bench_in_which_nobody_passes_says_that_the_machine_is_too_busy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextlib.asynccontextmanager
    async def open_stage(*_: Any) -> AsyncIterator[Busy]:
        yield Busy()

    monkeypatch.setattr(bench, "open_stage", open_stage)
    monkeypatch.setattr(bench, "PASSES_BUDGET_S", 0.01)
    with pytest.raises(
        FixtureError, match=r"none of \d+ members passed .*: this machine is too busy to measure"
    ):
        await bench.measure_stage(tmp_path)
