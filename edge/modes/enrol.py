"""The composition of an enrolment kiosk, `kiosk.mode = "enrol"`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from edge.adapters.camera.qr import QrReader
from edge.adapters.central.enrolments import CentralEnrolments
from edge.adapters.central.shadow import Shadow, read_desired, wished
from edge.adapters.central.uplink import Uplink, open_uplink
from edge.adapters.screen.web import WebScreen
from edge.adapters.storage.cache import FeedName
from edge.adapters.storage.consents import read_consents
from edge.capture.pipeline import Pipeline
from edge.config import KioskConfig, require_agreement
from edge.decide.verdict import Age
from edge.enact.display import Notice
from edge.enact.enrolling import EnrolConfig
from edge.enrolling.state import EnrolRules
from edge.errors import ConfigError
from edge.modes.common import Extras, ended, open_front, operating_points, pipeline_of, uplink_config
from edge.ports import Camera
from edge.shell.enroller import EnrolDevices, Enroller
from models.registry import Pack, open_pack
from wire.fleet import OrderOutcome, Presence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenEnroller:
    """A running enrolment kiosk and its parts, for whoever watches it."""

    enroller: Enroller
    pipeline: Pipeline
    uplink: Uplink
    enrolments: CentralEnrolments
    camera: Camera
    screen_url: str
    serving: asyncio.Task[None]
    """Ends only with an error, or cancelled."""


@contextlib.asynccontextmanager
async def open_enroller(config: KioskConfig, extras: Extras | None = None) -> AsyncIterator[OpenEnroller]:
    """Run a paired enrolment kiosk while the context lasts; it opens without broker and central.

    Raises as `edge.modes.lane.open_kiosk`, `ConfigError` also for consent texts that cannot be used.
    """
    require_agreement(config)
    if config.kiosk.mode != "enrol":
        raise ConfigError("kiosk.mode", config.kiosk.mode, 'give "enrol", or run it as what it is')
    extras = extras or Extras()
    folder = Path(config.kiosk.state_dir)
    own, (config, _) = config, wished(config, read_desired(folder))
    section = config.enrol or EnrolConfig()
    consents = read_consents(section.consent_dir)
    if consents.is_example:
        log.warning("the consent shown is the shipped example: write your own and name enrol.consent_dir")
    pack = open_pack(config.pack.folder)
    pipeline = pipeline_of(config, pack)
    async with contextlib.AsyncExitStack() as stack:
        uplink = await stack.enter_async_context(
            open_uplink(folder, uplink_config(config, pack), world=extras.world)
        )
        identity = uplink.identity
        camera, screen, screen_url = await open_front(config, extras, uplink.clock.uptime_ms, stack)
        enrolments = CentralEnrolments(
            folder,
            identity,
            uplink.link,
            uplink.members.vault,
            uplink.pins,
            uplink.clock,
            os.urandom,
            section.send_ms,
        )
        undoing = asyncio.create_task(enrolments.run(), name="undoing enrolments")
        stack.push_async_callback(ended, undoing)
        rules = EnrolRules(
            section, consents, operating_points(config, pack, 1), f"{identity.operator} · {identity.site}"
        )
        enroller = Enroller(
            EnrolDevices(
                camera=camera,
                claims=QrReader(),
                recogniser=pipeline,
                screen=extras.attend(screen),
                members=uplink.members,
                galleries=uplink.members,
                enrolments=enrolments,
                clock=uplink.clock,
                preview=screen.preview,
            ),
            rules,
            config.tracking,
            random_bytes=os.urandom,
            notice=lambda: _notice(pack, uplink, camera, is_example=consents.is_example),
        )
        Shadow(uplink.link, folder, own, config, lambda changed: _take_up(changed, uplink, screen))
        uplink.reporter.notes = lambda: _notes(pack, camera, enrolments, is_example=consents.is_example)
        # There is no gate here, whichever an order means.
        commands = uplink.commands
        commands.on_command = lambda order: commands.answer(order.nonce, OrderOutcome.OTHER_GATE)
        uplink.reporter.presence = Presence.READY
        serving = asyncio.create_task(enroller.run(), name="enroller")
        try:
            yield OpenEnroller(enroller, pipeline, uplink, enrolments, camera, screen_url, serving)
        finally:
            await ended(serving)


def _take_up(config: KioskConfig, uplink: Uplink, screen: WebScreen) -> None:
    uplink.members.config = config.standing
    screen.speak(config.screen.language)


def _notes(pack: Pack, camera: Camera, enrolments: CentralEnrolments, *, is_example: bool) -> tuple[str, ...]:
    """What is to be said of this kiosk in `state`, as short codes."""
    found = [] if camera.state() == "ok" else [f"camera_{camera.state()}"]
    told = {
        "non_commercial": pack.manifest.non_commercial,
        "consent_example": is_example,
        "enrolment_in_doubt": bool(enrolments.in_doubt),
    }
    return (*found, *(note for note, holds in told.items() if holds))


def _notice(pack: Pack, uplink: Uplink, camera: Camera, *, is_example: bool) -> Notice:
    """What the screen says at its foot; its message files know these words."""
    gallery = uplink.reporter.freshness(FeedName.GALLERY)
    degraded = {
        "camera": camera.state() != "ok",
        "broker": not uplink.central_seen,
        "clock": not uplink.clock.sure,
        "gallery": str(gallery.freshness) != Age.FRESH.value,
        "non_commercial": pack.manifest.non_commercial,
        "consent_example": is_example,
    }
    return Notice(
        None if gallery.age_ms is None else gallery.age_ms // 1000,
        tuple(word for word, holds in degraded.items() if holds),
        mode="enrol",
    )
