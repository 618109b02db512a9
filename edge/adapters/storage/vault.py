"""Templates between kiosk and central: turned by the site's secret rotation, sealed to its gallery key."""

from __future__ import annotations

import numpy as np

from edge.adapters.storage.keyfile import RandomBytes
from edge.capture.sample import Vector
from edge.compare.gallery import Template
from wire.errors import SealBrokenError
from wire.ids import OperatorId, SiteId, SubjectId
from wire.pairing import SiteSecrets
from wire.rotation import rotation
from wire.sealing import SEAL_NONCE_BYTES, key_version_of, open_seal, seal, template_binding
from wire.values import SealedTemplate

UNIT_WITHIN = 1e-3
"""An opened template must have unit length within this; float32 rounding is far below."""


class Vault:
    """Seals and opens the templates of one site; a template has `dimensions` numbers, where that is known."""

    def __init__(
        self, operator: OperatorId, site: SiteId, secrets: SiteSecrets, dimensions: int | None = None
    ) -> None:
        self._operator, self._site, self._dimensions = operator, site, dimensions
        self.trust(secrets)

    def trust(self, secrets: SiteSecrets) -> None:
        """Use these secrets from now on."""
        self._keys = {key.version: key.key for key in secrets.gallery_keys}
        self._seeds = {key.version: key.rotation_seed for key in secrets.gallery_keys}
        self._newest = secrets.gallery_keys[-1].version
        self.claim_key = secrets.claim_key

    @property
    def newest_key(self) -> int:
        """The version of the gallery key that new templates are sealed to."""
        return self._newest

    def has_key(self, version: int) -> bool:
        """Whether rows of a key version can be opened."""
        return version in self._keys

    def seal(self, template: Template, random_bytes: RandomBytes) -> SealedTemplate:
        """A template as it leaves the kiosk that made it."""
        vector = np.asarray(template.vector, dtype=np.float32)
        plain = (rotation(self._seeds[self._newest], vector.size) @ vector).astype("<f4").tobytes()
        sealed = seal(
            self._keys[self._newest],
            self._newest,
            random_bytes(SEAL_NONCE_BYTES),
            plain,
            self._binding(template.subject, template.recipe_digest),
        )
        return SealedTemplate(sealed, self._newest, template.recipe_digest, template.images)

    def open(self, subject: SubjectId, sealed: SealedTemplate) -> Template | None:
        """A subject's template, turned back; None if it does not open as theirs or is no such unit vector."""
        try:
            plain = open_seal(self._keys, sealed.sealed, self._binding(subject, sealed.recipe_digest))
        except SealBrokenError:
            return None
        if not plain or len(plain) % 4 or self._dimensions not in (None, len(plain) // 4):
            return None
        stored = np.frombuffer(plain, "<f4").astype(np.float32)
        if not abs(float(np.linalg.norm(stored)) - 1) <= UNIT_WITHIN:  # so that a NaN is refused too
            return None
        version = key_version_of(sealed.sealed)
        assert version is not None  # it was opened under it
        turned = rotation(self._seeds[version], stored.size)
        vector: Vector = turned.T @ stored
        vector /= np.linalg.norm(vector)
        vector.setflags(write=False)
        return Template(subject, vector, sealed.recipe_digest, sealed.images)

    def _binding(self, subject: SubjectId, recipe_digest: str) -> bytes:
        return template_binding(self._operator, self._site, subject, recipe_digest)
