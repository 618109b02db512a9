"""Opens packs: reads the manifest, checks every file against its digest, hands out verified bytes.

Similarity of two faces is sum(w_i * cos_i) over the embedders; a vector is concat(sqrt(w_i) * u_i) with
each u_i of unit length, so that the similarity is one inner product.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from models.errors import FileDigestError, FileMissingError, PackNotFoundError
from models.manifest import Manifest, PackDigest, RecipeDigest, pack_digest, parse_manifest, recipe_digest

MANIFEST_FILE: Final = "manifest.toml"
DEFAULT_PACK: Final = "default"


@dataclass(frozen=True, slots=True)
class Pack:
    """A verified pack: its manifest, digests, and the folder its files are read from."""

    manifest: Manifest
    digest: PackDigest
    recipe_digest: RecipeDigest
    root: Traversable

    def read(self, path: str) -> bytes:
        """The bytes of a declared network, checked against its digest at this very reading.

        Raises `FileMissingError` or `FileDigestError`; KeyError for a name the manifest does not declare.
        """
        return self._checked(path, self.manifest.file(path).sha256)

    def read_golden(self) -> bytes | None:
        """The bytes of the golden vectors, checked like a network; None if the pack has none."""
        golden = self.manifest.golden
        return None if golden is None else self._checked(golden.path, golden.sha256)

    def _checked(self, path: str, sha256: str) -> bytes:
        try:
            content = (self.root / path).read_bytes()
        except OSError as error:
            raise FileMissingError(self.manifest.name, path) from error
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise FileDigestError(self.manifest.name, path, sha256, found)
        return content


def open_pack(folder: Path | None = None) -> Pack:
    """The pack in `folder`, or the default pack, with every file verified; raises a `ModelsError`."""
    root: Traversable = folder if folder is not None else resources.files("models") / "packs" / DEFAULT_PACK
    try:
        text = (root / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise PackNotFoundError(str(root)) from error
    manifest = parse_manifest(text, where=f"{root.name}/{MANIFEST_FILE}")
    pack = Pack(manifest, pack_digest(text), recipe_digest(manifest), root)
    for file in manifest.files:
        pack.read(file.path)
    pack.read_golden()
    return pack
