"""What a kiosk's process costs: its start, its memory, and its share of a core while nobody is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from edge.capture.sample import Frame, Image
from edge.config import KioskConfig
from edge.errors import FixtureError
from scripts.bench.kiosk_child import ACQUIRE
from scripts.bench.laps import peak_mb, too_busy
from scripts.people.clip import NOISE_SD, Studio

STARTS = 3
"""Times a kiosk is started; the median is told."""
READY_WITHIN_S = 30.0
SETTLES_S = 1.5
"""After a recording came on: longer than a kiosk stays awake after something moved."""
IDLE_S = 5.0
PICTURES = 8
SEED = 20
STILL_SD = 0.3
"""Grey levels: what is left of noise in a bright hall. With none at all a camera counts as frozen."""
RECORDINGS: Mapping[str, float] = {"still": STILL_SD, "noise": NOISE_SD}


@dataclass(frozen=True, slots=True)
class KioskCost:
    """Seconds from its start as a process until ready; MiB at rest and at most; percent of one core."""

    start_s: float
    rss_mb: float
    peak_mb: float
    idle_cpu_percent: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """The keys of the report."""
        return {
            "start_s": self.start_s,
            "rss_mb": self.rss_mb,
            "peak_mb": self.peak_mb,
            "idle_cpu_percent": dict(self.idle_cpu_percent),
        }


async def measure_kiosk(config: KioskConfig, face: Frame, folder: Path) -> KioskCost:
    """Start a paired kiosk of its own `STARTS` times; its central and its gate must be there.

    Raises `FixtureError` when it does not become ready, or embeds somebody while nobody is there.
    """
    _keep_pictures(folder, face)
    starts_s = []
    for _ in range(STARTS - 1):
        async with _kiosk(config, folder) as (_, start_s):
            starts_s.append(start_s)
    async with _kiosk(config, folder) as (child, start_s):
        starts_s.append(start_s)
        idle = {}
        for name in RECORDINGS:
            await _ask(child, name)
            await asyncio.sleep(SETTLES_S)
            idle[name] = await _cpu_percent(child.pid)
        if (embedded := (await _ask(child, name))["embedded_frames"]) > 0:
            raise FixtureError(f"{embedded} embeddings were made with nobody there; run scripts/test")
        rss_mb = psutil.Process(child.pid).memory_info().rss / 2**20
        await _ask(child, ACQUIRE)
        return KioskCost(round(float(np.median(starts_s)), 3), round(rss_mb, 1), peak_mb(child.pid), idle)


@contextlib.asynccontextmanager
async def _kiosk(config: KioskConfig, folder: Path) -> AsyncIterator[tuple[Process, float]]:
    began_s = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.bench.kiosk_child", msgspec.json.encode(config).decode(), str(folder),
        stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    try:
        await _heard(child)
        yield child, time.perf_counter() - began_s
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


async def _ask(child: Process, word: str) -> dict[str, int]:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n".encode())
    return await _heard(child)


async def _heard(child: Process) -> dict[str, int]:
    assert child.stdout is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await child.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise FixtureError(f"the kiosk was not ready within {READY_WITHIN_S:.0f} s: {too_busy()}")
    told: dict[str, int] = json.loads(line)
    return told


async def _cpu_percent(pid: int) -> float:
    """Percent of one core, of all the process's threads."""
    process = psutil.Process(pid)
    before, began_s = process.cpu_times(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    after, took_s = process.cpu_times(), time.perf_counter() - began_s
    return round(100 * float(after.user + after.system - before.user - before.system) / took_s, 1)


def _keep_pictures(folder: Path, face: Frame) -> None:
    hall = Studio(SEED).empty()[0]
    dice = np.random.default_rng(SEED)
    for name, noise_sd in RECORDINGS.items():
        seen = [
            _yuyv(np.asarray(np.clip(hall + dice.normal(0, noise_sd, hall.shape), 0, 255).round(), np.uint8))
            for _ in range(PICTURES)
        ]
        np.save(folder / f"{name}.npy", np.stack(seen))
    np.save(folder / f"{ACQUIRE}.npy", face.image)


def _yuyv(image: Image) -> NDArray[np.uint8]:
    """RGB as most webcams send it: height x width x 2."""
    full = cv2.cvtColor(image, cv2.COLOR_RGB2YUV)
    packed = np.empty((*full.shape[:2], 2), np.uint8)
    packed[..., 0] = full[..., 0]
    packed[:, 0::2, 1], packed[:, 1::2, 1] = full[:, 0::2, 1], full[:, 0::2, 2]
    return packed
