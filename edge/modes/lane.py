"""Composition roots: `open_pipeline` (frame in, probes out), what feeds it, and `open_kiosk`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.camera.device import open_camera
from edge.adapters.camera.qr import QrReader
from edge.adapters.camera.recordings import open_playable
from edge.adapters.camera.shared import SharedCamera
from edge.adapters.central.commands import StaffOrders
from edge.adapters.central.pairing import load_identity, pair
from edge.adapters.central.shadow import Shadow, read_desired, wished
from edge.adapters.central.tls import chosen_files
from edge.adapters.central.tls import probe as probe_tls
from edge.adapters.central.uplink import Uplink, UplinkConfig, monotonic_ms, open_uplink
from edge.adapters.gallery.search import GallerySearch, SearchLimits
from edge.adapters.gate.no_gate import NoGate
from edge.adapters.gate.timetable import Timetable
from edge.adapters.screen.web import WebScreen
from edge.adapters.storage.cache import FeedName
from edge.adapters.storage.consents import read_consents
from edge.capture.pad import live_min
from edge.capture.pipeline import Pipeline
from edge.capture.recording import Recording
from edge.compare.search import choose_point
from edge.config import BrokerSection, CameraSection, KioskConfig, require_agreement
from edge.decide.verdict import Age
from edge.enact.display import Notice
from edge.enact.record import KioskIdentity
from edge.errors import ConfigError
from edge.modes.common import (
    Extras,
    ended,
    open_eye,
    open_front,
    open_pipeline,
    operating_points,
    pipeline_of,
    tls_files,
    uplink_config,
)
from edge.modes.enrol import OpenEnroller, open_enroller
from edge.modes.pay import OpenTill, open_till
from edge.passage.state import Rules
from edge.ports import Camera
from edge.shell.kiosk import Devices, Kiosk
from firmware_bridge.drivers.factory import open_gate
from firmware_bridge.errors import GateKeyError
from firmware_bridge.gate import Fault, Gate, LinkStatus, LinkUp
from models.manifest import MaxFmr
from models.registry import Pack, open_pack
from wire.fleet import Presence
from wire.ids import GateId

__all__ = [
    "ClipDevice",
    "Extras",
    "OpenEnroller",
    "OpenKiosk",
    "SharedCamera",
    "Uplink",
    "UplinkConfig",
    "WebScreen",
    "broker_of",
    "clip_camera",
    "open_enroller",
    "open_kiosk",
    "open_pipeline",
    "open_recording",
    "open_uplink",
    "pair",
    "probe_broker",
    "probe_camera",
    "probe_gate",
    "read_consents",
    "share_camera",
]

PHOTO_RISKS = {"never": "photo_risk", "on_claim_reuse": "photo_risk_first_use"}
"""The note for a `confirm.challenge` under which a photograph held up may pass for a face."""
TURNED_FMR: MaxFmr = MaxFmr("1e-2")
"""Whose face turns in a challenge is told at this rate; of turned pairs of one person 99 % reach it."""


def open_recording(source: Path, border_fraction: float = 0.0) -> Recording:
    """A video file or a folder of images on a virtual clock; raises `FixtureError` if there is nothing."""
    return open_playable(source, border_fraction)


@dataclass(frozen=True, slots=True)
class OpenKiosk:
    """A running kiosk and its parts, for whoever watches it."""

    kiosk: Kiosk
    pipeline: Pipeline
    uplink: Uplink
    gate: Gate
    camera: Camera
    screen_url: str
    serving: asyncio.Task[None]
    """Ends only with an error, or cancelled."""
    till: OpenTill | None = None
    """Where the kiosk takes money."""


@contextlib.asynccontextmanager
async def open_kiosk(config: KioskConfig, extras: Extras | None = None) -> AsyncIterator[OpenKiosk]:
    """Run a paired kiosk while the context lasts; needs neither broker nor central nor gate to open.

    Raises `StileError` or `ModelsError` for what must be there at the start: keys, database, pack, camera;
    `ConfigError` also where one to many would run past `search.max_fpir` with the gallery there is.
    """
    require_agreement(config)
    extras = extras or Extras()
    folder = Path(config.kiosk.state_dir)
    own, (config, _) = config, wished(config, read_desired(folder))
    pack = open_pack(config.pack.folder)
    rules = _rules(config, pack)
    pipeline = pipeline_of(config, pack, passive=config.confirm.passive)
    async with contextlib.AsyncExitStack() as stack:
        uplink = await stack.enter_async_context(
            open_uplink(folder, uplink_config(config, pack), world=extras.world)
        )
        search = await _open_search(config, pack, rules, uplink)
        if search is not None:
            searching = asyncio.create_task(search.run(), name="search")
            stack.push_async_callback(ended, searching)
        clock_ms = uplink.clock.uptime_ms
        pays = config.kiosk.mode == "pay"
        till = await stack.enter_async_context(open_till(config, uplink)) if pays else None
        gate: Gate = NoGate() if pays else _open_gate(config, clock_ms)
        gate_id = None if pays else GateId(config.turnstile_gate.id)
        stack.push_async_callback(gate.close)
        camera, screen, screen_url = await open_front(config, extras, clock_ms, stack)
        kiosk = Kiosk(
            Devices(
                camera=camera,
                claims=QrReader(),
                recogniser=pipeline,
                gate=gate,
                screen=extras.attend(screen),
                members=uplink.members,
                pins=uplink.pins,
                records=uplink.outbox,
                clock=uplink.clock,
                searcher=search,
                preview=screen.preview,
                payments=None if till is None else till.payments,
            ),
            rules,
            config.tracking,
            KioskIdentity(
                uplink.identity.kiosk,
                gate_id,
                uplink.identity.purpose,
                uplink.reporter.about.boot_id,
                pack.digest,
            ),
            random_bytes=os.urandom,
            notice=lambda: _notice(config, pack, uplink, gate, camera, search),
            central_answers=lambda: uplink.central_seen,
            on_report=extras.on_report,
        )
        Shadow(uplink.link, folder, own, config, lambda changed: _take_up(changed, kiosk, uplink, screen))
        uplink.reporter.presence = Presence.READY
        StaffOrders(folder, gate_id, kiosk, uplink.clock, uplink.commands)
        if config.opening.times:
            opening = asyncio.create_task(_timetable(config, kiosk, uplink).run(), name="timetable")
            stack.push_async_callback(ended, opening)
        uplink.reporter.notes = lambda: (
            *_notes(config, pack, gate, camera, search),
            *(("lane_closed",) if kiosk.lane_closed else ()),
        )
        if search is not None:
            uplink.reporter.search = search.told
        serving = asyncio.create_task(kiosk.run(), name="kiosk")
        try:
            yield OpenKiosk(kiosk, pipeline, uplink, gate, camera, screen_url, serving, till)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def _timetable(config: KioskConfig, kiosk: Kiosk, uplink: Uplink) -> Timetable:
    try:
        return Timetable(config.opening, kiosk, uplink.clock)
    except ValueError as error:
        raise ConfigError("opening.zone", config.opening.zone, str(error)) from error


def _take_up(config: KioskConfig, kiosk: Kiosk, uplink: Uplink, screen: WebScreen) -> None:
    """Change what may change while the kiosk runs."""
    kiosk.rules = replace(kiosk.rules, release=config.release)
    uplink.members.config = config.standing
    screen.speak(config.screen.language)


def broker_of(config: KioskConfig) -> tuple[str, int]:
    """Host and port of the broker a kiosk uses; raises `StoreError` when it is not paired."""
    given = config.broker or BrokerSection()
    if given.host is not None and given.port is not None:
        return given.host, given.port
    identity = load_identity(Path(config.kiosk.state_dir), os.urandom)
    return given.host or identity.broker_host, given.port or identity.broker_port


async def probe_broker(config: KioskConfig, within_s: float) -> str:
    """What is wrong with the broker, as a sentence; empty when it is well. Raises `StileError`, OSError."""
    host, port = broker_of(config)
    name = None if config.broker is None else config.broker.server_name
    files = chosen_files(Path(config.kiosk.state_dir), tls_files(config), name)
    if files is not None:
        now_ms = time.time_ns() // 1_000_000
        return await asyncio.to_thread(probe_tls, files, host, port, now_ms, within_s)
    async with asyncio.timeout(within_s):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    return ""


async def probe_gate(config: KioskConfig, within_s: float) -> str:
    """What is wrong with the gate, as a sentence; empty once it has answered. Raises `ConfigError`."""
    gate = _open_gate(config, monotonic_ms)
    try:
        async with asyncio.timeout(within_s):
            async for event in gate.events():
                if isinstance(event, LinkUp):
                    return ""
    except TimeoutError:
        pass
    finally:
        await gate.close()
    return gate.state().trouble or f"nothing answers on {config.turnstile_gate.where}"


async def probe_camera(config: KioskConfig) -> str:
    """The camera's state once it had the time for a picture; raises `CameraError`."""
    camera = open_eye(config, monotonic_ms)
    try:
        frame = await camera.read()
        return camera.state() if frame is not None or camera.state() != "ok" else "no picture"
    finally:
        await camera.close()


