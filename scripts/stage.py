"""The demo's stage: broker, central, gate and kiosk on one machine, members enrolled, and people to walk up.

Everything listens on 127.0.0.1 and free ports, keeps its files in one folder, and ends with the context.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central.app import Central, add_reviewer, init_central, issue_restriction, load_config, open_central
from central.enrolment import Consent
from central.restriction import DAY_MS, Terms
from central.scorecard import Event, EventKind, EventOutcome
from edge.app import ClipDevice, Extras, OpenKiosk, clip_camera, open_kiosk, pair
from edge.capture.sample import FailureToAcquire, Frame, Image
from edge.compare.claim import qr_text
from edge.compare.search import choose_point
from edge.config import BrokerSection, GateSection, KioskConfig, KioskSection, ScreenSection
from edge.decide.verdict import Age, RestrictionState, Tier
from edge.enact.display import Display, Notice, OtherWayAsked, PinEntered, Prompt, Touch
from edge.enact.release import ReleaseConfig
from edge.enrolment import FailureToEnrol, enrol
from edge.errors import FixtureError
from edge.kiosk import PassReport
from edge.ports import Camera, Screen
from firmware_bridge.auth import derive_keys
from firmware_bridge.gate import LinkStatus
from firmware_bridge.simulator.device import SimulatedGate
from firmware_bridge.simulator.served import ServedGate
from models.manifest import MaxFmr
from models.registry import open_pack
from scripts.cast import ENROLMENT_IMAGES, MEMBERS, Cast, Member, Part
from scripts.clip import APPROACH_S, SHOW_S, ClipFormat, Scene, Studio
from scripts.gate import write_gate_key
from wire.ids import (
    ClaimId,
    KioskId,
    OperatorId,
    Purpose,
    ReasonCode,
    RestrictionId,
    ReviewerId,
    SubjectId,
)

OPERATOR, SITE, PURPOSE, KIOSK, GATE = "demo", "north", "ride", "turnstile-1", "gate-1"
READY_WITHIN_S = 20.0
"""How long the kiosk may take to have gate, gallery and standings before the demo gives up."""
SETTLED_WITHIN_S = 30.0
"""How long a pass may take after its scene has ended; every time-out of a passage is shorter."""
POLL_S = 0.05
FARES_FOR = {Tier.PRIORITY: (25, EventOutcome.KEPT), Tier.STANDARD: (3, EventOutcome.KEPT)}
"""Events that lead to a tier on the example scorecard; anything else is made of unpaid fares."""
UNPAID_FARES = 5


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A member of the cast at central: subject, claim and PIN."""

    member: Member
    subject: SubjectId
    claim: ClaimId
    pin: str = field(repr=False)


