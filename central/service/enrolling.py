"""Enrolling at a kiosk, taking that back, and withdrawing at one; what is refused is a value."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

import msgspec

from central.errors import ConflictError, RefusedError
from central.rules.enrolment import Consent, Newcomer, is_timely, may_undo
from central.rules.fleet import Kiosk
from central.rules.subjects import PinAnswer, StoredClaim, Subject
from central.service.context import Context
from central.service.members import Members
from wire.claims import ClaimKind, claim_digest
from wire.enrolment import EnrolReason, EnrolRequest, EnrolSecrets, WithdrawReason, WithdrawRequest
from wire.errors import SealBrokenError
from wire.ids import ClaimDigest, KioskId, SubjectId
from wire.pins import pin_flaw
from wire.requests import PinOutcome
from wire.sealing import enrol_binding, open_box, withdraw_binding
from wire.values import SealedTemplate

_REFUSED = {
    PinOutcome.WRONG: WithdrawReason.WRONG_PIN,
    PinOutcome.WAIT: WithdrawReason.WAIT,
    PinOutcome.LOCKED: WithdrawReason.LOCKED,
    PinOutcome.NO_PIN: WithdrawReason.NO_PIN,
}


class NewcomerStore(Protocol):
    """Where newcomers are kept."""

    def add_newcomer(self, newcomer: Newcomer) -> bool:
        """Store a member whole; False when the id or the claim is taken."""
        ...

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        ...

    def claim(self, digest: ClaimDigest) -> StoredClaim | None:
        """The claim of a digest."""
        ...

    def all_alike(self) -> Sequence[tuple[SubjectId, SubjectId]]:
        """Every pair of members whose faces are too much alike, the later enrolled first."""
        ...


class Enrolling:
    """What an enrolment kiosk asks. argon2id takes tens of milliseconds: call these in a thread."""

    def __init__(self, context: Context, members: Members, store: NewcomerStore) -> None:
        self._context, self._members, self._store = context, members, store

    def unsealed(self, kiosk: KioskId, request: EnrolRequest) -> EnrolSecrets:
        """The claim and the PIN of a newcomer; raises SealBrokenError."""
        binding = enrol_binding(kiosk, request.subject, request.nonce)
        opened = open_box(self._context.identity.box_private, request.sealed_secrets, binding)
        try:
            return msgspec.msgpack.decode(opened, type=EnrolSecrets)
        except ValueError:
            raise SealBrokenError("a box without a claim and a PIN in it") from None

    def enrol(self, kiosk: Kiosk, request: EnrolRequest, secrets: EnrolSecrets) -> EnrolReason:
        """Enrol a member whole, or say why not; the same again is enrolled still."""
        context, now_ms = self._context, self._context.now_ms()
        if not kiosk.enrols:
            return EnrolReason.NOT_ALLOWED
        digest = claim_digest(context.secrets.claim_key, ClaimKind.QR, secrets.claim_id)
        if (known := self._store.subject(request.subject)) is not None:
            return self._again(known, digest)
        consent = Consent(request.consent_version, request.consent_language, request.consented_at_ms)
        if not is_timely(consent, now_ms):
            return EnrolReason.BAD_CONSENT
        if pin_flaw(secrets.pin) is not None:
            return EnrolReason.WEAK_PIN
        template: SealedTemplate | None = None
        if request.template is not None:
            try:
                template = context.admitted(request.subject, request.template)
            except RefusedError:
                return EnrolReason.BAD_TEMPLATE
        newcomer = Newcomer(
            Subject(request.subject, now_ms, agree_by=request.agree_by, enrolled_by=kiosk.kiosk),
            consent,
            template,
            StoredClaim(digest, request.subject, ClaimKind.QR, now_ms),
            self._members.hashed_pin(request.subject, secrets.pin),
            request.claim_needed,
        )
        if self._store.add_newcomer(newcomer):
            return EnrolReason.ENROLLED
        # Taken by another, or by this very request in another thread.
        if (known := self._store.subject(request.subject)) is not None:
            return self._again(known, digest)
        return EnrolReason.CLAIM_TAKEN

    def _again(self, known: Subject, digest: ClaimDigest) -> EnrolReason:
        claim = self._store.claim(digest)
        same = claim is not None and claim.subject == known.subject and known.withdrawn_at_ms is None
        return EnrolReason.ENROLLED if same else EnrolReason.SUBJECT_TAKEN

    def undo(self, kiosk: KioskId, subject: SubjectId) -> WithdrawReason:
        """Withdraw whom a kiosk enrolled, without a PIN: they never learnt that they were."""
        known = self._store.subject(subject)
        if known is None:
            return WithdrawReason.NO_SUBJECT
        if known.withdrawn_at_ms is None:
            if not may_undo(known, kiosk, self._context.now_ms()):
                return WithdrawReason.NOT_ALLOWED
            self._gone(subject)
        return WithdrawReason.WITHDRAWN

    def alike(self) -> Sequence[tuple[SubjectId, SubjectId]]:
        """Every pair of members whose faces are too much alike, the later enrolled first."""
        return self._store.all_alike()

    def unsealed_pin(self, kiosk: KioskId, request: WithdrawRequest) -> str:
        """The PIN of a member who withdraws; raises SealBrokenError."""
        binding = withdraw_binding(kiosk, request.subject, request.nonce)
        opened = open_box(self._context.identity.box_private, request.sealed_pin, binding)
        return opened.decode("ascii", errors="replace")

    def withdraw(self, subject: SubjectId, pin: str) -> tuple[WithdrawReason, PinAnswer]:
        """Withdraw a member who proves by their PIN that they are one; uses up a try like any other."""
        nothing = PinAnswer(PinOutcome.NO_PIN, 0, 0)
        known = self._store.subject(subject)
        if known is None:
            return WithdrawReason.NO_SUBJECT, nothing
        if known.withdrawn_at_ms is not None:
            return WithdrawReason.WITHDRAWN, nothing
        answer = self._members.check_pin(subject, pin)
        if answer.outcome is not PinOutcome.RIGHT:
            return _REFUSED[answer.outcome], answer
        self._gone(subject)
        return WithdrawReason.WITHDRAWN, answer

    def _gone(self, subject: SubjectId) -> None:
        with contextlib.suppress(ConflictError):  # somebody was quicker, and it is done
            self._members.withdraw(subject)
