"""The face against the claimed member's template, and the challenge that follows a match."""

from __future__ import annotations

from dataclasses import replace

from edge.capture.sample import Probe
from edge.compare.search import Comparison, Match, verify
from edge.confirm.challenge import Challenge, Outcome, begin, draw
from edge.confirm.liveness import EMPTY, agreed, looks_recaptured
from edge.decide.verdict import Identification, Liveness
from edge.passage.deciding import Step, decide_passage, decide_when_ready, identification_of
from edge.passage.effects import Effect
from edge.passage.state import Passage, Phase, Rules
from edge.passage.stepping_up import gestured

LIVENESS = {
    Outcome.BONA_FIDE: Liveness.BONA_FIDE,
    Outcome.ATTACK: Liveness.ATTACK,
    Outcome.UNDETERMINED: Liveness.UNDETERMINED,
}


def compare(passage: Passage, now_ms: int, rules: Rules, first: tuple[Effect, ...]) -> Step:
    """Compare the window once it is whole and the template is there; `first` is done in any case."""
    template, track = passage.member.template, passage.face.window.track
    if template is None or track is None:
        return passage, first
    point = rules.point(template)
    probe = agreed(passage.face.window, rules.confirm.frames, point.threshold)
    if probe is None:
        return passage, first
    return follow_comparison(
        passage, verify(probe, template, point), probe=probe, now_ms=now_ms, rules=rules, first=first
    )


def follow_comparison(
    passage: Passage,
    comparison: Comparison,
    *,
    probe: Probe,
    now_ms: int,
    rules: Rules,
    first: tuple[Effect, ...],
) -> Step:
    """What follows once the window's `probe` is compared: another window, a challenge, or the decision."""
    track = passage.face.window.track
    face = replace(
        passage.face,
        comparison=comparison,
        windows_compared=passage.face.windows_compared + 1,
        live=passage.face.window.live,
        window=EMPTY,
    )
    compared = replace(passage, face=face)
    if not isinstance(comparison, Match) and compared.face.windows_compared < rules.confirm.attempts:
        return compared, first
    matched = isinstance(comparison, Match)
    identified = replace(
        compared,
        identification=identification_of(comparison),
        face=replace(face, matched=probe if matched else None),
    )
    asks = matched and rules.confirm.asks(used_before=passage.member.used_before)
    # A recapture is suspected, not proven: the PIN settles it, and gestures would not undo the suspicion.
    suspected = matched and looks_recaptured(compared.face.live, rules.live_min)
    if suspected or (asks and passage.member.tries_exhausted):
        after, effects = found_live(identified, Liveness.UNDETERMINED, now_ms, rules)
        return after, (*first, *effects)
    if asks and track is not None:
        challenge = begin(draw(passage.nonce, rules.confirm.prompts), track, probe, now_ms)
        return _challenge(identified, challenge, now_ms, rules), first
    after, effects = decide_when_ready(identified, now_ms, rules)
    return after, (*first, *effects)


def _challenge(passage: Passage, challenge: Challenge, now_ms: int, rules: Rules) -> Passage:
    deadline_ms = now_ms + rules.confirm.challenge_ms
    return replace(passage, phase=Phase.CHALLENGING, challenge=challenge, deadline_ms=deadline_ms)


def challenged(passage: Passage, challenge: Challenge, now_ms: int, rules: Rules) -> Step:
    """The challenge goes on, or has an outcome."""
    if challenge.outcome is None:
        return replace(passage, challenge=challenge), ()
    if passage.gestured:
        return gestured(passage, challenge.outcome, now_ms, rules)
    return found_live(passage, LIVENESS[challenge.outcome], now_ms, rules)


def found_live(passage: Passage, liveness: Liveness, now_ms: int, rules: Rules) -> Step:
    """The challenge is over; only who is bona fide waits for a standing that has not come yet."""
    found = replace(
        passage,
        phase=Phase.IDENTIFYING,
        challenge=None,
        liveness=liveness,
        deadline_ms=now_ms + rules.confirm.acquire_ms,
    )
    if liveness is Liveness.BONA_FIDE:
        return decide_when_ready(found, now_ms, rules)
    return decide_passage(found, Identification.MATCH, now_ms, rules)
