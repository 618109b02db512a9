"""What every use case is given: who central is, what it knows in secret, its clock and its dice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from central.rules.authority import Credentials
from central.rules.enrolment import check_template
from central.service.gallery_keys import GalleryKeys
from wire.ids import GalleryName, OperatorId, SiteId, SubjectId
from wire.pairing import SiteSecrets
from wire.signing import Signer
from wire.values import SealedTemplate


@dataclass(frozen=True, slots=True)
class Identity:
    """Central's own keys, out of their files. `box_private` opens what is sealed for central.

    `root_is_here`: a trial's, whose root lies beside central; otherwise the root is offline.
    """

    signer: Signer
    issuer: Signer
    credentials: Credentials
    root_is_here: bool
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
    keys: GalleryKeys = field(repr=False)
    now_ms: Callable[[], int] = field(repr=False)
    draw: Callable[[int], bytes] = field(repr=False)

    @property
    def secrets(self) -> SiteSecrets:
        """What every kiosk of the site shares."""
        return self.keys.current()

    def admitted(self, subject: SubjectId, template: SealedTemplate) -> SealedTemplate:
        """A kiosk's sealed template as it is kept, under the newest key; raises RefusedError."""
        check_template(subject, template, self.gallery_keys, self.operator, self.site)
        return self.keys.sealed(subject, template)

    @property
    def gallery_keys(self) -> dict[int, bytes]:
        """The site's gallery keys by version."""
        return {key.version: key.key for key in self.secrets.gallery_keys}
