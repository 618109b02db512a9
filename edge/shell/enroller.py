"""The shell around an enrolment: it reports what camera, screen and central say, and does what follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import assert_never

from edge.capture.tracking import TrackingConfig
from edge.compare.claim import parse_card, parse_phone, parse_qr
from edge.compare.gallery import Template
from edge.enact.display import Agreed, ClaimEntered, Notice
from edge.enrolling.advance import advance
from edge.enrolling.display import display
from edge.enrolling.effects import CheckClashes, Effect, ResolveClaim, Send, Settle, Undo, Withdraw
from edge.enrolling.observations import (
    Answered,
    ClaimFound,
    ClaimRead,
    ClashesFound,
    Failed,
    Observation,
    Tick,
    WithdrawalJudged,
)
from edge.enrolling.state import Enrolment, EnrolRules, Step, new_enrolment
from edge.enrolling.template import check_clashes
from edge.errors import StileError
from edge.ports import Camera, ClaimReader, Clock, Enrolments, Galleries, Members, Preview, Recogniser, Screen
from edge.shell.sampling import Sampler
from wire.enrolment import LIKENESSES_MAX
from wire.ids import ClaimId, SubjectId
from wire.transport.supervision import Supervisor

log = logging.getLogger(__name__)

TICK_MS = 100
"""How often time-outs are looked at."""


@dataclass(frozen=True, slots=True)
class EnrolDevices:
    """What an enrolment kiosk is built of."""

    camera: Camera
    claims: ClaimReader
    recogniser: Recogniser
    screen: Screen
    members: Members
    galleries: Galleries
    enrolments: Enrolments
    clock: Clock
    preview: Preview | None = None


class Enroller:
    """One enrolment or withdrawal at a time, one event loop, one thread for the networks."""

    def __init__(
        self,
        devices: EnrolDevices,
        rules: EnrolRules,
        tracking: TrackingConfig,
        *,
        random_bytes: Callable[[int], bytes],
        supervisor: Supervisor,
        notice: Callable[[], Notice],
    ) -> None:
        """`notice` says what stays on the screen."""
        self._devices, self._rules = devices, rules
        self._random_bytes, self._supervisor, self._notice = random_bytes, supervisor, notice
        self._sampler = Sampler(
            devices.camera,
            devices.claims,
            recogniser=devices.recogniser,
            tracking=tracking,
            rules=rules,
            enrolment=lambda: self._enrolment,
            tell=self._tell,
            preview=devices.preview,
        )
        self._enrolment = self._begin()
        self._tasks: asyncio.TaskGroup | None = None
        self._shown: object = None

    @property
    def enrolment(self) -> Enrolment:
        """The enrolment or withdrawal under way."""
        return self._enrolment

    @property
    def is_serving(self) -> bool:
        """Whether people are served: `run` has begun."""
        return self._tasks is not None

    @property
    def embedded_frames(self) -> int:
        """Frames of which an embedding was made; none before consent and age."""
        return self._sampler.embedded_frames

    async def run(self) -> None:
        """Serve people until cancelled. What fails of it is started again, and the rest goes on meanwhile."""
        with ThreadPoolExecutor(1, "pipeline") as pool:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._show()
                for name, work in (
                    ("sight", lambda: self._sampler.run(pool)),
                    ("touches", self._watch_screen),
                    ("clockwork", self._tick),
                ):
                    tasks.create_task(self._supervisor.keep(name, work), name=name)

    async def _watch_screen(self) -> None:
        while True:
            touch = await self._devices.screen.touch()
            match touch:
                case ClaimEntered(text):
                    claim = parse_qr(text) or parse_phone(text) or parse_card(text)
                    if claim is not None:
                        self._tell(ClaimRead(claim))
                case Agreed():
                    pass  # belongs to another mode
                case _:
                    self._tell(touch)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            self._tell(Tick())

    def _tell(self, observation: Observation) -> None:
        now_ms, before = self._devices.clock.uptime_ms(), self._enrolment
        after, effects = advance(before, observation, now_ms, self._rules)
        self._enrolment = self._begin() if after.step is Step.OVER else after
        self._show()
        if effects:
            assert self._tasks is not None
            self._tasks.create_task(self._perform(effects, before.subject))

    def _begin(self) -> Enrolment:
        """Somebody else: the one before is dropped, and with it all that was kept of them."""
        self._sampler.begin()
        subject, claim = (self._random_bytes(16).hex() for _ in range(2))
        return new_enrolment(SubjectId(subject), ClaimId(claim))

    def _show(self) -> None:
        shown, notice = display(self._enrolment, self._rules), self._notice()
        if (shown, notice) != self._shown:
            self._shown = (shown, notice)
            self._devices.screen.show(shown, notice)

    async def _perform(self, effects: tuple[Effect, ...], subject: SubjectId) -> None:
        """Do the effects of one step in order, and report the answers; each says whose enrolment asked."""
        for effect in effects:
            try:
                answer = await self._do(effect)
            except StileError as error:
                log.warning("an enrolment cannot go on: %s", error)
                answer = Failed(subject)
            except Exception:
                log.exception("a step of an enrolment failed")
                self._supervisor.note("enrolment_steps")
                answer = Failed(subject)
            if answer is not None:
                self._tell(answer)

    async def _do(self, effect: Effect) -> Observation | None:
        devices = self._devices
        match effect:
            case CheckClashes(template):
                return await self._clashes(template)
            case Send(application):
                return Answered(application.subject, await devices.enrolments.enrol(application))
            case Settle(subject):
                devices.enrolments.settle(subject)
                return None
            case Undo(subject):
                devices.enrolments.undo(subject)
                return None
            case ResolveClaim(enrolment, claim):
                return ClaimFound(enrolment, claim, await devices.members.resolve(claim))
            case Withdraw(enrolment, subject, pin):
                return WithdrawalJudged(enrolment, await devices.enrolments.withdraw(subject, pin))
            case _:
                assert_never(effect)

    async def _clashes(self, template: Template) -> ClashesFound:
        gallery = await self._devices.galleries.read_gallery()
        found = await asyncio.to_thread(check_clashes, template, gallery, self._rules.points)
        return ClashesFound(template.subject, tuple(rival.subject for rival in found.rivals[:LIKENESSES_MAX]))
