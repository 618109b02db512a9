"""Changing the recipe: templates of another one are never compared, so members enrol again. Rules, no I/O.

    none --begin--> gathering --switch--> switched --finish--> none
                      |  ^                   |
             abandon--'  `------- back ------'

While gathering, new templates wait beside those in use, and kiosks go on with the old pack. The switch
exchanges them, for the whole gallery at once. Whoever has no template of the recipe in use identifies with
claim and PIN, at the same gates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from central.errors import ConflictError, RefusedError
from wire.ids import KioskId, SubjectId
from wire.values import SealedTemplate


class Stage(StrEnum):
    """How far a change of the recipe has got."""

    NONE = "none"
    GATHERING = "gathering"
    SWITCHED = "switched"


@dataclass(frozen=True, slots=True)
class Plan:
    """A change under way, to `recipe_digest`; instants are UTC milliseconds."""

    pack: str
    pack_digest: str
    recipe_digest: str
    begun_at_ms: int
    switched_at_ms: int | None = None

    @property
    def stage(self) -> Stage:
        """Gathering until the switch."""
        return Stage.GATHERING if self.switched_at_ms is None else Stage.SWITCHED


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One active member: the recipe of the template in use, of the one beside it, and if there is a PIN."""

    subject: SubjectId
    used: str | None
    spare: str | None
    has_pin: bool


@dataclass(frozen=True, slots=True)
class Reporting:
    """A paired kiosk and the recipe and pack it last said it has; None where it has said neither."""

    kiosk: KioskId
    recipe_digest: str | None
    pack_digest: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, in order."""

    text: str
    done: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a change to `recipe_digest` stands.

    `by_recipe`: members by the recipe of the template in use; `without_face` have none and are not asked to.
    `ready` have one of the new recipe, in use or waiting; `to_enrol` have only another, and of these
    `without_pin` would be left to staff.
    """

    stage: Stage
    recipe_digest: str
    members: int
    by_recipe: Mapping[str, int]
    without_face: int
    ready: int
    to_enrol: tuple[SubjectId, ...]
    without_pin: tuple[SubjectId, ...]
    kiosks: tuple[Reporting, ...]
    steps: tuple[Step, ...]

    @property
    def kiosks_there(self) -> int:
        """Kiosks that have the new recipe."""
        return sum(kiosk.recipe_digest == self.recipe_digest for kiosk in self.kiosks)


def progress(
    stage: Stage, recipe_digest: str, members: Iterable[Enrolled], kiosks: Iterable[Reporting]
) -> Progress:
    """Count, and say what is to be done next; `recipe_digest`: the recipe that is changed to."""
    listed, reporting = tuple(members), tuple(kiosks)
    by_recipe: dict[str, int] = {}
    for member in listed:
        if member.used is not None:
            by_recipe[member.used] = by_recipe.get(member.used, 0) + 1
    faces = [member for member in listed if member.used is not None or member.spare is not None]
    ready = [member for member in faces if recipe_digest in (member.used, member.spare)]
    left = [member for member in faces if recipe_digest not in (member.used, member.spare)]
    without_pin = tuple(member.subject for member in left if not member.has_pin)
    steps = _steps(
        stage, recipe_digest, ready=len(ready), left=len(left), without_pin=len(without_pin), kiosks=reporting
    )
    return Progress(
        stage,
        recipe_digest,
        len(listed),
        dict(sorted(by_recipe.items())),
        len(listed) - len(faces),
        len(ready),
        tuple(member.subject for member in left),
        without_pin,
        reporting,
        steps,
    )


def _steps(
    stage: Stage, recipe: str, *, ready: int, left: int, without_pin: int, kiosks: tuple[Reporting, ...]
) -> tuple[Step, ...]:
    there = sum(kiosk.recipe_digest == recipe for kiosk in kiosks)
    begun, switched = stage is not Stage.NONE, stage is Stage.SWITCHED
    return (
        Step("begin: from then on, templates of the new recipe are kept beside those in use", begun),
        Step(f"give every member a PIN; {without_pin} to be enrolled again have none", without_pin == 0),
        Step("put the new pack on the kiosks that enrol (pack.path), and restart them", there > 0),
        Step(f"members enrol again there: {ready} are ready, {left} are not", left == 0),
        Step(
            "switch, and put the new pack on every other kiosk at once: a kiosk with the other pack, and a "
            "member without a new template, go by claim and PIN meanwhile",
            switched,
        ),
        Step(
            f"every kiosk reports the new recipe: {there} of {len(kiosks)}",
            switched and there == len(kiosks),
        ),
        Step("finish: templates of every other recipe are removed", False),
    )


def require_change(plan: Plan | None, recipe_digest: str, templates: Mapping[str, int]) -> None:
    """Raise ConflictError unless a change to this recipe may begin; `templates`: recipe to members."""
    if plan is not None:
        raise ConflictError("re-enrolment", plan.pack, "is under way: finish or abandon it first")
    if set(templates) <= {recipe_digest}:
        raise ConflictError(
            "recipe", recipe_digest[:12], "is every template's already: nobody has to enrol again"
        )


def require_stage(plan: Plan | None, stage: Stage) -> Plan:
    """The plan, if it is at this stage; raises ConflictError."""
    if plan is None:
        raise ConflictError("re-enrolment", "none", "is under way: begin one")
    if plan.stage is not stage:
        raise ConflictError("re-enrolment", plan.pack, f"is {plan.stage}, this needs {stage}")
    return plan


def waits(plan: Plan | None, used: SealedTemplate | None, new: SealedTemplate) -> bool:
    """Whether a member's new template is kept beside the one in use; raises RefusedError for an old recipe.

    Without a template in use there is nothing it could take away.
    """
    if plan is None:
        return False
    is_next = new.recipe_digest == plan.recipe_digest
    if plan.stage is Stage.SWITCHED and not is_next:
        raise RefusedError("this kiosk still has the old pack: give it the new one, and enrol there")
    return plan.stage is Stage.GATHERING and is_next and used is not None
