"""The enrolled references: immutable, of one recipe; a change makes another gallery that shares the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge.capture.embedding import fuse
from edge.capture.sample import Probe, Tensor, Vector
from edge.compare.codes import DIMENSIONS_MAX, Codes, Rows
from edge.errors import TemplateError
from wire.ids import SubjectId

CODED_FROM: Final = 4_096
"""Rows from which looking at codes first is worth a second copy; below, all floats take a tenth of a ms."""
PACK_AFTER: Final = 4_096
"""Changes from which a gallery is better packed anew: until then they cost a search a tenth of a ms."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One subject's reference, made of `images` images; comparable only with probes of its recipe."""

    subject: SubjectId
    vector: Vector
    recipe_digest: str
    images: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject of the gallery and how alike the probe is to their template."""

    subject: SubjectId
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Templates that are searched together: row by row their subjects, numbers of images and vectors."""

    subjects: tuple[SubjectId, ...]
    images: tuple[int, ...]
    matrix: Tensor
    index: dict[SubjectId, int]
    codes: Codes | None

    @classmethod
    def of(cls, subjects: Iterable[SubjectId], images: Iterable[int], matrix: Tensor) -> Block:
        """Takes the N x D float32 matrix over and closes it to writing. TemplateError for a subject twice."""
        rows = tuple(subjects)
        index = {subject: row for row, subject in enumerate(rows)}
        if len(index) != len(rows):
            raise TemplateError(
                "a subject has two templates in one gallery: fuse them, or keep the newer one"
            )
        matrix.setflags(write=False)
        coded = len(rows) >= CODED_FROM and matrix.shape[1] <= DIMENSIONS_MAX
        codes = Codes.of(matrix) if coded else None
        return cls(rows, tuple(images), matrix, index, codes)

    def nearest(self, vector: Vector, count: int, gone: Rows) -> list[Candidate]:
        """The `count` most alike but for the rows `gone`, best first, exactly as the float32 vectors say."""
        if len(self.subjects) <= gone.size:
            return []
        if self.codes is None:
            return self._ranked(vector, self._rows_but(gone), count)
        return self._ranked(vector, self.codes.contenders(vector, count, gone), count)

    def alike(self, vector: Vector, floor: float, gone: Rows) -> list[Candidate]:
        """All of similarity `floor` or more but for the rows `gone`, best first, as the vectors say."""
        if len(self.subjects) <= gone.size:
            return []
        rows = self._rows_but(gone) if self.codes is None else self.codes.alike(vector, floor, gone)
        return [each for each in self._ranked(vector, rows, len(rows)) if each.similarity >= floor]

    def _rows_but(self, gone: Rows) -> Rows:
        rows = np.arange(len(self.subjects))
        return np.delete(rows, gone) if gone.size else rows

    def _ranked(self, vector: Vector, rows: Rows, count: int) -> list[Candidate]:
        chosen = self.matrix if len(rows) == len(self.subjects) else self.matrix[rows]
        # Not `@`: its threads cost 20 ms at p95 when the cores are busy, and .1 ms is all that they save.
        alikes = np.einsum("nd,d->n", chosen, vector)
        best = np.arange(len(rows))
        if count < len(rows):
            best = np.sort(np.argpartition(alikes, len(rows) - count)[len(rows) - count :])
        best = best[np.argsort(-alikes[best], kind="stable")]
        return [Candidate(self.subjects[rows[at]], float(alikes[at])) for at in best]


