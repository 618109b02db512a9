"""Orders from afar: obeyed once, in time, or not at all, counted and answered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
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

OnCommand = Callable[[Command], None]
log = logging.getLogger(__name__)


class Commands:
    """Gives a command to `on_command` if it is verified, new, in time and was not retained."""

    def __init__(self, link: Link, clock: Clock, on_command: OnCommand | None) -> None:
        self._link, self._clock, self.on_command = link, clock, on_command
        self._seen: deque[tuple[int, Nonce]] = deque()
        self._answers: deque[tuple[int, OrderAnswer]] = deque(maxlen=ANSWERS_MAX)
        link.listen(TopicKind.COMMAND, self._hear)

    def answers(self) -> tuple[OrderAnswer, ...]:
        """What became of the commands of late, oldest first."""
        since_ms = self._clock.uptime_ms() - ANSWERS_KEPT_MS
        while self._answers and self._answers[0][0] < since_ms:
            self._answers.popleft()
        return tuple(answer for _, answer in self._answers)

    def answer(self, nonce: Nonce, outcome: OrderOutcome, passage: PassageId | None = None) -> None:
        """Tell what became of a command; the first word on it stands."""
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
                self.answer(command.nonce, OrderOutcome(reason))
            return
        self._seen.append((command.not_after_ms, command.nonce))
        if self.on_command is None:
            self.answer(command.nonce, OrderOutcome.NOT_READY)
        else:
            self.on_command(command)

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

    lane_closed: bool

    def release(self, order: StaffReleases, told: Callable[[OrderOutcome, PassageId | None], None]) -> None:
        """Let somebody through, or say why not."""
        ...


class StaffOrders:
    """Obeys commands at one lane. A lane that staff closed stays closed over restarts, until they open it."""

    def __init__(
        self, folder: Path, gate: GateId | None, lane: Lane, clock: Clock, commands: Commands
    ) -> None:
        self._file, self._gate, self._lane = folder / CLOSED_FILE, gate, lane
        self._clock, self._commands = clock, commands
        lane.lane_closed = self._file.exists()
        commands.on_command = self.obey

    def obey(self, command: Command) -> None:
        """Do what a verified command says, and answer it."""
        nonce = command.nonce
        if command.gate not in {None, self._gate}:
            self._commands.answer(nonce, OrderOutcome.OTHER_GATE)
            return
        log.warning("%s orders %s", command.staff, command.action.value)
        match command.action:
            case CommandAction.CLOSE_LANE | CommandAction.OPEN_LANE:
                closed = command.action is CommandAction.CLOSE_LANE
                self._commands.answer(nonce, self._set_closed(closed, command.staff))
            case CommandAction.RELEASE_ENTRY:
                self._release(command, StaffReleases(command.staff, "entry", self._until_ms(command)))
            case CommandAction.RELEASE_EXIT:
                self._release(command, StaffReleases(command.staff, "exit", self._until_ms(command)))

    def _release(self, command: Command, order: StaffReleases) -> None:
        self._lane.release(
            order, lambda outcome, passage: self._commands.answer(command.nonce, outcome, passage)
        )

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
        self._lane.lane_closed = closed
        return OrderOutcome.OBEYED
