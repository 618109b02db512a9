"""What every mode of a kiosk is opened with: the pack's networks, the wire's side, camera and screen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2

from edge.adapters.camera.browser import BrowserCamera
from edge.adapters.camera.device import open_camera
from edge.adapters.camera.recordings import open_playable
from edge.adapters.camera.shared import SharedCamera
from edge.adapters.central.link import Link
from edge.adapters.central.shadow import Shadow, read_desired, with_desired
from edge.adapters.central.uplink import UplinkConfig, UplinkParts, prepare_uplink
from edge.adapters.onnx import load_networks
from edge.adapters.screen.lens import Lens
from edge.adapters.screen.preview import Preview
from edge.adapters.screen.web import WebScreen
from edge.capture.detection import ZoneConfig
from edge.capture.pipeline import Clock, Pipeline
from edge.capture.recording import Recording
from edge.compare.search import choose_point
from edge.config import CameraSection, KioskConfig, require_agreement
from edge.errors import ConfigError
from edge.ports import Camera, Screen
from edge.shell.kiosk import PassReport
from models.manifest import MaxFmr, OperatingPoint
from models.registry import Pack, open_pack
from wire.environment import Environment, monotonic_ms
from wire.tls import TlsFiles
from wire.values import IMAGES_MAX

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
    passive: bool = False,
    clock_ms: Clock = _monotonic_ms,
) -> Pipeline:
    """The pack's networks loaded and warm. Raises `ConfigError` for an option, `ModelsError` for a file.

    `passive`: load its passive presentation attack detection too, if it has any.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError("threads", threads, f"give 1 to {MAX_THREADS}")
    # Its threads spin while they wait: 3 % of a core for an idle kiosk, and nothing gained on a face.
    cv2.setNumThreads(1)
    manifest = pack.manifest
    names = tuple(known.name for known in manifest.detectors)
    if detector is not None and detector not in names:
        raise ConfigError("detector", detector, f"pack {manifest.name} has {', '.join(names)}")
    chosen = manifest.default_detector() if detector is None else manifest.detector(detector)
    files = {chosen.file, manifest.landmarks.file, *(embedder.file for embedder in manifest.embedders)}
    files |= {network.file for network in manifest.pad} if passive else set()
    return Pipeline(
        manifest,
        pack.recipe_digest,
        load_networks(pack, frozenset(files), threads),
        detector=detector,
        zone=zone or ZoneConfig(),
        clock_ms=clock_ms,
    )


def pipeline_of(config: KioskConfig, pack: Pack, *, passive: bool = False) -> Pipeline:
    """The pipeline as the config has it; raises as `open_pipeline`."""
    return open_pipeline(
        pack,
        config.pack.threads,
        detector=config.pack.detector,
        zone=config.zone,
        passive=passive,
    )


def operating_points(config: KioskConfig, pack: Pack, frames: int) -> Mapping[int, OperatingPoint]:
    """The operating point of every number of images a template may have, probes being of `frames` frames."""
    rate = MaxFmr(config.match.max_fmr)
    return {
        images: choose_point(pack.manifest, pack.recipe_digest, images, frames, rate)
        for images in range(1, IMAGES_MAX + 1)
    }


@dataclass(frozen=True, slots=True)
class Extras:
    """What a demo, a test or a bench puts in the place of hardware and of people; empty in the field.

    `camera` makes a camera on the kiosk's clock, which may be a `Lens` for the kiosk's page as well; `attend`
    stands between the kiosk and its screen.
    """

    camera: Callable[[Callable[[], int]], Camera] | None = None
    attend: Callable[[Screen], Screen] = lambda screen: screen
    on_report: Callable[[PassReport], None] = lambda _: None
    environment: Environment | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """What every mode is built on."""

    own: KioskConfig
    """The kiosk's file."""
    settings: KioskConfig
    """The same with central's desired settings laid over it: what this life goes by."""
    pack: Pack
    pipeline: Pipeline
    uplink: UplinkParts

    def follow(self, link: Link, apply: Callable[[KioskConfig], None]) -> None:
        """Take up later desired settings, each by `apply`, and report what holds."""
        Shadow(link, Path(self.own.kiosk.state_dir), self.own, self.settings, apply)


