"""Templates anew under another gallery key: opened, turned back, turned and sealed as the newest key says."""

from __future__ import annotations

import numpy as np

from wire.ids import OperatorId, SiteId, SubjectId
from wire.pairing import GALLERY_KEYS_MAX, GalleryKey, SiteSecrets
from wire.rotation import rotation
from wire.sealing import open_seal, seal, template_binding
from wire.values import SealedTemplate


def rotated(secrets: SiteSecrets, key: bytes, rotation_seed: bytes) -> SiteSecrets:
    """The site's secrets with another newest key, of 32 random bytes, and rotation.

    The version before stays, so that a kiosk can open what it holds until it has the rows sealed anew.
    """
    newest = secrets.gallery_keys[-1]
    kept = secrets.gallery_keys[1 - GALLERY_KEYS_MAX :]
    return SiteSecrets((*kept, GalleryKey(newest.version + 1, key, rotation_seed)), secrets.claim_key)


def resealed(
    subject: SubjectId,
    template: SealedTemplate,
    *,
    secrets: SiteSecrets,
    operator: OperatorId,
    site: SiteId,
    nonce: bytes,
) -> SealedTemplate:
    """A subject's template under the newest key; raises SealBrokenError when it opens under none of them."""
    newest = secrets.gallery_keys[-1]
    if template.key_version == newest.version:
        return template
    keys = {key.version: key for key in secrets.gallery_keys}
    binding = template_binding(operator, site, subject, template.recipe_digest)
    plain = open_seal({version: key.key for version, key in keys.items()}, template.sealed, binding)
    stored = np.frombuffer(plain, "<f4").astype(np.float32)
    back = rotation(keys[template.key_version].rotation_seed, stored.size).T @ stored
    turned = (rotation(newest.rotation_seed, stored.size) @ back).astype("<f4").tobytes()
    sealed = seal(newest.key, newest.version, nonce, turned, binding)
    return SealedTemplate(sealed, newest.version, template.recipe_digest, template.images)
