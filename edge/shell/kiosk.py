"""The shell around a passage: it reports what camera, screen, gate and central say, and does what follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import assert_never

from edge.capture.tracking import TrackingConfig
from edge.compare.claim import Claim, parse_card, parse_phone, parse_qr
from edge.compare.member import KnownMember
from edge.confirm.liveness import ChallengeTries, RecentUse
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.passback import Whereabouts
from edge.decide.verdict import GateState, Liveness, Passback, SecondFactor
from edge.enact.charge import ChargeAnswer
from edge.enact.display import (
    AgreeByChosen,
    Agreed,
    ClaimEntered,
    Finished,
    HelpAsked,
    Notice,
    NotMe,
    OtherWayAsked,
    PinEntered,
)
from edge.enact.record import Account, KioskIdentity, Stamp, pass_record
from edge.errors import CheckoutError, StoreError
from edge.passage.advance import advance
from edge.passage.display import display
from edge.passage.effects import (
    Begin,
    CheckPin,
    Effect,
    FetchStanding,
    OpenGate,
    ResolveClaim,
    Search,
    Settle,
    TakeCharge,
)
from edge.passage.observations import (
    ChargeAnswered,
    ClaimResolved,
    ClaimSeen,
    GateAnswered,
    Kept,
    Observation,
    PinJudged,
    Searched,
    StaffReleases,
    StandingSeen,
    Surroundings,
    Tick,
)
from edge.passage.state import (
    Passage,
    Phase,
    Rules,
    is_over,
    new_passage,
)
from edge.ports import (
    Camera,
    ClaimReader,
    Clock,
    Members,
    Payments,
    Pins,
    Preview,
    Recogniser,
    Records,
    Screen,
    Searcher,
)
from edge.shell.settling import PassReport as PassReport
from edge.shell.settling import Settling
from edge.shell.watching import Sight, Watch
from firmware_bridge.gate import (
    Accepted,
    Gate,
    GateEvent,
    Interrupted,
    LinkStatus,
    Mode,
    Nonce,
    Passed,
    ReleaseRefused,
    TimedOut,
    Unanswered,
    Unobserved,
)
from wire.fleet import OrderOutcome
from wire.ids import PassageId, SubjectId
from wire.records import GateOutcome, PassRecord
from wire.transport.supervision import Supervisor

log = logging.getLogger(__name__)

TICK_MS = 50
"""How often time-outs are looked at when no frame comes."""
PIN_WAIT_MAX_MS = 10_000
"""How long the kiosk waits by itself where central asks for patience after a wrong PIN."""


OnOrder = Callable[[OrderOutcome, PassageId | None], None]
"""Told once what became of an order, and the passage it opened the gate for."""


@dataclass(slots=True)
class _Trace:
    """What the shell keeps of one passage beside its state."""

    sight: Sight
    released_ms: int | None = None
    ordered: OnOrder | None = None

    def answer(self, outcome: OrderOutcome, passage_id: PassageId) -> None:
        """Tell whoever ordered this passage, if anybody did."""
        if self.ordered is not None:
            self.ordered(outcome, passage_id)


@dataclass(frozen=True, slots=True)
class Devices:
    """What the kiosk is built of; the gate is `firmware_bridge`'s, the rest are `edge.ports`."""

    camera: Camera
    claims: ClaimReader
    recogniser: Recogniser
    gate: Gate
    screen: Screen
    members: Members
    pins: Pins
    records: Records
    clock: Clock
    searcher: Searcher | None = None
    """None where every passage begins with a claim."""
    preview: Preview | None = None
    payments: Payments | None = None
    """None at a kiosk that takes no money."""


