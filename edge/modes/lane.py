"""The composition of a lane: a turnstile kiosk, or one that takes money."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edge.adapters.camera.qr import QrReader
from edge.adapters.central.commands import StaffOrders, lane_was_closed
from edge.adapters.central.reporter import Voice
from edge.adapters.central.uplink import Uplink, UplinkParts, serve_uplink
from edge.adapters.gallery.search import GallerySearch, SearchLimits
from edge.adapters.gate.no_gate import NoGate
from edge.adapters.gate.timetable import Timetable
from edge.adapters.storage.cache import FeedName
from edge.capture.pad import live_min
from edge.capture.pipeline import Pipeline
from edge.compare.search import choose_point
from edge.config import KioskConfig
from edge.confirm.challenge import TURNED_FMR
from edge.enact.record import KioskIdentity
from edge.errors import ConfigError
from edge.modes.common import Base, Extras, open_base, open_front, operating_points, running
from edge.modes.health import Facts, notes, notice
from edge.modes.pay import OpenTill, open_till
from edge.passage.state import Rules
from edge.ports import Camera
from edge.shell.kiosk import Devices, Kiosk
from firmware_bridge.drivers.factory import open_gate
from firmware_bridge.drivers.wiring import OsdpWiring, OwnWiring
from firmware_bridge.errors import GateKeyError
from firmware_bridge.gate import Gate
from models.registry import Pack
from wire.fleet import Presence
from wire.ids import GateId


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
    extras = extras or Extras()
    async with contextlib.AsyncExitStack() as stack:
        base = await stack.enter_async_context(
            open_base(config, extras.environment, passive=config.confirm.passive)
        )
        settings, uplink, clock = base.settings, base.uplink, base.uplink.clock
        rules = _rules(settings, base.pack)
        search = await _open_search(settings, base.pack, rules, uplink)
        pays = settings.kiosk.mode == "pay"
        till = await stack.enter_async_context(open_till(settings, uplink)) if pays else None
        gate: Gate = NoGate() if pays else open_configured_gate(settings, clock.uptime_ms)
        gate_id = None if pays else GateId(settings.turnstile_gate.id)
        stack.push_async_callback(gate.close)
        camera, screen, screen_url = await open_front(settings, extras, clock.uptime_ms, stack)
        folder = Path(settings.kiosk.state_dir)

        def facts() -> Facts:
            return _facts(base, kiosk, gate, camera, search)

        kiosk = Kiosk(
            Devices(
                camera=camera,
                claims=QrReader(),
                recogniser=base.pipeline,
                gate=gate,
                screen=extras.attend(screen),
                members=uplink.members,
                pins=uplink.pins,
                records=uplink.outbox,
                clock=clock,
                searcher=search,
                preview=screen.preview,
                payments=None if till is None else till.payments,
            ),
            rules,
            settings.tracking,
            KioskIdentity(
                uplink.identity.kiosk,
                gate_id,
                uplink.identity.purpose,
                uplink.about.boot_id,
                base.pack.digest,
            ),
            random_bytes=os.urandom,
            supervisor=uplink.supervisor,
            notice=lambda: notice(facts()),
            central_answers=lambda: uplink.central_seen,
            lane_closed=lane_was_closed(folder),
            on_report=extras.on_report,
        )
        orders = StaffOrders(folder, gate_id, kiosk, clock)
        timetable = _timetable(settings, kiosk, uplink)
        voice = Voice(
            presence=lambda: Presence.READY if kiosk.is_serving else Presence.INIT,
            notes=lambda: notes(facts()),
            search=lambda: None if search is None else search.told(),
        )
        served = await stack.enter_async_context(serve_uplink(uplink, voice, orders.obey))

        def take_up(changed: KioskConfig) -> None:
            kiosk.use_rules(replace(kiosk.rules, release=changed.release))
            uplink.members.use_limits(changed.standing)
            screen.speak(changed.screen.language)

        base.follow(uplink.link, take_up)
        keep = uplink.supervisor.keep
        if search is not None:
            await stack.enter_async_context(running(partial(keep, "search", search.run), "search"))
        if timetable is not None:
            await stack.enter_async_context(running(partial(keep, "timetable", timetable.run), "timetable"))
        serving = await stack.enter_async_context(running(kiosk.run, "kiosk"))
        yield OpenKiosk(kiosk, base.pipeline, served, gate, camera, screen_url, serving, till)


async def _open_search(
    config: KioskConfig, pack: Pack, rules: Rules, uplink: UplinkParts
) -> GallerySearch | None:
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


def open_configured_gate(config: KioskConfig, clock_ms: Callable[[], int]) -> Gate:
    """The gate that the config names; raises `ConfigError` for what cannot be opened."""
    section = config.turnstile_gate
    wiring = section.wiring
    try:
        return open_gate(wiring, clock_ms=clock_ms, draw_challenge=os.urandom)
    except GateKeyError as error:
        key = "gate.key_file" if section.driver == "own" else f"gate.{section.driver}.key_file"
        key_file = wiring.key_file if isinstance(wiring, OwnWiring | OsdpWiring) else ""
        raise ConfigError(key, key_file, str(error)) from error
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


def _timetable(config: KioskConfig, kiosk: Kiosk, uplink: UplinkParts) -> Timetable | None:
    if not config.schedule.times:
        return None
    try:
        return Timetable(config.schedule, kiosk, uplink.clock)
    except ValueError as error:
        raise ConfigError("schedule.zone", config.schedule.zone, str(error)) from error


def _facts(base: Base, kiosk: Kiosk, gate: Gate, camera: Camera, search: GallerySearch | None) -> Facts:
    uplink = base.uplink
    return Facts(
        mode=base.settings.kiosk.mode,
        camera=camera.state(),
        central_seen=uplink.central_seen,
        clock_sure=uplink.clock.sure,
        standing=uplink.ages.of(FeedName.STANDING),
        gallery=uplink.ages.of(FeedName.GALLERY),
        non_commercial=base.pack.manifest.non_commercial,
        gate=gate.state(),
        outbox_stands=uplink.outbox.standstill is not None,
        lane_closed=kiosk.lane_closed,
        challenge=base.settings.confirm.challenge,
        search_offered=None if search is None else search.offered(),
        search_refused=search is not None and search.refusal != "",
        search_faulty=search is not None and search.faulty,
    )
