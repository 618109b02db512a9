"""A kiosk that takes money, in a process of its own: a member pays, and at a named point it stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.storage import checkouts
from edge.config import KioskConfig
from edge.enact.charge import ChargeAsk, ChargeSaid
from edge.enact.display import Agreed, ClaimEntered, Display, OtherWayAsked, PinEntered, Prompt
from edge.modes.common import Extras
from edge.modes.lane import OpenKiosk, open_kiosk
from scripts.people.clip import ClipFormat, Studio
from scripts.stage.stage import AttendedScreen
from tests.doubles.till import Till
from tests.doubles.waiting import eventually
from wire.ids import SubjectId
from wire.records import ChargeOutcome, PassRecord

FRAMES_PER_S = 5
SEED = 7
FINAL = frozenset({ChargeOutcome.CAPTURED, ChargeOutcome.OFFLINE})


class Point(StrEnum):
    """Where the kiosk dies. What is `alone` has no broker from before the member agrees."""

    UNASKED = "begun, and the request has not left"
    UNHEARD = "central committed, and its reply is not heard"
    UNSETTLED = "the reply is heard, and nothing settled"
    SETTLING = "within the transaction that settles"
    SETTLED = "settled, and the screen has not said paid"
    ALONE_UNSETTLED = "alone: begun, and nothing settled"
    ALONE_SETTLING = "alone: within the transaction that settles"
    ALONE_SETTLED = "alone: settled, and the screen has not said paid"
    SILENCE_SETTLED = "central committed unheard, and the kiosk settled on its own word"

    @property
    def alone(self) -> bool:
        """Whether there is no broker."""
        return self.name.startswith("ALONE")


class Purchase(msgspec.Struct, frozen=True):
    """Who pays, with what they type, and what the till asks for under which key."""

    subject: SubjectId
    claim: str
    pin: str
    till_key: str
    body: dict[str, Any]


def empty_room(clock_ms: Callable[[], int]):
    """A camera before which nobody stands: who pays here does so without a face."""
    return clip_camera(ClipDevice(Studio(SEED, ClipFormat()).empty(), FRAMES_PER_S, clock_ms), clock_ms)


async def ready(kiosk: OpenKiosk, subject: SubjectId) -> None:
    """Wait until the kiosk knows the member and hears central."""
    cache, uplink = kiosk.uplink.cache, kiosk.uplink
    await eventually(lambda: cache.member(subject) and cache.standing(subject), "the member is known")
    await eventually(lambda: uplink.clock.sure and uplink.central_seen, "central answers")


def pay_until_killed(config: KioskConfig, purchase: Purchase, point: Point, said: Connection) -> None:
    """The body of the process; SIGKILL ends it."""
    asyncio.run(_serve(config, purchase, point, said))


async def _serve(config: KioskConfig, purchase: Purchase, point: Point, said: Connection) -> None:
    screens: list[AttendedScreen] = []
    shown: list[Display] = []

    def attend(screen):
        screens.append(AttendedScreen(screen))
        screens[0].on_show = see
        return screens[0]

    def see(display: Display) -> None:
        shown.append(display)
        said.send(f"shows {display.prompt.value}")

    async with open_kiosk(config, Extras(camera=empty_room, attend=attend)) as kiosk:
        _stand_still_at(point, kiosk, said)
        await ready(kiosk, purchase.subject)
        made = await Till.of(kiosk).post("/checkouts", purchase.body, purchase.till_key)
        await eventually(lambda: kiosk.kiosk.passage.surroundings.due, "the amount is on the screen")
        for touch, prompt in (
            (OtherWayAsked(), Prompt.ENTER_CLAIM),
            (ClaimEntered(purchase.claim), Prompt.ENTER_PIN),
            (PinEntered(purchase.pin), Prompt.AGREE),
        ):
            screens[0].press(touch)
            await eventually(lambda prompt=prompt: shown[-1].prompt is prompt, prompt.value)
        said.send(f"may agree to {made['checkout']}")
        if point.alone:
            await eventually(lambda: not kiosk.uplink.central_seen, "the broker is gone")
        screens[0].press(Agreed())
        await asyncio.Event().wait()


def _stand_still_at(point: Point, kiosk: OpenKiosk, said: Connection) -> None:
    """Let the kiosk's own parts reach the point, say so, and never come back from there."""
    outbox, payments = kiosk.uplink.outbox, kiosk.till.payments
    settle: Callable[[PassRecord], Awaitable[None]] = outbox.settle
    note_settled = checkouts.note_settled

    def reached() -> None:
        said.send("reached")

    async def unasked(ask: ChargeAsk) -> ChargeSaid:
        reached()
        return await asyncio.get_running_loop().create_future()

    async def unsettled(record: PassRecord) -> None:
        assert record.charge.outcome in FINAL, record
        reached()
        await asyncio.Event().wait()

    def settling(connection, record: PassRecord, sequence: int, sealer) -> None:
        note_settled(connection, record, sequence, sealer)
        assert connection.in_transaction
        reached()
        threading.Event().wait()

    async def settled(record: PassRecord) -> None:
        await settle(record)
        assert record.charge.outcome in FINAL, record
        reached()
        await asyncio.Event().wait()

    match point:
        case Point.UNASKED:
            payments.take = unasked
        case Point.UNSETTLED | Point.ALONE_UNSETTLED:
            outbox.settle = unsettled
        case Point.SETTLING | Point.ALONE_SETTLING:
            checkouts.note_settled = settling
        case Point.SETTLED | Point.ALONE_SETTLED | Point.SILENCE_SETTLED:
            outbox.settle = settled
        case Point.UNHEARD:
            pass  # central's reply is held back where it comes from
