"""Who a claim belongs to, as far as this kiosk and central know."""

from __future__ import annotations

from dataclasses import dataclass

from edge.compare.gallery import Template
from wire.ids import SubjectId
from wire.values import AgreeBy


@dataclass(frozen=True, slots=True)
class KnownMember:
    """Who a claim belongs to; `template` is None where theirs is of another recipe or cannot be opened.

    `enrol_again`: it is of another recipe, or the recipe is about to change, so that doing so would help.
    `agree_by`: how they agree to pay, unless they choose otherwise on the screen.
    """

    subject: SubjectId
    template: Template | None
    enrol_again: bool = False
    agree_by: AgreeBy = AgreeBy.BUTTON


@dataclass(frozen=True, slots=True)
class WithdrawnMember:
    """The claim or its subject was withdrawn or revoked."""


@dataclass(frozen=True, slots=True)
class UnknownMember:
    """Neither the cache nor, in time, central knows the claim."""


Resolution = KnownMember | WithdrawnMember | UnknownMember
