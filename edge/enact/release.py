"""The bounded unlocking of a gate: made from a passage's evidence, and expiring with it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.gate import Direction, GateRelease, Nonce
from firmware_bridge.gate import PassageId as GatePassageId
from wire.ids import PassageId

GATE_ANSWER_MS = 5_000
"""How long past the open time a gate may take to say how a passage ended; then the record says `unknown`."""


class ReleaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `release`: how long the gate waits for a person, and how old its evidence may be.

    `open_ms`: the controller clamps it to its own bounds. `ttl_ms`: a release later than this after the last
    evidence (the last frame, or the PIN) does nothing. `linger_ms`: how long the outcome stays on the screen.
    `fare`: with `on_passage` the operator charges by records that say `passed`, so the gate must tell them.
    """

    direction: Literal["entry", "exit"] = "entry"
    open_ms: Annotated[int, Meta(ge=500, le=10_000)] = 5_000
    ttl_ms: Annotated[int, Meta(ge=200, le=10_000)] = 2_000
    linger_ms: Annotated[int, Meta(ge=0, le=30_000)] = 2_500
    fare: Literal["none", "on_passage"] = "none"


def make_release(passage: PassageId, nonce: Nonce, evidence_ms: int, config: ReleaseConfig) -> GateRelease:
    """A release for `passage` that expires `ttl_ms` after its evidence (monotonic milliseconds).

    Of staff's word the evidence counts as given so that the release ends with the order, or sooner.
    """
    direction = Direction.ENTRY if config.direction == "entry" else Direction.EXIT
    return GateRelease(
        passage_id=GatePassageId(bytes.fromhex(passage)),
        nonce=nonce,
        direction=direction,
        not_after_ms=evidence_ms + config.ttl_ms,
        open_ms=config.open_ms,
    )
