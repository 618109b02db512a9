"""A whole kiosk that takes money, and a real central: paid once, given back, and never charged by half."""

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
from edge.compare.claim import qr_text
from edge.config import BrokerSection, KioskConfig, KioskSection, PayConfig, ScreenSection, TillSection
from edge.enact.display import Agreed, ClaimEntered, Display, OtherWayAsked, PinEntered, Prompt
from edge.modes.lane import ClipDevice, Extras, OpenKiosk, clip_camera, open_kiosk, pair
from edge.shell.kiosk import PassReport
from scripts.people.cast import MEMBERS, Cast
from scripts.people.clip import ClipFormat, Studio
from scripts.stage.stage import OPERATOR, PURPOSE, SITE, AttendedScreen, Enrolled, enrol_member
from tests.doubles.lane import eventually
from wire.ids import KioskId, Purpose
from wire.records import ChargeOutcome, PassRecord
from wire.values import AgreeBy

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
            with urllib.request.urlopen(request, timeout=10) as answer:
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
        async with asyncio.timeout(30):
            return (await self.reports.get()).record

    def stored_minor(self) -> int:
        ledger = self.central.desk.ledger
        return ledger.balances(ledger.account_of(self.member.subject))[0].stored_minor


@contextlib.asynccontextmanager
async def open_counter(folder: Path) -> AsyncIterator[Counter]:
    told = load_config(init_central(folder / "central", OPERATOR, SITE, PURPOSE))
    async with open_central(told) as central:
        code = central.desk.kiosks.add(KioskId("till-1"), Purpose(PURPOSE))
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


async def test_a_member_pays_once_whatever_a_lost_reply_and_a_restart_do_and_is_given_it_back(
    tmp_path: Path,
) -> None:
    async with open_counter(tmp_path) as counter:
        async with counter.running() as kiosk:
            counter.central.desk.ledger.top_up(counter.member.subject, 1000, "EUR")
            assert counter.shown[-1].prompt is Prompt.NO_CHECKOUT
            assert counter.screen.notice.mode == "pay"
            made = await counter.till("POST", "/checkouts", TEA)
            taken = asyncio.Event()
            take = kiosk.till.payments.take

            async def take_and_hear_nothing(ask):
                await take(ask)
                taken.set()
                await asyncio.Event().wait()

            # `CentralPayments` is what the kiosk holds: central commits, and its reply never comes.
            kiosk.till.payments.take = take_and_hear_nothing
            await counter.agrees()
            async with asyncio.timeout(30):
                await taken.wait()
            assert counter.stored_minor() == 750
            assert (await counter.till("GET", f"/checkouts/{made['checkout']}"))["state"] == "paying"
        async with counter.running() as kiosk:
            lost = await counter.settled()
            assert (lost.charge.outcome, lost.charge.reason) == (ChargeOutcome.NOT_CHARGED, "interrupted")
            await eventually(lambda: counter.stored_minor() == 1000, "central has reversed it")
            assert (await counter.till("POST", "/checkouts", TEA))["state"] == "open"
            await counter.agrees()
            paid = await counter.settled()
            assert (paid.charge.outcome, paid.charge.agreed_by) == (ChargeOutcome.CAPTURED, AgreeBy.BUTTON)
            await eventually(lambda: counter.shown[-1].prompt is Prompt.PAID, "the receipt is shown")
            assert paid.record_id in counter.shown[-1].qr_text
            said = await counter.till("GET", f"/checkouts/{made['checkout']}")
            assert (said["state"], said["record"]) == ("paid", paid.record_id)
            await eventually(lambda: kiosk.uplink.outbox.backlog.waiting == 0, "central has the record")
            assert counter.stored_minor() == 750
            given = await counter.till("POST", f"/checkouts/{made['checkout']}/refund", {})
            assert (given["amount_minor"], counter.stored_minor()) == (250, 1000)
