"""Standings: events in, standings and restrictions out, for each purpose by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from central.errors import ConflictError, RefusedError, UnknownError
from central.rules.restriction import Terms, binds, check, draft, lapsed, month_of
from central.rules.review import (
    Case,
    Lifting,
    Matter,
    Reviewer,
    check_dated_now,
    check_note,
    lifting_holds,
)
from central.rules.scorecard import Event, Scorecard, check_event, counts, lowest_tier
from central.rules.standing import compute, due, restricted
from central.rules.subjects import Subject
from central.service.context import Context
from wire.ids import Purpose, SubjectId
from wire.signing import key_id_of, restriction_holds
from wire.values import RESTRICTIONS_MAX, Certificate, Restriction, Standing, StandingEntry, Tombstone

BATCH_SUBJECTS = 500
"""Subjects looked up in the store at once."""


class StandingStore(Protocol):
    """Where events, standings, restrictions and their reviewers are kept, one subject or many at a time."""

    def add_event(self, event: Event) -> bool:
        """Store an event; False when one of that id is there."""
        ...

    def events_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Event]:
        """A subject's events for one purpose."""
        ...

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        ...

    def subjects_after(self, after: str, most: int) -> Sequence[Subject]:
        """The next subjects in their order, withdrawn ones included."""
        ...

    def standing(self, subject: SubjectId, purpose: Purpose) -> Standing | None:
        """The stored standing, without restrictions."""
        ...

    def save_standing(self, standing: Standing, as_of: int) -> None:
        """Store a standing, unless its subject changed after revision `as_of`."""
        ...

    def restrictions_of(self, subject: SubjectId, purpose: Purpose) -> Sequence[Restriction]:
        """Restrictions of a subject that were not lifted, expired ones included."""
        ...

    def add_restriction(self, restriction: Restriction, month: int, *, lowest_tier: bool) -> bool:
        """Store and tally a restriction; False when one of that id or contest code is there."""
        ...

    def restrictions(self) -> Sequence[Restriction]:
        """All that were not lifted."""
        ...

    def lift(self, lifting: Lifting, now_ms: int) -> bool:
        """Mark a restriction lifted, and by whom; False when unknown, or lifted before."""
        ...

    def reviewers(self) -> Sequence[Reviewer]:
        """Every reviewer's key, revoked ones included."""
        ...

    def open_cases(self, matter: Matter | None = None) -> Sequence[Case]:
        """The cases that nobody settled, oldest first."""
        ...

    def revision(self) -> int:
        """A number that rises with every change to what standings are made of, whoever makes it."""
        ...

    def standings_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Standing]:
        """The stored standings of some subjects, without restrictions."""
        ...

    def events_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Event]:
        """Every event of some subjects for one purpose."""
        ...

    def restrictions_among(self, purpose: Purpose, subjects: Sequence[SubjectId]) -> Sequence[Restriction]:
        """Restrictions of some subjects that were not lifted, expired ones included."""
        ...

    def save_standings(self, standings: Sequence[Standing], as_of: int) -> None:
        """Store standings, but none of a subject who changed after revision `as_of`."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a standing is what it is: itself, the scorecard's version, and how many events were counted."""

    standing: Standing
    scorecard_version: int
    events_counted: int
    events_disputed: int
    events_struck: int


