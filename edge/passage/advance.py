"""`advance` is the one table of what follows from what in a passage.

    WAITING --claim--> IDENTIFYING --match, standing--> RELEASING --gate--> SETTLED
                        ^  |   |                            ^                  ^
                        |  |   `--step up--> SECOND_FACTOR --PIN               |
             bona fide--|  |                   ^ undetermined, other way       |
                     CHALLENGING --------------'                               |
                           `--no match, no face, attack, referral, refusal-----'

    From IDENTIFYING a match leads to CHALLENGING where the config says so.

The core decides and returns effects; the kiosk performs them, in order, and reports back.
"""

from __future__ import annotations

from dataclasses import replace

from edge.compare.claim import Claim
from edge.compare.member import KnownMember, Resolution, UnknownMember, WithdrawnMember
from edge.compare.search import Ambiguous, Comparison, Match, verify
from edge.confirm.challenge import Challenge, Outcome, begin, draw, expire, judge
from edge.confirm.liveness import Window, agreed, gather, looks_recaptured
from edge.confirm.pin import PinJudgement, PinOutcome
from edge.decide.standing import ABSENT
from edge.decide.verdict import (
    Circumstances,
    ContestCode,
    Deny,
    GateState,
    Grant,
    Identification,
    Liveness,
    Membership,
    Payment,
    Refer,
    SecondFactor,
    StepUp,
    decide,
)
from edge.enact.display import HelpAsked, NotMe, OtherWayAsked, PinEntered
from edge.enact.release import GATE_ANSWER_MS, make_release
from edge.passage.effects import Begin, CheckPin, Effect, FetchStanding, OpenGate, ResolveClaim, Settle
from edge.passage.observations import (
    ClaimResolved,
    ClaimSeen,
    FaceMissed,
    FaceMoved,
    FaceSeen,
    GateAnswered,
    Observation,
    PinJudged,
    StandingSeen,
    Surroundings,
    Tick,
)
from edge.passage.state import IDENTIFIED, Passage, Phase, Rules, account, wants_face
from wire.messages import GateOutcome

RECLAIM_MS = 1_500
"""A code held up all the while is one claim: it must be out of sight this long before it counts again."""
UNKNOWN_MS = 1_000
"""The least time between two claims that are nobody's: each makes a record, and a telephone can show thirty
codes a second."""

LIVENESS = {
    Outcome.BONA_FIDE: Liveness.BONA_FIDE,
    Outcome.ATTACK: Liveness.ATTACK,
    Outcome.UNDETERMINED: Liveness.UNDETERMINED,
}

Step = tuple[Passage, tuple[Effect, ...]]


def advance(passage: Passage, observation: Observation, now_ms: int, rules: Rules) -> Step:
    """What follows from `observation` at `now_ms`; what is not in the table changes nothing."""
    match passage.phase, observation:
        case _, Surroundings():
            return _surrounded(passage, observation, now_ms, rules)
        case Phase.WAITING, ClaimSeen(claim):
            return _claimed(passage, claim, now_ms, rules)
        case Phase.WAITING, OtherWayAsked():
            return _without_face(passage, now_ms, rules), ()
        case Phase.WAITING, NotMe():
            return replace(passage, without_face=False), ()
        case Phase.WAITING, Tick() if now_ms >= passage.deadline_ms:
            return replace(passage, without_face=False), ()
        case Phase.SETTLED, ClaimSeen(claim):
            held = claim == passage.claim
            return replace(passage, claim_seen_ms=now_ms) if held else replace(
                passage, deadline_ms=max(now_ms, _not_before_ms(passage))
            ), ()
        case Phase.SETTLED, OtherWayAsked():
            return replace(passage, other_way_next=True, deadline_ms=now_ms + rules.confirm.pin_ms), ()
        case Phase.IDENTIFYING, ClaimResolved(resolution, used_before, exhausted):
            told = replace(passage, used_before=used_before, tries_exhausted=exhausted)
            return _resolved(told, resolution, now_ms, rules)
        case Phase.IDENTIFYING, StandingSeen(view):
            seen = replace(passage, view=view, membership=view.membership)
            return _decide_when_ready(seen, now_ms, rules)
        case Phase.CHALLENGING, StandingSeen(view):
            return replace(passage, view=view, membership=view.membership), ()
        case Phase.SECOND_FACTOR, StandingSeen(view) if passage.second_factor is SecondFactor.GOOD:
            seen = replace(passage, view=view, membership=view.membership)
            return _decide_when_ready(seen, now_ms, rules)
        case Phase.IDENTIFYING, FaceSeen(track, probe, captured_ms, live) if wants_face(passage):
            window = gather(passage.window, track, probe, rules.confirm.frames, live)
            seen_face = replace(passage, window=window, obstacle=None, evidence_ms=captured_ms)
            return _compare(seen_face, now_ms, rules, ())
        case ((Phase.IDENTIFYING | Phase.CHALLENGING), FaceMissed(failure)):
            return replace(passage, obstacle=failure.reason), ()
        case Phase.CHALLENGING, FaceMoved(seen) if passage.challenge and passage.template:
            likeness = rules.likeness(passage.template)
            moved = replace(passage, obstacle=None, evidence_ms=seen.captured_ms)
            judged = judge(passage.challenge, seen, likeness, rules.confirm)
            return _challenged(moved, judged, now_ms, rules)
        case Phase.CHALLENGING, Tick() if passage.challenge:
            return _challenged(passage, expire(passage.challenge, now_ms, rules.confirm), now_ms, rules)
        case Phase.CHALLENGING, OtherWayAsked():
            # The PIN settles what the challenge did not, for whoever cannot or will not do gestures.
            return _found_live(passage, Liveness.UNDETERMINED, now_ms, rules)
        case Phase.IDENTIFYING, OtherWayAsked() if not passage.without_face:
            return _without_face(passage, now_ms, rules), ()
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR), PinEntered()):
            return _pin_entered(passage, observation)
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR), PinJudged(judgement)) if passage.checking_pin:
            return _pin_judged(passage, judgement, now_ms, rules)
        case ((Phase.WAITING | Phase.IDENTIFYING | Phase.CHALLENGING | Phase.SECOND_FACTOR), HelpAsked()):
            return _settle(replace(passage, help_asked=True), now_ms, rules)
        case ((Phase.IDENTIFYING | Phase.CHALLENGING | Phase.SECOND_FACTOR), NotMe()):
            return _settle(passage, now_ms, rules)
        case Phase.RELEASING, GateAnswered(outcome):
            return _settle(replace(passage, gate_outcome=outcome), now_ms, rules)
        case ((Phase.IDENTIFYING | Phase.SECOND_FACTOR | Phase.RELEASING), Tick()) if (
            now_ms >= passage.deadline_ms
        ):
            return _timed_out(passage, now_ms, rules)
        case _:
            return passage, ()


