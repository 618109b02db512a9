"""Values that messages carry and caches keep: standing, restriction, gallery row, tombstone, certificate."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.ids import ReviewerId

FACTORS_MAX = 12
"""Factors named in one standing."""
RESTRICTIONS_MAX = 4
"""Restrictions of one subject for one purpose."""
CLAIMS_MAX = 8
"""Claims of one subject: QR codes, cards, phone digits."""
IMAGES_MAX = 16
"""Images behind one template."""
REVIEWERS_TO_RESTRICT = 2
"""Signatures under a restriction, by people of different names with different keys."""


class Tier(StrEnum):
    """The lane a score leads to; a kiosk treats any other text as unknown."""

    PRIORITY = "priority"
    STANDARD = "standard"
    ASSISTED = "assisted"


class Role(StrEnum):
    """What a key may sign. The root certifies all but kiosks, whom an issuer certifies."""

    ROOT = "root"
    CENTRAL = "central"
    ISSUER = "issuer"
    KIOSK = "kiosk"
    REVIEWER = "reviewer"


class AgreeBy(StrEnum):
    """How a member agrees to pay; equal in rights, the member's own choice."""

    BUTTON = "button"
    SMILE = "smile"
    NOD = "nod"


class Factor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One reason behind a score: kind of event, points it gave, sentence a member can read."""

    kind: f.Code
    points: f.Points
    text: f.Text


class Limits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What may be charged: per payment while fresh, and in sum per kiosk while central is silent."""

    amount_minor: f.AmountMinor
    offline_allowance_minor: f.AmountMinor
    currency: f.Currency


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The root's or an issuer's word whose key it is, in which role, at one site or (empty) all of them."""

    operator: f.Operator
    role: Role
    name: f.Slug
    site: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z", max_length=32)]
    public_key: f.PublicKeyBytes
    not_before_ms: f.InstantMs
    not_after_ms: f.InstantMs
    signature: f.SignatureBytes


class Endorsement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reviewer's signature, and the root's word whose key made it."""

    certificate: Certificate
    signature: f.SignatureBytes


class Restriction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Two reviewers' signed word that a subject is refused: why, until when, and how to contest it.

    With fewer endorsements it is a draft, and refuses nobody.
    """

    restriction_id: f.RestrictionToken
    subject: f.Subject
    operator: f.Operator
    purpose: f.ForPurpose
    reason: f.Code
    reason_text: f.Text
    contest_code: f.Contest
    issued_at_ms: f.InstantMs
    expires_at_ms: f.InstantMs
    endorsements: Annotated[tuple[Endorsement, ...], Meta(max_length=REVIEWERS_TO_RESTRICT)] = ()

    @property
    def reviewers(self) -> tuple[ReviewerId, ...]:
        """Who signed, in their order."""
        return tuple(ReviewerId(each.certificate.name) for each in self.endorsements)


class Standing(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="standing"):
    """Central's record for a subject, one purpose and one operator. `tier` is open: see Tier."""

    subject: f.Subject
    operator: f.Operator
    purpose: f.ForPurpose
    score: f.Score
    tier: f.Code
    factors: Annotated[tuple[Factor, ...], Meta(max_length=FACTORS_MAX)]
    limits: Limits
    restrictions: Annotated[tuple[Restriction, ...], Meta(max_length=RESTRICTIONS_MAX)]
    issued_at_ms: f.InstantMs
    expires_at_ms: f.InstantMs


class Tombstone(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="tombstone"):
    """A subject who withdrew: nothing of them is left but this, and their claims say so (gallery only)."""

    subject: f.Subject
    withdrawn_at_ms: f.InstantMs
    claim_digests: Annotated[tuple[f.ClaimDigestBytes, ...], Meta(max_length=CLAIMS_MAX)] = ()


class SealedTemplate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A template as it left the kiosk that made it, under the site gallery key `key_version`.

    Templates are comparable only within one `recipe_digest`.
    """

    sealed: f.SealedTemplateBytes
    key_version: f.Count
    recipe_digest: f.HexDigest
    images: Annotated[int, Meta(ge=1, le=IMAGES_MAX)]


class GalleryRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="row"):
    """A subject's claims and template; None for a member who enrolled no face and uses another way.

    `pin_verifier` only where PINs work offline. `enrol_again`: a change of the recipe is under way, and this
    member has no template of the new one yet. `claim_needed`: they are too much like another member to be
    told apart by face, so wherever others are searched for they are to claim who they are.
    """

    subject: f.Subject
    claim_digests: Annotated[tuple[f.ClaimDigestBytes, ...], Meta(max_length=CLAIMS_MAX)]
    revoked_digests: Annotated[tuple[f.ClaimDigestBytes, ...], Meta(max_length=CLAIMS_MAX)]
    template: SealedTemplate | None
    pin_verifier: f.SealedSmallBytes | None = None
    enrol_again: bool = False
    agree_by: AgreeBy = AgreeBy.BUTTON
    claim_needed: bool = False


StandingEntry = Standing | Tombstone
GalleryEntry = GalleryRow | Tombstone
