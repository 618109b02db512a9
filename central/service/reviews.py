"""Reviews: who may review, disputes of events, contests of restrictions, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from central.errors import ConflictError, RefusedError, UnknownError
from central.rules.restriction import CONTEST_DAYS, Held, Share, Tally, lapsed, share_of
from central.rules.review import (
    MEMBER,
    Case,
    Matter,
    Outcome,
    Reviewer,
    Ruling,
    admit_case,
    check_name,
    ruling_holds,
    settled,
)
from central.rules.scorecard import Event, lowest_tier
from central.service.context import Context
from central.service.standings import Standings
from wire.ids import ContestCode, KeyId, Purpose, ReasonCode, RestrictionId, ReviewerId, SubjectId
from wire.signing import DAY_MS, key_id_of, root_certified
from wire.values import Certificate, Role, Standing


class ReviewStore(Protocol):
    """Where reviewers, cases and their matters are kept; opening and settling a case do what they mean."""

    def reviewers(self) -> Sequence[Reviewer]:
        """Every reviewer's key, revoked ones included."""
        ...

    def add_reviewer(self, reviewer: Reviewer) -> bool:
        """List a reviewer's key; False when their name has another that is not revoked, or it is listed."""
        ...

    def renew_reviewer(self, key_id: KeyId, certificate: Certificate) -> bool:
        """Keep a newer certificate of a listed key; False when it is not listed, or revoked."""
        ...

    def revoke_reviewer(self, reviewer: ReviewerId, now_ms: int) -> bool:
        """Revoke whatever key of a reviewer is not; False when there is none."""
        ...

    def cases_about(self, matter: Matter, target: str) -> Sequence[Case]:
        """The cases about an event or restriction, in their order."""
        ...

    def open_cases(self, matter: Matter | None = None) -> Sequence[Case]:
        """The cases that nobody settled, oldest first."""
        ...

    def open_case(self, case: Case) -> bool:
        """Store a case, and stop a disputed event from counting; False when it is there."""
        ...

    def settle_case(self, case: Case) -> bool:
        """Store the ruling on a case, and do as it says; False when it is settled already."""
        ...

    def event(self, event_id: str) -> Event | None:
        """An event, disputed and struck ones included."""
        ...

    def held(self, key: RestrictionId | ContestCode) -> Held | None:
        """A restriction by its id or contest code, lifted and expired ones included."""
        ...

    def events_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Event]:
        """A subject's events for one purpose."""
        ...

    def tallies(self) -> Sequence[Tally]:
        """How many restrictions were issued, month by month."""
        ...

    def all_held(self) -> Sequence[Held]:
        """Every restriction that is kept, lifted and expired ones included."""
        ...


@dataclass(frozen=True, slots=True)
class History:
    """A restriction, whether it binds, and everything said about it."""

    held: Held
    binds: bool
    state: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """How many members of a purpose stand in its lowest tier now."""

    tier: str
    members: int
    lowest_tier: int


@dataclass(frozen=True, slots=True)
class Report:
    """How often a restriction follows a low score: over all, by reviewer, by reason, by purpose."""

    overall: Share
    reviewers: dict[ReviewerId, Share]
    reasons: dict[ReasonCode, Share]
    purposes: dict[Purpose, Share]
    base: dict[Purpose, Base]