@contextlib.asynccontextmanager
async def open_base(
    config: KioskConfig, environment: Environment | None, *, passive: bool = False
) -> AsyncIterator[Base]:
    """Pack, pipeline and the wire's side of a paired kiosk while the context lasts; nothing is said yet.

    Raises `StileError` or `ModelsError` for what must be there at the start: keys, database, pack.
    """
    require_agreement(config)
    folder = Path(config.kiosk.state_dir)
    settings, _ = with_desired(config, read_desired(folder))
    pack = open_pack(settings.pack.folder)
    pipeline = pipeline_of(settings, pack, passive=passive)
    async with prepare_uplink(folder, uplink_config(settings, pack), environment) as uplink:
        yield Base(config, settings, pack, pipeline, uplink)


@contextlib.asynccontextmanager
async def running(
    work: Callable[[], Coroutine[None, None, None]], name: str
) -> AsyncIterator[asyncio.Task[None]]:
    """A task while the context lasts; it is cancelled and awaited at its end."""
    task = asyncio.create_task(work(), name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tls_files(config: KioskConfig) -> TlsFiles | None:
    """The files with which the broker is spoken to, where the config names its own."""
    given = config.broker
    if given is None or given.ca_file is None or given.certificate_file is None or given.key_file is None:
        return None
    return TlsFiles(Path(given.ca_file), Path(given.certificate_file), Path(given.key_file))


def uplink_config(config: KioskConfig, pack: Pack) -> UplinkConfig:
    """What the wire's side of a kiosk is told."""
    return UplinkConfig(
        version("stile"),
        pack.recipe_digest,
        pack.digest,
        config.standing,
        None if config.broker is None else (config.broker.host, config.broker.port),
        tls_files(config),
        None if config.broker is None else config.broker.server_name,
        records=config.records,
        dimensions=pack.manifest.dimensions,
    )


def open_eye(config: KioskConfig, clock_ms: Callable[[], int]) -> Camera:
    """The camera of the config, or the kiosk's own page as one; raises `CameraError`."""
    section = config.camera
    if section.in_browser:
        return BrowserCamera(section.width_px, section.height_px, section.fps, clock_ms)
    return open_camera(section.device, section.width_px, section.height_px, section.fps, clock_ms)


def share_camera(section: CameraSection) -> SharedCamera:
    """One camera of this machine for several kiosks; raises `CameraError` when it is not there."""
    camera = open_camera(
        section.device,
        section.width_px,
        section.height_px,
        section.fps,
        monotonic_ms,
        wanted_at_start=True,
    )
    return SharedCamera(camera, monotonic_ms)


def open_recording(source: Path, border_fraction: float = 0.0) -> Recording:
    """A video file or a folder of images on a virtual clock; raises `FixtureError` if there is nothing."""
    return open_playable(source, border_fraction)


async def open_front(
    config: KioskConfig, extras: Extras, clock_ms: Callable[[], int], stack: contextlib.AsyncExitStack
) -> tuple[Camera, WebScreen, str]:
    """Camera and screen, until `stack` ends, and where the screen is served. Raises `StileError`."""
    camera = open_eye(config, clock_ms) if extras.camera is None else extras.camera(clock_ms)
    stack.push_async_callback(camera.close)
    screen = WebScreen(
        language=config.screen.language,
        lens=camera if isinstance(camera, Lens) else None,
        preview=Preview(fps=config.preview.fps, width_px=config.preview.width_px),
    )
    port = await screen.serve(config.screen.host, config.screen.port)
    stack.push_async_callback(screen.close)
    return camera, screen, f"http://{config.screen.host}:{port}/"
