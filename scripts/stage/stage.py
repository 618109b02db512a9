"""The demo's stage: broker, central, gate and kiosk on one machine, members enrolled, and people to walk up.

Everything listens on 127.0.0.1 and free ports, keeps its files in one folder, and ends with the context.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from central.app import (
    Central,
    init_central,
    load_config,
    open_central,
)
from central.rules.enrolment import Consent
from central.rules.restriction import Terms
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.trial import TrialReviewer, add_reviewer, issue_restriction, lift_restriction
from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.central.pairing import pair
from edge.capture.sample import FailureToAcquire, Frame, Image
from edge.capture.tracking import TrackingConfig
from edge.compare.bound import SearchConfig
from edge.compare.claim import qr_text
from edge.compare.search import choose_point
from edge.config import BrokerSection, GateSection, KioskConfig, KioskSection, PackSection, ScreenSection
from edge.confirm.liveness import ConfirmConfig
from edge.decide.passback import PassbackConfig
from edge.decide.verdict import Age, RestrictionState, Tier
from edge.enact.display import Display, Notice, OtherWayAsked, PinEntered, Prompt, Touch
from edge.enact.release import ReleaseConfig
from edge.enrolling.template import FailureToEnrol, enrol
from edge.errors import FixtureError
from edge.modes.common import Extras
from edge.modes.lane import OpenKiosk, open_kiosk
from edge.ports import Camera, Screen
from edge.shell.kiosk import PassReport
from firmware_bridge.auth import derive_keys
from firmware_bridge.gate import LinkStatus
from models.manifest import MaxFmr
from scripts.cli.gate.app import write_gate_key
from scripts.cli.gate.stand import Runs, Stand, open_stand
from scripts.people.cast import ENROLMENT_IMAGES, MEMBERS, Cast, Member, Part
from scripts.people.clip import APPROACH_S, SHOW_S, ClipFormat, Scene, Studio
from scripts.stage.scene_clock import FollowedCamera, SceneClock
from wire.environment import Environment
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
from wire.signing import DAY_MS

OPERATOR, SITE, PURPOSE, KIOSK, GATE = "demo", "north", "ride", "turnstile-1", "gate-1"
READY_WITHIN_S = 120.0
"""How long the kiosk may take to have gate, gallery and standings: a hundred times a quiet machine's."""
SETTLED_WITHIN_S = 120.0
"""How long a pass may take after its scene has ended; every time-out of a passage is shorter."""
POLL_S = 0.05
ACQUIRE_MAX_MS, PIN_MAX_MS, TTL_MAX_MS, GAP_MAX_MS = 60_000, 120_000, 10_000, 2_000
"""The bounds of `confirm.acquire_ms`, `confirm.pin_ms`, `release.ttl_ms` and `tracking.max_gap_ms`."""
FARES_FOR = {Tier.PRIORITY: (25, EventOutcome.KEPT), Tier.STANDARD: (3, EventOutcome.KEPT)}
"""Events that lead to a tier on the example scorecard; anything else is made of unpaid fares."""
UNPAID_FARES = 5
Running = TypeVar("Running")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A member of the cast at central: subject, claim and PIN."""

    member: Member
    subject: SubjectId
    claim: ClaimId
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Staging:
    """What a stage may have otherwise than the demo. `mqtt_port`: known beforehand, to outlive a broker.

    `patience`: how many times slower people move, and how many times longer the stage waits.
    `follows`: people move no faster than the kiosk looks.
    `gate`: what the gate runs on; None is the C firmware where it can be built, the simulator where not.
    """

    pack: PackSection = field(default_factory=PackSection)
    confirm: ConfirmConfig = field(default_factory=ConfirmConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    extras: Extras = field(default_factory=Extras)
    environment: Environment | None = None
    mqtt_port: int = 0
    head_every_s: int = 60
    search: SearchConfig = field(default_factory=SearchConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    patience: int = 1
    follows: bool = False
    passback: PassbackConfig = field(default_factory=PassbackConfig)
    gate: Runs | None = Runs.SIMULATOR
    members: tuple[Member, ...] = MEMBERS


def unhurried(staging: Staging) -> Staging:
    """For machines that may be busy: people follow the kiosk, whose deadlines are as late as may be."""
    return replace(
        staging,
        follows=True,
        confirm=msgspec.structs.replace(staging.confirm, acquire_ms=ACQUIRE_MAX_MS, pin_ms=PIN_MAX_MS),
        release=msgspec.structs.replace(staging.release, ttl_ms=TTL_MAX_MS),
        tracking=TrackingConfig(max_gap_ms=GAP_MAX_MS),
    )


def patient(times: int) -> Staging:
    """For a machine so many times slower: slower people, and deadlines as long as the config allows.

    Past eight times, a frame takes longer than a face may be out of sight, and no second one follows it: one
    frame decides there.
    """
    confirm, release = ConfirmConfig(), ReleaseConfig()
    gap_ms = times * TrackingConfig().max_gap_ms
    return Staging(
        confirm=msgspec.structs.replace(
            confirm,
            frames=confirm.frames if gap_ms <= GAP_MAX_MS else 1,
            acquire_ms=min(times * confirm.acquire_ms, ACQUIRE_MAX_MS),
            pin_ms=min(times * confirm.pin_ms, PIN_MAX_MS),
        ),
        release=msgspec.structs.replace(release, ttl_ms=min(times * release.ttl_ms, TTL_MAX_MS)),
        tracking=TrackingConfig(max_gap_ms=min(gap_ms, GAP_MAX_MS)),
        patience=times,
    )


class AttendedScreen:
    """The kiosk's screen with a scripted person in front of it, beside whoever opens the page."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._touches: asyncio.Queue[Touch] = asyncio.Queue()
        self._web: asyncio.Task[Touch] | None = None
        self.on_show: Callable[[Display], None] = lambda _: None
        self.notice: Notice | None = None

    def press(self, touch: Touch) -> None:
        """Touch the screen."""
        self._touches.put_nowait(touch)

    def show(self, display: Display, notice: Notice) -> None:
        """Show it, and let the scripted person see it."""
        self._screen.show(display, notice)
        self.notice = notice
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