def _surrounded(passage: Passage, found: Surroundings, now_ms: int, rules: Rules) -> Step:
    changed = replace(passage, surroundings=found)
    free_or_stuck = found.emergency or found.gate is not GateState.READY
    under_way = passage.phase in {Phase.IDENTIFYING, Phase.CHALLENGING, Phase.SECOND_FACTOR}
    if under_way and free_or_stuck:
        return _decide(changed, passage.identification or Identification.FAILURE_TO_ACQUIRE, now_ms, rules)
    return changed, ()


def _claimed(passage: Passage, claim: Claim, now_ms: int, rules: Rules) -> Step:
    held = claim == passage.claim and now_ms - passage.claim_seen_ms < RECLAIM_MS
    if held and not passage.without_face:
        return replace(passage, claim_seen_ms=now_ms), ()
    started = replace(
        passage,
        phase=Phase.IDENTIFYING,
        claim=claim,
        claim_seen_ms=now_ms,
        started_ms=now_ms,
        deadline_ms=now_ms + (rules.confirm.pin_ms if passage.without_face else rules.confirm.acquire_ms),
    )
    if passage.surroundings.emergency or passage.surroundings.gate is not GateState.READY:
        return _decide(started, Identification.FAILURE_TO_ACQUIRE, now_ms, rules)
    return started, (ResolveClaim(claim),)


def _resolved(passage: Passage, resolution: Resolution, now_ms: int, rules: Rules) -> Step:
    match resolution:
        case KnownMember(subject, template):
            known = replace(passage, subject=subject, template=template)
            return _compare(known, now_ms, rules, (FetchStanding(subject),))
        case WithdrawnMember():
            gone = replace(passage, membership=Membership.WITHDRAWN)
            return _decide(gone, Identification.NO_MATCH, now_ms, rules)
        case UnknownMember():
            return _decide(passage, Identification.NO_MATCH, now_ms, rules)


def _compare(passage: Passage, now_ms: int, rules: Rules, first: tuple[Effect, ...]) -> Step:
    """Compare the window once it is whole and the template is there; `first` is done in any case."""
    template, track = passage.template, passage.window.track
    if template is None or track is None:
        return passage, first
    point = rules.point(template)
    probe = agreed(passage.window, rules.confirm.frames, point.threshold)
    if probe is None:
        return passage, first
    compared = replace(
        passage,
        comparison=verify(probe, template, point),
        windows_compared=passage.windows_compared + 1,
        live=passage.window.live,
        window=Window(),
    )
    if not isinstance(compared.comparison, Match) and compared.windows_compared < rules.confirm.attempts:
        return compared, first
    identified = replace(compared, identification=_identification(compared.comparison))
    matched = isinstance(compared.comparison, Match)
    asks = matched and rules.confirm.asks(used_before=passage.used_before)
    # A recapture is suspected, not proven: the PIN settles it, and gestures would not undo the suspicion.
    suspected = matched and looks_recaptured(compared.live, rules.live_min)
    if suspected or (asks and passage.tries_exhausted):
        after, effects = _found_live(identified, Liveness.UNDETERMINED, now_ms, rules)
        return after, (*first, *effects)
    if asks:
        challenge = begin(draw(passage.nonce, rules.confirm.prompts), track, probe, now_ms)
        return _challenge(identified, challenge, now_ms, rules), first
    after, effects = _decide_when_ready(identified, now_ms, rules)
    return after, (*first, *effects)


