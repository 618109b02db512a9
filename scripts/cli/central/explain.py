"""`stile central record show`: why a passage ended as it did, from its record alone."""

from __future__ import annotations

import json
from importlib import resources

import msgspec

from edge.decide.verdict import Verdict, decide
from edge.enact.record import circumstances_of, verdict_kind
from wire.records import PassRecord


def replays(record: PassRecord) -> bool:
    """Whether deciding anew from the recorded circumstances gives the recorded verdict and reasons."""
    try:
        verdict = decide(circumstances_of(record))
    except ValueError:
        return False  # made by a version that knew other words
    return (verdict_kind(verdict), _reasons(verdict)) == (record.verdict, tuple(record.reasons))


def sentences(record: PassRecord) -> dict[str, str]:
    """Each of the record's reasons with the sentence the screen has for it."""
    messages = resources.files("edge.adapters.screen") / "messages" / "en.json"
    texts = json.loads(messages.read_text("utf-8"))["reason"]
    return {reason: texts.get(reason, "a reason this version does not know") for reason in record.reasons}


def lines(record: PassRecord, when: str) -> list[str]:
    """The record as a person reads it; `when` is the decision's instant, as text."""
    who = "nobody was identified" if record.subject is None else f"{record.subject} by {record.identified_by}"
    if record.staff is not None:
        who += f"; {record.staff} answers for them"
    told = [
        f"passage   {record.passage} at {record.kiosk}, gate {record.gate or '-'}, {when}",
        f"member    {who}",
        f"verdict   {record.verdict}, gate {record.gate_outcome}",
        *(f"because   {text} ({reason})" for reason, text in sentences(record).items()),
    ]
    if record.comparison is not None:
        compared = record.comparison
        told.append(f"face      similarity {compared.similarity:.4f}, threshold {compared.threshold:.4f}")
        if compared.live is not None and compared.live_min is not None:
            told.append(
                f"camera    live score {compared.live:.2f}, at least {compared.live_min:.2f} asked for"
            )
    if record.standing is not None:
        used = record.standing
        told.append(
            f"standing  version {used.epoch}.{used.version}, {used.age_ms / 1000:.0f} s old, "
            f"tier {record.circumstances.tier}, score {used.score}"
        )
    if record.restriction is not None:
        told.append(f"contest   {record.restriction_reason}: code {record.contest_code}")
    told.append(f"replayed  {'the same verdict' if replays(record) else 'NOT the same verdict'}")
    return told


def as_json(record: PassRecord) -> dict[str, object]:
    """The record, each reason's sentence, and whether its decision replays."""
    plain = msgspec.to_builtins(record)
    return {"record": plain, "because": sentences(record), "replays": replays(record)}


def _reasons(verdict: Verdict) -> tuple[str, ...]:
    return tuple(reason.value for reason in verdict.reasons)
