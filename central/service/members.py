"""Members: enrolment, claims, PINs, withdrawal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from central.errors import ConflictError, UnknownError
from central.rules.enrolment import Consent, check_consent, gallery_entry
from central.rules.subjects import (
    PinAnswer,
    PinState,
    StoredClaim,
    Subject,
    after_try,
    before_try,
    check_claim,
    check_pin,
)
from central.service.context import Context
from wire.canonical import joined
from wire.claims import ClaimKind, claim_digest
from wire.environment import Hasher
from wire.ids import ClaimDigest, ClaimId, KioskId, Nonce, SubjectId
from wire.requests import PinOutcome
from wire.sealing import open_box, pin_binding
from wire.values import AgreeBy, GalleryEntry, SealedTemplate


class MemberStore(Protocol):
    """Where subjects, claims, PIN verifiers and tries are kept. Each method is one transaction."""

    def add_subject(self, subject: Subject, template: SealedTemplate | None, consent: Consent) -> bool:
        """Store a new subject whole; False when there is one of that id."""
        ...

    def subject(self, subject: SubjectId) -> Subject | None:
        """A subject, withdrawn ones included."""
        ...

    def subjects_after(self, after: str, most: int) -> Sequence[Subject]:
        """The next subjects in their order, withdrawn ones included."""
        ...

    def template(self, subject: SubjectId) -> SealedTemplate | None:
        """A subject's template."""
        ...

    def withdraw(self, subject: SubjectId, now_ms: int) -> None:
        """Delete a subject's template, PIN, events and standings; keep the fact, and the claims' digests."""
        ...

    def add_claim(self, claim: StoredClaim) -> bool:
        """Store a claim; False when its digest is taken."""
        ...

    def claims_of(self, subject: SubjectId) -> Sequence[StoredClaim]:
        """A subject's claims, revoked ones included."""
        ...

    def claim(self, digest: ClaimDigest) -> StoredClaim | None:
        """The claim of a digest."""
        ...

    def revoke_claim(self, digest: ClaimDigest, now_ms: int) -> None:
        """Mark a claim revoked."""
        ...

    def pin(self, subject: SubjectId) -> PinState | None:
        """A subject's PIN state."""
        ...

    def save_pin(self, state: PinState) -> None:
        """Store a PIN state, durably, before this returns."""
        ...

    def change_pin(self, before: PinState, after: PinState) -> bool:
        """Store `after` in the place of exactly `before`, durably; False when that is no longer there."""
        ...