class Kiosk:
    """One lane: one passage at a time, one event loop, one thread for the networks."""

    def __init__(
        self,
        devices: Devices,
        rules: Rules,
        tracking: TrackingConfig,
        identity: KioskIdentity,
        *,
        random_bytes: Callable[[int], bytes],
        supervisor: Supervisor,
        notice: Callable[[], Notice],
        central_answers: Callable[[], bool],
        lane_closed: bool = False,
        on_report: Callable[[PassReport], None] = lambda _: None,
    ) -> None:
        """`notice` says what stays on the screen; `on_report` is told of every settled passage.

        `lane_closed`: staff closed this lane in an earlier life.
        """
        self._devices, self._rules, self._identity = devices, rules, identity
        self._random_bytes, self._supervisor, self._notice = random_bytes, supervisor, notice
        self._central_answers = central_answers
        self._watch = Watch(
            devices.camera,
            devices.claims,
            recogniser=devices.recogniser,
            tracking=tracking,
            passage=lambda: self._passage,
            tell=self._tell,
            preview=devices.preview,
        )
        self._passage = self._begin_passage(None)
        self._settling = Settling(devices.records, devices.clock, self._note_settled, on_report)
        self._whereabouts = Whereabouts(rules.passback)
        self._recent_use, self._tries = RecentUse(rules.confirm), ChallengeTries()
        self._tasks: asyncio.TaskGroup | None = None
        self._shown: object = None
        self._lane_closed = lane_closed

    @property
    def passage(self) -> Passage:
        """The passage under way."""
        return self._passage

    @property
    def rules(self) -> Rules:
        """What passages go by."""
        return self._rules

    def use_rules(self, rules: Rules) -> None:
        """Go by other rules from the next step on."""
        self._rules = rules

    @property
    def is_serving(self) -> bool:
        """Whether people are served: `run` has begun, and settled what an earlier life left."""
        return self._tasks is not None

    @property
    def lane_closed(self) -> bool:
        """Whether staff closed this lane: everybody is referred elsewhere; an emergency goes before it."""
        return self._lane_closed

    def close_lane(self, *, closed: bool) -> None:
        """Refer everybody elsewhere from now on, or no longer."""
        self._lane_closed = closed

    def release(self, order: StaffReleases, told: OnOrder) -> None:
        """Let somebody through on staff's word. Refused while anybody is in a passage: it is their gate."""
        if (refusal := self._not_now()) is not None:
            told(refusal, None)
            return
        if self._passage.phase is Phase.SETTLED:  # its outcome has been seen long enough: staff stand there
            self._passage = self._begin_passage(self._passage)
        self._trace.ordered = told
        self._tell(order)
        if self._passage.phase is not Phase.RELEASING:
            self._trace.answer(OrderOutcome.GATE_FAULT, self._passage.passage_id)

    def _not_now(self) -> OrderOutcome | None:
        around = self._surroundings()
        if self._tasks is None:
            return OrderOutcome.NOT_READY
        if around.pays:
            return OrderOutcome.OTHER_GATE  # there is none here
        if around.emergency:
            return OrderOutcome.FREE_GATE
        if around.gate is GateState.FAULT:
            return OrderOutcome.GATE_FAULT
        if self._passage.phase not in {Phase.WAITING, Phase.SETTLED}:
            return OrderOutcome.PASSAGE_UNDER_WAY
        self._passage = replace(self._passage, surroundings=around)
        return None

    @property
    def embedded_frames(self) -> int:
        """Frames of which an embedding may have been made; none before an interaction has begun."""
        return self._watch.embedded_frames

    @property
    def is_waiting(self) -> bool:
        """Whether nobody is in a passage and the last outcome has left the screen."""
        return self._passage.phase is Phase.WAITING

    async def run(self) -> None:
        """Serve people until cancelled. What fails of it is started again, and the rest goes on meanwhile."""
        await self._settling.take_over()
        with ThreadPoolExecutor(1, "pipeline") as pool:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for name, work in (
                    ("sight", lambda: self._watch.run(pool)),
                    ("gate_events", self._watch_gate),
                    ("touches", self._watch_screen),
                    ("clockwork", self._tick),
                ):
                    tasks.create_task(self._supervisor.keep(name, work), name=name)

    # --- what is reported -----------------------------------------------------------------------------

    async def _watch_screen(self) -> None:
        while True:
            touch = await self._devices.screen.touch()
            match touch:
                case ClaimEntered(text):
                    if (claim := _parse_claim(text)) is not None:
                        self._tell(ClaimSeen(claim))
                case PinEntered() | OtherWayAsked() | NotMe() | HelpAsked():
                    self._tell(touch)
                case Agreed() | AgreeByChosen() | Finished():
                    self._tell(touch)
                case _:
                    pass  # belongs to another mode, whose prompts alone ask for it

    async def _watch_gate(self) -> None:
        async for event in self._devices.gate.events():
            # Asking for the next event acknowledges this one, so what follows from it is durable first.
            ended = _ended(event)
            if ended is None:
                self._tell(self._surroundings())
                continue
            passage_id, outcome = ended
            if passage_id == self._passage.passage_id:
                effects = self._advance(GateAnswered(passage_id, outcome))
                await self._perform(effects, self._trace)
            else:
                await self._settling.gate_ended(passage_id, outcome)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            if (found := self._surroundings()) != self._passage.surroundings:
                self._tell(found)
            self._tell(Tick())
            await self._settling.give_up_orphans()

    def _surroundings(self) -> Surroundings:
        gate = self._devices.gate.state()
        works = (
            gate.link is LinkStatus.UP
            and gate.mode not in {Mode.FAULT, Mode.SAFE}
            and not self._settling.unwritten
        )
        ready = GateState.CLOSED if self._lane_closed else GateState.READY
        if self._rules.release.fare == "on_passage" and not gate.capabilities.reports_passage:
            ready = GateState.NO_PASSAGE_REPORT
        state = ready if works else GateState.FAULT
        searcher = self._devices.searcher
        searches = searcher is not None and searcher.offered()
        payments = self._devices.payments
        return Surroundings(
            state,
            gate.mode is Mode.FREE,
            self._central_answers(),
            searches,
            pays=payments is not None,
            due=None if payments is None else payments.due(),
        )

    # --- what follows ---------------------------------------------------------------------------------

    def _tell(self, observation: Observation) -> None:
        effects = self._advance(observation)
        if effects:
            assert self._tasks is not None
            self._tasks.create_task(self._perform(effects, self._trace))

    def _advance(self, observation: Observation) -> tuple[Effect, ...]:
        now_ms = self._devices.clock.uptime_ms()
        if is_over(self._passage, now_ms):
            self._passage = self._begin_passage(self._passage)
        before = self._passage
        self._passage, effects = advance(before, observation, now_ms, self._rules)
        self._note_challenge(before, self._passage, now_ms)
        self._show()
        return effects

    def _note_challenge(self, before: Passage, after: Passage, now_ms: int) -> None:
        subject = after.member.subject
        if subject is None:
            return
        if after.phase is Phase.CHALLENGING and before.phase is not Phase.CHALLENGING:
            self._tries.begun(subject, now_ms)
        given = after.second_factor is SecondFactor.GESTURES
        if before.phase is Phase.CHALLENGING and (given or after.liveness is Liveness.BONA_FIDE):
            self._tries.met(subject)

    def _begin_passage(self, before: Passage | None) -> Passage:
        passage_id = PassageId(self._random_bytes(16).hex())
        self._trace = _Trace(self._watch.begin())
        return new_passage(passage_id, Nonce(self._random_bytes(8)), before)

    def _show(self) -> None:
        shown = display(self._passage)
        notice = self._notice()
        if (shown, notice) != self._shown:
            self._shown = (shown, notice)
            self._devices.screen.show(shown, notice)

    async def _perform(self, effects: tuple[Effect, ...], trace: _Trace) -> None:
        """Do the effects of one step in order, and report the answers; each says which passage asked."""
        for effect in effects:
            answer: Observation | None = None
            try:
                answer = await self._do(effect, trace)
            except Exception:
                log.exception("a step of a passage failed")
                self._supervisor.note("passage_steps")
                answer = self._failed(effect, trace)
            if answer is not None:
                self._tell(answer)
            if isinstance(effect, Begin) and answer is not None:
                return  # nothing may open on a decision that is not kept

    def _failed(self, effect: Effect, trace: _Trace) -> Observation | None:
        """What an effect of which nobody knows the outcome means for the passage: it never waits for ever."""
        match effect:
            case ResolveClaim() | Search() | FetchStanding() | CheckPin():
                return HelpAsked() if self._trace is trace else None
            case Begin(account):
                return self._not_kept(account, trace)
            case TakeCharge(ask):
                return ChargeAnswered(ask.passage, ChargeAnswer.SILENT)
            case OpenGate(release):
                # It may have been obeyed: the gate's word, or its time, ends the passage.
                trace.released_ms = self._devices.clock.uptime_ms()
                trace.answer(OrderOutcome.GATE_UNANSWERED, PassageId(release.passage_id.hex()))
                return None
            case Settle():
                return None
            case _:
                assert_never(effect)

    async def _do(self, effect: Effect, trace: _Trace) -> Observation | None:
        devices = self._devices
        match effect:
            case ResolveClaim(passage_id, claim):
                resolution = await devices.members.resolve(claim)
                remembered = self._remembered(
                    resolution.subject if isinstance(resolution, KnownMember) else None
                )
                return ClaimResolved(passage_id, claim, resolution, *remembered)
            case Search(passage_id, probe):
                assert devices.searcher is not None  # only what it offers makes a passage seek
                found = devices.searcher.search(probe)
                remembered = self._remembered(found.template.subject if found.template else None)
                return Searched(passage_id, probe, found, *remembered)
            case FetchStanding(passage_id, subject, proven):
                view, payments = await devices.members.standing(subject), devices.payments
                spent = payments.offline_spent_minor(subject, view.issued_at_ms) if payments else 0
                return StandingSeen(passage_id, subject, proven, view, spent)
            case CheckPin(passage_id, subject, entered):
                return PinJudged(passage_id, subject, await self._check_pin(subject, entered.pin))
            case Begin(account):
                return await self._begin(account, trace)
            case TakeCharge(ask):
                assert devices.payments is not None
                said = await devices.payments.take(ask)
                return ChargeAnswered(ask.passage, said.answer, said.reason)
            case OpenGate(release):
                outcome = await devices.gate.release(release)
                passage_id = PassageId(release.passage_id.hex())
                match outcome:
                    case Accepted() | Unanswered():
                        trace.released_ms = devices.clock.uptime_ms()
                        heard = isinstance(outcome, Accepted)
                        trace.answer(
                            OrderOutcome.OBEYED if heard else OrderOutcome.GATE_UNANSWERED, passage_id
                        )
                        return None
                    case ReleaseRefused(reason):
                        trace.answer(OrderOutcome.GATE_REFUSED, passage_id)
                        log.warning("the gate refused a release: %s", reason)
                        return GateAnswered(passage_id, GateOutcome.REFUSED)
                    case _:
                        assert_never(outcome)
            case Settle(account):
                record = pass_record(account, self._identity, self._stamp())
                if record.subject is not None:
                    self._recent_use.note(record.subject, devices.clock.uptime_ms())
                await self._settling.keep(PassReport(record, trace.sight.first_face_ms, trace.released_ms))
                return None if record.charge is None else Kept(record)
            case _:
                assert_never(effect)

    async def _begin(self, account: Account, trace: _Trace) -> Observation | None:
        """Keep a decision; an answer means that nothing may follow from it."""
        try:
            await self._devices.records.begin(pass_record(account, self._identity, self._stamp()))
        except CheckoutError as error:
            log.warning("nobody is charged: %s", error)
            return ChargeAnswered(account.passage_id, ChargeAnswer.CHECKOUT_CLOSED)
        except StoreError as error:
            log.warning("a decision cannot be kept, so nothing follows from it: %s", error)
            return self._not_kept(account, trace)
        return None

    def _not_kept(self, account: Account, trace: _Trace) -> Observation:
        trace.answer(OrderOutcome.NOT_KEPT, account.passage_id)
        if account.charge is not None:
            return ChargeAnswered(account.passage_id, ChargeAnswer.NOT_KEPT)
        return GateAnswered(account.passage_id, GateOutcome.REFUSED)

    def _remembered(self, subject: SubjectId | None) -> tuple[bool, bool, Passback]:
        """Whether the member was here of late, whether their challenges went by unmet, what passback asks."""
        if subject is None:
            return False, False, Passback.CLEAR
        now_ms, way = self._devices.clock.uptime_ms(), self._rules.release.direction
        return (
            self._recent_use.holds(subject, now_ms),
            self._tries.exhausted(subject, now_ms),
            self._whereabouts.judge(subject, way, now_ms),
        )

    async def _check_pin(self, subject: SubjectId, pin: str) -> PinJudgement:
        judgement = await self._devices.pins.check(subject, pin)
        if judgement.outcome is PinOutcome.WAIT and judgement.retry_after_ms <= PIN_WAIT_MAX_MS:
            await asyncio.sleep(judgement.retry_after_ms / 1000)
            judgement = await self._devices.pins.check(subject, pin)
        return judgement

    def _note_settled(self, record: PassRecord) -> None:
        if record.subject is not None:
            now_ms, way = self._devices.clock.uptime_ms(), self._rules.release.direction
            self._whereabouts.note(record.subject, way, record.gate_outcome, now_ms)

    def _stamp(self) -> Stamp:
        clock = self._devices.clock
        return Stamp(clock.estimate_ms() - clock.uptime_ms(), clock.now_ms() is not None)


def _parse_claim(text: str) -> Claim | None:
    # Four to eight digits are a telephone's: an operator's card numbers are longer, or have letters.
    return parse_qr(text) or parse_phone(text) or parse_card(text)


def _ended(event: GateEvent) -> tuple[PassageId, GateOutcome] | None:
    """The passage an event ends, and how."""
    match event:
        case Passed(passage_id) if passage_id is not None:
            return PassageId(passage_id.hex()), GateOutcome.PASSED
        case TimedOut(passage_id):
            return PassageId(passage_id.hex()), GateOutcome.TIMED_OUT
        case Interrupted(passage_id):
            return PassageId(passage_id.hex()), GateOutcome.INTERRUPTED
        case Unobserved(passage_id):
            return PassageId(passage_id.hex()), GateOutcome.UNOBSERVED
        case _:
            return None
