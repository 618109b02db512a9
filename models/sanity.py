"""Does a pack tell known people apart? Mated and non-mated pairs of a few pictures, each embedder by itself.

A few pictures prove little about error rates; they show the faults that ruin a pack: pixels scaled twice,
channels in the wrong order, int8 products that saturate, another alignment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from models.errors import ModelsError, SanityError
from models.manifest import Manifest, Preprocessing, RecipeDigest, recipe_digest
from models.registry import Pack
from models.verify import Check, Floats

SAME_FACE: Final = 0.99
"""Cosine at which two different people are one to an embedder: only a fault brings them so near."""

CHANNEL_GAIN: Final = 1.25
"""How much wider the gap must be with the other channel order to refuse a pack.

dlib's gap is .074 as it should be fed and .065 the other way round, MobileFace's .58 and .34: where the order
matters little this cannot tell, and golden vectors must."""

EmbedImage = Callable[[bytes], Floats | None]
"""From an encoded picture to the pack's whole vector; None when no face is found."""

OpenEmbedder = Callable[[Pack, str], EmbedImage]
"""A pack, and the name of the detector to find faces with."""


@dataclass(frozen=True, slots=True)
class SanityPicture:
    """A picture whose person is known; pictures of one `photograph` are renditions of one exposure."""

    person: str
    photograph: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Separation:
    """Similarities of a sanity set: the least of a mated pair, the most of a non-mated one, and how many."""

    mated: int
    non_mated: int
    lowest: float
    highest: float

    @property
    def gap(self) -> float:
        """Mated above non-mated; negative when they overlap."""
        return self.lowest - self.highest

    def __str__(self) -> str:
        return (
            f"{self.mated} mated pairs from {self.lowest:.3f} up, "
            f"{self.non_mated} non-mated up to {self.highest:.3f}"
        )


def verify_sanity(
    pack: Pack, open_embedder: OpenEmbedder, pictures: Sequence[SanityPicture], threshold: float | None
) -> Iterator[Check]:
    """A check with each detector, then one of each embedder's channel order.

    `threshold` is the pack's own for one image a template, None where nothing was measured: then mated pairs
    must only lie above non-mated ones.
    """
    for detector in pack.manifest.detectors:
        try:
            vectors = _embedded(pack, open_embedder(pack, detector.name), pictures)
            yield Check("sanity", detector.file, _told_apart(pack, vectors, pictures, threshold))
        except ModelsError as error:
            yield Check("sanity", detector.file, "", error)
            continue
        if detector.default:
            yield from _channels(pack, open_embedder, pictures, vectors)


def _embedded(pack: Pack, embed_image: EmbedImage, pictures: Sequence[SanityPicture]) -> Floats:
    vectors: list[Floats] = []
    for picture in pictures:
        vector = embed_image(picture.content)
        if vector is None:
            raise SanityError(pack.manifest.name, f"finds no face of {picture.person}")
        vectors.append(vector)
    return np.stack(vectors)


def _told_apart(
    pack: Pack, vectors: Floats, pictures: Sequence[SanityPicture], threshold: float | None
) -> str:
    """What was found; raises `SanityError`."""
    name = pack.manifest.name
    for embedder, part in _parts(pack.manifest, vectors):
        separation = separate(part, pictures)
        if separation.highest >= SAME_FACE:
            reason = (
                f"two different people are alike at {separation.highest:.3f} to {embedder}: its input is fed "
                "wrongly (scale and offset of its preprocessing), or its int8 products saturate"
            )
            raise SanityError(name, reason)
        if separation.gap <= 0:
            raise SanityError(name, f"{embedder} does not know people again: {separation}")
    whole = separate(vectors, pictures)
    if threshold is None:
        return f"{whole}; no threshold was measured for this recipe"
    if whole.lowest < threshold or whole.highest >= threshold:
        raise SanityError(name, f"{whole}, threshold {threshold:.4f}")
    return str(whole)


def _channels(
    pack: Pack, open_embedder: OpenEmbedder, pictures: Sequence[SanityPicture], vectors: Floats
) -> Iterator[Check]:
    """For each embedder: does it know people much better with red and blue exchanged?"""
    exchanged = with_channels_exchanged(pack)
    embed_image = open_embedder(exchanged, pack.manifest.default_detector().name)
    others = dict(_parts(pack.manifest, _embedded(exchanged, embed_image, pictures)))
    files = {embedder.name: embedder.file for embedder in pack.manifest.embedders}
    for embedder, part in _parts(pack.manifest, vectors):
        ours, theirs = separate(part, pictures).gap, separate(others[embedder], pictures).gap
        detail = f"gap {ours:.3f} as declared, {theirs:.3f} with red and blue exchanged"
        error = None
        if theirs > max(ours, 0.0) * CHANNEL_GAIN:
            reason = (
                f"{embedder} knows people better with red and blue exchanged ({detail}): correct channels"
            )
            error = SanityError(pack.manifest.name, reason)
        yield Check("channels", files[embedder], detail, error)


def separate(vectors: Floats, pictures: Sequence[SanityPicture]) -> Separation:
    """Similarities of all pairs (n, dimensions); two renditions of one photograph are no pair."""
    mated: list[float] = []
    non_mated: list[float] = []
    for (one, left), (other, right) in itertools.combinations(zip(pictures, vectors, strict=True), 2):
        if one.person != other.person:
            non_mated.append(float(left @ right))
        elif one.photograph != other.photograph:
            mated.append(float(left @ right))
    return Separation(len(mated), len(non_mated), min(mated, default=1.0), max(non_mated, default=-1.0))


def _parts(manifest: Manifest, vectors: Floats) -> Iterator[tuple[str, Floats]]:
    """Each embedder's name and its own unit vectors, out of the pack's whole ones."""
    start = 0
    for embedder in manifest.embedders:
        end = start + embedder.dimensions
        yield embedder.name, (vectors[:, start:end] / np.sqrt(embedder.weight)).astype(np.float32)
        start = end


def with_channels_exchanged(pack: Pack) -> Pack:
    """The same pack with red and blue exchanged in what its embedders are fed; only for this check."""
    embedding = {embedder.file for embedder in pack.manifest.embedders}
    files = tuple(
        msgspec.structs.replace(file, preprocessing=_exchanged(file.preprocessing))
        if file.path in embedding
        else file
        for file in pack.manifest.files
    )
    manifest = msgspec.structs.replace(pack.manifest, files=files)
    return Pack(manifest, pack.digest, RecipeDigest(recipe_digest(manifest)), pack.root)


def _exchanged(preprocessing: Preprocessing) -> Preprocessing:
    other = "RGB" if preprocessing.channels == "BGR" else "BGR"
    return msgspec.structs.replace(preprocessing, channels=other)