class AttendedScreen:
    """The kiosk's screen with a scripted person in front of it, beside whoever opens the page."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._touches: asyncio.Queue[Touch] = asyncio.Queue()
        self._web: asyncio.Task[Touch] | None = None
        self.on_show: Callable[[Display], None] = lambda _: None

    def press(self, touch: Touch) -> None:
        """Touch the screen."""
        self._touches.put_nowait(touch)

    def show(self, display: Display, notice: Notice) -> None:
        """Show it, and let the scripted person see it."""
        self._screen.show(display, notice)
        self.on_show(display)

    async def touch(self) -> Touch:
        """The next touch, from the script or from the page."""
        if self._web is None:
            self._web = asyncio.ensure_future(self._screen.touch())
        scripted = asyncio.ensure_future(self._touches.get())
        try:
            await asyncio.wait({self._web, scripted}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._web.cancel()
            scripted.cancel()
            raise
        if scripted.done():
            return scripted.result()
        scripted.cancel()
        touched, self._web = self._web.result(), None
        return touched


class Stage:
    """The open stage: `play` one part of the script after the other."""

    def __init__(
        self,
        central: Central,
        kiosk: OpenKiosk,
        gate: ServedGate,
        camera: ClipDevice,
        screen: AttendedScreen,
        reports: asyncio.Queue[PassReport],
        studio: Studio,
        cast: Cast,
        enrolled: dict[str, Enrolled],
        reviewer_key: Path,
    ) -> None:
        self.central, self.kiosk = central, kiosk
        self._gate, self._camera, self._screen, self._reports = gate, camera, screen, reports
        self._studio, self._cast, self._enrolled = studio, cast, enrolled
        self._reviewer_key = reviewer_key
        self._takes = 0

    async def play(self, part: Part) -> PassReport | None:
        """One person walks up; the report of their passage, None when there was none.

        Raises `FixtureError` when the kiosk has stopped or the passage did not settle in time.
        """
        claimant = self._enrolled[part.claims] if part.claims else None
        restriction = await self._restrict(claimant) if part.restricted and claimant else None
        self._takes += 1
        payload = qr_text(claimant.claim) if claimant else None
        scene = self._cast.scene(part, self._studio, payload, self._takes)
        if part.types_pin and part.shown is None:
            self._screen.press(OtherWayAsked())
        report = await self.perform(part, scene)
        if restriction is not None and claimant is not None:
            self.central.desk.standings.lift_restriction(restriction)
            await self._told(claimant.subject, RestrictionState.NONE)
        return report

    async def perform(self, part: Part, scene: Scene) -> PassReport | None:
        """A part before any scene, as `play` does it, but for what is prepared."""
        self._screen.on_show = self._person(part, self._enrolled[part.claims] if part.claims else None)
        ended = asyncio.wrap_future(self._camera.play(scene))
        try:
            report = await self._report(ended, expected=part.verdict is not None)
        finally:
            self._screen.on_show = lambda _: None
        await ended
        await self._until("the screen is ready for the next person", self._waiting)
        return report

    def standing(self, part: Part) -> Scene:
        """The code held up for a third of a second, then the person already standing there, for one."""
        self._takes += 1
        payload = qr_text(self._enrolled[part.claims].claim) if part.claims else None
        walk = self._cast.scene(part, self._studio, payload, self._takes)
        shown = round(self._studio.format.frames_per_s / 3)
        stands = self._studio.format.frames(SHOW_S + APPROACH_S)
        return Scene(
            f"{walk.name}, standing",
            4 * shown,
            walk.frames_per_s,
            lambda index: walk[shown + index] if index < shown else walk[stands + index - shown],
        )

    def _person(self, part: Part, claimant: Enrolled | None) -> Callable[[Display], None]:
        """Somebody who walks when welcomed, and types their PIN when asked and if they know it."""
        typed = False

        def see(display: Display) -> None:
            nonlocal typed
            if display.prompt is Prompt.WELCOME:
                self._gate.do(SimulatedGate.walk_through)
            elif display.prompt is Prompt.ENTER_PIN and part.types_pin and claimant and not typed:
                typed = True
                self._screen.press(PinEntered(claimant.pin))

        return see

    async def _report(self, ended: asyncio.Future[None], *, expected: bool) -> PassReport | None:
        settled = asyncio.ensure_future(self._reports.get())
        try:
            await _first_of(None, settled, ended, self.kiosk.serving)
            if expected:
                await _first_of(SETTLED_WITHIN_S, settled, self.kiosk.serving)
        finally:
            if not settled.done():
                settled.cancel()
        if self.kiosk.serving.done():
            self.kiosk.serving.result()
        if settled.cancelled() or not settled.done():
            if expected:
                raise FixtureError(f"no passage settled within {SETTLED_WITHIN_S:.0f} s of its scene")
            return None
        return settled.result()

    async def _restrict(self, claimant: Enrolled) -> RestrictionId:
        """A reviewer signs the demo's restriction, and the kiosk has it."""
        now_ms = self.central.desk.context.now_ms()
        terms = Terms(
            claimant.subject,
            OperatorId(OPERATOR),
            Purpose(PURPOSE),
            ReasonCode("demonstration"),
            "A restriction signed by the demo's reviewer, to show one.",
            now_ms + DAY_MS,
        )
        restriction = issue_restriction(self.central.desk, terms, self._reviewer_key)
        await self._told(claimant.subject, RestrictionState.VERIFIED)
        return restriction.restriction_id

    async def _told(self, subject: SubjectId, state: RestrictionState) -> None:
        """Wait until the kiosk's own cache says so."""
        self.central.publish_heads()

        async def known() -> bool:
            view = await self.kiosk.uplink.members.standing(subject)
            return view.age is Age.FRESH and view.restriction_state is state

        await self._until(f"the kiosk knows that the restriction is {state.value}", known)

    async def ready(self) -> None:
        """Wait until the kiosk has its gate, and every member's template and standing."""

        async def complete() -> bool:
            members = self.kiosk.uplink.members
            ages = [(await members.standing(each.subject)).age for each in self._enrolled.values()]
            return (
                self.kiosk.gate.state().link is LinkStatus.UP
                and len(members.gallery()) == len(self._enrolled)
                and set(ages) == {Age.FRESH}
                and await self._waiting()
            )

        await self._until("gate, gallery and standings are there", complete)

    async def receipted(self) -> int:
        """Wait until central has every record of this kiosk; how many it has."""

        async def empty() -> bool:
            return self.kiosk.uplink.outbox.backlog.waiting == 0

        await self._until("central has every record", empty)
        (report,) = self.central.desk.records.verify()
        return report.records

    async def _waiting(self) -> bool:
        return self.kiosk.kiosk.is_waiting

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        give_up = time.monotonic() + READY_WITHIN_S
        while not await holds():
            if self.kiosk.serving.done():
                self.kiosk.serving.result()
            if time.monotonic() > give_up:
                raise FixtureError(f"not within {READY_WITHIN_S:.0f} s: {what}")
            await asyncio.sleep(POLL_S)