def _challenge(passage: Passage, challenge: Challenge, now_ms: int, rules: Rules) -> Passage:
    deadline_ms = now_ms + rules.confirm.challenge_ms
    return replace(passage, phase=Phase.CHALLENGING, challenge=challenge, deadline_ms=deadline_ms)


def _challenged(passage: Passage, challenge: Challenge, now_ms: int, rules: Rules) -> Step:
    if challenge.outcome is None:
        return replace(passage, challenge=challenge), ()
    return _found_live(passage, LIVENESS[challenge.outcome], now_ms, rules)


def _found_live(passage: Passage, liveness: Liveness, now_ms: int, rules: Rules) -> Step:
    """The challenge is over; only who is bona fide waits for a standing that has not come yet."""
    found = replace(
        passage,
        phase=Phase.IDENTIFYING,
        challenge=None,
        liveness=liveness,
        deadline_ms=now_ms + rules.confirm.acquire_ms,
    )
    if liveness is Liveness.BONA_FIDE:
        return _decide_when_ready(found, now_ms, rules)
    return _decide(found, Identification.MATCH, now_ms, rules)


def _identification(comparison: Comparison | None) -> Identification:
    match comparison:
        case None:
            return Identification.FAILURE_TO_ACQUIRE
        case Match():
            return Identification.MATCH
        case Ambiguous():
            return Identification.AMBIGUOUS
        case _:
            return Identification.NO_MATCH


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
    return _decide(judged, found or Identification.NO_MATCH, now_ms, rules)


def _decide_when_ready(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """A decision needs an identification, and for somebody identified their standing."""
    found = passage.identification
    if found is None or (found in IDENTIFIED and passage.view is None):
        return passage, ()
    return _decide(passage, found, now_ms, rules)


def _decide(passage: Passage, found: Identification, now_ms: int, rules: Rules) -> Step:
    view = passage.view or ABSENT
    around = passage.surroundings
    restriction = view.restriction
    circumstances = Circumstances(
        emergency=around.emergency,
        gate=around.gate,
        membership=passage.membership,
        identification=found,
        liveness=passage.liveness,
        restriction=view.restriction_state,
        age=view.age,
        tier=view.tier,
        second_factor=passage.second_factor,
        payment=Payment.NONE,  # a turnstile asks for none: its fare is charged on passage
        central_answers=around.central_answers,
        restriction_reason=restriction.reason if restriction else "",
        contest_code=ContestCode(restriction.contest_code if restriction else ""),
    )
    verdict = decide(circumstances)
    decided = replace(
        passage,
        identification=found,
        circumstances=circumstances,
        verdict=verdict,
        decided_ms=now_ms,
        window=Window(),
        challenge=None,
    )
    match verdict:
        case Grant():
            release = make_release(passage.passage_id, passage.nonce, passage.evidence_ms, rules.release)
            opening = replace(
                decided,
                phase=Phase.RELEASING,
                gate_outcome=GateOutcome.AWAITED,
                deadline_ms=now_ms + rules.release.ttl_ms + rules.release.open_ms + GATE_ANSWER_MS,
            )
            kept = account(opening, rules, settled_ms=now_ms)
            return opening, (*((Begin(kept),) if kept else ()), OpenGate(release))
        case StepUp():
            return (
                replace(decided, phase=Phase.SECOND_FACTOR, deadline_ms=now_ms + rules.confirm.pin_ms),
                (),
            )
        case Refer() | Deny():
            return _settle(decided, now_ms, rules)


def _timed_out(passage: Passage, now_ms: int, rules: Rules) -> Step:
    match passage.phase:
        case Phase.IDENTIFYING:
            found = passage.identification or _identification(passage.comparison)
            return _decide(passage, found, now_ms, rules)
        case Phase.RELEASING:
            return _settle(replace(passage, gate_outcome=GateOutcome.UNKNOWN), now_ms, rules)
        case _:
            return _settle(passage, now_ms, rules)


def _settle(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """The passage is over; one that reached a verdict is recorded, one called off before is not."""
    told = account(passage, rules, settled_ms=now_ms)
    # Template and probe go with the passage: nobody's is kept in memory for longer than they stand here.
    settled = replace(
        passage,
        phase=Phase.SETTLED,
        deadline_ms=max(now_ms + rules.release.linger_ms, _not_before_ms(passage)),
        # No code was looked for since the passage began, so this one may have been held up all the while.
        claim_seen_ms=now_ms,
        template=None,
        challenge=None,
    )
    return settled, () if told is None else (Settle(told),)


def _not_before_ms(passage: Passage) -> int:
    """When the next passage may begin: at once, unless this one's claim was nobody's."""
    unknown = passage.verdict is not None and passage.subject is None
    return passage.decided_ms + UNKNOWN_MS if unknown else 0
