"""One lane with everything real but the hardware, and people and faults that come when a test says so.

`Floor` is what stands before the camera until the test changes it: no clip whose length a test would have to
guess. `Lane` waits on conditions only; `Hours` moves the clocks of kiosk and central.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from central.adapters.broker.embedded import free_port
from edge.adapters.storage.cache import FeedName
from edge.capture.sample import Box, Image
from edge.capture.tracking import TrackingConfig
from edge.compare.claim import QrClaim, qr_text
from edge.config import PackSection
from edge.confirm.liveness import ConfirmConfig
from edge.enact.display import ClaimEntered, Display, OtherWayAsked, PinEntered, Prompt
from edge.enact.release import ReleaseConfig
from edge.modes.common import Extras
from edge.passage.advance import RECLAIM_MS
from edge.passage.state import Phase
from edge.shell.kiosk import PassReport
from firmware_bridge.gate import LinkStatus
from firmware_bridge.simulator.device import SimulatedGate
from scripts.people.cast import Cast
from scripts.people.clip import (
    APPROACH_S,
    CARD_RISES_S,
    CARD_STANDS_S,
    SHOW_S,
    STAND_S,
    Scene,
    Sprite,
    Studio,
    card,
)
from scripts.people.clip import figure as cut_out
from scripts.stage.stage import KIOSK, Enrolled, Stage, Staging, open_stage
from tests.doubles.central_rig import CHEAP_HASHER
from tests.doubles.waiting import WAIT_S, eventually
from wire.codec import decode_record
from wire.environment import Environment, monotonic_ms, utc_ms
from wire.ids import KioskId
from wire.records import PassRecord

CONFIRM = ConfirmConfig(acquire_ms=45_000)
RELEASE = ReleaseConfig(open_ms=10_000, ttl_ms=10_000, linger_ms=0)
PATIENT = TrackingConfig(max_gap_ms=2_000)
"""A busy machine is slow: what is to end by itself is tried on a kiosk made impatient (`Lane.impatient`)."""
HASTY_MS = 2_000
SEED = 7
FACES = {"amber": "obama3.jpg", "birch": "astronaut.png", "cedar": "grace_hopper.jpg"}
STRANGER = "biden.jpg"


@dataclass
class Hours:
    """Time that runs as ever, and jumps when told."""

    host_ms: int = 0
    monotonic_ms: int = 0

    def pass_everywhere(self, ms: int) -> None:
        """As if everybody had slept so long."""
        self.host_ms += ms
        self.monotonic_ms += ms

    @property
    def environment(self) -> Environment:
        """The kiosk's; it has no NTP."""
        return Environment(
            utc_ms=lambda: utc_ms() + self.host_ms,
            monotonic_ms=lambda: monotonic_ms() + self.monotonic_ms,
            ntp=lambda: None,
        )

    @property
    def central_environment(self) -> Environment:
        """Central's: its clock is right, whatever the kiosk's host says."""
        return Environment(
            utc_ms=lambda: utc_ms() + self.monotonic_ms,
            monotonic_ms=lambda: monotonic_ms() + self.monotonic_ms,
            hasher=CHEAP_HASHER,
        )


class Floor:
    """A reel that never ends and shows what it is told to; changed from one thread, painted in another."""

    def __init__(self, cast: Cast, studio: Studio) -> None:
        self._cast, self._studio = cast, studio
        self._standing = cache(self._stand)
        self._paint: Callable[[int], Image] = self._empty
        self.painted = 0

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> Image:
        picture = self._paint(index)
        self.painted += 1
        return picture

    def nobody(self) -> None:
        """The hall alone."""
        self._paint = self._empty

    def code(self, text: str) -> None:
        """A hand holds a code up."""
        scene = self._studio.qr_only(text, "held up")
        rises = self._studio.format.frames(CARD_RISES_S)
        stands = self._studio.format.frames(CARD_STANDS_S)
        self._paint = lambda index: scene[rises + _to_and_fro(index, stands)]

    def person(self, file: str) -> None:
        """Somebody stands before the kiosk and looks."""
        self._paint = self._standing(file)

    def person_with_code(self, file: str, text: str) -> None:
        """Somebody stands there, and holds a code up all the while."""
        stands, held = self._standing(file), card(text)
        self._paint = lambda index: held.onto(stands(index), 320, 405, 0.5, 2.0)

    def person_before_another(self, file: str, behind: str) -> None:
        """Somebody stands there, and another passes far behind them."""
        stands, far = self._standing(file), self._figure(behind)
        self._paint = lambda index: far.onto(stands(index), 80, 150, 0.2, 0.0)

    def shows(self, paint: Callable[[int], Image]) -> None:
        """Whatever `paint` makes of a frame's number."""
        self._paint = paint

    def _empty(self, index: int) -> Image:
        scene = self._studio.empty(4.0)
        return scene[_to_and_fro(index, len(scene))]

    def _figure(self, file: str) -> Sprite:
        return cut_out(self._cast.portrait(file))

    def _stand(self, file: str) -> Callable[[int], Image]:
        scene: Scene = self._studio.walk_up(self._cast.portrait(file), None, f"stands {file}")
        frames = self._studio.format.frames
        first, count = frames(SHOW_S + APPROACH_S), frames(STAND_S)
        return lambda index: scene[first + _to_and_fro(index, count)]


