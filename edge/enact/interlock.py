"""Interlock: of two gates with a room between them only one may be open. What the other's state allows.

It is the host's rule and no more: fire, emergency and request to exit free each gate in its own controller,
which knows nothing of the other and is held by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from firmware_bridge.gate import Fault, GateState, LinkStatus, Mode, PassageId

SETTLES_MS = 5_000
"""How long past the open time a gate may still be open: a person between the beams may finish, and its word
has to come. PROTOCOL.md, PASSAGE_FINISH_MS and two heartbeats."""


class Hold(StrEnum):
    """Why a gate stays shut because of the other; first that applies."""

    NONE = "none"
    OTHER_UNKNOWN = "other_unknown"  # its controller is not heard, so nobody knows how it stands
    OTHER_FAULT = "other_fault"  # its relays may not be as they say
    OTHER_OPEN = "other_open"  # unlocked, or released, or about to be
    OTHER_IN_USE = "other_in_use"  # its door is open, or somebody stands in it


def hold_by(other: GateState, opening: bool) -> Hold:
    """Whether the other gate keeps this one shut; `opening`: it was told to open and has not ended that."""
    if other.link is not LinkStatus.UP or other.mode is None or other.inputs is None:
        return Hold.OTHER_UNKNOWN
    if other.mode is Mode.FREE:
        # Fire or emergency: people are to get out through both, and this one's controller decides for itself.
        return Hold.NONE
    if other.mode is Mode.FAULT or other.fault not in (None, Fault.NONE):
        return Hold.OTHER_FAULT
    unlocked = other.entry_unlocked or other.exit_unlocked
    if opening or unlocked or other.mode is Mode.RELEASED:
        return Hold.OTHER_OPEN
    if other.inputs.door_open or other.inputs.beam_a or other.inputs.beam_b:
        return Hold.OTHER_IN_USE
    return Hold.NONE


@dataclass(frozen=True, slots=True)
class Openings:
    """Releases given to one gate that it has not ended; instants are monotonic milliseconds."""

    until_ms: tuple[tuple[PassageId, int], ...] = ()

    def released(self, passage: PassageId, not_after_ms: int, open_ms: int) -> Openings:
        """A release is on its way; it is over at the latest when the gate must have locked again."""
        return replace(self, until_ms=(*self.until_ms, (passage, not_after_ms + open_ms + SETTLES_MS)))

    def ended(self, passage: PassageId) -> Openings:
        """The gate said how it ended, or did not obey it."""
        return replace(self, until_ms=tuple(each for each in self.until_ms if each[0] != passage))

    def opening(self, now_ms: int) -> bool:
        """Whether one may still be open."""
        return any(now_ms < until_ms for _, until_ms in self.until_ms)
