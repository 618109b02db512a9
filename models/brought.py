"""The files that a user brings to a recipe: read within bounds, and matched to what the recipe asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import BroughtFileError
from models.recipes import Brought, Recipe, RecipeFile, Way


@dataclass(frozen=True, slots=True)
class BroughtContent:
    """A file that the user gave: its name without folders, and its bytes."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, hex."""
        return hashlib.sha256(self.content).hexdigest()


def read_brought(recipe: Recipe, paths: Sequence[Path]) -> tuple[BroughtContent, ...]:
    """The user's files, none larger than any file the recipe asks for; raises `BroughtFileError`."""
    wanted = [brought for file in recipe.files for way in file.ways for brought in way.files]
    largest = max(brought.max_bytes for brought in wanted)
    found: list[BroughtContent] = []
    for path in paths:
        try:
            if not path.is_file():
                raise BroughtFileError(recipe.name, str(path), "there is no such file")
            with path.open("rb") as opened:
                content = opened.read(largest + 1)
        except OSError as error:
            raise BroughtFileError(recipe.name, str(path), f"cannot be read ({error.strerror})") from error
        if len(content) > largest:
            raise BroughtFileError(
                recipe.name, str(path), f"is larger than {largest} bytes, the most it may be"
            )
        found.append(BroughtContent(path.name, content))
    return tuple(found)


def take_brought(
    recipe: Recipe, wanted: RecipeFile, remaining: list[BroughtContent]
) -> tuple[Way, tuple[BroughtContent, ...]]:
    """The first way whose files are all there, taken out of `remaining`."""
    for way in wanted.ways:
        chosen: list[BroughtContent] = []
        for item in way.files:
            left = [each for each in remaining if each not in chosen]
            match = _matching(item, left, alone=len(recipe.files) == 1)
            if match is None:
                break
            chosen.append(match)
        else:
            for each, item in zip(chosen, way.files, strict=True):
                _require_known(recipe, item, each)
                remaining.remove(each)
            return way, tuple(chosen)
    ways = ", or ".join(" and ".join(item.name for item in way.files) for way in wanted.ways)
    raise BroughtFileError(recipe.name, wanted.path, f"needs {ways}, which is not among the files given")


def _matching(item: Brought, remaining: Sequence[BroughtContent], *, alone: bool) -> BroughtContent | None:
    """By digest, else by name; else, where a recipe makes one network, by the name's ending."""
    suffix = Path(item.name).suffix
    by_rank = (
        [each for each in remaining if each.sha256 in item.sha256],
        [each for each in remaining if each.name == item.name],
        [each for each in remaining if alone and Path(each.name).suffix == suffix],
    )
    return next((matches[0] for matches in by_rank if matches), None)


def _require_known(recipe: Recipe, item: Brought, each: BroughtContent) -> None:
    if len(each.content) > item.max_bytes:
        reason = f"is {len(each.content)} bytes, {item.name} has at most {item.max_bytes}"
        raise BroughtFileError(recipe.name, each.name, reason)
    if item.sha256 and not item.conversions and each.sha256 not in item.sha256:
        reason = (
            f"is not upstream's {item.name} (sha256 {each.sha256[:12]}…, known: "
            f"{', '.join(digest[:12] + '…' for digest in item.sha256)}): obtain it from upstream again"
        )
        raise BroughtFileError(recipe.name, each.name, reason)