def _to_and_fro(index: int, count: int) -> int:
    """0 to count - 1 and back again, so that nothing leaps."""
    at = index % (2 * count - 2)
    return min(at, 2 * count - 2 - at)


@dataclass
class Person:
    """Whoever is at the kiosk: whether they walk when welcomed, and the PIN they type when asked."""

    walks: bool = True
    pin: str | None = None


class Lane:
    """A stage, its floor and its hours."""

    def __init__(self, stage: Stage, hours: Hours) -> None:
        self.stage, self.hours = stage, hours
        self.floor = Floor(stage.cast, stage.studio)
        self.person = Person()
        self.shown: list[Display] = []
        self.reports: list[PassReport] = []
        self.embedded: list[Box] = []
        self._count_embeddings()
        stage.screen.on_show = self._see
        stage.camera.play(self.floor)

    def _count_embeddings(self) -> None:
        """Note the face of every embedding that is really made."""
        pipeline = self.stage.kiosk.pipeline
        embed = pipeline.embed

        def noted(observation):
            self.embedded.append(observation.face.box)
            return embed(observation)

        pipeline.embed = noted

    def _see(self, display: Display) -> None:
        self.shown.append(display)
        if display.prompt is Prompt.WELCOME and self.person.walks:
            self.gate(SimulatedGate.walk_through)
        if display.prompt is Prompt.ENTER_PIN and self.person.pin is not None:
            pin, self.person.pin = self.person.pin, None
            self.stage.screen.press(PinEntered(pin))

    # --- what is there

    @property
    def kiosk(self):
        return self.stage.kiosk.kiosk

    @property
    def uplink(self):
        return self.stage.kiosk.uplink

    @property
    def prompts(self) -> list[Prompt]:
        return [display.prompt for display in self.shown]

    @property
    def degraded(self) -> tuple[str, ...]:
        """What the foot of the screen complains of."""
        notice = self.stage.screen.notice
        return notice.degraded if notice else ()

    @property
    def notes(self) -> set[str]:
        """What the kiosk would say of itself in `state` now."""
        return {str(note) for note in self.uplink.reporter.state().notes}

    def gate(self, verb):
        return self.stage.gate.do(verb)

    def member(self, name: str) -> Enrolled:
        return self.stage.enrolled[name]

    def gate_is(self, status: LinkStatus) -> bool:
        return self.stage.kiosk.gate.state().link is status

    # --- what people do

    async def claims(self, name: str) -> None:
        """A member holds up their code until the kiosk has read it and begun."""
        await self.claims_with(self.member(name))

    async def claims_with(self, member: Enrolled) -> None:
        await self.may_claim(member)
        begun = self.kiosk.passage.passage_id
        self.floor.code(qr_text(member.claim))
        await eventually(
            lambda: self.kiosk.passage.phase is not Phase.WAITING or self.kiosk.passage.passage_id != begun,
            "the code is read",
        )

    async def may_claim(self, member: Enrolled) -> None:
        """Nobody is in a passage, and this code has been out of sight long enough to count as a new claim."""
        self.floor.nobody()
        clock = self.uplink.clock

        def free() -> bool:
            passage = self.kiosk.passage
            held = isinstance(passage.claim, QrClaim) and passage.claim.claim_id == member.claim
            return self.kiosk.is_waiting and not (
                held and clock.uptime_ms() - passage.claim_seen_ms < RECLAIM_MS
            )

        await eventually(free, "the next person may claim")

    async def enters_claim(self, name: str) -> None:
        """A member's code is scanned by hand into the screen."""
        self.stage.screen.press(ClaimEntered(qr_text(self.member(name).claim)))

    async def seen(self, frames: int = 3) -> None:
        """So many more frames have been before the camera."""
        until = self.floor.painted + frames
        await eventually(lambda: self.floor.painted >= until, f"{frames} more frames are seen")

    async def time_passes(self, ms: int) -> None:
        """So much time of the kiosk's own clock."""
        clock = self.uplink.clock
        until_ms = clock.uptime_ms() + ms
        await eventually(lambda: clock.uptime_ms() > until_ms, f"{ms} ms pass")

    async def passes(self, name: str, *, pin: bool = False, shown: str | None = None) -> PassRecord:
        """A member claims and looks (and types their PIN if asked); the record of it."""
        member = self.member(name)
        self.person.pin = member.pin if pin else None
        await self.claims_with(member)
        self.floor.person(shown or FACES[name])
        return await self.settled()

    async def passes_by_pin(self, name: str) -> PassRecord:
        """A member touches "another way", claims, and types their PIN: no face."""
        member = self.member(name)
        await self.may_claim(member)
        self.person.pin = member.pin
        self.stage.screen.press(OtherWayAsked())
        await eventually(lambda: self.kiosk.passage.without_face, "the other way is offered")
        self.floor.code(qr_text(member.claim))
        return await self.settled()

    async def settled(self) -> PassRecord:
        """The next record; nobody is before the camera after it."""
        async with asyncio.timeout(WAIT_S):
            report = await self.stage.reports.get()
        self.floor.nobody()
        self.reports.append(report)
        return report.record

    @contextlib.contextmanager
    def impatient(self, open_ms: int = HASTY_MS, **confirm: int) -> Iterator[None]:
        """Meanwhile the kiosk soon gives up on a face, or what of `confirm` is named, and shuts the gate."""
        patient = self.kiosk.rules
        self.kiosk.use_rules(
            replace(
                patient,
                confirm=msgspec.structs.replace(patient.confirm, **(confirm or {"acquire_ms": HASTY_MS})),
                release=msgspec.structs.replace(patient.release, open_ms=open_ms),
            )
        )
        try:
            yield
        finally:
            self.kiosk.use_rules(patient)

    # --- between tests

    async def calm(self) -> None:
        """All faults are over, nobody is there, and the kiosk is ready for the next person."""
        self.person = Person()
        self.floor.nobody()
        self.stage.camera.plug()
        self.stage.camera.recover()
        self.gate(SimulatedGate.plug)
        self.gate(lambda gate: gate.set_fire(False))
        await eventually(lambda: self.gate_is(LinkStatus.UP), "the gate answers")
        await eventually(lambda: self.stage.kiosk.camera.state() == "ok", "the camera sees")
        await eventually(lambda: self.uplink.central_seen, "central answers")
        # When central comes back to its broker it tells its heads: not in the middle of a test.
        await eventually(self.stage.central.link.connected.is_set, "central is at its broker")
        await self.hears_heads()
        await eventually(lambda: not self.degraded, "nothing is degraded")
        await eventually(lambda: self.kiosk.is_waiting, "nobody is in a passage")
        while not self.stage.reports.empty():
            self.reports.append(self.stage.reports.get_nowait())
        self.shown.clear()
        self.embedded.clear()

    async def hears_heads(self) -> None:
        """Central tells every head, and the kiosk has them."""
        told_ms, cache = self.hours.central_environment.utc_ms(), self.uplink.cache
        self.stage.central.publish_heads()
        await eventually(
            lambda: all((held := cache.held(feed)) and held.issued_at_ms >= told_ms for feed in FeedName),
            "the heads are heard",
        )

    async def records(self) -> dict[str, PassRecord]:
        """What central holds once it holds everything: by passage, each once, the chain whole."""
        await eventually(lambda: self.uplink.outbox.backlog.waiting == 0, "central has every record")
        return records_of(self.stage)