class _Life(Generic[Running]):
    """Something that may be ended and begun again before the stage ends."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Running]]) -> None:
        self.stack = contextlib.AsyncExitStack()
        self._opening = opening

    async def begin(self) -> Running:
        """Open it; `stack` closes it."""
        return await self.stack.enter_async_context(self._opening())


class Stage:
    """The open stage: `play` one part of the script after the other."""

    def __init__(
        self,
        central: Central,
        central_life: _Life[Central],
        *,
        kiosk: OpenKiosk,
        kiosk_life: _Life[OpenKiosk],
        config: KioskConfig,
        gate: Stand,
        gate_runs: Runs,
        gate_why: str | None,
        camera: ClipDevice,
        screen: AttendedScreen,
        reports: asyncio.Queue[PassReport],
        studio: Studio,
        cast: Cast,
        enrolled: dict[str, Enrolled],
        reviewers: Sequence[TrialReviewer],
        patience: int,
    ) -> None:
        self.central, self.kiosk, self.config = central, kiosk, config
        self.gate, self.camera, self.screen, self.reports = gate, camera, screen, reports
        self.gate_runs, self.gate_why = gate_runs, gate_why
        self.studio, self.cast, self.enrolled = studio, cast, enrolled
        self._central_life, self._kiosk_life = central_life, kiosk_life
        self._reviewers = reviewers
        self._patience = patience
        self._takes = 0

    async def stop_central(self) -> None:
        """Central ends, and its broker with it."""
        await self._central_life.stack.aclose()

    async def start_central(self) -> None:
        """Central begins again with what it stored; its broker needs `Staging.mqtt_port` to be found."""
        self.central = await self._central_life.begin()

    async def stop_kiosk(self) -> None:
        """The kiosk ends in good order; broker, central and gate go on."""
        await self._kiosk_life.stack.aclose()

    async def play(self, part: Part) -> PassReport | None:
        """One person walks up; the report of their passage, None when there was none.

        Raises `FixtureError` when the kiosk has stopped or the passage did not settle in time.
        """
        while not self.reports.empty():  # of a passage that settled after nobody waited for it
            self.reports.get_nowait()
        claimant = self.enrolled[part.claims] if part.claims else None
        restriction = await self._restrict(claimant) if part.restricted and claimant else None
        self._takes += 1
        payload = qr_text(claimant.claim) if claimant else None
        scene = self.cast.scene(part, self.studio, payload, self._takes)
        if part.types_pin and part.shown is None:
            self.screen.press(OtherWayAsked())
        try:
            return await self.perform(part, scene)
        finally:
            if restriction is not None and claimant is not None:
                lift_restriction(self.central.use_cases, restriction, self._reviewers[0])
                await self._told(claimant.subject, RestrictionState.NONE)

    async def perform(self, part: Part, scene: Scene) -> PassReport | None:
        """A part before any scene, as `play` does it, but for what is prepared."""
        self.screen.on_show = self._person(part, self.enrolled[part.claims] if part.claims else None)
        ended = asyncio.wrap_future(self.camera.play(scene))
        try:
            report = await self._report(ended, expected=part.verdict is not None)
        finally:
            self.screen.on_show = lambda _: None
        await ended
        await self._until("the screen is ready for the next person", self._waiting)
        return report

    def standing(self, part: Part) -> Scene:
        """The code held up for a third of a second, then the person already standing there, for one."""
        self._takes += 1
        payload = qr_text(self.enrolled[part.claims].claim) if part.claims else None
        walk = self.cast.scene(part, self.studio, payload, self._takes)
        shown = round(self.studio.format.frames_per_s / 3)
        stands = self.studio.format.frames(SHOW_S + APPROACH_S)
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
                self.gate.walk_through()
            elif display.prompt is Prompt.ENTER_PIN and part.types_pin and claimant and not typed:
                typed = True
                self.screen.press(PinEntered(claimant.pin))

        return see

    async def _report(self, ended: asyncio.Future[None], *, expected: bool) -> PassReport | None:
        settled = asyncio.ensure_future(self.reports.get())
        try:
            await _first_of(None, settled, ended, self.kiosk.serving)
            if expected:
                await _first_of(self._patience * SETTLED_WITHIN_S, settled, self.kiosk.serving)
        finally:
            if not settled.done():
                settled.cancel()
        if self.kiosk.serving.done():
            self.kiosk.serving.result()
        if settled.cancelled() or not settled.done():
            if expected:
                waited_s = self._patience * SETTLED_WITHIN_S
                raise FixtureError(f"no passage settled within {waited_s:.0f} s of its scene")
            return None
        return settled.result()

    async def _restrict(self, claimant: Enrolled) -> RestrictionId:
        """Two reviewers sign the demo's restriction, and the kiosk has it."""
        now_ms = self.central.use_cases.context.now_ms()
        terms = Terms(
            claimant.subject,
            OperatorId(OPERATOR),
            Purpose(PURPOSE),
            ReasonCode("demonstration"),
            "A restriction signed by the demo's reviewers, to show one.",
            now_ms + DAY_MS,
        )
        restriction = issue_restriction(self.central.use_cases, terms, self._reviewers)
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
            ages = [(await members.standing(each.subject)).age for each in self.enrolled.values()]
            return (
                self.kiosk.gate.state().link is LinkStatus.UP
                and len(members.gallery()) == len(self.enrolled)
                and set(ages) == {Age.FRESH}
                and await self._waiting()
            )

        await self._until("gate, gallery and standings are there", complete)

    async def receipted(self) -> int:
        """Wait until central has every record of this kiosk; how many it has."""

        async def empty() -> bool:
            return self.kiosk.uplink.outbox.backlog.waiting == 0

        await self._until("central has every record", empty)
        (report,) = self.central.use_cases.records.verify()
        return report.records

    async def _waiting(self) -> bool:
        return self.kiosk.kiosk.is_waiting

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        wait_s = self._patience * READY_WITHIN_S
        give_up = time.monotonic() + wait_s
        while not await holds():
            if self.kiosk.serving.done():
                self.kiosk.serving.result()
            if time.monotonic() > give_up:
                raise FixtureError(f"not within {wait_s:.0f} s: {what}")
            await asyncio.sleep(POLL_S)


