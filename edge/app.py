"""Composition roots: `open_pipeline` (frame in, probes out) and what feeds it."""

from __future__ import annotations

import time
from pathlib import Path

from edge.adapters.fixtures import open_playable
from edge.adapters.onnx import load_networks
from edge.capture.detection import ZoneConfig
from edge.capture.pipeline import Clock, Pipeline
from edge.capture.quality import QualityConfig
from edge.capture.recording import Recording
from edge.errors import ConfigError
from models.registry import Pack

MAX_THREADS = 64
"""Threads of one network; more than any kiosk has cores."""


def _monotonic_ms() -> float:
    return time.perf_counter_ns() / 1e6


def open_pipeline(
    pack: Pack,
    threads: int,
    *,
    detector: str | None = None,
    zone: ZoneConfig | None = None,
    quality: QualityConfig | None = None,
    clock_ms: Clock = _monotonic_ms,
) -> Pipeline:
    """The pack's networks loaded and warm. Raises `ConfigError` for an option, `ModelsError` for a file."""
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError("threads", threads, f"give 1 to {MAX_THREADS}")
    manifest = pack.manifest
    names = tuple(known.name for known in manifest.detectors)
    if detector is not None and detector not in names:
        raise ConfigError("detector", detector, f"pack {manifest.name} has {', '.join(names)}")
    chosen = manifest.default_detector() if detector is None else manifest.detector(detector)
    files = {chosen.file, manifest.landmarks.file, *(embedder.file for embedder in manifest.embedders)}
    return Pipeline(
        manifest,
        pack.recipe_digest,
        load_networks(pack, frozenset(files), threads),
        detector=detector,
        zone=zone or ZoneConfig(),
        quality=quality or QualityConfig(),
        clock_ms=clock_ms,
    )


def open_recording(source: Path, border_fraction: float = 0.0) -> Recording:
    """A video file or a folder of images on a virtual clock; raises `FixtureError` if there is nothing."""
    return open_playable(source, border_fraction)