class Reviews:
    """List and revoke reviewers, open and settle cases, tell histories, report."""

    def __init__(self, context: Context, standings: Standings, store: ReviewStore) -> None:
        self._context = context
        self._standings = standings
        self._store = store

    def add(self, certificate: Certificate) -> Reviewer:
        """List a reviewer the operator root certified, or take their key's newer certificate.

        Raises RefusedError or ConflictError.
        """
        context, name = self._context, ReviewerId(certificate.name)
        check_name(name)
        root, now_ms = context.identity.credentials.root_public_key, context.now_ms()
        if not root_certified(certificate, Role.REVIEWER, root, context.operator, now_ms):
            raise RefusedError("the operator root did not certify this key for a reviewer, or no longer does")
        added = Reviewer(name, key_id_of(certificate.public_key), certificate, now_ms)
        known = [each for each in self.reviewers() if each.reviewer == name and each.revoked_at_ms is None]
        if added.key_id in {each.key_id for each in known}:
            self._store.renew_reviewer(added.key_id, certificate)
            return added
        if known:
            raise ConflictError("reviewer", name, "has another key already: revoke it first")
        if not self._store.add_reviewer(added):
            raise ConflictError("reviewer", name, "is listed already")
        return added

    def revoke(self, reviewer: ReviewerId) -> None:
        """Trust a reviewer no longer: every restriction they signed stops; raises UnknownError."""
        if not self._store.revoke_reviewer(reviewer, self._context.now_ms()):
            raise UnknownError("reviewer", reviewer)

    def reviewers(self) -> Sequence[Reviewer]:
        """Every reviewer's key, revoked ones included."""
        return self._store.reviewers()

    def listed(self, reviewer: ReviewerId) -> ReviewerId:
        """A reviewer's name, as it stands in histories; raises UnknownError when they are not listed now."""
        if not any(each.reviewer == reviewer and each.revoked_at_ms is None for each in self.reviewers()):
            raise UnknownError("reviewer", reviewer)
        return reviewer

    def dispute(self, event_id: str, note: str, opened_by: str = MEMBER) -> Case:
        """Dispute an event: it stops counting at once; raises UnknownError, ConflictError, RefusedError."""
        event = self._store.event(event_id)
        if event is None:
            raise UnknownError("event", event_id)
        return self._open(
            Matter.EVENT,
            event_id,
            subject=event.subject,
            purpose=event.purpose,
            note=note,
            opened_by=opened_by,
        )

    def contest(self, key: RestrictionId | ContestCode, note: str, opened_by: str = MEMBER) -> Case:
        """Contest a restriction that binds; it ends unless a reviewer upholds it in time. Raises as above."""
        history = self.history(key)
        if not history.binds:
            raise ConflictError("restriction", key, f"is {history.state}: there is nothing left to contest")
        held = history.held.restriction
        return self._open(
            Matter.RESTRICTION,
            held.restriction_id,
            subject=held.subject,
            purpose=held.purpose,
            note=note,
            opened_by=opened_by,
        )

    def _open(
        self, matter: Matter, target: str, *, subject: SubjectId, purpose: Purpose, note: str, opened_by: str
    ) -> Case:
        asked = Case(matter, target, 0, subject, purpose, self._context.now_ms(), opened_by, note)
        case = admit_case(asked, self._store.cases_about(matter, target))
        if not self._store.open_case(case):
            raise ConflictError(matter, target, "is under review already: wait for the ruling")
        self._standings.reissue(subject, purpose)
        return case

    def open_case(self, matter: Matter, target: str) -> Case:
        """The case to be ruled on; raises UnknownError."""
        for case in self._store.cases_about(matter, target):
            if case.open:
                return case
        raise UnknownError(f"open case about {matter}", target)

    def open_cases(self) -> Sequence[Case]:
        """What waits for a reviewer, oldest first."""
        return self._store.open_cases()

    def settle(self, ruling: Ruling) -> Case:
        """Admit a signed ruling and do as it says; raises RefusedError, UnknownError, ConflictError."""
        context, now_ms = self._context, self._context.now_ms()
        if not ruling_holds(ruling, context.identity.credentials.root_public_key, context.operator):
            raise RefusedError("the ruling is not signed by a reviewer whom this operator's root certified")
        self._standings.check_reviewer(ruling.certificate)
        case = self.open_case(ruling.matter, ruling.target)
        authors: tuple[ReviewerId, ...] = ()
        if case.matter is Matter.RESTRICTION:
            held = self._store.held(RestrictionId(case.target))
            authors = () if held is None else held.restriction.reviewers
            if ruling.outcome is Outcome.UPHELD and lapsed(case.opened_at_ms, now_ms):
                raise RefusedError(
                    f"the contest waited for more than {CONTEST_DAYS} days, which ended the restriction"
                )
        closed = settled(case, ruling, authors, now_ms)
        if not self._store.settle_case(closed):
            raise ConflictError(case.matter, case.target, "was settled meanwhile")
        self._standings.reissue(case.subject, case.purpose)
        return closed

    def history(self, key: RestrictionId | ContestCode) -> History:
        """A restriction by its id or contest code, and everything said about it; raises UnknownError."""
        held = self._store.held(key)
        if held is None:
            raise UnknownError("restriction", key)
        return self._history(held)

    def histories(self) -> list[History]:
        """Every restriction that is kept."""
        return [self._history(held) for held in self._store.all_held()]

    def _history(self, held: Held) -> History:
        restriction = held.restriction
        cases = tuple(self._store.cases_about(Matter.RESTRICTION, restriction.restriction_id))
        binding = held.lifted_at_ms is None and bool(self._standings.binding([restriction]))
        return History(held, binding, self._state(held, cases, binding), cases)

    def _state(self, held: Held, cases: Sequence[Case], binding: bool) -> str:
        contested = any(case.open for case in cases)
        if binding:
            return "contested" if contested else "in force"
        if held.lifted_at_ms is not None:
            rulings = [case.ruling for case in cases if case.ruling is not None]
            struck = any(ruling.outcome is Outcome.STRUCK for ruling in rulings)
            return "struck" if struck else "lifted"
        if held.restriction.expires_at_ms <= self._context.now_ms():
            return "over"
        return "ended by a contest nobody settled" if self._lapsed(cases) else "of a revoked reviewer"

    def _lapsed(self, cases: Sequence[Case]) -> bool:
        now_ms = self._context.now_ms()
        return any(case.open and lapsed(case.opened_at_ms, now_ms) for case in cases)

    def decide_by_ms(self, case: Case) -> int:
        """When a contest that nobody settles ends its restriction."""
        return case.opened_at_ms + CONTEST_DAYS * DAY_MS

    def events(self, subject: SubjectId, purpose: Purpose) -> list[tuple[Event, Sequence[Case]]]:
        """A subject's events for one purpose, each with the cases about it."""
        return [
            (event, self._store.cases_about(Matter.EVENT, event.event_id))
            for event in self._store.events_of(subject, purpose)
        ]

    def report(self) -> Report:
        """How often a restriction follows a low score, beside how common low scores are now."""
        tallies = self._store.tallies()
        base = {purpose: self._base(purpose) for purpose in self._standings.purposes}
        rates = {purpose: each.lowest_tier / each.members for purpose, each in base.items() if each.members}
        return Report(
            share_of(tallies, rates),
            {
                name: share_of((each for each in tallies if name in each.reviewers), rates)
                for name in sorted({name for each in tallies for name in each.reviewers})
            },
            {
                code: share_of((each for each in tallies if each.reason == code), rates)
                for code in sorted({each.reason for each in tallies})
            },
            {
                purpose: share_of((each for each in tallies if each.purpose == purpose), rates)
                for purpose in sorted({each.purpose for each in tallies})
            },
            base,
        )

    def _base(self, purpose: Purpose) -> Base:
        lowest = lowest_tier(self._standings.scorecards[purpose]).value
        tiers = Counter(row.tier for row in self._standings.everybody(purpose) if isinstance(row, Standing))
        return Base(lowest, tiers.total(), tiers[ReasonCode(lowest)])