async def _first_of(timeout_s: float | None, *futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


@contextlib.asynccontextmanager
async def open_stage(folder: Path, seed: int, staging: Staging | None = None) -> AsyncIterator[Stage]:
    """Set everything up in an empty `folder`; the kiosk is ready when this is entered."""
    staging = staging or Staging()
    cast, studio = Cast(), Studio(seed, ClipFormat())
    reports: asyncio.Queue[PassReport] = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        config_file = init_central(folder / "central", OPERATOR, SITE, PURPOSE, mqtt_port=staging.mqtt_port)
        told = config_file.read_text("utf-8")
        config_file.write_text(
            told.replace("head_every_s = 60", f"head_every_s = {staging.head_every_s}"), "utf-8"
        )
        central_config = load_config(config_file)
        central_life = _Life(lambda: open_central(central_config, staging.environment))
        stack.push_async_callback(central_life.stack.aclose)
        central = await central_life.begin()
        reviewers = [add_reviewer(central_config, ReviewerId(name)) for name in ("rita", "bea")]
        gate_key_file = folder / "gate.key"
        gate_key = write_gate_key(gate_key_file)
        gate, gate_runs, gate_why = stack.enter_context(
            open_stand(derive_keys(gate_key, GATE), runs=staging.gate)
        )
        code = central.use_cases.kiosks.add(KioskId(KIOSK), Purpose(PURPOSE))
        kiosk_folder = folder / "kiosk"
        kiosk_folder.mkdir(mode=0o700)
        await pair(central.http_url, code, kiosk_folder, software="demo", random_bytes=os.urandom)
        config = KioskConfig(
            kiosk=KioskSection(str(kiosk_folder)),
            gate=GateSection(GATE, str(gate.path), str(gate_key_file)),
            screen=ScreenSection(port=0),
            pack=staging.pack,
            confirm=staging.confirm,
            search=staging.search,
            tracking=staging.tracking,
            release=staging.release,
            passback=staging.passback,
            broker=BrokerSection(central.broker.host, central.broker.port),
        )
        idle = studio.empty()
        device: list[ClipDevice] = []
        screens: list[AttendedScreen] = []

        def camera(clock_ms: Callable[[], int]) -> Camera:
            # A slower clock is a slower world: the same pictures, further apart.
            times, pace = staging.patience, studio.format.frames_per_s
            if staging.follows:
                scene = SceneClock(lambda: clock_ms() // times)
                device.append(ClipDevice(idle, pace, scene.now_ms, scene.wait_s))
                return FollowedCamera(clip_camera(device[0], clock_ms), scene)
            device.append(
                ClipDevice(idle, pace, lambda: clock_ms() // times, lambda wait_s: time.sleep(times * wait_s))
            )
            return clip_camera(device[0], clock_ms)

        def attend(screen: Screen) -> Screen:
            screens.append(AttendedScreen(screen))
            return screens[0]

        extras = replace(staging.extras, camera=camera, attend=attend, on_report=reports.put_nowait)
        kiosk_life = _Life(lambda: open_kiosk(config, extras))
        stack.push_async_callback(kiosk_life.stack.aclose)
        kiosk = await kiosk_life.begin()
        enrolled = {}
        for member in staging.members:
            enrolled[member.name] = await asyncio.to_thread(
                enrol_member, central, kiosk, member, cast.enrolment_images(member, seed)
            )
        central.publish_heads()
        opened = Stage(
            central,
            central_life,
            kiosk=kiosk,
            kiosk_life=kiosk_life,
            config=config,
            gate=gate,
            gate_runs=gate_runs,
            gate_why=gate_why,
            camera=device[0],
            screen=screens[0],
            reports=reports,
            studio=studio,
            cast=cast,
            enrolled=enrolled,
            reviewers=reviewers,
            patience=staging.patience,
        )
        await opened.ready()
        yield opened


def enrol_member(central: Central, kiosk: OpenKiosk, member: Member, images: tuple[Image, ...]) -> Enrolled:
    """A member's template is made by the kiosk and sealed; central gets that, consent, a claim and a PIN."""
    use_cases = central.use_cases
    subject = use_cases.members.new_subject_id()
    samples = []
    for number, image in enumerate(images):
        probe = kiosk.pipeline.acquire(Frame(image, number, member.name)).probe
        if isinstance(probe, FailureToAcquire):
            raise FixtureError(f"{member.name}, picture {number}: {probe.hint}; use another picture")
        samples.append(probe)
    point = choose_point(
        kiosk.pipeline.manifest, kiosk.pipeline.recipe_digest, ENROLMENT_IMAGES - 1, 1, MaxFmr("1e-4")
    )
    template = enrol(subject, samples, ENROLMENT_IMAGES, point)
    if isinstance(template, FailureToEnrol):
        raise FixtureError(f"{member.name} cannot be enrolled: {template.reason.value}")
    sealed = kiosk.uplink.members.vault.seal(template, os.urandom)
    use_cases.members.enrol(subject, sealed, Consent("demo-1", "en", use_cases.context.now_ms()))
    claim = use_cases.members.add_qr_claim(subject)
    pin = f"{secrets.randbelow(10**6):06}"
    use_cases.members.set_pin(subject, pin)
    count, outcome = FARES_FOR.get(member.tier, (UNPAID_FARES, EventOutcome.BROKEN))
    for number in range(count):
        at_ms = use_cases.context.now_ms() - number * 60_000
        use_cases.standings.record_event(
            Event(os.urandom(16).hex(), subject, Purpose(PURPOSE), EventKind.FARE, outcome, at_ms)
        )
    return Enrolled(member, subject, claim, pin)