NONE_GONE: Final = np.zeros(0, np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Templates of one recipe, one a subject: a large block, and what was added or has gone since.

    To change the gallery that others search, put another in its place: assigning is atomic.
    """

    recipe_digest: str
    base: Block
    added: Block
    gone: Rows
    """Rows of `base` that hold no more: removed, or replaced by a row of `added`."""

    @classmethod
    def of(cls, recipe_digest: str, templates: Iterable[Template]) -> Gallery:
        """Raises `TemplateError` for a template of another recipe or a subject that is there twice."""
        return cls(recipe_digest, _block(recipe_digest, templates), _block(recipe_digest, ()), NONE_GONE)

    @classmethod
    def of_rows(
        cls, recipe_digest: str, subjects: Iterable[SubjectId], images: Iterable[int], matrix: Tensor
    ) -> Gallery:
        """As `of`, from one N x D float32 matrix of unit rows, which it takes over and closes to writing."""
        return cls(recipe_digest, Block.of(subjects, images, matrix), _block(recipe_digest, ()), NONE_GONE)

    def template(self, subject: SubjectId) -> Template | None:
        """The subject's template, or None if they are not in this gallery."""
        if (row := self.added.index.get(subject)) is not None:
            return self._template(self.added, row)
        row = self.base.index.get(subject)
        if row is None or self._has_gone(row):
            return None
        return self._template(self.base, row)

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every template that holds; made anew each time."""
        return tuple(self._template(block, row) for block, row in self._places())

    @property
    def subjects(self) -> tuple[SubjectId, ...]:
        """Every subject, in the order of `templates` and of the rows of `matrix`."""
        return tuple(block.subjects[row] for block, row in self._places())

    @property
    def images(self) -> tuple[int, ...]:
        """How many images each template was made of, in the same order."""
        return tuple(block.images[row] for block, row in self._places())

    @property
    def matrix(self) -> Tensor:
        """N x D: every vector that holds; a copy where something has changed since the block was made."""
        if not self.changes:
            return self.base.matrix
        matrix = _joined(np.delete(self.base.matrix, self.gone, axis=0), self.added.matrix)
        matrix.setflags(write=False)
        return matrix

    @property
    def changes(self) -> int:
        """How much has been added, replaced or removed since the block was made."""
        return len(self.added.subjects) + self.gone.size

    @property
    def wants_packing(self) -> bool:
        """Whether there are so many changes that `packed` makes searches faster."""
        return self.changes >= PACK_AFTER

    def nearest(self, vector: Vector, count: int) -> tuple[Candidate, ...]:
        """The `count` subjects most alike, best first, of a vector of the gallery's recipe; exact."""
        found = self.base.nearest(vector, count, self.gone) + self.added.nearest(vector, count, NONE_GONE)
        return tuple(sorted(found, key=_descending)[:count])

    def alike(self, vector: Vector, floor: float) -> tuple[Candidate, ...]:
        """Every subject of similarity `floor` or more, best first; exact."""
        found = self.base.alike(vector, floor, self.gone) + self.added.alike(vector, floor, NONE_GONE)
        return tuple(sorted(found, key=_descending))

    def changed(self, templates: Iterable[Template], removed: Iterable[SubjectId] = ()) -> Gallery:
        """A gallery without `removed` and with `templates`, new or in the place of their subjects' old ones.

        Takes time for the changes since the block was made, not for the block. TemplateError as in `of`.
        """
        block = _block(self.recipe_digest, templates)
        leaving = set(removed).union(block.index)
        kept = self.added
        rows = [row for row, subject in enumerate(kept.subjects) if subject not in leaving]
        added = Block.of(
            (*(kept.subjects[row] for row in rows), *block.subjects),
            (*(kept.images[row] for row in rows), *block.images),
            _joined(kept.matrix[rows], block.matrix),
        )
        gone = [self.base.index[subject] for subject in leaving if subject in self.base.index]
        return replace(self, added=added, gone=np.union1d(self.gone, np.array(gone, np.intp)))

    def packed(self) -> Gallery:
        """The same templates as one block; takes time for all of them, so not where people wait."""
        if not self.changes:
            return self
        return Gallery.of_rows(self.recipe_digest, self.subjects, self.images, self.matrix)

    def __len__(self) -> int:
        """How many subjects."""
        return len(self.base.subjects) - self.gone.size + len(self.added.subjects)

    def _places(self) -> Iterator[tuple[Block, int]]:
        gone = frozenset(self.gone.tolist())
        yield from ((self.base, row) for row in range(len(self.base.subjects)) if row not in gone)
        yield from ((self.added, row) for row in range(len(self.added.subjects)))

    def _has_gone(self, row: int) -> bool:
        at = int(np.searchsorted(self.gone, row))
        return at < self.gone.size and int(self.gone[at]) == row

    def _template(self, block: Block, row: int) -> Template:
        return Template(block.subjects[row], block.matrix[row], self.recipe_digest, block.images[row])


def _descending(candidate: Candidate) -> float:
    return -candidate.similarity


def _joined(one: Tensor, other: Tensor) -> Tensor:
    """Rows of both in a new matrix; one without rows may be of any width."""
    parts = [part for part in (one, other) if len(part)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _block(recipe_digest: str, templates: Iterable[Template]) -> Block:
    rows = tuple(templates)
    for template in rows:
        require_recipe(template.recipe_digest, recipe_digest, f"the template of {template.subject}")
    matrix = np.stack([template.vector for template in rows]) if rows else np.zeros((0, 0), np.float32)
    return Block.of((t.subject for t in rows), (t.images for t in rows), matrix)


def make_template(subject: SubjectId, probes: Sequence[Probe]) -> Template:
    """The reference of a subject from the probes of their enrolment images; at least one."""
    fused = fuse(probes)
    return Template(subject, fused.vector, fused.recipe_digest, fused.frames)


def require_recipe(found: str, wanted: str, what: str) -> None:
    """Raise `TemplateError` unless both digests agree: similarities across recipes mean nothing."""
    if found != wanted:
        raise TemplateError(
            f"{what} was made with recipe {found[:12]}… and this pack's recipe is {wanted[:12]}…: "
            "enrol again with this pack, or load the pack it was made with"
        )
