"""Kiosks: how one is added and paired, and what central knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wire.fleet import CommandAction, OrderOutcome
from wire.ids import GalleryName, KioskId, Nonce, PassageId, Purpose, SiteId
from wire.values import Certificate

CODE_VALID_MS = 15 * 60_000
"""How long a pairing code is valid; it is typed in at once, or made anew."""
CLOCK_SLACK_MS = 3_600_000
"""How far a kiosk without a clock of its own may be behind."""


@dataclass(frozen=True, slots=True, order=True)
class FeedPlace:
    """A version of a feed; later ones are larger."""

    epoch: int
    version: int


NOTHING_HELD = FeedPlace(0, 0)


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A kiosk, its purpose and gallery; keys and certificates once it is paired. `enrols`: it may enrol."""

    kiosk: KioskId
    site: SiteId
    purpose: Purpose
    gallery: GalleryName
    added_at_ms: int
    certificate: Certificate | None = None
    issuer: Certificate | None = None
    box_public_key: bytes | None = None
    software: str | None = None
    revoked_at_ms: int | None = None
    enrols: bool = False


@dataclass(frozen=True, slots=True)
class PairingCode:
    """A code given out for a kiosk, found by its lookup digest; the code itself is stored sealed."""

    lookup: bytes
    kiosk: KioskId
    sealed_code: bytes
    expires_at_ms: int
    used_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a kiosk last said of itself, of the pack it has loaded, and which feeds it holds."""

    kiosk: KioskId
    presence: str
    boot_id: str
    seen_at_ms: int
    pack_digest: str | None = None
    recipe_digest: str | None = None
    gallery_epoch: int = 0
    gallery_version: int = 0
    standings_epoch: int = 0
    standings_version: int = 0

    @property
    def gallery(self) -> FeedPlace:
        """The gallery it holds."""
        return FeedPlace(self.gallery_epoch, self.gallery_version)

    @property
    def standings(self) -> FeedPlace:
        """The standings it holds."""
        return FeedPlace(self.standings_epoch, self.standings_version)


@dataclass(frozen=True, slots=True)
class Order:
    """A command that staff gave for a kiosk, and what became of it."""

    nonce: Nonce
    kiosk: KioskId
    action: CommandAction
    staff: str
    issued_at_ms: int
    not_after_ms: int
    sent_at_ms: int | None = None
    outcome: OrderOutcome | None = None
    passage: PassageId | None = None
    answered_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """A kiosk's desired settings beside those it reports; versions are 0 before the first."""

    kiosk: KioskId
    desired_version: int = 0
    desired: Mapping[str, str] = field(default_factory=dict)
    reported_version: int = 0
    reported: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    reported_at_ms: int | None = None


def usable(code: PairingCode, now_ms: int) -> bool:
    """Whether a pairing code may still be answered: once, and in time."""
    return code.used_at_ms is None and now_ms < code.expires_at_ms
