"""Templates between kiosk and central: turned by the site's secret rotation, sealed to its gallery key.

The rotation hinders linking templates of one person across sites. It is orthogonal, so similarities are the
same on both sides of it; about as many known pairs as there are dimensions would undo it.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from edge.adapters.keyfile import RandomBytes
from edge.capture.sample import Tensor, Vector
from edge.compare.gallery import Template
from wire.errors import SealBrokenError
from wire.ids import OperatorId, SiteId, SubjectId
from wire.messages import SealedTemplate
from wire.pairing import SiteSecrets
from wire.sealing import SEAL_NONCE_BYTES, open_seal, seal, template_binding

_ROTATION = b"stile template rotation v1"
_BYTES_PER_DRAW = 8
UNIT_WITHIN = 1e-3
"""An opened template must have unit length within this; float32 rounding is far below."""


@cache
def rotation(seed: bytes, dimensions: int) -> Tensor:
    """The orthogonal float32 matrix (dimensions x dimensions) of a seed, the same on every machine to 1e-6.

    Q of the QR decomposition of normal deviates, its signs fixed (Mezzadri 2007: uniform among rotations).
    """
    count = dimensions * dimensions
    stream = hashlib.shake_256(_ROTATION + seed).digest(2 * count * _BYTES_PER_DRAW)
    draws = (np.frombuffer(stream, "<u8").astype(np.float64) + 0.5) / 2.0**64
    radius, angle = np.sqrt(-2 * np.log(draws[:count])), 2 * np.pi * draws[count:]
    q, r = np.linalg.qr((radius * np.cos(angle)).reshape(dimensions, dimensions))
    turned = np.ascontiguousarray(q * np.sign(np.diag(r)), dtype=np.float32)
    turned.setflags(write=False)
    return turned


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
        self._newest = secrets.gallery_keys[-1].version
        self._seed = secrets.rotation_seed
        self.claim_key = secrets.claim_key

    def has_key(self, version: int) -> bool:
        """Whether rows of a key version can be opened."""
        return version in self._keys

    def seal(self, template: Template, random_bytes: RandomBytes) -> SealedTemplate:
        """A template as it leaves the kiosk that made it."""
        vector = np.asarray(template.vector, dtype=np.float32)
        plain = (rotation(self._seed, vector.size) @ vector).astype("<f4").tobytes()
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
        vector: Vector = rotation(self._seed, stored.size).T @ stored
        vector /= np.linalg.norm(vector)
        vector.setflags(write=False)
        return Template(subject, vector, sealed.recipe_digest, sealed.images)

    def _binding(self, subject: SubjectId, recipe_digest: str) -> bytes:
        return template_binding(self._operator, self._site, subject, recipe_digest)