def share_camera(section: CameraSection) -> SharedCamera:
    """One camera of this machine for several kiosks; raises `CameraError` when it is not there."""
    camera = open_camera(section.device, section.width_px, section.height_px, section.fps, monotonic_ms)
    return SharedCamera(camera, monotonic_ms)


async def _open_search(config: KioskConfig, pack: Pack, rules: Rules, uplink: Uplink) -> GallerySearch | None:
    """The gallery, surveyed, where members are searched for. Raises `ConfigError` past the bound."""
    section = config.search
    if section.mode == "one_to_one":
        return None
    limits = SearchLimits(config.confirm.attempts, section.max_fpir)
    search = GallerySearch(uplink.members, pack.recipe_digest, rules.points, limits)
    await search.refresh()
    if search.refusal:
        raise ConfigError("search.max_fpir", section.max_fpir, search.refusal)
    return search


def _open_gate(config: KioskConfig, clock_ms: Callable[[], int]) -> Gate:
    section = config.turnstile_gate
    chosen = section if section.driver == "own" else getattr(section, section.driver)
    options = msgspec.structs.asdict(chosen)
    try:
        return open_gate(section.driver, options, clock_ms=clock_ms, draw_challenge=os.urandom)
    except GateKeyError as error:
        key = "gate.key_file" if section.driver == "own" else f"gate.{section.driver}.key_file"
        raise ConfigError(key, options["key_file"], str(error)) from error
    except ImportError as error:
        wanted = f'install Stile with its extra "gates" ({error})'
        raise ConfigError("gate.driver", section.driver, wanted) from error