async def _first_of(timeout_s: float | None, *futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


@contextlib.asynccontextmanager
async def open_stage(folder: Path, seed: int, release: ReleaseConfig | None = None) -> AsyncIterator[Stage]:
    """Set everything up in an empty `folder`; the kiosk is ready when this is entered."""
    cast, studio = Cast(), Studio(seed, ClipFormat())
    reports: asyncio.Queue[PassReport] = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        config_file = init_central(folder / "central", OPERATOR, SITE, PURPOSE)
        central_config = load_config(config_file)
        central = await stack.enter_async_context(open_central(central_config))
        reviewer_key = folder / "reviewer.key"
        add_reviewer(central_config, ReviewerId("rita"), reviewer_key)
        gate_key_file = folder / "gate.key"
        gate_key = write_gate_key(gate_key_file)
        gate = stack.enter_context(ServedGate(SimulatedGate(derive_keys(gate_key, GATE))))
        code = central.desk.kiosks.add(KioskId(KIOSK), Purpose(PURPOSE))
        kiosk_folder = folder / "kiosk"
        kiosk_folder.mkdir(mode=0o700)
        await pair(central.http_url, code, kiosk_folder, software="demo", random_bytes=os.urandom)
        config = KioskConfig(
            kiosk=KioskSection(str(kiosk_folder)),
            gate=GateSection(GATE, str(gate.path), str(gate_key_file)),
            screen=ScreenSection(port=0),
            release=release or ReleaseConfig(),
            broker=BrokerSection(central.broker.host, central.broker.port),
        )
        idle = studio.empty()
        device: list[ClipDevice] = []
        screens: list[AttendedScreen] = []

        def camera(clock_ms: Callable[[], int]) -> Camera:
            device.append(ClipDevice(idle, studio.format.frames_per_s, clock_ms))
            return clip_camera(device[0], clock_ms)

        def attend(screen: Screen) -> Screen:
            screens.append(AttendedScreen(screen))
            return screens[0]

        extras = Extras(camera=camera, attend=attend, on_report=reports.put_nowait)
        kiosk = await stack.enter_async_context(open_kiosk(config, extras))
        enrolled = {}
        for member in MEMBERS:
            enrolled[member.name] = await asyncio.to_thread(
                _enrol, central, kiosk, member, cast.enrolment_images(member, seed)
            )
        central.publish_heads()
        opened = Stage(
            central, kiosk, gate, device[0], screens[0], reports, studio, cast, enrolled, reviewer_key
        )
        await opened.ready()
        yield opened


def _enrol(central: Central, kiosk: OpenKiosk, member: Member, images: tuple[Image, ...]) -> Enrolled:
    """A member's template is made by the kiosk and sealed; central gets that, consent, a claim and a PIN."""
    desk = central.desk
    subject = desk.members.new_subject_id()
    samples = []
    for number, image in enumerate(images):
        probe = kiosk.pipeline.acquire(Frame(image, number, member.name)).probe
        if isinstance(probe, FailureToAcquire):
            raise FixtureError(f"{member.name}, picture {number}: {probe.hint}; use another picture")
        samples.append(probe)
    pack = open_pack()
    point = choose_point(pack.manifest, pack.recipe_digest, ENROLMENT_IMAGES - 1, 1, MaxFmr("1e-4"))
    template = enrol(subject, samples, ENROLMENT_IMAGES, point)
    if isinstance(template, FailureToEnrol):
        raise FixtureError(f"{member.name} cannot be enrolled: {template.reason.value}")
    sealed = kiosk.uplink.members.vault.seal(template, os.urandom)
    desk.members.enrol(subject, sealed, Consent("demo-1", "en", desk.context.now_ms()))
    claim = desk.members.add_qr_claim(subject)
    pin = f"{secrets.randbelow(10**6):06}"
    desk.members.set_pin(subject, pin)
    count, outcome = FARES_FOR.get(member.tier, (UNPAID_FARES, EventOutcome.BROKEN))
    for number in range(count):
        at_ms = desk.context.now_ms() - number * 60_000
        desk.standings.record_event(
            Event(os.urandom(16).hex(), subject, Purpose(PURPOSE), EventKind.FARE, outcome, at_ms)
        )
    return Enrolled(member, subject, claim, pin)
