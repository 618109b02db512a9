"""The enrolled references: immutable, of one recipe, as one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.capture.embedding import fuse
from edge.capture.sample import Probe, Tensor, Vector
from edge.errors import TemplateError
from wire.ids import SubjectId


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One subject's reference, made of `images` images; comparable only with probes of its recipe."""

    subject: SubjectId
    vector: Vector
    recipe_digest: str
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Templates of one recipe: rows of `matrix` in the order of `templates`, at most one a subject."""

    recipe_digest: str
    templates: tuple[Template, ...]
    matrix: Tensor
    index: dict[SubjectId, int]

    @classmethod
    def of(cls, recipe_digest: str, templates: Iterable[Template]) -> Gallery:
        """Raises `TemplateError` for a template of another recipe or a subject that is there twice."""
        rows = tuple(templates)
        for template in rows:
            require_recipe(template.recipe_digest, recipe_digest, f"the template of {template.subject}")
        index = {template.subject: row for row, template in enumerate(rows)}
        if len(index) != len(rows):
            raise TemplateError(
                "a subject has two templates in one gallery: fuse them, or keep the newer one"
            )
        matrix = np.stack([t.vector for t in rows]) if rows else np.zeros((0, 0), np.float32)
        matrix.setflags(write=False)
        return cls(recipe_digest, rows, matrix, index)

    def template(self, subject: SubjectId) -> Template | None:
        """The subject's template, or None if they are not in this gallery."""
        row = self.index.get(subject)
        return None if row is None else self.templates[row]

    def similarities(self, vector: Vector) -> Tensor:
        """One similarity a template, in the order of `templates`; the vector is of the gallery's recipe."""
        if not self.templates:
            return np.zeros(0, np.float32)
        # Not `@`: its threads cost 20 ms at p95 when the cores are busy, and .1 ms is all that they save.
        return np.asarray(np.einsum("nd,d->n", self.matrix, vector), np.float32)

    def __len__(self) -> int:
        """How many subjects."""
        return len(self.templates)


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
