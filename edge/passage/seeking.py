"""One to many: a face that stands before the kiosk begins a passage, and is searched for."""

from __future__ import annotations

from dataclasses import replace

from edge.compare.search import Match, NoMatch
from edge.confirm.liveness import agreed, gather
from edge.decide.verdict import GateState
from edge.passage.approach import NOBODY
from edge.passage.comparing import follow_comparison
from edge.passage.deciding import Step, decide_passage, identification_of
from edge.passage.effects import FetchStanding, Search
from edge.passage.observations import FaceSeen, Searched, ZoneSeen
from edge.passage.state import NO_FACE, Money, Passage, Phase, Rules, SeenFace, nothing_due


def zone_seen(passage: Passage, seen: ZoneSeen, now_ms: int, rules: Rules) -> Step:
    """Nobody in a passage: note who stands there, and begin once they have faced the kiosk long enough."""
    if seen.empty:
        return replace(passage, approach=passage.approach.nobody(seen.captured_ms)), ()
    approach = passage.approach.somebody(seen.facing, seen.captured_ms)
    noted = replace(passage, approach=approach)
    around = passage.surroundings
    ready = around.searches and around.gate is GateState.READY and not around.emergency
    ready = ready and not nothing_due(passage)
    free = passage.phase is Phase.WAITING and not passage.without_face
    if not (ready and free and approach.begins(seen.captured_ms, rules.search.start_ms)):
        return noted, ()
    begun = replace(
        noted,
        phase=Phase.IDENTIFYING,
        face=SeenFace(seeking=True),
        claim=None,
        money=Money(around.due),
        obstacle=None,
        started_ms=now_ms,
        deadline_ms=now_ms + rules.confirm.acquire_ms,
    )
    return begun, ()


def seek(passage: Passage, seen: FaceSeen, now_ms: int, rules: Rules) -> Step:
    """Gather the frames of whoever began; once they agree, have them searched for."""
    if seen.track != passage.approach.track:
        return another_came(passage, now_ms, rules)
    window = gather(passage.face.window, seen.track, seen.probe, rules.confirm.frames, seen.live)
    face = replace(passage.face, window=window)
    gathered = replace(passage, face=face, obstacle=None, evidence_ms=seen.captured_ms)
    probe = agreed(window, rules.confirm.frames, rules.strictest.threshold)
    if probe is None:
        return gathered, ()
    return replace(gathered, face=replace(face, sought=probe)), (Search(passage.passage_id, probe),)


def searched(passage: Passage, answer: Searched, now_ms: int, rules: Rules) -> Step:
    """As after a comparison with a claimed template; only who was named has a subject here."""
    probe, template = answer.probe, answer.found.template
    comparison = answer.found.comparison
    answered = replace(passage, face=replace(passage.face, sought=None))
    if not isinstance(comparison, Match):
        return follow_comparison(answered, comparison, probe=probe, now_ms=now_ms, rules=rules, first=())
    if template is None:  # they left since
        return follow_comparison(
            answered, NoMatch(None, None), probe=probe, now_ms=now_ms, rules=rules, first=()
        )
    member = replace(
        passage.member,
        subject=template.subject,
        template=template,
        used_before=answer.used_before,
        passback=answer.passback,
        tries_exhausted=answer.tries_exhausted,
    )
    return follow_comparison(
        replace(answered, member=member),
        comparison,
        probe=probe,
        now_ms=now_ms,
        rules=rules,
        first=(FetchStanding(passage.passage_id, template.subject),),
    )


def another_came(passage: Passage, now_ms: int, rules: Rules) -> Step:
    """There is another face than the one that began: it waits its own time, and no window is had twice.

    Once something was compared the passage ends instead, or who shakes off the track would try for ever.
    """
    if passage.face.windows_compared:
        return decide_passage(passage, identification_of(passage.face.comparison), now_ms, rules)
    return replace(given_up(passage), approach=NOBODY), ()


def given_up(passage: Passage) -> Passage:
    """Waiting again without having decided; who was compared does not begin by face again while there."""
    approach = passage.approach.after_passage() if passage.face.windows_compared else passage.approach
    return replace(
        passage,
        phase=Phase.WAITING,
        approach=approach,
        face=NO_FACE,
        obstacle=None,
    )
