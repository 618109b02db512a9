"""Who is compared with whom: single images, templates of k images, and searches among templates.

Similarities are counted in steps of 1e-5, so that a set of any size takes the same memory and every threshold
reported is one that can be written down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from edge.capture.embedding import fuse
from scripts.evaluate.people import Crowd

Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

STEPS = 100_000
"""Steps of similarity in one unit: a threshold has five decimals."""
LAST_STEP = 2 * STEPS
TAIL_FRACTION = 0.03
"""Share of the most alike non-mated comparisons whose people are kept: thrice the largest rate reported."""
MAX_TEMPLATES_EACH = 20
"""Choices of k images of one person: all of them up to six images with k = 3, a sample beyond."""
BLOCK_CELLS = 1 << 22
"""Comparisons held at a time; 16 MB of similarities."""


def step_of(similarities: npt.ArrayLike) -> Indices:
    """The number of the step a similarity has reached: step n begins at n / 1e5 - 1."""
    exact = (np.asarray(similarities, np.float64) + 1) * STEPS
    return np.clip(np.floor(exact), 0, LAST_STEP).astype(np.intp)


def threshold_of(step: int) -> float:
    """The least similarity that reaches a step, with five decimals."""
    return round(step / STEPS - 1, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """R references: their vectors, whose they are, and which images (rows of the crowd) each is made of."""

    vectors: Vectors
    person: Indices
    images: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Every comparison of references with images, counted by step of similarity.

    `non_mated[s]`: comparisons of different people in step s. Mated ones, and non-mated ones from `tail_from`
    on, are kept one by one with people (and for mated ones the image). `references` and `probes` count them
    for each person; `unordered`: references are the images, and each pair was counted once.
    """

    non_mated: Counts
    mated_step: Indices
    mated_image: Indices
    mated_person: Indices
    tail_from: int
    tail_step: Indices
    tail_one: Indices
    tail_other: Indices
    references: Counts
    probes: Counts
    unordered: bool

    @property
    def non_mated_total(self) -> int:
        """How many comparisons of different people."""
        return int(self.non_mated.sum())


def choose_templates(crowd: Crowd, k: int, seed: int) -> Templates:
    """Templates of `k` images for each member with more than `k`: all choices, or a seeded sample of them."""
    vectors, owners, chosen = [], [], []
    for index, rows in _rows_of_members(crowd):
        if len(rows) <= k:
            continue
        for choice in _choices(len(rows), k, np.random.default_rng((seed, k, index))):
            images = rows[list(choice)]
            vectors.append(fuse([crowd.probes[row] for row in images]).vector)
            owners.append(index)
            chosen.append(images)
    return _templates(vectors, owners, chosen, crowd, k)


