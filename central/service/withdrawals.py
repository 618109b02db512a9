"""What became of a withdrawal: from which versions on the feeds tell it, and which kiosks hold those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from central.errors import ConflictError, UnknownError
from central.rules.fleet import NOTHING_HELD, FeedPlace, Kiosk, Sighting
from central.rules.subjects import Subject
from central.service.context import Context
from central.service.feeds import FeedKind, Feeds
from central.service.kiosks import Kiosks
from wire.fleet import Presence
from wire.ids import KioskId, SubjectId

AWAY = frozenset({Presence.LOST.value, Presence.DISCONNECTED.value})


class WithdrawalStore(Protocol):
    """Where withdrawals and their places in the feeds are kept, and what tells a change of those."""

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        ...

    def untold_withdrawals(self) -> Sequence[SubjectId]:
        """Who withdrew and is perhaps not in the feeds as gone yet."""
        ...

    def told_withdrawals(
        self, subjects: Sequence[SubjectId], places: Sequence[tuple[str, str, FeedPlace]], now_ms: int
    ) -> None:
        """Note that feeds (kind, name) at these versions say that the subjects are gone."""
        ...

    def withdrawal_places(self, subject: SubjectId) -> Sequence[tuple[str, str, FeedPlace]]:
        """From which versions on feeds (kind, name) say that somebody is gone; empty before they do."""
        ...

    def revision(self) -> int:
        """A number that rises with every change."""
        ...


class Reach(StrEnum):
    """Whether a kiosk knows of a withdrawal, by its own word."""

    REACHED = "reached"
    NOT_YET = "not_yet"  # it is there, and has not said so: a second, as a rule
    UNREACHABLE = "unreachable"  # it is away, and knows of it before anything else once it is back


@dataclass(frozen=True, slots=True)
class KioskReach:
    """One kiosk, and when it was last heard."""

    kiosk: KioskId
    reach: Reach
    seen_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A withdrawal: since when, whether the feeds tell it, and the kiosks of the site."""

    subject: SubjectId
    withdrawn_at_ms: int
    told: bool
    kiosks: tuple[KioskReach, ...]

    def count(self, reach: Reach) -> int:
        """How many kiosks are so."""
        return sum(each.reach is reach for each in self.kiosks)


class Withdrawals:
    """Keeps the feeds as `Feeds.refresh` does, and follows withdrawals through them to the kiosks."""

    def __init__(self, context: Context, feeds: Feeds, kiosks: Kiosks, store: WithdrawalStore) -> None:
        self._context, self._feeds, self._kiosks = context, feeds, kiosks
        self._store = store

    def refresh(self) -> bool:
        """Take up what changed; whether any head is another than before."""
        untold = self._store.untold_withdrawals()
        revision = self._store.revision()  # theirs are none above it
        moved = self._feeds.refresh()
        if untold and self._feeds.taken_up >= revision:
            # The versions of now say that they are gone; perhaps earlier ones did, which does no harm.
            self._store.told_withdrawals(untold, self._feeds.places(), self._context.now_ms())
        return moved

    def progress(self, subject: SubjectId) -> Progress:
        """What became of a withdrawal; raises UnknownError, or ConflictError for who has not withdrawn."""
        found = self._store.subject(subject)
        if found is None:
            raise UnknownError("subject", subject)
        if found.withdrawn_at_ms is None:
            raise ConflictError("subject", subject, "has not withdrawn")
        places = {(kind, name): place for kind, name, place in self._store.withdrawal_places(subject)}
        seen = self._kiosks.sightings()
        reaches = tuple(
            KioskReach(
                each.kiosk,
                _reach(each, seen.get(each.kiosk), places),
                seen[each.kiosk].seen_at_ms if each.kiosk in seen else None,
            )
            for each in self._kiosks.all()
            if each.certificate is not None and each.revoked_at_ms is None
        )
        return Progress(subject, found.withdrawn_at_ms, bool(places), reaches)


def _reach(kiosk: Kiosk, seen: Sighting | None, places: dict[tuple[str, str], FeedPlace]) -> Reach:
    gallery = places.get((FeedKind.GALLERY, kiosk.gallery))
    standings = places.get((FeedKind.STANDING, kiosk.purpose), NOTHING_HELD)
    if seen is not None and gallery is not None and seen.gallery >= gallery and seen.standings >= standings:
        return Reach.REACHED
    return Reach.UNREACHABLE if seen is None or seen.presence in AWAY else Reach.NOT_YET
