"""The composition of an enrolment kiosk, `kiosk.mode = "enrol"`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.adapters.camera.qr import QrReader
from edge.adapters.central.commands import no_gate
from edge.adapters.central.enrolments import CentralEnrolments
from edge.adapters.central.reporter import Voice
from edge.adapters.central.uplink import Uplink, serve_uplink
from edge.adapters.storage.cache import FeedName
from edge.adapters.storage.consents import read_consents
from edge.capture.pipeline import Pipeline
from edge.config import KioskConfig
from edge.enact.enrolling import EnrolConfig
from edge.enrolling.state import EnrolRules
from edge.errors import ConfigError
from edge.modes.common import Extras, open_base, open_front, operating_points, running
from edge.modes.health import Facts, notes, notice
from edge.ports import Camera
from edge.shell.enroller import EnrolDevices, Enroller
from wire.fleet import Presence

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
    extras = extras or Extras()
    if config.kiosk.mode != "enrol":
        raise ConfigError("kiosk.mode", config.kiosk.mode, 'give "enrol", or run it as what it is')
    async with contextlib.AsyncExitStack() as stack:
        base = await stack.enter_async_context(open_base(config, extras.environment))
        settings, uplink = base.settings, base.uplink
        section = settings.enrol or EnrolConfig()
        consents = read_consents(section.consent_dir)
        if consents.is_example:
            log.warning("the consent shown is the shipped example: write your own and name enrol.consent_dir")
        identity = uplink.identity
        camera, screen, screen_url = await open_front(settings, extras, uplink.clock.uptime_ms, stack)
        enrolments = CentralEnrolments(
            Path(settings.kiosk.state_dir),
            identity,
            link=uplink.link,
            vault=uplink.members.vault,
            pins=uplink.pins,
            clock=uplink.clock,
            random_bytes=os.urandom,
            send_ms=section.send_ms,
        )

        def facts() -> Facts:
            return Facts(
                mode="enrol",
                camera=camera.state(),
                central_seen=uplink.central_seen,
                clock_sure=uplink.clock.sure,
                gallery=uplink.ages.of(FeedName.GALLERY),
                non_commercial=base.pack.manifest.non_commercial,
                consent_example=consents.is_example,
                enrolment_in_doubt=bool(enrolments.in_doubt),
            )

        rules = EnrolRules(
            section,
            consents,
            operating_points(settings, base.pack, 1),
            f"{identity.operator} · {identity.site}",
        )
        enroller = Enroller(
            EnrolDevices(
                camera=camera,
                claims=QrReader(),
                recogniser=base.pipeline,
                screen=extras.attend(screen),
                members=uplink.members,
                galleries=uplink.members,
                enrolments=enrolments,
                clock=uplink.clock,
                preview=screen.preview,
            ),
            rules,
            settings.tracking,
            random_bytes=os.urandom,
            supervisor=uplink.supervisor,
            notice=lambda: notice(facts()),
        )
        voice = Voice(
            presence=lambda: Presence.READY if enroller.is_serving else Presence.INIT,
            notes=lambda: notes(facts()),
        )
        served = await stack.enter_async_context(serve_uplink(uplink, voice, no_gate))

        def take_up(changed: KioskConfig) -> None:
            uplink.members.use_limits(changed.standing)
            screen.speak(changed.screen.language)

        base.follow(uplink.link, take_up)
        await stack.enter_async_context(
            running(
                partial(uplink.supervisor.keep, "undoing_enrolments", enrolments.run), "undoing enrolments"
            )
        )
        serving = await stack.enter_async_context(running(enroller.run, "enroller"))
        yield OpenEnroller(enroller, base.pipeline, served, enrolments, camera, screen_url, serving)
