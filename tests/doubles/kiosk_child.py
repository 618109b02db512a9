"""A whole kiosk in a process of its own, to be killed; members pass, and it says what it shows."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.config import KioskConfig
from edge.modes.common import Extras
from edge.modes.lane import OpenKiosk, open_kiosk
from edge.passage.state import Phase
from edge.ports import Screen
from edge.shell.kiosk import PassReport
from scripts.people.cast import Cast
from scripts.people.clip import Studio
from tests.doubles.lane import Floor
from tests.doubles.waiting import eventually


class ToldScreen:
    """The kiosk's screen, which also tells the test what it shows."""

    def __init__(self, screen: Screen, said: Connection) -> None:
        self._screen, self._said = screen, said

    def show(self, display, notice) -> None:
        self._screen.show(display, notice)
        self._said.send(f"shows {display.prompt.value}")

    async def touch(self):
        return await self._screen.touch()


def pass_until_killed(config: KioskConfig, seed: int, people: dict[str, str], said: Connection) -> None:
    """The body of the process: `people` by code, each with their picture; SIGKILL ends it."""
    asyncio.run(_serve(config, seed, people, said))


def finish(config: KioskConfig, seed: int, said: Connection) -> None:
    """Nobody comes any more: settle what earlier lives left, send everything, and leave."""
    asyncio.run(_serve(config, seed, {}, said))


async def _serve(config: KioskConfig, seed: int, people: dict[str, str], said: Connection) -> None:
    floor = Floor(Cast(), Studio(seed))

    def report(settled: PassReport) -> None:
        said.send(f"settled {settled.record.passage} {settled.record.gate_outcome.value}")

    extras = Extras(
        camera=lambda clock_ms: clip_camera(ClipDevice(floor, 30, clock_ms), clock_ms),
        attend=lambda screen: ToldScreen(screen, said),
        on_report=report,
    )
    async with open_kiosk(config, extras) as kiosk:
        if not people:
            await _drained(kiosk)
            return
        # Who comes before central has told the time is asked for a PIN.
        await eventually(lambda: kiosk.uplink.clock.sure, "central has told the time")
        while people:
            for code, picture in people.items():
                await _pass(kiosk, floor, code, picture)


async def _pass(kiosk: OpenKiosk, floor: Floor, code: str, picture: str) -> None:
    begun = kiosk.kiosk.passage.passage_id
    floor.code(code)
    await eventually(
        lambda: kiosk.kiosk.passage.phase is not Phase.WAITING or kiosk.kiosk.passage.passage_id != begun,
        "the code is read",
    )
    floor.person(picture)
    await eventually(lambda: kiosk.kiosk.is_waiting, "the passage is over")
    floor.nobody()


async def _drained(kiosk: OpenKiosk) -> None:
    outbox = kiosk.uplink.outbox
    async with asyncio.timeout(120):
        while await outbox.unsettled() or outbox.backlog.waiting:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.02)
