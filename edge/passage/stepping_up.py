"""The second factor: the PIN; where only the tier asks, two gestures by the matched face; then none.

SECOND_FACTOR --PIN--> standing looked up again, decided
| no PIN, another way
v
CHALLENGING --two gestures--> standing looked up again, decided
| not done                      another way, once more: decided without a second factor
`--> SECOND_FACTOR
"""

from __future__ import annotations

from dataclasses import replace

from edge.confirm.challenge import Challenge, Outcome, Sighting, begin, draw
from edge.decide.verdict import (
    Identification,
    Liveness,
    SecondFactor,
    asked_by_limit_alone,
    asked_by_tier_alone,
)
from edge.passage.deciding import GESTURES_LEAST, Step, decide_passage
from edge.passage.effects import FetchStanding
from edge.passage.state import Passage, Phase, Rules


def another_factor(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """The member has no PIN: nothing but tier or limit may ask for one then."""
    optional = asked_by_tier_alone(passage.verdict) or asked_by_limit_alone(passage.verdict)
    if passage.checking_pin or not optional:
        return passage, ()
    given = passage.second_factor
    known = given in {SecondFactor.EXHAUSTED, SecondFactor.UNAVAILABLE}
    return without_pin(passage, given if known else SecondFactor.NONE, now_ms, rules)


def without_pin(passage: Passage, why: SecondFactor, now_ms: int, rules: Rules) -> Step:
    """No PIN is to be had: gestures, unless they have been asked for; else the decision without either."""
    lacking = replace(passage, second_factor=why, checking_pin=False, evidence_ms=now_ms)
    seen = passage.face.matched is not None and not passage.gestured and not passage.member.tries_exhausted
    if seen and asked_by_tier_alone(passage.verdict):
        deadline_ms = now_ms + rules.confirm.challenge_ms
        return replace(lacking, phase=Phase.CHALLENGING, gestured=True, deadline_ms=deadline_ms), ()
    return decide_passage(lacking, passage.identification or Identification.NO_MATCH, now_ms, rules)


def challenge_of(passage: Passage, seen: Sighting, now_ms: int, rules: Rules) -> Challenge:
    """The challenge under way; as a second factor it begins with the first sight of the face."""
    if passage.challenge is not None:
        return passage.challenge
    assert passage.face.matched is not None
    prompts = draw(passage.nonce, max(GESTURES_LEAST, rules.confirm.prompts))
    return begin(prompts, seen.track, passage.face.matched, now_ms)


def gestured(passage: Passage, outcome: Outcome, now_ms: int, rules: Rules) -> Step:
    """The gestures are over. Not done, they say nothing of who stands there: the PIN is asked for again."""
    assert passage.member.subject is not None
    over = replace(passage, challenge=None, obstacle=None)
    match outcome:
        case Outcome.BONA_FIDE:
            # As after a PIN: what is decided on is looked up now.
            given = replace(
                over,
                phase=Phase.IDENTIFYING,
                second_factor=SecondFactor.GESTURES,
                view=None,
                deadline_ms=now_ms + rules.confirm.acquire_ms,
            )
            return given, (FetchStanding(passage.passage_id, passage.member.subject, proven=True),)
        case Outcome.ATTACK:
            found = passage.identification or Identification.NO_MATCH
            return decide_passage(replace(over, liveness=Liveness.ATTACK), found, now_ms, rules)
        case Outcome.UNDETERMINED:
            return replace(over, phase=Phase.SECOND_FACTOR, deadline_ms=now_ms + rules.confirm.pin_ms), ()
