"""One simulated kiosk: the real wire, outbox, caches, feeds, clock and decision; people and gate are played.

A passage runs as a kiosk runs it: whose claim, how they stand, the verdict, a second factor where it is asked
for, the decision kept before the gate, the gate's word, the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec

from edge.adapters.central.commands import Answer
from edge.adapters.central.pairing import pair
from edge.adapters.central.uplink import Uplink, UplinkConfig, open_uplink
from edge.compare.claim import QrClaim
from edge.compare.member import KnownMember, WithdrawnMember
from edge.confirm.pin import PinOutcome
from edge.decide.standing import ABSENT, StandingConfig, StandingView
from edge.decide.verdict import (
    Circumstances,
    ContestCode,
    GateState,
    Grant,
    Identification,
    Liveness,
    Membership,
    Payment,
    SecondFactor,
    StepUp,
    Verdict,
    decide,
)
from edge.enact.record import Account, KioskIdentity, Stamp, pass_record, verdict_kind
from edge.errors import StoreError
from scripts.harness.ledger import Begun, Decided, Kept, Ledger, Obeyed
from wire.environment import Environment, monotonic_ms, utc_ms
from wire.fleet import Command
from wire.ids import ClaimId, GateId, KioskId, PassageId, SubjectId
from wire.records import GateOutcome, IdentifiedBy, PassRecord

PACK, RECIPE = "cd" * 32, "ab" * 32
SOFTWARE = "harness"
DISK_AGAIN_S = 0.2
GATE_S = 0.05
"""How long a played person takes through the gate at most: the gate is not what is measured."""
LATENCIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who walks up: whom their code names."""

    subject: SubjectId
    claim: ClaimId
    pin: str


@dataclass(slots=True)
class Tally:
    """What a worker's kiosks did since it was last told."""

    verdicts: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_MAX))
    unkept: int = 0


