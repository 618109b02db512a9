"""`stile models add` and `quantise`: a new pack's folder appears whole and verified, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.assembly import AssembledPack, assemble
from models.brought import read_brought
from models.errors import TargetError
from models.manifest import Manifest
from models.manifest_text import write_manifest
from models.recipes import FoundRecipe
from models.registry import MANIFEST_FILE, Pack, open_pack
from models.verify import Check
from scripts.packs.networks import checks_of, probe_tensors


@dataclass(frozen=True, slots=True)
class BuiltPack:
    """A new pack, what was asked of it, and the files that no recipe lists; `kept`: the folder is there."""

    pack: Pack
    checks: tuple[Check, ...]
    unknown: tuple[str, ...]
    kept: bool

    @property
    def passed(self) -> bool:
        """Every check passed."""
        return all(check.passed for check in self.checks)


def require_target(to: Path) -> None:
    """Raises `TargetError` if something is at `to` already, or its parent is no folder."""
    if to.exists() or to.is_symlink():
        raise TargetError(str(to), "is there already")
    if not to.absolute().parent.is_dir():
        raise TargetError(str(to), "the folder that it should be in is not there")


def add_pack(found: FoundRecipe, paths: list[Path], to: Path, *, non_commercial: bool) -> BuiltPack:
    """Follow a recipe into the folder `to`, kept only if every check passes; raises `ModelsError`."""
    require_target(to)
    brought = read_brought(found.recipe, paths)
    assembled = assemble(
        found, open_pack(), brought, probe_tensors, _convert_mxnet, non_commercial=non_commercial
    )
    heading = f"Built by `stile models add --recipe {found.recipe.name}`."
    return place(assembled, to, heading, keep_failed=False)


def place(assembled: AssembledPack, to: Path, heading: str, *, keep_failed: bool) -> BuiltPack:
    """Write the pack beside `to`, verify it there, and rename it; nothing is left where it is not kept."""
    with _scratch_beside(to) as scratch:
        folder = scratch / to.name
        try:
            _write(folder, assembled.manifest, assembled.contents, heading)
            checks = tuple(checks_of(open_pack(folder)))
            kept = keep_failed or all(check.passed for check in checks)
            pack = open_pack(folder)
            if kept:
                folder.rename(to)
                pack = open_pack(to)
        except OSError as error:
            raise TargetError(str(to), f"cannot be written ({error.strerror})") from error
    return BuiltPack(pack, checks, assembled.unknown, kept)


@contextmanager
def _scratch_beside(to: Path) -> Iterator[Path]:
    """A folder on the same file system, so that renaming is one step; removed whatever happens."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".stile-pack-", dir=to.absolute().parent))
    except OSError as error:
        raise TargetError(str(to), f"cannot be written ({error.strerror})") from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: Path, manifest: Manifest, contents: Mapping[str, bytes], heading: str) -> None:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST_FILE).write_bytes(write_manifest(manifest, heading))


def _convert_mxnet(parameters: bytes, symbol: bytes) -> bytes:
    """The converter needs the export environment; whoever brings ONNX files does not."""
    from models.export.sources import require_modules

    require_modules(("onnx",))
    from models.export.mxnet_onnx import convert_mxnet

    return convert_mxnet(parameters, symbol)
