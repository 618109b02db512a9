"""Changing the recipe of a gallery: begin, gather, switch, finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from central.errors import ConflictError
from central.rules.enrolment import Consent, check_consent
from central.rules.fleet import Kiosk, Sighting
from central.rules.reenrolment import (
    Enrolled,
    Plan,
    Progress,
    Reporting,
    Stage,
    progress,
    require_change,
    require_stage,
    waits,
)
from central.service.context import Context
from central.service.members import Members
from wire.ids import KioskId, SubjectId
from wire.values import SealedTemplate


class ReEnrolmentStore(Protocol):
    """Where the change under way is kept, and the templates it moves. Each method is one transaction."""

    def plan(self) -> Plan | None:
        """The change under way."""
        ...

    def save_plan(self, plan: Plan) -> None:
        """Keep a change that began."""
        ...

    def exchange(self, plan: Plan) -> None:
        """Store the plan, and put every spare template in the place of the one in use, and that beside it."""
        ...

    def end_plan(self, kept: str | None) -> int:
        """End the change: drop spare templates, and, given a recipe, those in use of any other; how many."""
        ...

    def enrolled(self) -> Sequence[Enrolled]:
        """Every active member."""
        ...

    def template(self, subject: SubjectId) -> SealedTemplate | None:
        """A subject's template in use."""
        ...

    def save_template(
        self, subject: SubjectId, template: SealedTemplate, consent: Consent, *, spare: bool
    ) -> None:
        """Keep a template in use, or beside it, and what was agreed to; nothing once they withdrew."""
        ...


class Fleet(Protocol):
    """The kiosks, and what they last said."""

    def all(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        ...

    def sightings(self) -> Mapping[KioskId, Sighting]:
        """What each last said of itself."""
        ...


class ReEnrolments:
    """Plan a change of the recipe, follow it, and carry it out."""

    def __init__(self, context: Context, store: ReEnrolmentStore, members: Members, fleet: Fleet) -> None:
        self._context = context
        self._store = store
        self._members = members
        self._fleet = fleet

    def plan(self) -> Plan | None:
        """The change under way."""
        return self._store.plan()

    def progress(self, recipe_digest: str) -> Progress:
        """Where a change to this recipe stands, or would begin."""
        plan = self._store.plan()
        if plan is not None and plan.recipe_digest != recipe_digest:
            raise ConflictError("re-enrolment", plan.pack, "is under way, to another recipe than this pack's")
        stage = Stage.NONE if plan is None else plan.stage
        return progress(stage, recipe_digest, self._store.enrolled(), self._reporting())

    def begin(self, pack: str, pack_digest: str, recipe_digest: str) -> Progress:
        """Begin a change; raises ConflictError when one is under way, or nobody would have to enrol again."""
        counts = self.progress(recipe_digest).by_recipe
        require_change(self._store.plan(), recipe_digest, counts)
        self._store.save_plan(Plan(pack, pack_digest, recipe_digest, self._context.now_ms()))
        return self.progress(recipe_digest)

    def enrol_again(self, subject: SubjectId, template: SealedTemplate, consent: Consent) -> bool:
        """A member's new template; whether it waits for the switch. Raises as `Members.enrol`."""
        self._members.active(subject)
        check_consent(consent)
        template = self._context.admitted(subject, template)
        spare = waits(self._store.plan(), self._store.template(subject), template)
        self._store.save_template(subject, template, consent, spare=spare)
        return spare

    def switch(self) -> Progress:
        """Use the new templates from now on; raises ConflictError unless gathering."""
        plan = require_stage(self._store.plan(), Stage.GATHERING)
        self._store.exchange(
            Plan(plan.pack, plan.pack_digest, plan.recipe_digest, plan.begun_at_ms, self._context.now_ms())
        )
        return self.progress(plan.recipe_digest)

    def back(self) -> Progress:
        """Use the old templates again; raises ConflictError unless switched."""
        plan = require_stage(self._store.plan(), Stage.SWITCHED)
        self._store.exchange(Plan(plan.pack, plan.pack_digest, plan.recipe_digest, plan.begun_at_ms))
        return self.progress(plan.recipe_digest)

    def abandon(self) -> int:
        """End it, and drop the templates that were waiting; raises ConflictError unless gathering."""
        require_stage(self._store.plan(), Stage.GATHERING)
        return self._store.end_plan(None)

    def finish(self, *, anyway: bool) -> int:
        """Remove every template of another recipe; how many. Raises ConflictError unless switched.

        `anyway`: though members have not enrolled again; they go by claim and PIN until they do.
        """
        plan = require_stage(self._store.plan(), Stage.SWITCHED)
        now = self.progress(plan.recipe_digest)
        late = [kiosk.kiosk for kiosk in now.kiosks if kiosk.recipe_digest != plan.recipe_digest]
        if (now.to_enrol or late) and not anyway:
            raise ConflictError(
                "re-enrolment",
                plan.pack,
                f"is not complete: {len(now.to_enrol)} members have only an old template, {len(late)} kiosks "
                "do not report the new recipe; finish it anyway, and these go by claim and PIN",
            )
        return self._store.end_plan(plan.recipe_digest)

    def _reporting(self) -> list[Reporting]:
        seen = self._fleet.sightings()
        paired = [each for each in self._fleet.all() if each.certificate and each.revoked_at_ms is None]
        told = [(each.kiosk, seen.get(each.kiosk)) for each in paired]
        return [
            Reporting(kiosk, said.recipe_digest if said else None, said.pack_digest if said else None)
            for kiosk, said in told
        ]