class Standings:
    """Compute, explain and hand out standings. A purpose without a scorecard here has none."""

    def __init__(
        self, context: Context, scorecards: Mapping[Purpose, Scorecard], store: StandingStore
    ) -> None:
        self._context = context
        self._scorecards = scorecards
        self._store = store

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """The purposes that have a scorecard."""
        return tuple(self._scorecards)

    @property
    def scorecards(self) -> Mapping[Purpose, Scorecard]:
        """The published scorecards."""
        return self._scorecards

    def _card(self, purpose: Purpose) -> Scorecard:
        card = self._scorecards.get(purpose)
        if card is None:
            raise UnknownError("purpose", purpose)
        return card

    def _active(self, subject: SubjectId) -> None:
        found = self._store.subject(subject)
        if found is None:
            raise UnknownError("subject", subject)
        if found.withdrawn_at_ms is not None:
            raise ConflictError("subject", subject, "has withdrawn")

    def record_event(self, event: Event) -> Standing:
        """Store an event, once, and compute the standing anew; raises RefusedError or ConflictError."""
        card = self._card(event.purpose)
        self._active(event.subject)
        check_event(event, self._context.now_ms())
        if not self._store.add_event(event):
            raise ConflictError("event", event.event_id, "is stored already; events are told once")
        return self._compute(card, event.subject)

    def reissue(self, subject: SubjectId, purpose: Purpose) -> None:
        """Compute a standing anew, now: what it is made of has changed. Nothing for who withdrew."""
        found = self._store.subject(subject)
        if found is not None and found.withdrawn_at_ms is None and purpose in self._scorecards:
            self._compute(self._scorecards[purpose], subject)

    def binding(self, restrictions: Sequence[Restriction]) -> list[Restriction]:
        """Those that hold now: signed, not over, no reviewer of it revoked, no contest left waiting."""
        if not restrictions:
            return []
        now_ms = self._context.now_ms()
        revoked = {each.key_id for each in self._store.reviewers() if each.revoked_at_ms is not None}
        contested = {each.target: each.opened_at_ms for each in self._store.open_cases(Matter.RESTRICTION)}
        root, operator = self._context.identity.credentials.root_public_key, self._context.operator
        return [
            each
            for each in restrictions
            if binds(each, revoked, contested.get(each.restriction_id), now_ms)
            and restriction_holds(each, root, operator)
        ]

    def lapsed_between(self, after_ms: int, until_ms: int) -> list[SubjectId]:
        """Whose restrictions a contest left waiting ended, after one instant and up to another."""
        waiting = self._store.open_cases(Matter.RESTRICTION)
        return [
            each.subject
            for each in waiting
            if not lapsed(each.opened_at_ms, after_ms) and lapsed(each.opened_at_ms, until_ms)
        ]

    def _compute(self, card: Scorecard, subject: SubjectId) -> Standing:
        as_of = self._store.revision()
        events = self._store.events_of(subject, card.purpose)
        standing = compute(card, subject, events, self._context.now_ms())
        self._store.save_standing(standing, as_of)
        return standing

    def issued(self, subject: SubjectId, purpose: Purpose) -> StandingEntry | None:
        """What kiosks of this purpose are told of a subject; None when there is nobody, or no such one."""
        card = self._scorecards.get(purpose)
        found = self._store.subject(subject)
        if card is None or found is None:
            return None
        return self._entry(card, found)

    def _entry(self, card: Scorecard, found: Subject) -> StandingEntry:
        if found.withdrawn_at_ms is not None:
            return Tombstone(found.subject, found.withdrawn_at_ms)
        now_ms = self._context.now_ms()
        standing = self._store.standing(found.subject, card.purpose)
        if standing is None or due(standing, now_ms):
            standing = self._compute(card, found.subject)
        held = self._store.restrictions_of(found.subject, card.purpose)
        return restricted(standing, self.binding(held), now_ms)

    def everybody(self, purpose: Purpose) -> Iterator[StandingEntry]:
        """What kiosks are told of everybody, in the order of subjects; raises UnknownError."""
        after = ""
        while batch := self._store.subjects_after(after, BATCH_SUBJECTS):
            yield from self.rows(purpose, batch)
            after = batch[-1].subject

    def rows(self, purpose: Purpose, everybody: Sequence[Subject]) -> list[StandingEntry]:
        """What kiosks are told of some subjects, computed anew where due; raises UnknownError."""
        card, now_ms = self._card(purpose), self._context.now_ms()
        named, as_of = [found.subject for found in everybody], self._store.revision()
        stored = {each.subject: each for each in self._store.standings_among(purpose, named)}
        active = [found.subject for found in everybody if found.withdrawn_at_ms is None]
        overdue = [each for each in active if each not in stored or due(stored[each], now_ms)]
        if overdue:
            events: defaultdict[SubjectId, list[Event]] = defaultdict(list)
            for event in self._store.events_among(purpose, overdue):
                events[event.subject].append(event)
            anew = [compute(card, subject, events[subject], now_ms) for subject in overdue]
            self._store.save_standings(anew, as_of)
            stored |= {standing.subject: standing for standing in anew}
        restrictions: defaultdict[SubjectId, list[Restriction]] = defaultdict(list)
        for restriction in self.binding(self._store.restrictions_among(purpose, named)):
            restrictions[restriction.subject].append(restriction)
        return [
            Tombstone(found.subject, found.withdrawn_at_ms)
            if found.withdrawn_at_ms is not None
            else restricted(stored[found.subject], restrictions[found.subject], now_ms)
            for found in everybody
        ]

    def explain(self, subject: SubjectId, purpose: Purpose) -> Explanation:
        """The standing with the factors used, weightiest first; raises UnknownError or ConflictError."""
        card = self._card(purpose)
        self._active(subject)
        entry = self.issued(subject, purpose)
        assert isinstance(entry, Standing)
        events = self._store.events_of(subject, purpose)
        # The scorecard may be a newer one than the standing was computed with: what is told must replay.
        if msgspec.structs.replace(entry, restrictions=()) != compute(
            card, subject, events, entry.issued_at_ms
        ):
            self._compute(card, subject)
            entry = self.issued(subject, purpose)
            assert isinstance(entry, Standing)
        counted = sum(counts(event) for event in events)
        struck = sum(event.struck for event in events)
        return Explanation(entry, card.version, counted, len(events) - counted - struck, struck)

    def add_restriction(self, restriction: Restriction) -> None:
        """Admit a restriction that two reviewers signed; raises RefusedError, UnknownError, ConflictError."""
        card, now_ms = self._card(restriction.purpose), self._context.now_ms()
        self._active(restriction.subject)
        root = self._context.identity.credentials.root_public_key
        check(restriction, root, self._context.operator, now_ms)
        for each in restriction.endorsements:
            self.check_reviewer(each.certificate)
        held = self._store.restrictions_of(restriction.subject, restriction.purpose)
        if len(self.binding(held)) >= RESTRICTIONS_MAX:
            raise RefusedError(f"at most {RESTRICTIONS_MAX} restrictions for one purpose: lift one first")
        standing = self.issued(restriction.subject, restriction.purpose)
        lowest = isinstance(standing, Standing) and standing.tier == lowest_tier(card).value
        if not self._store.add_restriction(restriction, month_of(now_ms), lowest_tier=lowest):
            raise ConflictError("restriction", restriction.restriction_id, "is stored already")

    def check_reviewer(self, certificate: Certificate) -> None:
        """Admit the key of a reviewer who is listed here and not revoked; raises RefusedError."""
        key_id = key_id_of(certificate.public_key)
        known = next((each for each in self._store.reviewers() if each.key_id == key_id), None)
        if known is None:
            raise RefusedError("no such reviewer is listed here: `stile central reviewer add` lists one")
        if known.revoked_at_ms is not None:
            raise RefusedError(f"the reviewer {known.reviewer!r} was revoked")

    def restrictions(self) -> Sequence[Restriction]:
        """All restrictions that were not lifted."""
        return self._store.restrictions()

    def draft(self, terms: Terms) -> Restriction:
        """A restriction for two reviewers to sign; raises RefusedError, UnknownError, ConflictError."""
        self._card(terms.purpose)
        self._active(terms.subject)
        return draft(terms, self._context.now_ms(), self._context.draw(21))

    def lift_restriction(self, lifting: Lifting) -> None:
        """End a restriction before its time, as any one reviewer may; raises RefusedError or UnknownError."""
        context, now_ms = self._context, self._context.now_ms()
        if not lifting_holds(lifting, context.identity.credentials.root_public_key, context.operator):
            raise RefusedError("the lifting is not signed by a reviewer whom this operator's root certified")
        self.check_reviewer(lifting.certificate)
        check_dated_now(lifting.lifted_at_ms, now_ms)
        check_note(lifting.note, "a lifting needs a reason, for the history")
        if not self._store.lift(lifting, now_ms):
            raise UnknownError("restriction", lifting.restriction_id)
