"""Visits: what members ask and do by themselves, without staff and without a kiosk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from central.service.context import Context
from central.service.members import Members
from central.service.standings import Explanation, Standings
from wire.claims import ClaimKind, claim_digest
from wire.ids import ClaimId, SubjectId
from wire.records import PassRecord
from wire.requests import PinOutcome
from wire.values import GalleryRow

PASSAGES_TOLD = 20
RECORDS_LOOKED_AT = 100_000
"""The newest records of a site, some 100 MB, read once a visit."""


class PassageStore(Protocol):
    """Where records are looked through."""

    def passages_of(self, subject: SubjectId, most: int, looked_at: int) -> Sequence[PassRecord]:
        """The newest records that name a subject, newest first, among so many of the site's newest."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a member: a standing for each purpose, and the last passages, newest first."""

    standings: tuple[Explanation, ...]
    passages: tuple[PassRecord, ...]


class Visits:
    """Tell members apart by their code and PIN, and nobody whether there is such a member."""

    def __init__(self, context: Context, members: Members, standings: Standings, store: PassageStore) -> None:
        self._context = context
        self._members = members
        self._standings = standings
        self._store = store

    def holder(self, claim: ClaimId) -> SubjectId | None:
        """Whose QR code it is, while it is in use; None for one that was revoked, or is nobody's.

        Card numbers and phone digits are not taken: whoever counts them up could lock everybody's PIN.
        """
        digest = claim_digest(self._context.secrets.claim_key, ClaimKind.QR, claim)
        entry = self._members.entry_of_claim(digest)
        if isinstance(entry, GalleryRow) and digest in entry.claim_digests:
            return entry.subject
        return None

    def proven(self, claim: ClaimId, pin: str) -> SubjectId | None:
        """Whose code it is, if the PIN is right: None for every other cause, after the same work.

        A try is used up as everywhere, and whoever must wait is told no more than who is wrong.
        """
        subject = self.holder(claim)
        right = self._members.check_pin_evenly(subject, pin).outcome is PinOutcome.RIGHT
        return subject if right else None

    def account(self, subject: SubjectId) -> Account:
        """What is known of a member; raises UnknownError or ConflictError."""
        explained = tuple(self._standings.explain(subject, each) for each in self._standings.purposes)
        found = self._store.passages_of(subject, PASSAGES_TOLD, RECORDS_LOOKED_AT)
        return Account(explained, tuple(found))
