"""What every use case is given: who central is, what it knows in secret, its clock and its dice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wire.ids import GalleryName, OperatorId, SiteId
from wire.pairing import SiteSecrets
from wire.signing import Signer
from wire.values import Certificate


@dataclass(frozen=True, slots=True)
class Identity:
    """Central's own keys, out of their files. `box_private` opens what is sealed for central."""

    root: Signer
    signer: Signer
    certificate: Certificate
    box_private: bytes = field(repr=False)
    pepper: bytes = field(repr=False)
    key_encryption_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Context:
    """Operator, site, keys, time in UTC milliseconds, and random bytes from the system's generator."""

    operator: OperatorId
    site: SiteId
    gallery: GalleryName
    identity: Identity
    secrets: SiteSecrets = field(repr=False)
    now_ms: Callable[[], int] = field(repr=False)
    draw: Callable[[int], bytes] = field(repr=False)

    @property
    def gallery_keys(self) -> dict[int, bytes]:
        """The site's gallery keys by version."""
        return {key.version: key.key for key in self.secrets.gallery_keys}
