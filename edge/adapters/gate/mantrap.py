"""Two gates of one host with a room between them: each refuses while the other is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from edge.enact.interlock import Hold, Openings, hold_by
from firmware_bridge.gate import (
    Gate,
    GateEvent,
    GateRelease,
    GateState,
    Interrupted,
    Passed,
    Refused,
    RefusedBecause,
    ReleaseOutcome,
    TimedOut,
    Unobserved,
)


class InterlockedGate:
    """A Gate whose releases wait for its twin to be shut; made in twos by `interlock`."""

    def __init__(self, gate: Gate, clock_ms: Callable[[], int]) -> None:
        self._gate = gate
        self._clock_ms = clock_ms
        self._openings = Openings()
        self.twin: InterlockedGate | None = None

    def hold(self) -> Hold:
        """Why it stays shut now because of its twin."""
        twin = self.twin
        return Hold.NONE if twin is None else hold_by(twin.state(), twin.opening)

    @property
    def opening(self) -> bool:
        """Whether it was told to open and may not have ended that."""
        return self._openings.opening(self._clock_ms())

    async def release(self, release: GateRelease) -> ReleaseOutcome:
        """As Gate; refused with `interlocked` while the twin is open, in use, at fault or not heard."""
        if self.hold() is not Hold.NONE:
            return Refused(RefusedBecause.INTERLOCKED)
        # Before it is sent: the twin must not open while the answer is on its way.
        passage = release.passage_id
        self._openings = self._openings.released(passage, release.not_after_ms, release.open_ms)
        outcome = await self._gate.release(release)
        if isinstance(outcome, Refused):
            self._openings = self._openings.ended(passage)
        return outcome

    async def events(self) -> AsyncIterator[GateEvent]:
        """As Gate; what ends a release here lets the twin open again."""
        async for event in self._gate.events():
            match event:
                case Passed(passage_id=passage) if passage is not None:
                    self._openings = self._openings.ended(passage)
                case TimedOut(passage) | Interrupted(passage) | Unobserved(passage):
                    self._openings = self._openings.ended(passage)
                case _:
                    pass
            yield event

    def state(self) -> GateState:
        """As Gate."""
        return self._gate.state()

    async def close(self) -> None:
        """As Gate; the twin then finds this one silent, and stays shut."""
        await self._gate.close()


def interlock(
    first: Gate, second: Gate, clock_ms: Callable[[], int]
) -> tuple[InterlockedGate, InterlockedGate]:
    """Both gates, each held by the other; `clock_ms` is the one they were opened with."""
    one, other = InterlockedGate(first, clock_ms), InterlockedGate(second, clock_ms)
    one.twin, other.twin = other, one
    return one, other
