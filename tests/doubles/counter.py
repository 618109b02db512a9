"""A counter: its kiosk, its till and central."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central.app import Central, init_central, load_config, open_central
from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.central.pairing import pair
from edge.compare.claim import qr_text
from edge.config import BrokerSection, KioskConfig, KioskSection, PayConfig, ScreenSection, TillSection
from edge.enact.display import Agreed, ClaimEntered, Display, OtherWayAsked, PinEntered, Prompt
from edge.modes.common import Extras
from edge.modes.lane import OpenKiosk, open_kiosk
from edge.shell.kiosk import PassReport
from scripts.people.cast import MEMBERS, Cast
from scripts.people.clip import ClipFormat, Studio
from scripts.stage.stage import OPERATOR, PURPOSE, SITE, AttendedScreen, Enrolled, enrol_member
from tests.doubles.waiting import WAIT_S, eventually
from wire.ids import KioskId, Purpose
from wire.records import PassRecord

TEA = {"amount_minor": 250, "currency": "EUR", "reference": "tea"}


@dataclass
class Counter:
    """A counter with its kiosk, till and central."""

    central: Central
    config: KioskConfig
    studio: Studio
    screen: AttendedScreen | None = None
    kiosk: OpenKiosk | None = None
    member: Enrolled | None = None
    shown: list[Display] = field(default_factory=list)
    reports: asyncio.Queue[PassReport] = field(default_factory=asyncio.Queue)

    def _attend(self, screen):
        self.screen = AttendedScreen(screen)
        self.screen.on_show = self.shown.append
        return self.screen

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[OpenKiosk]:
        extras = Extras(
            camera=lambda clock_ms: clip_camera(ClipDevice(self.studio.empty(), 10, clock_ms), clock_ms),
            attend=self._attend,
            on_report=self.reports.put_nowait,
        )
        async with open_kiosk(self.config, extras) as self.kiosk:
            if self.member is None:
                images = Cast().enrolment_images(MEMBERS[0], 7)
                self.member = await asyncio.to_thread(
                    enrol_member, self.central, self.kiosk, MEMBERS[0], images
                )
                self.central.publish_heads()
            cache, uplink, subject = self.kiosk.uplink.cache, self.kiosk.uplink, self.member.subject
            await eventually(lambda: cache.member(subject) and cache.standing(subject), "they are known")
            await eventually(lambda: uplink.clock.sure and uplink.central_seen, "central answers")
            yield self.kiosk

    async def till(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        opened = self.kiosk.till
        headers = {
            "Authorization": f"Bearer {opened.token_file.read_text()}",
            "Idempotency-Key": "k1",
            "Content-Type": "application/json",
        }
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(opened.url + path, content, headers, method=method)

        def call() -> dict[str, Any]:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return json.loads(answer.read())

        return await asyncio.to_thread(call)

    async def agrees(self) -> None:
        """The member takes another way: claim, PIN, and the button."""
        await eventually(lambda: self.kiosk.kiosk.passage.surroundings.due, "the amount is on the screen")
        for touch, prompt in (
            (OtherWayAsked(), Prompt.ENTER_CLAIM),
            (ClaimEntered(qr_text(self.member.claim)), Prompt.ENTER_PIN),
            (PinEntered(self.member.pin), Prompt.AGREE),
        ):
            self.screen.press(touch)
            await eventually(lambda prompt=prompt: self.shown[-1].prompt is prompt, prompt.value)
        self.screen.press(Agreed())

    async def settled(self) -> PassRecord:
        async with asyncio.timeout(WAIT_S):
            return (await self.reports.get()).record

    def stored_minor(self) -> int:
        ledger = self.central.use_cases.ledger
        return ledger.balances(ledger.account_of(self.member.subject))[0].stored_minor


@contextlib.asynccontextmanager
async def open_counter(folder: Path) -> AsyncIterator[Counter]:
    told = load_config(init_central(folder / "central", OPERATOR, SITE, PURPOSE))
    async with open_central(told) as central:
        code = central.use_cases.kiosks.add(KioskId("till-1"), Purpose(PURPOSE))
        (own := folder / "kiosk").mkdir(mode=0o700)
        await pair(central.http_url, code, own, software="test", random_bytes=os.urandom)
        config = KioskConfig(
            kiosk=KioskSection(str(own), "pay"),
            pay=PayConfig("bistro", "Bistro"),
            screen=ScreenSection(port=0),
            till=TillSection(port=0),
            broker=BrokerSection(central.broker.host, central.broker.port),
        )
        yield Counter(central, config, Studio(7, ClipFormat()))