class Members:
    """Enrol, claim, PIN, withdraw. `hasher` sets argon2id's cost; by default RFC 9106's low-memory one."""

    def __init__(
        self,
        context: Context,
        store: MemberStore,
        hasher: Hasher | None = None,
    ) -> None:
        self._context = context
        self._store = store
        self._hasher = hasher or PasswordHasher()

    def new_subject_id(self) -> SubjectId:
        """A random subject id, to seal a template for."""
        return SubjectId(self._context.draw(16).hex())

    def enrol(
        self,
        subject: SubjectId,
        template: SealedTemplate | None,
        consent: Consent,
        agree_by: AgreeBy = AgreeBy.BUTTON,
    ) -> Subject:
        """Enrol a subject, without a face if they like; raises RefusedError or ConflictError."""
        context = self._context
        check_consent(consent)
        if template is not None:
            template = context.admitted(subject, template)
        enrolled = Subject(subject, context.now_ms(), agree_by=agree_by)
        if not self._store.add_subject(enrolled, template, consent):
            raise ConflictError("subject", subject, "is enrolled already: draw another id")
        return enrolled

    def active(self, subject: SubjectId) -> Subject:
        """A subject who is enrolled and has not withdrawn; raises UnknownError or ConflictError."""
        found = self.subject(subject)
        if found.withdrawn_at_ms is not None:
            raise ConflictError("subject", subject, "has withdrawn")
        return found

    def add_qr_claim(self, subject: SubjectId) -> ClaimId:
        """A new random claim id for a subject's QR code; it is told once and not stored."""
        drawn = ClaimId(self._context.draw(16).hex())
        self.add_claim(subject, ClaimKind.QR, drawn)
        return drawn

    def add_claim(self, subject: SubjectId, kind: ClaimKind, text: str) -> ClaimDigest:
        """Give a subject a further claim; raises RefusedError, or ConflictError when it is taken."""
        self.active(subject)
        held = [claim for claim in self._store.claims_of(subject) if claim.revoked_at_ms is None]
        check_claim(kind, text, len(held))
        digest = self._digest(kind, text)
        if not self._store.add_claim(StoredClaim(digest, subject, kind, self._context.now_ms())):
            raise ConflictError("claim", digest.hex()[:8], "is taken: use another")
        return digest

    def _digest(self, kind: ClaimKind, text: str) -> ClaimDigest:
        # Cards as kiosks take them, however they are typed.
        read = text.upper() if kind is ClaimKind.CARD else text
        return claim_digest(self._context.secrets.claim_key, kind, read)

    def found(self, kind: ClaimKind, text: str) -> StoredClaim:
        """The claim that somebody shows or types, revoked ones included; raises UnknownError."""
        claim = self._store.claim(self._digest(kind, text))
        if claim is None:
            raise UnknownError("member with the claim", f"{text[:4]}…")
        return claim

    def subject(self, subject: SubjectId) -> Subject:
        """A subject, withdrawn ones included; raises UnknownError."""
        found = self._store.subject(subject)
        if found is None:
            raise UnknownError("subject", subject)
        return found

    def after(self, subject: str, most: int) -> Sequence[Subject]:
        """The next subjects in the order of their ids, withdrawn ones included."""
        return self._store.subjects_after(subject, most)

    def renew_qr_claim(self, subject: SubjectId) -> ClaimId:
        """A new QR claim in place of all the subject's earlier ones: lost, copied or shown to somebody."""
        self.active(subject)
        for claim in self._store.claims_of(subject):
            if claim.kind is ClaimKind.QR and claim.revoked_at_ms is None:
                self._store.revoke_claim(claim.digest, self._context.now_ms())
        return self.add_qr_claim(subject)

    def revoke_claim(self, digest: ClaimDigest) -> None:
        """End a claim: a lost card, a QR that was copied; raises UnknownError."""
        if self._store.claim(digest) is None:
            raise UnknownError("claim", digest.hex()[:8])
        self._store.revoke_claim(digest, self._context.now_ms())

    def claim(self, digest: ClaimDigest) -> StoredClaim | None:
        """The claim of a digest, revoked ones included."""
        return self._store.claim(digest)

    def entry_of_claim(self, digest: ClaimDigest) -> GalleryEntry | None:
        """What the gallery says of whoever holds a claim; None when nobody does."""
        claim = self._store.claim(digest)
        return None if claim is None else self.entry(claim.subject)

    def entry(self, subject: SubjectId) -> GalleryEntry | None:
        """What the gallery says of a subject."""
        found = self._store.subject(subject)
        if found is None:
            return None
        return gallery_entry(found, self._store.template(subject), self._store.claims_of(subject))

    def withdraw(self, subject: SubjectId) -> None:
        """Forget a subject but for a tombstone; raises UnknownError or ConflictError."""
        self.active(subject)
        self._store.withdraw(subject, self._context.now_ms())

    def hashed_pin(self, subject: SubjectId, pin: str) -> PinState:
        """What is kept of a new PIN; slow on purpose."""
        return PinState(subject, self._hasher.hash(self._peppered(subject, pin)))

    def _peppered(self, subject: SubjectId, pin: str) -> bytes:
        return joined(self._context.identity.pepper, subject.encode(), pin.encode())

    def set_pin(self, subject: SubjectId, pin: str) -> None:
        """Set or replace a PIN and unlock it, slowly on purpose; raises RefusedError."""
        self.active(subject)
        check_pin(pin)
        self._store.save_pin(self.hashed_pin(subject, pin))

    def unlock_pin(self, subject: SubjectId) -> None:
        """Give a subject their tries back; raises UnknownError when they have no PIN."""
        state = self._store.pin(subject)
        if state is None:
            raise UnknownError("PIN of subject", subject)
        self._store.save_pin(PinState(subject, state.verifier))

    def unsealed_pin(self, kiosk: KioskId, subject: SubjectId, nonce: Nonce, sealed_pin: bytes) -> str:
        """The PIN a kiosk sent; raises SealBrokenError."""
        opened = open_box(self._context.identity.box_private, sealed_pin, pin_binding(kiosk, subject, nonce))
        return opened.decode("ascii", errors="replace")

    def check_pin(self, subject: SubjectId, pin: str) -> PinAnswer:
        """Whether a PIN is right, within five tries; uses up a try durably before it looks."""
        now_ms = self._context.now_ms()
        step = self._taken_try(subject, now_ms)
        return step if isinstance(step, PinAnswer) else self._tried(step, pin, now_ms)

    def check_pin_evenly(self, subject: SubjectId | None, pin: str) -> PinAnswer:
        """As `check_pin`, by the same work for nobody, without a PIN and without a try left.

        For those who may be anybody: how long an answer takes then tells nothing.
        """
        now_ms = self._context.now_ms()
        step = PinAnswer(PinOutcome.NO_PIN, 0, 0) if subject is None else self._taken_try(subject, now_ms)
        if isinstance(step, PinAnswer):
            self._hasher.hash(self._peppered(SubjectId(""), pin))
            return step
        return self._tried(step, pin, now_ms)

    def _taken_try(self, subject: SubjectId, now_ms: int) -> PinAnswer | PinState:
        while True:
            state = self._store.pin(subject)
            if state is None:
                return PinAnswer(PinOutcome.NO_PIN, 0, 0)
            step = before_try(state, now_ms)
            # Two threads must not both take the same try.
            if isinstance(step, PinAnswer) or self._store.change_pin(state, step):
                return step

    def _tried(self, step: PinState, pin: str, now_ms: int) -> PinAnswer:
        answer, settled = after_try(step, self._verifies(step, pin), now_ms)
        if settled != step:
            # Not done when the PIN was changed, unlocked or withdrawn meanwhile: that holds.
            self._store.change_pin(step, settled)
        return answer

    def _verifies(self, state: PinState, pin: str) -> bool:
        try:
            return self._hasher.verify(state.verifier, self._peppered(state.subject, pin))
        except (VerificationError, InvalidHashError):
            return False
