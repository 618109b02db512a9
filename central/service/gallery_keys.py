"""The site's secrets, and another gallery key when a kiosk is trusted no longer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from central.rules.resealing import resealed, rotated
from wire.canonical import canonical, joined
from wire.errors import SealBrokenError
from wire.ids import OperatorId, SiteId, SubjectId
from wire.pairing import GalleryKey, SiteSecrets
from wire.sealing import SEAL_NONCE_BYTES, open_seal, seal
from wire.values import SealedTemplate

log = logging.getLogger(__name__)

KEY_BYTES = 32
RESEALED_AT_ONCE = 500
"""Templates in one transaction: a tenth of a second, in which others wait to write."""
_VERSION = 1
"""The version of the key-encryption key."""
_NAME_CHARS = 32


class GalleryKeyStore(Protocol):
    """Where sealed secrets and members' templates, in use and spare, are kept."""

    def secret(self, name: str) -> bytes | None:
        """A sealed secret."""
        ...

    def save_secret(self, name: str, sealed: bytes) -> None:
        """Store a sealed secret, durably, before this returns."""
        ...

    def sealed_before(self, key_version: int, most: int) -> Sequence[tuple[SubjectId, SealedTemplate]]:
        """Templates sealed under an earlier key version, at most so many."""
        ...

    def replace_seals(self, changes: Sequence[tuple[SubjectId, SealedTemplate, SealedTemplate]]) -> None:
        """Put each second template where exactly the first is still kept; one transaction."""
        ...


class GalleryKeys:
    """Keeps the site's secrets, in the database only sealed by the key-encryption key."""

    def __init__(
        self,
        *,
        operator: OperatorId,
        site: SiteId,
        key_encryption_key: bytes,
        draw: Callable[[int], bytes],
        store: GalleryKeyStore,
    ) -> None:
        self._operator, self._site, self._key, self._draw = operator, site, key_encryption_key, draw
        self._store = store
        self._name = f"site/{site}"[:_NAME_CHARS]
        self._held: SiteSecrets | None = None

    def current(self) -> SiteSecrets:
        """The site's secrets, drawn the first time."""
        held = self._held
        if held is None:
            held = self._read() or self._save(SiteSecrets((self._new_key(1),), self._draw(KEY_BYTES)))
            self._held = held
        return held

    def refresh(self) -> None:
        """Read them anew; where another program has changed the key, seal what came meanwhile under it."""
        before = self.current().gallery_keys[-1].version
        self._held = None
        if self.current().gallery_keys[-1].version != before:
            self.reseal()

    def rotate(self) -> None:
        """Seal under a new key from now on, and everything that was sealed before; safe to be cut short."""
        newest = self.current().gallery_keys[-1]
        new = self._new_key(newest.version + 1)
        # Before any template: a key that was used and not kept would lose them.
        self._held = self._save(rotated(self.current(), new.key, new.rotation_seed))
        self.reseal()

    def reseal(self) -> int:
        """Seal anew whatever is not under the newest key; how many. Kiosks see the rows change."""
        version, count = self.current().gallery_keys[-1].version, 0
        broken: set[tuple[SubjectId, bytes]] = set()
        while True:
            found = self._store.sealed_before(version, RESEALED_AT_ONCE + len(broken))
            changes = []
            for who, kept in found:
                if (who, kept.sealed) in broken:
                    continue
                try:
                    changes.append((who, kept, self.sealed(who, kept)))
                except SealBrokenError as error:
                    broken.add((who, kept.sealed))
                    log.error("the template of %s cannot be read (%s) and stays as it is", who, error)
            if not changes:
                return count
            self._store.replace_seals(changes)
            count += len(changes)

    def sealed(self, subject: SubjectId, template: SealedTemplate) -> SealedTemplate:
        """A template under the newest key; raises SealBrokenError when it opens under none."""
        nonce = self._draw(SEAL_NONCE_BYTES)
        return resealed(
            subject, template, secrets=self.current(), operator=self._operator, site=self._site, nonce=nonce
        )

    def _new_key(self, version: int) -> GalleryKey:
        return GalleryKey(version, self._draw(KEY_BYTES), self._draw(KEY_BYTES))

    def _binding(self) -> bytes:
        return joined(b"site", self._site.encode())

    def _read(self) -> SiteSecrets | None:
        sealed = self._store.secret(self._name)
        if sealed is None:
            return None
        keys: Mapping[int, bytes] = {_VERSION: self._key}
        return msgspec.msgpack.decode(open_seal(keys, sealed, self._binding()), type=SiteSecrets)

    def _save(self, secrets: SiteSecrets) -> SiteSecrets:
        nonce = self._draw(SEAL_NONCE_BYTES)
        sealed = seal(self._key, _VERSION, nonce, canonical(secrets), self._binding())
        self._store.save_secret(self._name, sealed)
        return secrets
