"""Orders from afar: obeyed once, in time, or not at all, counted and answered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.adapters.central.clock import STEP_MAX_MS, Clock
from edge.adapters.central.link import Link
from edge.adapters.storage.keyfile import write_secret
from edge.passage.observations import StaffReleases
from wire.codec import Received
from wire.fleet import ANSWERS_MAX, Command, CommandAction, OrderAnswer, OrderOutcome
from wire.ids import GateId, Nonce, PassageId
from wire.topics import TopicKind

LIFE_MAX_MS = 60_000
"""A command with a longer life is not obeyed: its nonce would have to be remembered as long."""
NONCES_MAX = 256
"""Nonces remembered; when this many commands have come within a minute, further ones are not obeyed."""
ANSWERS_KEPT_MS = 300_000
"""How long `state` tells what became of a command: several times as long as central may be away."""
CLOSED_FILE = "lane.closed"

Answer = Callable[[OrderOutcome, PassageId | None], None]
"""Told what became of one command."""
Obey = Callable[[Command, Answer], None]


def not_ready(_command: Command, answer: Answer) -> None:
    """Obey nothing: what a kiosk says whose lane is not open yet."""
    answer(OrderOutcome.NOT_READY, None)


def no_gate(_command: Command, answer: Answer) -> None:
    """Obey nothing: there is no gate here, whichever an order means."""
    answer(OrderOutcome.OTHER_GATE, None)


log = logging.getLogger(__name__)


class Commands:
    """Gives a command to `obey` if it is verified, new, in time and was not retained."""

    def __init__(self, link: Link, clock: Clock, obey: Obey) -> None:
        self._link, self._clock, self._obey = link, clock, obey
        self._seen: deque[tuple[int, Nonce]] = deque()
        self._answers: deque[tuple[int, OrderAnswer]] = deque(maxlen=ANSWERS_MAX)
        link.listen(TopicKind.COMMAND, self._hear)

    def answers(self) -> tuple[OrderAnswer, ...]:
        """What became of the commands of late, oldest first."""
        since_ms = self._clock.uptime_ms() - ANSWERS_KEPT_MS
        while self._answers and self._answers[0][0] < since_ms:
            self._answers.popleft()
        return tuple(answer for _, answer in self._answers)

    def _answer(self, nonce: Nonce, outcome: OrderOutcome, passage: PassageId | None) -> None:
        # The first word on a command stands.
        if all(answer.nonce != nonce for _, answer in self._answers):
            self._answers.append((self._clock.uptime_ms(), OrderAnswer(nonce, outcome, passage)))

    def _hear(self, received: Received, retained: bool) -> None:
        command = received.message
        if not isinstance(command, Command):
            return
        reason = self._refusal(command, retained)
        if reason is not None:
            self._link.ignored[reason] += 1
            if reason != "replayed_command":  # what became of the first one was told
                self._answer(command.nonce, OrderOutcome(reason), None)
            return
        self._seen.append((command.not_after_ms, command.nonce))
        self._obey(command, partial(self._answer, command.nonce))

    def _refusal(self, command: Command, retained: bool) -> str | None:
        now_ms = self._clock.now_ms()
        if retained:
            return "retained_command"
        if now_ms is None:
            return "command_clock_unsure"
        if now_ms > command.not_after_ms:
            return "late_command"
        # The whole life is measured on central's clock alone; ours may be some seconds behind it.
        life_ms, left_ms = command.not_after_ms - command.issued_at_ms, command.not_after_ms - now_ms
        if life_ms > LIFE_MAX_MS or left_ms > LIFE_MAX_MS + STEP_MAX_MS:
            return "long_command"
        if command.issued_at_ms < now_ms - self._clock.uptime_ms():
            return "command_before_start"  # an earlier life may have obeyed it already
        while self._seen and self._seen[0][0] < now_ms:
            self._seen.popleft()
        if any(nonce == command.nonce for _, nonce in self._seen):
            return "replayed_command"
        return "too_many_commands" if len(self._seen) >= NONCES_MAX else None


class Lane(Protocol):
    """What staff may do with the lane from afar."""

    def release(self, order: StaffReleases, told: Answer) -> None:
        """Let somebody through, or say why not."""
        ...

    def close_lane(self, *, closed: bool) -> None:
        """Refer everybody elsewhere from now on, or no longer."""
        ...


def lane_was_closed(folder: Path) -> bool:
    """Whether staff closed the lane in an earlier life: it stays closed until they open it."""
    return (folder / CLOSED_FILE).exists()


class StaffOrders:
    """Obeys commands at one lane, and keeps over restarts that it is closed."""

    def __init__(self, folder: Path, gate: GateId | None, lane: Lane, clock: Clock) -> None:
        self._file, self._gate, self._lane, self._clock = folder / CLOSED_FILE, gate, lane, clock

    def obey(self, command: Command, answer: Answer) -> None:
        """Do what a verified command says, and answer it."""
        if command.gate not in {None, self._gate}:
            answer(OrderOutcome.OTHER_GATE, None)
            return
        log.warning("%s orders %s", command.staff, command.action.value)
        match command.action:
            case CommandAction.CLOSE_LANE | CommandAction.OPEN_LANE:
                closed = command.action is CommandAction.CLOSE_LANE
                answer(self._set_closed(closed, command.staff), None)
            case CommandAction.RELEASE_ENTRY:
                self._lane.release(StaffReleases(command.staff, "entry", self._until_ms(command)), answer)
            case CommandAction.RELEASE_EXIT:
                self._lane.release(StaffReleases(command.staff, "exit", self._until_ms(command)), answer)

    def _until_ms(self, command: Command) -> int:
        """When the command ends, on the kiosk's monotonic clock."""
        return self._clock.uptime_ms() + command.not_after_ms - self._clock.estimate_ms()

    def _set_closed(self, closed: bool, staff: str) -> OrderOutcome:
        try:
            if closed:
                write_secret(self._file, staff.encode())
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the lane stays as it is, since a restart would forget the order: %s", error)
            return OrderOutcome.NOT_KEPT
        self._lane.close_lane(closed=closed)
        return OrderOutcome.OBEYED
