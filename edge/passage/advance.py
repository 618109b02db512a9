"""`advance` is the one table of what follows from what in a passage.

    WAITING --claim--> IDENTIFYING --match, standing--> RELEASING --gate--> SETTLED
                        ^  |   |                            ^                  ^
                        |  |   `--step up--> SECOND_FACTOR --PIN               |
             bona fide--|  |                   ^ undetermined, other way       |
                     CHALLENGING --------------'                               |
                           `--no match, no face, attack, referral, refusal-----'

    A kiosk that takes money has AGREEING and PAYING (paying.py) in the place of RELEASING, and nothing begins
    there before a till asks for something.

    With one to many a face that stands there long enough leads from WAITING to IDENTIFYING as a claim does.
    From IDENTIFYING a match leads to CHALLENGING where the config says so.
    While WAITING staff may have the gate released, which the decision table grants as it grants members.

The core decides and returns effects; the kiosk performs them, in order, and reports back.
"""

from __future__ import annotations

from dataclasses import replace

from edge.compare.claim import Claim
from edge.compare.member import KnownMember, Resolution, UnknownMember, WithdrawnMember
from edge.confirm.challenge import expire, judge
from edge.confirm.liveness import Window, gather
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.verdict import GateState, Identification, Liveness, Membership, SecondFactor
from edge.enact.charge import NotCharged
from edge.enact.display import (
    AgreeByChosen,
    Agreed,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    PinEntered,
)
from edge.passage.comparing import challenged, compare, found_live
from edge.passage.deciding import Step, decide_passage, decide_when_ready, not_before_ms, settle, timed_out
from edge.passage.effects import CheckPin, FetchStanding, ResolveClaim
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
from edge.passage.paying import agreed, answered, chosen, kept, watched
from edge.passage.seeking import another_came, given_up, searched, seek, zone_seen
from edge.passage.state import Passage, Phase, Rules, is_seeking, nothing_due, wants_face
from wire.values import AgreeBy

UNDER_WAY = {Phase.IDENTIFYING, Phase.CHALLENGING, Phase.SECOND_FACTOR, Phase.AGREEING}
"""Phases in which nothing has been opened, and nobody asked for money, yet."""
RECLAIM_MS = 1_500
"""A code held up all the while is one claim: it must be out of sight this long before it counts again."""


