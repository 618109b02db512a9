"""Recipes: how a pack is built from files that a user obtained. TOML in `models/recipes`, one recipe a file.

A recipe names upstream, digests, licence, tensors, preprocessing, alignment and weights; `models.assembly`
follows it. Parsing is pure; only `find_recipe` and `shipped_recipes` read a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from models.errors import RecipeError
from models.manifest import (
    Alignment,
    Detector,
    Embedder,
    FileName,
    Line,
    Name,
    OperatingPoint,
    PadNetwork,
    Preprocessing,
    Sha256,
    Tensor,
)

FORMAT: Final = 1
"""The recipe format this code reads."""

MAX_RECIPE_BYTES: Final = 1_000_000
"""A recipe is a page of text."""

RecipeName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$")]
Weight = Annotated[float, Meta(gt=0, le=1)]


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the user brings, under upstream's `name`.

    `sha256`: the digests known. Another file is refused unless `conversions`: then it is somebody's own
    conversion of upstream's weights, and golden vectors decide. No digest known: any file is taken.
    """

    name: Line
    max_bytes: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    sha256: tuple[Sha256, ...] = ()
    conversions: bool = False


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to a network: an ONNX file as it is, or MXNet's parameters and symbol, converted."""

    kind: Literal["onnx", "mxnet"]
    files: Annotated[tuple[Brought, ...], Meta(min_length=1, max_length=2)]


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose weights they are: a repository, and the release or file set in it."""

    package: Line
    version: Line


class RecipeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network of the pack that the user's files become; sizes of -1 are taken from the file."""

    path: FileName
    licence: Line
    upstream: Upstream
    preprocessing: Preprocessing
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    ways: Annotated[tuple[Way, ...], Meta(min_length=1)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The default pack with other parts. What is listed is added; `weights` decides about embedders.

    `pack`: the new pack's name. `weights`: embedder to weight, of the default pack's and this recipe's; one
    not named is left out, an empty table keeps them all. `golden`: an .npz beside the recipe.
    `measured`: what we measured it with, or that we did not.
    """

    format: int
    name: RecipeName
    pack: Name
    version: Line
    summary: Line
    measured: Line
    files: Annotated[tuple[RecipeFile, ...], Meta(min_length=1)]
    golden: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}\.npz$")] | None = None
    default_detector: Name | None = None
    weights: dict[str, Weight] = {}
    detectors: tuple[Detector, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    embedders: tuple[Embedder, ...] = ()
    pad: tuple[PadNetwork, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundRecipe:
    """A recipe and its golden vectors' bytes, if it has any."""

    recipe: Recipe
    golden: bytes | None


def parse_recipe(text: bytes, where: str) -> Recipe:
    """TOML bytes -> a `Recipe`; raises `RecipeError` naming `where`, the key and the rule."""
    try:
        recipe = msgspec.toml.decode(text, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(where, str(error)) from error
    if recipe.format != FORMAT:
        raise RecipeError(where, f"format is {recipe.format}, this version of Stile reads format {FORMAT}")
    if any(len(way.files) != (2 if way.kind == "mxnet" else 1) for file in recipe.files for way in file.ways):
        raise RecipeError(where, "an onnx way has one file, an mxnet way has two: parameters, then symbol")
    return recipe


def shipped_recipes() -> Iterator[Recipe]:
    """Every recipe of `models/recipes`, by name."""
    for path in sorted(_shipped().iterdir(), key=lambda each: each.name):
        if path.name.endswith(".toml"):
            yield parse_recipe(path.read_bytes(), path.name)


def find_recipe(name: str) -> FoundRecipe:
    """A shipped recipe by its name, or the one in the .toml file at that path; raises `RecipeError`."""
    path: Traversable = Path(name)
    if not name.endswith(".toml"):
        known = [recipe.name for recipe in shipped_recipes()]
        if name not in known:
            raise RecipeError(
                name, f"there is none of that name; there are {', '.join(known)}, or give a .toml"
            )
        path = _shipped() / f"{name}.toml"
    recipe = parse_recipe(_read(path, name), name)
    if recipe.golden is None:
        return FoundRecipe(recipe, None)
    folder = _shipped() if not name.endswith(".toml") else Path(name).parent
    return FoundRecipe(recipe, _read(folder / recipe.golden, name))


def _shipped() -> Traversable:
    return resources.files("models") / "recipes"


def _read(path: Traversable, name: str) -> bytes:
    try:
        with path.open("rb") as opened:
            content: bytes = opened.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise RecipeError(name, f"{path.name} cannot be read ({error.strerror})") from error
    if len(content) > MAX_RECIPE_BYTES:
        raise RecipeError(name, f"{path.name} is larger than {MAX_RECIPE_BYTES} bytes")
    return content