def _rules(config: KioskConfig, pack: Pack) -> Rules:
    """The operating point for every size a template may have, at the configured rate."""
    points = operating_points(config, pack, config.confirm.frames)
    # One image against one at the loosest rate: a turned head is less like itself.
    turned = choose_point(pack.manifest, pack.recipe_digest, 1, 1, TURNED_FMR)
    floor = live_min(pack.manifest.pad) if config.confirm.passive else None
    return Rules(
        config.confirm,
        config.release,
        points,
        turned.threshold,
        floor,
        config.search,
        config.passback,
        config.pay,
    )


def _notes(
    config: KioskConfig, pack: Pack, gate: Gate, camera: Camera, search: GallerySearch | None
) -> tuple[str, ...]:
    """What is to be said of this kiosk's own devices in `state`, as short codes."""
    found = []
    if camera.state() != "ok":
        found.append(f"camera_{camera.state()}")
    state = gate.state()
    if state.link is not LinkStatus.UP:
        found.append(f"gate_{state.link.value}")
    elif state.fault is not None and state.fault is not Fault.NONE:
        found.append(f"gate_{state.fault.name.lower()}")
    if risk := PHOTO_RISKS.get(config.confirm.challenge or "never"):
        found.append(risk)
    if pack.manifest.non_commercial:
        found.append("non_commercial")
    if search is not None and search.refusal:
        found.append("search_over_bound")
    if search is not None and search.faulty:
        found.append("search_fault")
    return tuple(found)


def _notice(
    config: KioskConfig, pack: Pack, uplink: Uplink, gate: Gate, camera: Camera, search: GallerySearch | None
) -> Notice:
    """What the screen says at its foot; its message files know these words."""
    standing = uplink.reporter.freshness(FeedName.STANDING)
    gate_state = gate.state()
    degraded = {
        "camera": camera.state() != "ok",
        "gate": gate_state.link is not LinkStatus.UP or gate_state.fault is not Fault.NONE,
        "broker": not uplink.central_seen,
        "clock": not uplink.clock.sure,
        "standing": str(standing.freshness) != Age.FRESH.value,
        "gallery": str(uplink.reporter.freshness(FeedName.GALLERY).freshness) != Age.FRESH.value,
        "outbox": uplink.outbox.standstill is not None,
        "search": search is not None and not search.offered(),
        "non_commercial": pack.manifest.non_commercial,
    }
    return Notice(
        None if standing.age_ms is None else standing.age_ms // 1000,
        tuple(word for word, holds in degraded.items() if holds),
        photo_risk=config.confirm.challenge == "never",
        photo_risk_first_use=config.confirm.challenge == "on_claim_reuse",
        mode=config.kiosk.mode,
    )