def advance(passage: Passage, observation: Observation, now_ms: int, rules: Rules) -> Step:
    """What follows from `observation` at `now_ms`; what is not in the table changes nothing."""
    match passage.phase, observation:
        case _, Surroundings():
            return _surrounded(passage, observation, now_ms, rules)
        case Phase.WAITING, ClaimSeen() | OtherWayAsked() if nothing_due(passage):
            return passage, ()
        case Phase.WAITING, ClaimSeen(claim):
            return _claimed(passage, claim, now_ms, rules)
        case ((Phase.WAITING | Phase.SETTLED), ZoneSeen()):
            return zone_seen(passage, observation, now_ms, rules)
        case Phase.WAITING, OtherWayAsked():
            return _without_face(passage, now_ms, rules), ()
        case Phase.WAITING, NotMe():
            return replace(passage, without_face=False), ()
        case Phase.WAITING, StaffReleases() if not passage.surroundings.pays:
            return _released(passage, observation, now_ms, rules)
        case Phase.WAITING, Tick() if now_ms >= passage.deadline_ms:
            return replace(passage, without_face=False), ()
        case Phase.SETTLED, ClaimSeen() | OtherWayAsked() if nothing_due(passage):
            return passage, ()
        case Phase.SETTLED, Finished():
            return replace(passage, deadline_ms=max(now_ms, not_before_ms(passage))), ()
        case Phase.SETTLED, ClaimSeen(claim):
            held = claim == passage.claim
            return replace(passage, claim_seen_ms=now_ms) if held else replace(
                passage, deadline_ms=max(now_ms, not_before_ms(passage))
            ), ()
        case Phase.SETTLED, OtherWayAsked():
            return replace(passage, other_way_next=True, deadline_ms=now_ms + rules.confirm.pin_ms), ()
        case Phase.IDENTIFYING, ClaimSeen(claim) if is_seeking(passage):
            # Whoever holds a code up says who they are, and that goes before a search.
            return _claimed(given_up(passage), claim, now_ms, rules)
        case Phase.IDENTIFYING, ZoneSeen(facing=track, empty=False) if (
            is_seeking(passage) and track != passage.approach.track
        ):
            return another_came(passage, now_ms, rules)
        case Phase.IDENTIFYING, FaceSeen() if is_seeking(passage) and wants_face(passage):
            return seek(passage, observation, now_ms, rules)
        case Phase.IDENTIFYING, Searched() if is_seeking(passage):
            return searched(passage, observation, now_ms, rules)
        case Phase.IDENTIFYING, OtherWayAsked() if is_seeking(passage):
            return _without_face(given_up(passage), now_ms, rules), ()
        case Phase.IDENTIFYING, ClaimResolved(resolution, used_before, exhausted, again):
            told = replace(passage, used_before=used_before, tries_exhausted=exhausted, passback=again)
            return _resolved(told, resolution, now_ms, rules)
        case Phase.IDENTIFYING, StandingSeen():
            return decide_when_ready(_with_standing(passage, observation), now_ms, rules)
        case Phase.CHALLENGING, StandingSeen():
            return _with_standing(passage, observation), ()
        case Phase.SECOND_FACTOR, StandingSeen() if passage.second_factor is SecondFactor.GOOD:
            return decide_when_ready(_with_standing(passage, observation), now_ms, rules)
        case Phase.IDENTIFYING, FaceSeen(track, probe, captured_ms, live) if wants_face(passage):
            window = gather(passage.window, track, probe, rules.confirm.frames, live)
            seen_face = replace(passage, window=window, obstacle=None, evidence_ms=captured_ms)
            return compare(seen_face, now_ms, rules, ())
        case ((Phase.IDENTIFYING | Phase.CHALLENGING | Phase.AGREEING), FaceMissed(failure)):
            return replace(passage, obstacle=failure.reason), ()
        case Phase.CHALLENGING, FaceMoved(seen) if passage.challenge and passage.template:
            likeness = rules.likeness(passage.template)
            moved = replace(passage, obstacle=None, evidence_ms=seen.captured_ms)
            judged = judge(passage.challenge, seen, likeness, rules.confirm)
            return challenged(moved, judged, now_ms, rules)
        case Phase.CHALLENGING, Tick() if passage.challenge:
            return challenged(passage, expire(passage.challenge, now_ms, rules.confirm), now_ms, rules)
        case Phase.CHALLENGING, OtherWayAsked():
            # The PIN settles what the challenge did not, for whoever cannot or will not do gestures.
            return found_live(passage, Liveness.UNDETERMINED, now_ms, rules)
        case Phase.IDENTIFYING, OtherWayAsked() if not passage.without_face:
            return _without_face(passage, now_ms, rules), ()
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR), PinEntered()):
            return _pin_entered(passage, observation)
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR), PinJudged(judgement)) if passage.checking_pin:
            return _pin_judged(passage, judgement, now_ms, rules)
        case Phase.AGREEING, Agreed():
            return agreed(passage, AgreeBy.BUTTON, now_ms, rules)
        case Phase.AGREEING, AgreeByChosen(by):
            return chosen(passage, by, now_ms, rules), ()
        case Phase.AGREEING, OtherWayAsked():
            return chosen(passage, AgreeBy.BUTTON, now_ms, rules), ()
        case Phase.AGREEING, FaceMoved(seen):
            return watched(passage, seen, now_ms, rules)
        case Phase.AGREEING, NotMe() | HelpAsked():
            called = isinstance(observation, HelpAsked)
            off = replace(passage, charge_reason=NotCharged.CALLED_OFF.value, help_asked=called)
            return settle(off, now_ms, rules)
        case Phase.PAYING, ChargeAnswered():
            return answered(passage, observation, now_ms, rules)
        case Phase.PAYING, Kept():
            return kept(passage, observation, now_ms, rules)
        case Phase.PAYING, Tick() if now_ms >= passage.deadline_ms:
            return replace(passage, help_asked=True), ()
        case ((Phase.WAITING | Phase.IDENTIFYING | Phase.CHALLENGING | Phase.SECOND_FACTOR), HelpAsked()):
            return settle(replace(passage, help_asked=True), now_ms, rules)
        case ((Phase.IDENTIFYING | Phase.CHALLENGING | Phase.SECOND_FACTOR), NotMe()):
            return settle(passage, now_ms, rules)
        case Phase.RELEASING, GateAnswered(outcome):
            return settle(replace(passage, gate_outcome=outcome), now_ms, rules)
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR | Phase.RELEASING | Phase.AGREEING), Tick()) if (
            now_ms >= passage.deadline_ms
        ):
            return timed_out(passage, now_ms, rules)
        case _:
            return passage, ()


def _surrounded(passage: Passage, found: Surroundings, now_ms: int, rules: Rules) -> Step:
    changed = replace(passage, surroundings=found)
    free_or_stuck = found.emergency or found.gate is not GateState.READY
    under_way = passage.phase in UNDER_WAY
    if under_way and passage.due is not None and found.due != passage.due:
        closed = replace(changed, charge_reason=NotCharged.CHECKOUT_CLOSED.value)
        return settle(closed, now_ms, rules)
    if passage.phase is Phase.SETTLED and found.due not in {None, passage.surroundings.due}:
        # Somebody else is to pay: what is on the screen is seen for as long as any outcome, and no longer.
        soon_ms = min(passage.deadline_ms, now_ms + rules.release.linger_ms)
        return replace(changed, deadline_ms=soon_ms), ()
    if under_way and free_or_stuck:
        found_so_far = passage.identification or Identification.FAILURE_TO_ACQUIRE
        return decide_passage(changed, found_so_far, now_ms, rules)
    return changed, ()