@dataclass(slots=True)
class SimulatedKiosk:
    """A kiosk whose `skew_ms` is how wrong its host's clock is; `running` opens it."""

    name: str
    folder: Path
    port: int
    ledger: Ledger
    tally: Tally
    standing: StandingConfig
    dice: random.Random
    skew_ms: int = 0
    busy: bool = False
    uplink: Uplink | None = None
    _identity: KioskIdentity | None = None

    async def pair(self, url: str, code: str, client: httpx.AsyncClient | None = None) -> None:
        """Pair with central."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await pair(url, code, self.folder, software=SOFTWARE, random_bytes=self.dice.randbytes, client=client)

    async def run(self, host: str, stop: asyncio.Event, opened: Callable[[], None]) -> None:
        """Be there until `stop`, having settled first what an earlier life left."""
        config = UplinkConfig(
            software=SOFTWARE,
            recipe_digest=RECIPE,
            pack_digest=PACK,
            standing=self.standing,
            broker=(host, self.port),
        )
        environment = Environment(utc_ms=lambda: utc_ms() + self.skew_ms, ntp=lambda: None, dice=self.dice)
        async with open_uplink(self.folder, config, obey=self._obey, environment=environment) as uplink:
            self.uplink = uplink
            self._identity = KioskIdentity(
                KioskId(self.name),
                GateId("harness-1"),
                uplink.identity.purpose,
                uplink.about.boot_id,
                PACK,
            )
            for orphan in await uplink.outbox.unsettled():
                await self._settle(uplink, _ended(orphan, GateOutcome.UNKNOWN))
            opened()
            try:
                await stop.wait()
            finally:
                while self.busy:  # noqa: ASYNC110 - a passage tells nobody that it is over
                    await asyncio.sleep(0.01)
                self.uplink = None

    def _lag_ms(self, uplink: Uplink) -> int:
        now_ms = uplink.clock.now_ms()
        return 0 if now_ms is None else utc_ms() - now_ms

    def _obey(self, command: Command, _answer: Answer) -> None:
        assert self.uplink is not None
        at_ms = utc_ms()
        self.ledger.write(Obeyed(self.name, command.nonce.hex(), at_ms, self._lag_ms(self.uplink)))

    async def pass_through(self, person: Person) -> Verdict | None:
        """Let somebody walk up; their verdict, or None while another passage is under way here."""
        uplink, identity = self.uplink, self._identity
        if uplink is None or identity is None or self.busy:
            return None
        self.busy = True
        try:
            return await self._passage(uplink, identity, person)
        finally:
            self.busy = False

    async def _passage(self, uplink: Uplink, identity: KioskIdentity, person: Person) -> Verdict:
        started_s, started_ms = time.perf_counter(), monotonic_ms()
        resolved = await uplink.members.resolve(QrClaim(person.claim))
        subject = resolved.subject if isinstance(resolved, KnownMember) else None
        membership = Membership.WITHDRAWN if isinstance(resolved, WithdrawnMember) else Membership.ACTIVE
        view = ABSENT if subject is None else await uplink.members.standing(subject)
        factor, paused_s = SecondFactor.NOT_GIVEN, 0.0
        circumstances = _circumstances(uplink, subject, membership, view, factor)
        verdict = decide(circumstances)
        if isinstance(verdict, StepUp) and subject is not None:
            asked_s = time.perf_counter()
            factor = _factor((await uplink.pins.check(subject, person.pin)).outcome)
            paused_s = time.perf_counter() - asked_s
            view = await uplink.members.standing(subject)  # somebody may have typed for minutes
            circumstances = _circumstances(uplink, subject, membership, view, factor)
            verdict = decide(circumstances)
        record = self._record(
            identity, subject, verdict=verdict, circumstances=circumstances, view=view, started_ms=started_ms
        )
        self.ledger.write(self._decided(uplink, record, verdict, view, person.subject))
        kept = True
        if isinstance(verdict, Grant):
            kept = await self._begin(uplink, record)
        else:
            await self._settle(uplink, record)
        self.tally.latencies_ms.append((time.perf_counter() - started_s - paused_s) * 1000)
        self.tally.verdicts[verdict_kind(verdict)] += 1
        self.tally.ages[circumstances.age.value] += 1
        if isinstance(verdict, Grant):
            if kept:
                await asyncio.sleep(self.dice.uniform(0, GATE_S))
            walked = GateOutcome.PASSED if self.dice.random() < 0.95 else GateOutcome.TIMED_OUT
            await self._settle(uplink, _ended(record, walked if kept else GateOutcome.REFUSED))
        return verdict

    def _decided(
        self, uplink: Uplink, record: PassRecord, verdict: Verdict, view: StandingView, meant: SubjectId
    ) -> Decided:
        """The ledger's line: `meant` is who really stood there."""
        standing = view.standing
        return Decided(
            record=record.record_id,
            kiosk=self.name,
            subject=meant,
            verdict=verdict_kind(verdict),
            at_ms=utc_ms(),
            lag_ms=self._lag_ms(uplink),
            age=record.circumstances.age,
            membership=record.circumstances.membership,
            restriction=record.circumstances.restriction,
            proven=record.circumstances.second_factor == SecondFactor.GOOD.value,
            epoch=view.epoch,
            version=view.version,
            issued_at_ms=view.issued_at_ms,
            operator="" if standing is None else standing.operator,
            purpose="" if standing is None else standing.purpose,
            currency="" if standing is None else standing.limits.currency,
        )

    def _record(
        self,
        identity: KioskIdentity,
        subject: SubjectId | None,
        *,
        verdict: Verdict,
        circumstances: Circumstances,
        view: StandingView,
        started_ms: int,
    ) -> PassRecord:
        uplink, now_ms = self.uplink, monotonic_ms()
        assert uplink is not None
        clock = uplink.clock
        account = Account(
            passage_id=PassageId(self.dice.randbytes(16).hex()),
            started_ms=started_ms,
            decided_ms=now_ms,
            settled_ms=now_ms,
            verdict=verdict,
            circumstances=circumstances,
            gate_outcome=GateOutcome.AWAITED if isinstance(verdict, Grant) else GateOutcome.NOT_RELEASED,
            identified_by=None if subject is None else IdentifiedBy.CLAIM_PIN,
            subject=subject,
            comparison=None,
            point=None,
            agreeing_frames=0,
            view=view,
        )
        return pass_record(account, identity, Stamp(clock.estimate_ms() - now_ms, clock.sure))

    async def _begin(self, uplink: Uplink, record: PassRecord) -> bool:
        """Keep a grant before the gate is told; False when the disk is full, and the gate stays shut."""
        try:
            await uplink.outbox.begin(record)
        except StoreError:
            self.tally.unkept += 1
            return False
        self.ledger.write(Begun(record.record_id))
        return True

    async def _settle(self, uplink: Uplink, record: PassRecord) -> None:
        """Keep a record; as long as the disk does not take it, nobody passes here."""
        while True:
            with contextlib.suppress(StoreError):
                await uplink.outbox.settle(record)
                break
            await asyncio.sleep(DISK_AGAIN_S)
        self.ledger.write(Kept(record.record_id))


def _ended(record: PassRecord, outcome: GateOutcome) -> PassRecord:
    return msgspec.structs.replace(record, gate_outcome=outcome)


def _factor(outcome: PinOutcome) -> SecondFactor:
    if outcome is PinOutcome.RIGHT:
        return SecondFactor.GOOD
    return SecondFactor.EXHAUSTED if outcome is PinOutcome.EXHAUSTED else SecondFactor.UNAVAILABLE


def _circumstances(
    uplink: Uplink,
    subject: SubjectId | None,
    membership: Membership,
    view: StandingView,
    factor: SecondFactor,
) -> Circumstances:
    """As `edge.passage.deciding` makes them, for somebody whose face would have matched."""
    withdrawn = Membership.WITHDRAWN in {membership, view.membership}
    restriction = view.restriction
    return Circumstances(
        emergency=False,
        gate=GateState.READY,
        membership=Membership.WITHDRAWN if withdrawn else Membership.ACTIVE,
        identification=Identification.NO_MATCH if subject is None else Identification.MATCH,
        liveness=Liveness.NOT_ASKED,
        restriction=view.restriction_state,
        age=view.age,
        tier=view.tier,
        second_factor=factor,
        payment=Payment.NONE,
        central_answers=uplink.central_seen,
        restriction_reason=restriction.reason if restriction else "",
        contest_code=ContestCode(restriction.contest_code if restriction else ""),
    )
