"""Chips into probes, several probes into one, and the similarity of two: one inner product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edge.capture.sample import AlignedFace, Inference, Probe, Tensor, Vector
from edge.capture.tensors import to_tensor
from models.manifest import Embedder, ModelFile, RecipeDigest

ANY_SIZE = -1
"""In a manifest's tensor shape."""
LEAST_NORM = 1e-9
"""Below this length a descriptor has no direction; the division is bounded instead of giving NaN."""


def embed(
    aligned: tuple[AlignedFace, ...],
    networks: Sequence[tuple[Embedder, ModelFile, Inference]],
    recipe_digest: RecipeDigest,
) -> Probe:
    """One unit part per embedder; where the pack says so, a chip and its mirror image are averaged."""
    chips: Mapping[str, AlignedFace] = {face.recipe: face for face in aligned}
    parts = []
    for embedder, file, network in networks:
        chip = chips[embedder.alignment].image
        views = (chip, chip[:, ::-1]) if embedder.flip_averaged else (chip,)
        # One batch saves a fourteenth of the time, where the network was exported to take one.
        batches = (views,) if file.inputs[0].shape[0] == ANY_SIZE else tuple((view,) for view in views)
        described = [network.infer(to_tensor(batch, file.preprocessing))[0] for batch in batches]
        parts.append(mean_direction(np.concatenate(described).reshape(len(views), -1)))
    return Probe(tuple(parts), tuple(e.weight for e, _, _ in networks), recipe_digest, frames=1)


def fuse(probes: Sequence[Probe]) -> Probe:
    """Several frames or images of one person as one: averaged part by part, normalised again.

    At least one probe, all of one recipe; ValueError otherwise, as it is a mistake in the calling code.
    """
    if len({probe.recipe_digest for probe in probes}) != 1:
        raise ValueError("fuse needs at least one probe, and all of one recipe")
    parts = tuple(mean_direction(np.stack(part)) for part in zip(*(p.parts for p in probes), strict=True))
    return Probe(parts, probes[0].weights, probes[0].recipe_digest, sum(probe.frames for probe in probes))


def mean_direction(vectors: Tensor) -> Vector:
    """N x D -> the unit vector of the mean of the N directions, so that no longer one counts for more."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = (vectors / np.maximum(lengths, LEAST_NORM)).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), LEAST_NORM), np.float32)


def similarity(one: Vector, other: Vector) -> float:
    """Sum of weight_i * cos_i for two vectors of the same recipe, -1 to 1, higher is more alike."""
    return float(one @ other)
