"""A member before a kiosk that takes money."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.capture.sample import Probe
from edge.capture.tracking import TrackId
from edge.compare.member import KnownMember
from edge.confirm.challenge import Sighting
from edge.decide.standing import StandingView
from edge.decide.verdict import Age, Membership, RestrictionState, Tier
from edge.enact.charge import Due, PayConfig
from edge.passage.observations import ClaimResolved, ClaimSeen, FaceMoved, Surroundings
from edge.passage.state import new_passage
from tests.doubles.attempt import (
    CLAIM,
    OWN,
    PASSAGE,
    RECIPE,
    RULES,
    SUBJECT,
    TEMPLATE,
    Attempt,
    face,
    looked_up,
)
from tests.doubles.turning_head import head
from tests.doubles.wire_samples import standing
from wire.ids import RecordId
from wire.values import AgreeBy, Limits

PAY = PayConfig("bistro", "Bistro")
PAYS = replace(RULES, pay=PAY)
DUE = Due(RecordId("c" * 32), "bistro", "Bistro", 250, "EUR", "table 4")


def view(age: Age = Age.FRESH, limit: int = 5000, offline: int = 1000, currency: str = "EUR") -> StandingView:
    made = standing(SUBJECT, limits=Limits(limit, offline, currency))
    return StandingView(age, Tier.STANDARD, Membership.ACTIVE, RestrictionState.NONE, standing=made)


def around(*, central: bool = True, due: Due | None = DUE) -> Surroundings:
    return Surroundings(central_answers=central, pays=True, due=due)


def agreeing(
    seen: StandingView | None = None, *, central: bool = True, spent: int = 0, by: AgreeBy = AgreeBy.BUTTON
) -> Attempt:
    attempt = Attempt(new_passage(PASSAGE, b"12345678"), PAYS).tell(around(central=central))
    attempt.tell(ClaimSeen(CLAIM), ClaimResolved(PASSAGE, CLAIM, KnownMember(SUBJECT, TEMPLATE, agree_by=by)))
    attempt.tell(looked_up(seen or view(), spent), face(), face(), face())
    return attempt


def nod(attempt: Attempt, vector: np.ndarray = OWN) -> Attempt:
    for degrees in (0, 0, 0, -12, -26, -26, -12, 0):
        attempt.now_ms += 60
        probe = Probe((vector,), (1.0,), RECIPE, 1)
        attempt.tell(FaceMoved(Sighting(TrackId(1), head(0, degrees), attempt.now_ms, probe)))
    return attempt
