"""A board of relays as a Gate: keeps it reached, polls it, and does what its lane wants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from firmware_bridge import gate
from firmware_bridge.drivers.lane import RelayLane, WantedRelays
from firmware_bridge.errors import BoardError, PortUnavailableError
from firmware_bridge.gate import Direction, GateCapabilities, GateInputs, LinkStatus
from firmware_bridge.port import RETRY_FIRST_S, RETRY_LAST_S
from wire.transport.supervision import Supervisor

EVENTS_MAX: Final = 256
"""Events not yet taken by the kiosk; beyond this only ends of releases are kept, one for each release."""

EXTEND_MS: Final = 250
"""An opening that is to last longer than the board was told is told again in steps of this."""

_NEVER_MS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Reading:
    """What a board says of itself; None for what it cannot say."""

    inputs: GateInputs | None = None
    unlocked: frozenset[Direction] | None = None


class RelayBoard(Protocol):
    """Relays and inputs behind one line; every call may raise PortUnavailableError or BoardError."""

    async def connect(self) -> None:
        """Reach the board anew, whatever was before; leaves the relays as they are."""

    async def command(self, wanted: WantedRelays) -> None:
        """Unlock these ways and no other; a board that can ends it by itself after `for_ms`."""

    async def poll(self) -> Reading:
        """What it says now; raises where it is gone."""

    def close(self) -> None:
        """Give the line back; may be called twice."""


class RelayGate:
    """A Gate over one board; made by the drivers' `open_…_gate`, inside a running loop."""

    def __init__(
        self,
        board: RelayBoard,
        lane: RelayLane,
        capabilities: GateCapabilities,
        *,
        clock_ms: Callable[[], int],
        poll_ms: int,
    ) -> None:
        """`clock_ms` is monotonic, `GateRelease.not_after_ms` is on it; `poll_ms`: between two readings."""
        self._board, self._lane, self._capabilities = board, lane, capabilities
        self._clock_ms, self._poll_ms = clock_ms, poll_ms
        self._line = asyncio.Lock()
        self._status = LinkStatus.NO_PORT
        self._trouble: str | None = None
        self._lost: BoardError | PortUnavailableError | None = None
        self._reached = 0
        self._senses = False
        self._unlocked: frozenset[Direction] = frozenset()
        self._commanded: frozenset[Direction] | None = None
        self._commanded_until_ms = 0
        self._events: deque[gate.GateEvent] = deque()
        self._arrived, self._changed = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(
            Supervisor().keep("relay board", self._serve), name="relay board"
        )

    # --- Gate -----------------------------------------------------------------------------------------

    async def release(self, release: gate.GateRelease) -> gate.ReleaseOutcome:
        """Open once for one person; its time limit is looked at right before sending."""
        async with self._line:
            if self._status is not LinkStatus.UP:
                return gate.ReleaseRefused(gate.RefusedBecause.LINK_DOWN)
            now_ms = self._clock_ms()
            if (because := self._lane.refusal(release, now_ms)) is not None:
                return gate.ReleaseRefused(because)
            self._lane.begin(release, now_ms)
            try:
                await self._settle(now_ms)
            except (BoardError, PortUnavailableError) as error:
                self._lose(error)
                return gate.Unanswered()
            finally:
                self._changed.set()
            return gate.Accepted()

    async def events(self) -> AsyncIterator[gate.GateEvent]:
        """Events in order until closed; what is not asked past comes again, but not to another process."""
        while True:
            while not self._events:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            event = self._events[0]
            yield event
            self._events.popleft()

    def state(self) -> gate.GateStatus:
        """The gate as last read; ways are as commanded where the board does not say."""
        up = self._status is LinkStatus.UP
        lane = self._lane
        return gate.GateStatus(
            capabilities=self._capabilities,
            link=self._status,
            trouble=self._trouble,
            mode=lane.mode if up else None,
            fault=lane.fault if up else None,
            inputs=lane.inputs if up and self._senses else None,
            entry_unlocked=Direction.ENTRY in self._unlocked if up else None,
            exit_unlocked=Direction.EXIT in self._unlocked if up else None,
            boot_id=self._reached or None,
            uptime_ms=None,
            ignored={},
        )

    async def close(self) -> None:
        """Lock what this host holds open, as far as the board can be reached, and stop."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        async with self._line:
            if self._status is LinkStatus.UP:
                with suppress(BoardError, PortUnavailableError):
                    await self._board.command(WantedRelays(frozenset()))
                self._lose(None)
            self._board.close()
        self._arrived.set()

    # --- inside ---------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            try:
                async with self._line:
                    await self._reach()
                retry_s = RETRY_FIRST_S
                while True:
                    async with self._line:
                        await self._turn()
                    await self._pause()
            except (BoardError, PortUnavailableError) as error:
                self._lose(error)
            except Exception as error:
                self._lose(BoardError("this line", f"failed ({error!r}); see the log"))
                raise
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_LAST_S)

    async def _reach(self) -> None:
        await self._board.connect()
        # Whatever an earlier life of this host left on is off before the gate counts as up.
        self._commanded = None
        await self._settle(self._clock_ms())
        reading = await self._board.poll()
        self._senses = reading.inputs is not None
        self._reached += 1
        self._status, self._trouble, self._lost = LinkStatus.UP, None, None
        self._tell(gate.LinkUp(self._reached))

    async def _turn(self) -> None:
        if self._lost is not None:  # a release found it gone
            raise self._lost
        reading = await self._board.poll()
        now_ms = self._clock_ms()
        if reading.unlocked is not None:
            self._unlocked = reading.unlocked
            # Compared with what was wanted while it was read, not with what changes now.
            self._tell(*self._lane.read_back(reading.unlocked, now_ms))
        told = self._lane.step(reading.inputs or GateInputs(), now_ms)
        try:
            await self._settle(now_ms)
        finally:
            self._tell(*told)

    async def _settle(self, now_ms: int) -> None:
        """Tell the board what is wanted, where that differs from what it was told."""
        wanted = self._lane.wanted(now_ms)
        until_ms = _NEVER_MS if wanted.for_ms is None else now_ms + wanted.for_ms
        outlasts = wanted.ways and until_ms > self._commanded_until_ms + EXTEND_MS
        if wanted.ways == self._commanded and not outlasts:
            return
        await self._board.command(wanted)
        self._commanded = self._unlocked = wanted.ways
        self._commanded_until_ms = until_ms

    async def _pause(self) -> None:
        due_ms = self._lane.due_ms(self._clock_ms())
        wait_ms = self._poll_ms if due_ms is None else min(due_ms, self._poll_ms)
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait_ms, 1) / 1_000):
                await self._changed.wait()

    def _lose(self, error: BoardError | PortUnavailableError | None) -> None:
        why = "closed by this program" if error is None else str(error)
        was_up = self._status is LinkStatus.UP
        answers = isinstance(error, BoardError)
        self._status = LinkStatus.MISMATCHED if answers else LinkStatus.NO_PORT
        self._trouble, self._lost, self._unlocked = why, error, frozenset()
        self._board.close()
        if was_up:
            self._tell(*self._lane.lost(), gate.LinkLost(why))

    def _tell(self, *events: gate.GateEvent) -> None:
        ends = gate.Passed | gate.TimedOut | gate.Interrupted | gate.Unobserved
        for event in events:
            is_end = isinstance(event, ends) and event.passage_id is not None
            if is_end or len(self._events) < EVENTS_MAX:
                self._events.append(event)
        self._arrived.set()
