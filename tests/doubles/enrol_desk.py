"""A whole enrolment kiosk beside a lane: its own camera, screen and folder; the same central and broker.

Whoever is at it reads the screen and touches it; what crosses the broker meanwhile is overheard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import zxingcpp

from central.adapters.mqtt.link import MqttLink
from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.central.pairing import pair
from edge.compare.claim import QrClaim, parse_qr
from edge.config import BrokerSection, KioskConfig, KioskSection, ScreenSection
from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    ConsentAnswered,
    Display,
    EnrolBegun,
    PinEntered,
    Prompt,
    Touch,
)
from edge.enact.enrolling import EnrolConfig
from edge.enrolling.state import Step
from edge.modes.common import Extras
from edge.modes.enrol import OpenEnroller, open_enroller
from edge.ports import Camera, Screen
from scripts.stage.stage import AttendedScreen
from tests.doubles.lane import PATIENT, Floor, Lane
from tests.doubles.waiting import WAIT_S, eventually
from wire import topics
from wire.ids import ClaimId, KioskId, Purpose
from wire.topics import Address, TopicKind
from wire.values import AgreeBy

DESK = "desk-1"
PIN = "48151623"


class Desk:
    """The open enrolment kiosk, its floor and its screen."""

    def __init__(self, lane: Lane, folder: Path, config: KioskConfig) -> None:
        self.lane, self.folder, self.config = lane, folder, config
        self.overheard: list[bytes] = []
        self.shown: list[Display] = []
        self.touches = 0
        self.screen: AttendedScreen | None = None
        self.device: ClipDevice | None = None
        self.opened: OpenEnroller | None = None
        self.floor: Floor | None = None
        self._life = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open it, and wait until central answers it."""

        def camera(clock_ms: Callable[[], int]) -> Camera:
            stage = self.lane.stage
            device = ClipDevice(stage.studio.empty(), stage.studio.format.frames_per_s, clock_ms, time.sleep)
            self.device = device
            return clip_camera(device, clock_ms)

        def attend(screen: Screen) -> Screen:
            self.screen = AttendedScreen(screen)
            self.screen.on_show = self.shown.append
            return self.screen

        extras = Extras(camera=camera, attend=attend, environment=self.lane.hours.environment)
        self.opened = await self._life.enter_async_context(open_enroller(self.config, extras))
        self.floor = Floor(self.lane.stage.cast, self.lane.stage.studio)
        self.device.play(self.floor)
        uplink = self.opened.uplink
        await eventually(lambda: uplink.central_seen and uplink.clock.sure, "central answers the desk")
        await eventually(lambda: self.showing is Prompt.ENROL_WELCOME, "the desk is ready")

    async def stop(self) -> None:
        """It ends in good order."""
        await self._life.aclose()

    @property
    def showing(self) -> Prompt | None:
        return self.shown[-1].prompt if self.shown else None

    @property
    def step(self) -> Step:
        return self.opened.enroller.enrolment.step

    async def until(self, prompt: Prompt) -> Display:
        """Wait until the screen asks for this."""
        await eventually(lambda: self.showing is prompt, f"the desk shows {prompt}, not {self.showing}")
        return self.shown[-1]

    async def press(self, *touches: Touch) -> None:
        """Touch the screen; each touch counts."""
        for touch in touches:
            self.touches += 1
            self.screen.press(touch)

    async def asks_for_a_face(self) -> None:
        """Somebody consents and is of age."""
        await self.press(EnrolBegun("en"))
        await self.until(Prompt.ENROL_CONSENT)
        await self.press(ConsentAnswered(True))
        await self.until(Prompt.ENROL_AGE)
        await self.press(AgeAnswered(True))
        await self.until(Prompt.ENROL_SAMPLES)

    async def types_pin_twice(self, pin: str = PIN) -> None:
        await self.until(Prompt.ENROL_PIN)
        await self.press(PinEntered(pin))
        await self.until(Prompt.ENROL_PIN_AGAIN)
        await self.press(PinEntered(pin))

    def _has(self, samples: int) -> bool:
        return self.step is not Step.SAMPLES or len(self.opened.enroller.enrolment.samples) >= samples

    async def enrols(self, *files: str, agree_by: AgreeBy = AgreeBy.NOD) -> ClaimId:
        """A willing person, seen in these pictures in turn, enrols; the code they are shown, as read."""
        await self.asks_for_a_face()
        for number, file in enumerate(files):
            self.floor.person(file)
            await eventually(lambda least=number + 1: self._has(least), f"sample {number + 1}")
        await self.until(Prompt.ENROL_AGREE_BY)
        self.floor.nobody()
        await self.press(AgreeByChosen(agree_by))
        await self.types_pin_twice()
        return read_code(await self.until(Prompt.ENROL_DONE))


def read_code(shown: Display) -> ClaimId:
    """What a telephone reads off the screen."""
    modules = np.array([[0 if dark == "1" else 255 for dark in row] for row in shown.qr_rows], np.uint8)
    (read,) = zxingcpp.read_barcodes(np.kron(modules, np.ones((4, 4), np.uint8)))
    claim = parse_qr(read.text)
    assert isinstance(claim, QrClaim)
    return claim.claim_id


@contextlib.asynccontextmanager
async def open_desk_at(lane: Lane, folder: Path, **enrol: object) -> AsyncIterator[Desk]:
    """Add, pair and open an enrolment kiosk with the shipped consent in an empty folder; overhear it all."""
    central = lane.stage.central
    code = central.use_cases.kiosks.add(KioskId(DESK), Purpose(lane.uplink.identity.purpose), enrols=True)
    await pair(central.http_url, code, folder, software="test", random_bytes=os.urandom)
    config = KioskConfig(
        kiosk=KioskSection(str(folder), mode="enrol"),
        tracking=PATIENT,
        screen=ScreenSection(port=0),
        broker=BrokerSection(central.broker.host, central.broker.port),
        enrol=EnrolConfig(**enrol),
    )
    desk = Desk(lane, folder, config)
    async with overhearing(lane, desk.overheard):
        await desk.start()
        try:
            yield desk
        finally:
            await desk.stop()


@contextlib.asynccontextmanager
async def overhearing(lane: Lane, into: list[bytes]) -> AsyncIterator[None]:
    """Every payload of the desk's, and of the feeds, as the broker has it."""
    identity = lane.uplink.identity
    site, kiosk = identity.site, KioskId(DESK)
    filters = [
        *(topics.kiosk_topic(kind, site, kiosk).topic for kind in TopicKind if "kiosk/" in kind.value),
        topics.gallery_head(site, identity.gallery).topic,
        topics.gallery_delta(site, identity.gallery).topic,
        topics.standing_head(site, identity.purpose).topic,
        topics.standing_delta(site, identity.purpose).topic,
    ]

    def hear(address: Address, payload: bytes) -> None:
        into.append(payload)

    broker = lane.stage.central.broker
    link = MqttLink("eavesdropper", filters, hear, lambda: None)
    link.open(broker.host, broker.port)
    try:
        async with asyncio.timeout(WAIT_S):
            await link.connected.wait()
        yield
    finally:
        await link.close()


def enrolled_as(lane: Lane, claim: ClaimId, pin: str = PIN):
    """The newcomer as the lane knows members."""
    digest = lane.uplink.members._digest(QrClaim(claim))
    found = lane.stage.central.use_cases.members.entry_of_claim(digest)
    return replace(lane.member("amber"), subject=found.subject, claim=claim, pin=pin)
