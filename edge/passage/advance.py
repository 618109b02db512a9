"""`advance`: what follows from what in a passage, one handler a phase.

`table.py` says what each phase handles and ignores; `docs/passage.md` draws it. A kiosk that takes money has
AGREEING and PAYING (paying.py) in the place of RELEASING, and nothing begins there before a till asks for
something. While WAITING staff may have the gate released, which the decision table grants as it grants
members.

The core decides and returns effects; the kiosk performs them, in order, and reports back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from edge.compare.claim import Claim
from edge.compare.member import KnownMember, Resolution, UnknownMember, WithdrawnMember
from edge.confirm.challenge import Outcome, expire, judge
from edge.confirm.liveness import EMPTY, gather
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
from edge.errors import NotInTableError
from edge.passage.answers import awaits
from edge.passage.comparing import challenged, compare, found_live
from edge.passage.deciding import (
    Step,
    decide_passage,
    decide_when_ready,
    identification_of,
    not_before_ms,
    settle,
)
from edge.passage.effects import CheckPin, FetchStanding, ResolveClaim
from edge.passage.observations import (
    Answer,
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
from edge.passage.paying import agreed, answered, chosen, kept, uncharged, watched
from edge.passage.seeking import another_came, given_up, searched, seek, zone_seen
from edge.passage.state import Money, Passage, Phase, Rules, is_seeking, nothing_due, wants_face
from edge.passage.stepping_up import another_factor, challenge_of, gestured, without_pin
from edge.passage.table import IGNORED
from wire.records import GateOutcome
from wire.values import AgreeBy

RECLAIM_MS = 1_500
"""A code held up all the while is one claim: it must be out of sight this long before it counts again."""


def advance(passage: Passage, observation: Observation, now_ms: int, rules: Rules) -> Step:
    """What follows from `observation` at `now_ms`; what the passage's phase ignores changes nothing.

    An observation that is neither handled nor ignored in a phase is an error.
    """
    if type(observation) in IGNORED[passage.phase]:
        return passage, ()
    if isinstance(observation, Answer) and not awaits(passage, observation):
        return passage, ()
    return HANDLERS[passage.phase](passage, observation, now_ms, rules)


def _waiting(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings():
            return replace(passage, surroundings=told), ()
        case ClaimSeen() | OtherWayAsked() if nothing_due(passage):
            return passage, ()
        case ClaimSeen(claim):
            return _claimed(passage, claim, now_ms, rules)
        case OtherWayAsked():
            return _without_face(passage, now_ms, rules), ()
        case ZoneSeen():
            return zone_seen(passage, told, now_ms, rules)
        case StaffReleases():
            return (passage, ()) if passage.surroundings.pays else _released(passage, told, now_ms, rules)
        case HelpAsked():
            return _helped(passage, now_ms, rules)
        case NotMe():
            return replace(passage, without_face=False), ()
        case Tick():
            return _waited(passage, now_ms), ()
        case _:
            raise NotInTableError(passage.phase, told)


def _identifying(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    seeking = is_seeking(passage)
    match told:
        case Surroundings():
            return _disturbed(passage, told, now_ms, rules)
        case ClaimSeen(claim):
            # Whoever holds a code up says who they are, and that goes before a search.
            return _claimed(given_up(passage), claim, now_ms, rules) if seeking else (passage, ())
        case ClaimResolved(resolution=resolution):
            member = replace(
                passage.member,
                used_before=told.used_before,
                tries_exhausted=told.tries_exhausted,
                passback=told.passback,
            )
            return _resolved(replace(passage, member=member), resolution, now_ms, rules)
        case ZoneSeen(facing=track, empty=empty):
            other = seeking and not empty and track != passage.approach.track
            return another_came(passage, now_ms, rules) if other else (passage, ())
        case Searched():
            return searched(passage, told, now_ms, rules)
        case StandingSeen():
            return decide_when_ready(_with_standing(passage, told), now_ms, rules)
        case FaceSeen() if not wants_face(passage):
            return passage, ()
        case FaceSeen() if seeking:
            return seek(passage, told, now_ms, rules)
        case FaceSeen():
            window = gather(passage.face.window, told.track, told.probe, rules.confirm.frames, told.live)
            gathered = replace(passage.face, window=window)
            seen = replace(passage, face=gathered, obstacle=None, evidence_ms=told.captured_ms)
            return compare(seen, now_ms, rules, ())
        case FaceMissed(failure):
            return replace(passage, obstacle=failure.reason), ()
        case OtherWayAsked() if seeking:
            return _without_face(given_up(passage), now_ms, rules), ()
        case OtherWayAsked():
            return passage if passage.without_face else _without_face(passage, now_ms, rules), ()
        case PinEntered():
            return _pin_entered(passage, told)
        case PinJudged(judgement=judgement):
            return _pin_judged(passage, judgement, now_ms, rules)
        case HelpAsked():
            return _helped(passage, now_ms, rules)
        case NotMe():
            return settle(passage, now_ms, rules)
        case Tick() if now_ms < passage.deadline_ms:
            return passage, ()
        case Tick():
            found = passage.identification or identification_of(passage.face.comparison)
            return decide_passage(passage, found, now_ms, rules)
        case _:
            raise NotInTableError(passage.phase, told)


def _challenging(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    challenge, template = passage.challenge, passage.member.template
    match told:
        case Surroundings():
            return _disturbed(passage, told, now_ms, rules)
        case StandingSeen():
            return _with_standing(passage, told), ()
        case FaceMissed(failure):
            return replace(passage, obstacle=failure.reason), ()
        case FaceMoved(seen):
            assert template is not None
            moved = replace(passage, obstacle=None, evidence_ms=seen.captured_ms)
            under_way = challenge_of(passage, seen, now_ms, rules)
            judged = judge(under_way, seen, rules.likeness(template), rules.confirm)
            return challenged(moved, judged, now_ms, rules)
        case OtherWayAsked() if passage.gestured:
            return another_factor(passage, now_ms, rules)
        case OtherWayAsked():
            # The PIN settles what the challenge did not, for whoever cannot or will not do gestures.
            return found_live(passage, Liveness.UNDETERMINED, now_ms, rules)
        case HelpAsked():
            return _helped(passage, now_ms, rules)
        case NotMe():
            return settle(passage, now_ms, rules)
        case Tick() if challenge is None:  # nobody has been seen yet
            late = now_ms >= passage.deadline_ms
            return gestured(passage, Outcome.UNDETERMINED, now_ms, rules) if late else (passage, ())
        case Tick():
            assert challenge is not None
            return challenged(passage, expire(challenge, now_ms, rules.confirm), now_ms, rules)
        case _:
            raise NotInTableError(passage.phase, told)


def _second_factor(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings():
            return _disturbed(passage, told, now_ms, rules)
        case StandingSeen() if not told.proven:
            return passage, ()
        case StandingSeen():
            return decide_when_ready(_with_standing(passage, told), now_ms, rules)
        case OtherWayAsked():
            return another_factor(passage, now_ms, rules)
        case PinEntered():
            return _pin_entered(passage, told)
        case PinJudged(judgement=judgement):
            return _pin_judged(passage, judgement, now_ms, rules)
        case HelpAsked():
            return _helped(passage, now_ms, rules)
        case NotMe():
            return settle(passage, now_ms, rules)
        case Tick():
            return settle(passage, now_ms, rules) if now_ms >= passage.deadline_ms else (passage, ())
        case _:
            raise NotInTableError(passage.phase, told)


def _releasing(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings():
            return replace(passage, surroundings=told), ()
        case GateAnswered(outcome=outcome):
            return settle(replace(passage, gate_outcome=outcome), now_ms, rules)
        case Tick() if now_ms < passage.deadline_ms:
            return passage, ()
        case Tick():
            return settle(replace(passage, gate_outcome=GateOutcome.UNKNOWN), now_ms, rules)
        case _:
            raise NotInTableError(passage.phase, told)


def _agreeing(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings():
            return _disturbed(passage, told, now_ms, rules)
        case Agreed():
            return agreed(passage, AgreeBy.BUTTON, now_ms, rules)
        case AgreeByChosen(by):
            return chosen(passage, by, now_ms, rules), ()
        case OtherWayAsked():
            return chosen(passage, AgreeBy.BUTTON, now_ms, rules), ()
        case FaceMoved(seen):
            return watched(passage, seen, now_ms, rules)
        case FaceMissed(failure):
            return replace(passage, obstacle=failure.reason), ()
        case NotMe():
            return uncharged(passage, NotCharged.CALLED_OFF, now_ms, rules)
        case HelpAsked():
            return uncharged(replace(passage, help_asked=True), NotCharged.CALLED_OFF, now_ms, rules)
        case Tick() if now_ms < passage.deadline_ms:
            return passage, ()
        case Tick():
            return uncharged(passage, NotCharged.NOT_AGREED, now_ms, rules)
        case _:
            raise NotInTableError(passage.phase, told)


def _paying(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings():
            return replace(passage, surroundings=told), ()
        case ChargeAnswered():
            return answered(passage, told, now_ms, rules)
        case Kept():
            return kept(passage, told, now_ms, rules)
        case Tick():
            late = now_ms >= passage.deadline_ms
            return replace(passage, help_asked=True) if late else passage, ()
        case _:
            raise NotInTableError(passage.phase, told)


def _settled(passage: Passage, told: Observation, now_ms: int, rules: Rules) -> Step:
    match told:
        case Surroundings(due=due):
            changed = replace(passage, surroundings=told)
            if due in {None, passage.surroundings.due}:
                return changed, ()
            # Somebody else is to pay: what is on the screen is shown as long as any outcome, and no longer.
            soon_ms = min(passage.deadline_ms, now_ms + rules.release.linger_ms)
            return replace(changed, deadline_ms=soon_ms), ()
        case ZoneSeen():
            return zone_seen(passage, told, now_ms, rules)
        case ClaimSeen() | OtherWayAsked() if nothing_due(passage):
            return passage, ()
        case ClaimSeen(claim) if claim == passage.claim:
            return replace(passage, claim_seen_ms=now_ms), ()
        case ClaimSeen() | Finished():
            return replace(passage, deadline_ms=max(now_ms, not_before_ms(passage))), ()
        case OtherWayAsked():
            return replace(passage, other_way_next=True, deadline_ms=now_ms + rules.confirm.pin_ms), ()
        case _:
            raise NotInTableError(passage.phase, told)


HANDLERS: Mapping[Phase, Callable[[Passage, Observation, int, Rules], Step]] = {
    Phase.WAITING: _waiting,
    Phase.IDENTIFYING: _identifying,
    Phase.CHALLENGING: _challenging,
    Phase.SECOND_FACTOR: _second_factor,
    Phase.RELEASING: _releasing,
    Phase.AGREEING: _agreeing,
    Phase.PAYING: _paying,
    Phase.SETTLED: _settled,
}
"""What each phase makes of what it does not ignore."""


def _disturbed(passage: Passage, found: Surroundings, now_ms: int, rules: Rules) -> Step:
    """The surroundings changed before anything was opened, or anybody asked for money."""
    changed = replace(passage, surroundings=found)
    if passage.money.due is not None and found.due != passage.money.due:
        return uncharged(changed, NotCharged.CHECKOUT_CLOSED, now_ms, rules)
    if found.emergency or found.gate is not GateState.READY:
        found_so_far = passage.identification or Identification.FAILURE_TO_ACQUIRE
        return decide_passage(changed, found_so_far, now_ms, rules)
    return changed, ()


def _helped(passage: Passage, now_ms: int, rules: Rules) -> Step:
    return settle(replace(passage, help_asked=True), now_ms, rules)


def _waited(passage: Passage, now_ms: int) -> Passage:
    """Who wanted another way and made no claim has gone."""
    return replace(passage, without_face=False) if now_ms >= passage.deadline_ms else passage


def _with_standing(passage: Passage, seen: StandingSeen) -> Passage:
    member = replace(passage.member, membership=seen.view.membership)
    money = replace(passage.money, offline_spent_minor=seen.offline_spent_minor)
    return replace(passage, view=seen.view, member=member, money=money)


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
        money=Money(passage.surroundings.due),
        started_ms=now_ms,
        deadline_ms=now_ms + (rules.confirm.pin_ms if passage.without_face else rules.confirm.acquire_ms),
    )
    if passage.surroundings.emergency or passage.surroundings.gate is not GateState.READY:
        return decide_passage(started, Identification.FAILURE_TO_ACQUIRE, now_ms, rules)
    return started, (ResolveClaim(passage.passage_id, claim),)


def _resolved(passage: Passage, resolution: Resolution, now_ms: int, rules: Rules) -> Step:
    match resolution:
        case KnownMember(subject, template, enrol_again, agree_by):
            member = replace(
                passage.member,
                subject=subject,
                template=template,
                enrol_again=enrol_again,
                agree_by=agree_by,
            )
            known = replace(passage, member=member)
            if template is None and not passage.without_face:
                # Nothing to compare with: the PIN at once, and no face is looked at for nothing.
                return _without_face(known, now_ms, rules), (FetchStanding(passage.passage_id, subject),)
            return compare(known, now_ms, rules, (FetchStanding(passage.passage_id, subject),))
        case WithdrawnMember():
            gone = replace(passage, member=replace(passage.member, membership=Membership.WITHDRAWN))
            return decide_passage(gone, Identification.NO_MATCH, now_ms, rules)
        case UnknownMember():
            return decide_passage(passage, Identification.NO_MATCH, now_ms, rules)


def _without_face(passage: Passage, now_ms: int, rules: Rules) -> Passage:
    return replace(
        passage,
        without_face=True,
        face=replace(passage.face, window=EMPTY),
        obstacle=None,
        deadline_ms=now_ms + rules.confirm.pin_ms,
    )


def _pin_entered(passage: Passage, pin: PinEntered) -> Step:
    """A PIN counts once asked for: as the other way, or as the second factor; one at a time."""
    asked = passage.without_face or passage.phase is Phase.SECOND_FACTOR
    if not asked or passage.checking_pin or passage.member.subject is None:
        return passage, ()
    return replace(passage, checking_pin=True), (CheckPin(passage.passage_id, passage.member.subject, pin),)


def _pin_judged(passage: Passage, judgement: PinJudgement, now_ms: int, rules: Rules) -> Step:
    subject, found = passage.member.subject, passage.identification
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
            return proven, (FetchStanding(passage.passage_id, subject, proven=True),)
        case PinOutcome.EXHAUSTED:
            return without_pin(judged, SecondFactor.EXHAUSTED, now_ms, rules)
        case PinOutcome.UNAVAILABLE:
            return without_pin(judged, SecondFactor.UNAVAILABLE, now_ms, rules)
    return decide_passage(judged, found or Identification.NO_MATCH, now_ms, rules)