def _choices(images: int, k: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    if math.comb(images, k) <= MAX_TEMPLATES_EACH:
        return list(combinations(range(images), k))
    found: set[tuple[int, ...]] = set()
    while len(found) < MAX_TEMPLATES_EACH:
        found.add(tuple(sorted(int(each) for each in generator.permutation(images)[:k])))
    return sorted(found)


def _rows_of_members(crowd: Crowd) -> Iterator[tuple[int, Indices]]:
    for index, person in enumerate(crowd.people):
        if person.member:
            yield index, np.flatnonzero(crowd.person == index)


def _templates(
    vectors: list[npt.NDArray[np.float32]], owners: list[int], chosen: list[Indices], crowd: Crowd, k: int
) -> Templates:
    if not vectors:
        empty = np.zeros((0, crowd.vectors.shape[1]), np.float32)
        return Templates(empty, np.zeros(0, np.intp), np.zeros((0, k), np.intp))
    return Templates(np.stack(vectors), np.array(owners, np.intp), np.stack(chosen))


def compare_images(crowd: Crowd) -> Comparisons:
    """Each pair of images once: mated ones of members, non-mated ones of everybody."""
    rows = np.arange(len(crowd.vectors), dtype=np.intp)
    return _compare(Templates(crowd.vectors, crowd.person, rows[:, None]), crowd, unordered=True)


def compare_templates(crowd: Crowd, templates: Templates) -> Comparisons:
    """Each template with every image of other people, and with its subject's own that are not in it."""
    return _compare(templates, crowd, unordered=False)


def _compare(references: Templates, crowd: Crowd, *, unordered: bool) -> Comparisons:
    people = len(crowd.people)
    member = crowd.member
    non_mated = np.zeros(LAST_STEP + 1, np.int64)
    mated: list[tuple[Indices, Indices, Indices]] = []
    for steps, same, fresh, row in _blocks(references, crowd, unordered):
        non_mated += np.bincount(steps[~same & fresh], minlength=LAST_STEP + 1)
        one, image = np.nonzero(same & fresh & member[references.person[row, None]])
        mated.append((steps[one, image], image, references.person[row][one]))
    from_top = np.cumsum(non_mated[::-1])
    tail_from = LAST_STEP - int(np.searchsorted(from_top, TAIL_FRACTION * from_top[-1]))
    tail: list[tuple[Indices, Indices, Indices]] = []
    for steps, same, fresh, row in _blocks(references, crowd, unordered):
        one, image = np.nonzero(~same & fresh & (steps >= tail_from))
        tail.append((steps[one, image], references.person[row][one], crowd.person[image]))
    return Comparisons(
        non_mated,
        *_joined(mated),
        tail_from,
        *_joined(tail),
        np.bincount(references.person, minlength=people),
        np.bincount(crowd.person, minlength=people),
        unordered,
    )


def _blocks(
    references: Templates, crowd: Crowd, unordered: bool
) -> Iterator[tuple[Indices, npt.NDArray[np.bool_], npt.NDArray[np.bool_], slice]]:
    """(step, same person, to be counted) of some references with all images, and which references."""
    images = len(crowd.vectors)
    size = max(1, BLOCK_CELLS // max(images, 1))
    for start in range(0, len(references.person), size):
        row = slice(start, start + size)
        steps = step_of(references.vectors[row] @ crowd.vectors.T)
        same = references.person[row, None] == crowd.person
        fresh = np.ones_like(same)
        if unordered:
            fresh &= np.arange(images) > np.arange(start, start + len(same))[:, None]
        else:
            np.put_along_axis(fresh, references.images[row], False, axis=1)
        yield steps, same, fresh, row


def _joined(parts: list[tuple[Indices, Indices, Indices]]) -> tuple[Indices, Indices, Indices]:
    if not parts:
        return (np.zeros(0, np.intp),) * 3
    first, second, third = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, third


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Open-set searches among `subjects` templates of `k` images, over several choices of the images.

    Mated: the step of the subject's own template, -1 where somebody else's is more alike. Non-mated: the step
    of the most alike template, of strangers' images and of members' images with their own template removed.
    """

    k: int
    subjects: int
    draws: int
    mated_step: Indices
    mated_image: Indices
    mated_person: Indices
    other_step: Indices
    other_image: Indices
    other_person: Indices


def search_templates(crowd: Crowd, k: int, draws: int, seed: int) -> Searches:
    """Gallery after gallery: in the first each member's first k images by name, then k at random."""
    rounds: list[tuple[Indices, ...]] = []
    subjects = 0
    for draw in range(draws):
        generator = np.random.default_rng((seed, k, draw))
        gallery = _gallery(crowd, k, generator if draw else None)
        subjects = len(gallery.person)
        if subjects < 2:
            break
        rounds.append(_search(crowd, gallery))
    columns = [np.concatenate(column) for column in zip(*rounds, strict=True)] if rounds else None
    found = columns or [np.zeros(0, np.intp)] * 6
    return Searches(k, subjects, len(rounds), *found)


def _gallery(crowd: Crowd, k: int, generator: np.random.Generator | None) -> Templates:
    vectors, owners, chosen = [], [], []
    for index, rows in _rows_of_members(crowd):
        if len(rows) <= k:
            continue
        images = (rows if generator is None else generator.permutation(rows))[:k]
        vectors.append(fuse([crowd.probes[row] for row in images]).vector)
        owners.append(index)
        chosen.append(images)
    return _templates(vectors, owners, chosen, crowd, k)


def _search(crowd: Crowd, gallery: Templates) -> tuple[Indices, ...]:
    asked = np.setdiff1d(np.arange(len(crowd.vectors)), gallery.images)
    person = crowd.person[asked]
    alike = crowd.vectors[asked] @ gallery.vectors.T
    own = person[:, None] == gallery.person
    mated = own.any(axis=1)
    other = np.where(own, -np.inf, alike).max(axis=1)
    mine = np.where(own, alike, -np.inf).max(axis=1)
    reached = np.where(mine > other, step_of(np.maximum(mine, -1)), -1)
    return reached[mated], asked[mated], person[mated], step_of(other), asked, person
