"""The table of a passage: what each phase handles, where that may lead, and what it ignores.

Tests hold `advance` to it both ways: it goes nowhere else, and it goes everywhere that is named here.
`docs/passage.md` is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.enact.display import AgreeByChosen, Agreed, Finished, HelpAsked, NotMe, OtherWayAsked, PinEntered
from edge.passage.observations import (
    ChargeAnswered,
    ClaimResolved,
    ClaimSeen,
    FaceMissed,
    FaceMoved,
    FaceSeen,
    GateAnswered,
    Kept,
    Observation,
    PinJudged,
    Searched,
    StaffReleases,
    StandingSeen,
    Surroundings,
    Tick,
    ZoneSeen,
)
from edge.passage.state import Phase

LEADS_TO: Mapping[Phase, Mapping[type[Observation], tuple[Phase, ...]]] = {
    Phase.WAITING: {
        Surroundings: (Phase.WAITING,),
        ZoneSeen: (Phase.WAITING, Phase.IDENTIFYING),
        ClaimSeen: (Phase.WAITING, Phase.IDENTIFYING, Phase.SETTLED),
        OtherWayAsked: (Phase.WAITING,),
        StaffReleases: (Phase.WAITING, Phase.RELEASING, Phase.SETTLED),
        HelpAsked: (Phase.SETTLED,),
        NotMe: (Phase.WAITING,),
        Tick: (Phase.WAITING,),
    },
    Phase.IDENTIFYING: {
        Surroundings: (Phase.IDENTIFYING, Phase.SETTLED),
        ZoneSeen: (Phase.WAITING, Phase.IDENTIFYING, Phase.SETTLED),
        ClaimSeen: (Phase.IDENTIFYING,),
        ClaimResolved: (Phase.IDENTIFYING, Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.SETTLED),
        Searched: (Phase.IDENTIFYING, Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.SETTLED),
        StandingSeen: (
            Phase.IDENTIFYING,
            Phase.SECOND_FACTOR,
            Phase.RELEASING,
            Phase.AGREEING,
            Phase.SETTLED,
        ),
        FaceSeen: (
            Phase.WAITING,
            Phase.IDENTIFYING,
            Phase.CHALLENGING,
            Phase.SECOND_FACTOR,
            Phase.RELEASING,
            Phase.AGREEING,
            Phase.SETTLED,
        ),
        FaceMissed: (Phase.IDENTIFYING,),
        OtherWayAsked: (Phase.WAITING, Phase.IDENTIFYING),
        PinEntered: (Phase.IDENTIFYING,),
        PinJudged: (Phase.IDENTIFYING, Phase.SETTLED),
        HelpAsked: (Phase.SETTLED,),
        NotMe: (Phase.SETTLED,),
        Tick: (Phase.IDENTIFYING, Phase.SECOND_FACTOR, Phase.RELEASING, Phase.SETTLED),
    },
    Phase.CHALLENGING: {
        Surroundings: (Phase.CHALLENGING, Phase.SETTLED),
        StandingSeen: (Phase.CHALLENGING,),
        FaceMoved: (
            Phase.IDENTIFYING,
            Phase.CHALLENGING,
            Phase.SECOND_FACTOR,
            Phase.RELEASING,
            Phase.AGREEING,
            Phase.SETTLED,
        ),
        FaceMissed: (Phase.CHALLENGING,),
        OtherWayAsked: (Phase.SECOND_FACTOR, Phase.RELEASING, Phase.SETTLED),
        HelpAsked: (Phase.SETTLED,),
        NotMe: (Phase.SETTLED,),
        Tick: (Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.SETTLED),
    },
    Phase.SECOND_FACTOR: {
        Surroundings: (Phase.SECOND_FACTOR, Phase.SETTLED),
        StandingSeen: (Phase.SECOND_FACTOR, Phase.RELEASING, Phase.AGREEING, Phase.SETTLED),
        OtherWayAsked: (Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.RELEASING, Phase.SETTLED),
        PinEntered: (Phase.SECOND_FACTOR,),
        PinJudged: (Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.RELEASING, Phase.SETTLED),
        HelpAsked: (Phase.SETTLED,),
        NotMe: (Phase.SETTLED,),
        Tick: (Phase.SECOND_FACTOR, Phase.SETTLED),
    },
    Phase.RELEASING: {
        Surroundings: (Phase.RELEASING,),
        GateAnswered: (Phase.SETTLED,),
        Tick: (Phase.RELEASING, Phase.SETTLED),
    },
    Phase.AGREEING: {
        Surroundings: (Phase.AGREEING, Phase.SETTLED),
        Agreed: (Phase.PAYING, Phase.SETTLED),
        AgreeByChosen: (Phase.AGREEING,),
        OtherWayAsked: (Phase.AGREEING,),
        FaceMoved: (Phase.AGREEING, Phase.PAYING, Phase.SETTLED),
        FaceMissed: (Phase.AGREEING,),
        HelpAsked: (Phase.SETTLED,),
        NotMe: (Phase.SETTLED,),
        Tick: (Phase.AGREEING, Phase.SETTLED),
    },
    Phase.PAYING: {
        Surroundings: (Phase.PAYING,),
        ChargeAnswered: (Phase.PAYING, Phase.SETTLED),
        Kept: (Phase.PAYING, Phase.SETTLED),
        Tick: (Phase.PAYING,),
    },
    Phase.SETTLED: {
        Surroundings: (Phase.SETTLED,),
        ZoneSeen: (Phase.SETTLED,),
        ClaimSeen: (Phase.SETTLED,),
        OtherWayAsked: (Phase.SETTLED,),
        Finished: (Phase.SETTLED,),
    },
}
"""What each phase handles, and the phases that it may lead to; staying is one of them."""

_TO_PAY = frozenset({Agreed, AgreeByChosen, Finished})
_OF_MONEY = frozenset({ChargeAnswered, Kept})
_OF_A_FACE = frozenset({FaceSeen, FaceMoved, FaceMissed})
_OF_A_PIN = frozenset({PinEntered, PinJudged})
_BEFORE = frozenset({StaffReleases, ZoneSeen, ClaimSeen, ClaimResolved, Searched})

IGNORED: Mapping[Phase, frozenset[type[Observation]]] = {
    Phase.WAITING: _TO_PAY
    | _OF_MONEY
    | _OF_A_FACE
    | _OF_A_PIN
    | {ClaimResolved, Searched, StandingSeen, GateAnswered},
    Phase.IDENTIFYING: _TO_PAY | _OF_MONEY | {StaffReleases, FaceMoved, GateAnswered},
    Phase.CHALLENGING: _TO_PAY | _OF_MONEY | _OF_A_PIN | _BEFORE | {FaceSeen, GateAnswered},
    Phase.SECOND_FACTOR: _TO_PAY | _OF_MONEY | _OF_A_FACE | _BEFORE | {GateAnswered},
    Phase.RELEASING: _TO_PAY
    | _OF_MONEY
    | _OF_A_FACE
    | _OF_A_PIN
    | _BEFORE
    | {StandingSeen, OtherWayAsked, NotMe, HelpAsked},
    Phase.AGREEING: _OF_MONEY | _OF_A_PIN | _BEFORE | {Finished, StandingSeen, FaceSeen, GateAnswered},
    Phase.PAYING: _TO_PAY
    | _OF_A_FACE
    | _OF_A_PIN
    | _BEFORE
    | {StandingSeen, GateAnswered, OtherWayAsked, NotMe, HelpAsked},
    Phase.SETTLED: _OF_MONEY
    | _OF_A_FACE
    | _OF_A_PIN
    | {Agreed, AgreeByChosen, StaffReleases, ClaimResolved, Searched, StandingSeen, GateAnswered}
    | {NotMe, HelpAsked, Tick},
}
"""What changes nothing in each phase: it belongs to another, or comes too late."""
