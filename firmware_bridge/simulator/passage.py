"""Two light beams closer together than a person -> who went which way. PROTOCOL.md 7, table "beams"."""

from __future__ import annotations

from enum import Enum

from firmware_bridge.messages import Direction


class Seen(Enum):
    """What the beams say happened."""

    WENT_IN = Direction.ENTRY
    WENT_OUT = Direction.EXIT
    FOLLOWED = "followed"


class _At(Enum):
    CLEAR = 0
    NEAR = 1
    BETWEEN = 2
    FAR = 3


_PLACES = {
    (False, False): _At.CLEAR,
    (True, False): _At.NEAR,
    (True, True): _At.BETWEEN,
    (False, True): _At.FAR,
}
"""Where the person is, by (beam they came from blocked, other beam blocked)."""


class PassageSensor:
    """Follows one person from the first beam they break to both beams clear."""

    def __init__(self) -> None:
        self._at = _At.CLEAR
        self._direction = Direction.ENTRY

    @property
    def occupied(self) -> bool:
        """Whether somebody is between the beams."""
        return self._at is not _At.CLEAR

    def update(self, beam_a: bool, beam_b: bool) -> Seen | None:
        """Both beams as they are now (True: blocked)."""
        if self._at is _At.CLEAR and (beam_a or beam_b):
            self._direction = Direction.ENTRY if beam_a else Direction.EXIT
        came, other = (beam_a, beam_b) if self._direction is Direction.ENTRY else (beam_b, beam_a)
        was, self._at = self._at, _PLACES[came, other]
        if was is _At.FAR and self._at in (_At.CLEAR, _At.NEAR):
            return Seen(self._direction)
        if was is _At.FAR and self._at is _At.BETWEEN:
            return Seen.FOLLOWED
        return None
