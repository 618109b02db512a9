"""Enrolment: a consented, sealed template becomes a gallery row; withdrawal leaves a tombstone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from central.errors import RefusedError
from central.rules.subjects import PinState, StoredClaim, Subject
from wire.errors import SealBrokenError
from wire.fields import SEALED_TEMPLATE_MAX_BYTES
from wire.ids import KioskId, OperatorId, SiteId, SubjectId
from wire.sealing import key_version_of, open_seal, template_binding
from wire.values import CLAIMS_MAX, IMAGES_MAX, GalleryEntry, GalleryRow, SealedTemplate, Tombstone

FLOAT_BYTES = 4
CONSENT_AHEAD_MAX_MS = 5 * 60_000
"""How far a kiosk's clock may be ahead."""
CONSENT_AGE_MAX_MS = 24 * 3_600_000
"""How old a consent may be: a kiosk enrols at once, or not at all."""
UNDO_MAX_MS = 7 * 24 * 3_600_000
"""How long a kiosk may undo what it enrolled; it may have been without power."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the member agreed to: version of the text, its language, when."""

    text_version: str
    language: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A member as a kiosk enrols them, whole: stored in one transaction or not at all.

    `alike`: members whose faces are too much like theirs to be told apart by them.
    """

    subject: Subject
    consent: Consent
    template: SealedTemplate | None
    claim: StoredClaim
    pin: PinState
    alike: tuple[SubjectId, ...]


def is_timely(consent: Consent, now_ms: int) -> bool:
    """Whether a kiosk's consent was given about now, as it must have been."""
    return -CONSENT_AHEAD_MAX_MS <= now_ms - consent.at_ms <= CONSENT_AGE_MAX_MS


def may_undo(subject: Subject, kiosk: KioskId, now_ms: int) -> bool:
    """Whether a kiosk may take back that it enrolled somebody."""
    return subject.enrolled_by == kiosk and now_ms - subject.enrolled_at_ms <= UNDO_MAX_MS


def check_consent(consent: Consent) -> None:
    """Admit a consent; raises RefusedError."""
    if re.fullmatch(r"[0-9A-Za-z.-]{1,16}", consent.text_version) is None:
        raise RefusedError("consent needs the version of the text that was shown, as in 2026-11")
    if re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", consent.language) is None:
        raise RefusedError("consent needs the language of the text, as in nl or pt-BR")


def check_template(
    subject: SubjectId,
    template: SealedTemplate,
    gallery_keys: Mapping[int, bytes],
    operator: OperatorId,
    site: SiteId,
) -> None:
    """Admit a sealed template: it opens as this subject's, under a key of this site; raises RefusedError."""
    if len(template.sealed) > SEALED_TEMPLATE_MAX_BYTES:
        raise RefusedError(f"a sealed template is at most {SEALED_TEMPLATE_MAX_BYTES} bytes")
    if not 1 <= template.images <= IMAGES_MAX:
        raise RefusedError(f"a template is made of 1 to {IMAGES_MAX} images")
    if re.fullmatch(r"[0-9a-f]{64}", template.recipe_digest) is None:
        raise RefusedError("recipe_digest is 64 hexadecimal digits")
    if key_version_of(template.sealed) != template.key_version:
        raise RefusedError("the template is not sealed under the key version it names")
    binding = template_binding(operator, site, subject, template.recipe_digest)
    try:
        plain = open_seal(gallery_keys, template.sealed, binding)
    except SealBrokenError as error:
        raise RefusedError(f"the template cannot be used: {error}") from None
    if not plain or len(plain) % FLOAT_BYTES:
        raise RefusedError("a template is a list of 32-bit floats")


def gallery_entry(
    subject: Subject,
    template: SealedTemplate | None,
    claims: Iterable[StoredClaim],
    *,
    enrol_again: bool = False,
    claim_needed: bool = False,
) -> GalleryEntry:
    """What a gallery says of a subject: a row, a tombstone once withdrawn.

    Of revoked claims the newest are told: an older one is nobody's, as far as a kiosk knows.
    """
    ordered = sorted(claims, key=lambda claim: claim.digest)
    held = [claim for claim in ordered if claim.revoked_at_ms is None]
    revoked = [claim for claim in ordered if claim.revoked_at_ms is not None]
    revoked.sort(key=lambda claim: -(claim.revoked_at_ms or 0))
    if subject.withdrawn_at_ms is not None:
        told = (*held, *revoked)[:CLAIMS_MAX]
        return Tombstone(subject.subject, subject.withdrawn_at_ms, tuple(claim.digest for claim in told))
    return GalleryRow(
        subject=subject.subject,
        claim_digests=tuple(claim.digest for claim in held),
        revoked_digests=tuple(claim.digest for claim in revoked[:CLAIMS_MAX]),
        template=template,
        enrol_again=enrol_again,
        agree_by=subject.agree_by,
        claim_needed=claim_needed,
    )
