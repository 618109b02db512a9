"""Retention: takes away what its configuration no longer allows to be kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from central.rules.retention import Purged, RetentionConfig, SpentEvents, due
from central.rules.scorecard import Scorecard
from central.service.context import Context
from wire.ids import SubjectId
from wire.signing import DAY_MS


class RetentionStore(Protocol):
    """Takes away records' bodies and salts, events, restrictions, and what is left of who withdrew."""

    def purge_records(self, before_ms: int) -> int:
        """Those received before an instant; how many."""
        ...

    def purge_records_of(self, subjects: Collection[SubjectId]) -> int:
        """Those that name one of these subjects; how many."""
        ...

    def retention_ran(self, now_ms: int) -> None:
        """Note that retention has run."""
        ...

    def retention_ran_at_ms(self) -> int | None:
        """When retention last ran to its end; None before the first time."""
        ...

    def scrub(self) -> None:
        """Leave nothing of what was taken beside the database."""
        ...

    def purge_events(self, spent: SpentEvents) -> int:
        """Events that can count no more; how many."""
        ...

    def purge_restrictions(self, before_ms: int) -> int:
        """Restrictions that were over before an instant; how many."""
        ...

    def withdrawn_before(self, before_ms: int) -> Sequence[SubjectId]:
        """Subjects who withdrew before an instant."""
        ...

    def forget_subjects(self, subjects: Sequence[SubjectId]) -> int:
        """The last rows of subjects, tombstones included; how many subjects."""
        ...


class Retention:
    """Runs what is due. It may be stopped anywhere and run again."""

    def __init__(
        self, context: Context, config: RetentionConfig, cards: Iterable[Scorecard], store: RetentionStore
    ) -> None:
        self._context = context
        self._config = config
        self._cards = tuple(cards)
        self._store = store

    @property
    def withdrawn_days(self) -> int:
        """How long what is left of a member who withdrew is kept."""
        return self._config.withdrawn_days

    @property
    def ran_at_ms(self) -> int | None:
        """When it last ran to its end; None before the first time."""
        return self._store.retention_ran_at_ms()

    def run_when_due(self) -> Purged | None:
        """`run` if it has not run for a day, by whichever program."""
        ran_at_ms, now_ms = self.ran_at_ms, self._context.now_ms()
        # A clock that was set back must not put it off for as long as it had been ahead.
        if ran_at_ms is not None and 0 <= now_ms - ran_at_ms < DAY_MS:
            return None
        return self.run()

    def run(self) -> Purged:
        """Take away everything that is due now; how much it was."""
        now = due(self._config, self._cards, self._context.now_ms())
        withdrawn = self._store.withdrawn_before(now.withdrawn_before_ms)
        purged = Purged(
            records=self._store.purge_records(now.records_before_ms),
            # Before their rows go: those are what says whose records these are.
            records_of_withdrawn=self._store.purge_records_of(frozenset(withdrawn)),
            events=sum(self._store.purge_events(spent) for spent in now.events),
            restrictions=self._store.purge_restrictions(now.restrictions_before_ms),
            subjects=self._store.forget_subjects(withdrawn),
        )
        self._store.scrub()
        self._store.retention_ran(self._context.now_ms())
        return purged