def _with_standing(passage: Passage, seen: StandingSeen) -> Passage:
    view = seen.view
    return replace(
        passage, view=view, membership=view.membership, offline_spent_minor=seen.offline_spent_minor
    )


def _released(passage: Passage, order: StaffReleases, now_ms: int, rules: Rules) -> Step:
    """Somebody is let through on a named person's word: the same table, record and gate as for members."""
    begun = replace(
        passage,
        without_face=False,
        started_ms=now_ms,
        staff=order.staff,
        direction=order.direction,
        evidence_ms=min(now_ms, order.not_after_ms - rules.release.ttl_ms),
    )
    return decide_passage(begun, Identification.STAFF, now_ms, rules)


def _claimed(passage: Passage, claim: Claim, now_ms: int, rules: Rules) -> Step:
    held = claim == passage.claim and now_ms - passage.claim_seen_ms < RECLAIM_MS
    if held and not passage.without_face:
        return replace(passage, claim_seen_ms=now_ms), ()
    started = replace(
        passage,
        phase=Phase.IDENTIFYING,
        claim=claim,
        claim_seen_ms=now_ms,
        due=passage.surroundings.due,
        started_ms=now_ms,
        deadline_ms=now_ms + (rules.confirm.pin_ms if passage.without_face else rules.confirm.acquire_ms),
    )
    if passage.surroundings.emergency or passage.surroundings.gate is not GateState.READY:
        return decide_passage(started, Identification.FAILURE_TO_ACQUIRE, now_ms, rules)
    return started, (ResolveClaim(claim),)


def _resolved(passage: Passage, resolution: Resolution, now_ms: int, rules: Rules) -> Step:
    match resolution:
        case KnownMember(subject, template, enrol_again, agree_by):
            known = replace(
                passage, subject=subject, template=template, enrol_again=enrol_again, agree_by=agree_by
            )
            if template is None and not passage.without_face:
                # Nothing to compare with: the PIN at once, and no face is looked at for nothing.
                return _without_face(known, now_ms, rules), (FetchStanding(subject),)
            return compare(known, now_ms, rules, (FetchStanding(subject),))
        case WithdrawnMember():
            gone = replace(passage, membership=Membership.WITHDRAWN)
            return decide_passage(gone, Identification.NO_MATCH, now_ms, rules)
        case UnknownMember():
            return decide_passage(passage, Identification.NO_MATCH, now_ms, rules)


def _without_face(passage: Passage, now_ms: int, rules: Rules) -> Passage:
    return replace(
        passage,
        without_face=True,
        window=Window(),
        obstacle=None,
        deadline_ms=now_ms + rules.confirm.pin_ms,
    )


def _pin_entered(passage: Passage, pin: PinEntered) -> Step:
    """A PIN counts once asked for: as the other way, or as the second factor; one at a time."""
    asked = passage.without_face or passage.phase is Phase.SECOND_FACTOR
    if not asked or passage.checking_pin or passage.subject is None:
        return passage, ()
    return replace(passage, checking_pin=True), (CheckPin(passage.subject, pin),)


def _pin_judged(passage: Passage, judgement: PinJudgement, now_ms: int, rules: Rules) -> Step:
    subject, found = passage.subject, passage.identification
    left = passage.tries_left if judgement.tries_left is None else judgement.tries_left
    judged = replace(passage, checking_pin=False, tries_left=left)
    match judgement.outcome:
        case PinOutcome.WRONG | PinOutcome.WAIT:
            return replace(judged, deadline_ms=now_ms + rules.confirm.pin_ms), ()
        case PinOutcome.RIGHT if subject is not None:
            # The standing was looked up before the PIN was typed, which may take minutes with wrong ones, or
            # had not come by then: what is decided on is looked up now.
            proven = replace(
                passage,
                second_factor=SecondFactor.GOOD,
                evidence_ms=now_ms,
                deadline_ms=now_ms + rules.confirm.pin_ms,
                identification=found or Identification.OTHER_WAY,
                view=None,
            )
            return proven, (FetchStanding(subject),)
        case PinOutcome.EXHAUSTED:
            judged = replace(judged, second_factor=SecondFactor.EXHAUSTED)
        case PinOutcome.UNAVAILABLE:
            judged = replace(judged, second_factor=SecondFactor.UNAVAILABLE)
    return decide_passage(judged, found or Identification.NO_MATCH, now_ms, rules)