def records_of(stage: Stage) -> dict[str, PassRecord]:
    """Central's records by passage; raises AssertionError for one that is there twice, or a broken chain."""
    records = stage.central.use_cases.records
    (report,) = records.verify()
    stored = [decode_record(link.body) for link in records._store.stored_links(KioskId(KIOSK))]
    assert report.broken_at is None, report
    assert all(isinstance(record, PassRecord) for record in stored)
    twice = [name for name, times in Counter(record.passage for record in stored).items() if times > 1]
    assert twice == []
    assert report.records == len(stored)
    return {record.passage: record for record in stored}


def staged(**otherwise: Any) -> Staging:
    """A patient kiosk, and a broker that is found again where it was."""
    patient = Staging(
        pack=PackSection(threads=1),  # other tests have the other cores
        confirm=CONFIRM,
        release=RELEASE,
        tracking=PATIENT,
        mqtt_port=free_port(),
        head_every_s=3600,  # heads are told when a test says so, not in its middle
    )
    return replace(patient, **otherwise)


@contextlib.asynccontextmanager
async def open_lane(folder: Path, staging: Staging | None = None) -> AsyncIterator[Lane]:
    """A lane in an empty folder."""
    hours = Hours()
    staging = replace(
        staging or staged(),
        environment=hours.central_environment,
        extras=Extras(environment=hours.environment),
    )
    async with open_stage(folder, SEED, staging) as stage:
        yield Lane(stage, hours)
