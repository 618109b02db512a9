"""Orders from afar: obeyed once, in time, or not at all and counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edge.adapters.clock import Clock
from edge.adapters.link import Link
from wire.codec import Received
from wire.ids import Nonce
from wire.messages import Command
from wire.topics import TopicKind

LIFE_MAX_MS = 60_000
"""A command with a longer life is not obeyed: its nonce would have to be remembered as long."""
NONCES_MAX = 256
"""Nonces remembered; when this many commands have come within a minute, further ones are not obeyed."""

OnCommand = Callable[[Command], None]


class Commands:
    """Gives a command to `on_command` if it is verified, new, in time and was not retained."""

    def __init__(self, link: Link, clock: Clock, on_command: OnCommand | None) -> None:
        self._link, self._clock, self._on_command = link, clock, on_command
        self._seen: deque[tuple[int, Nonce]] = deque()
        link.listen(TopicKind.COMMAND, self._hear)

    def _hear(self, received: Received, retained: bool) -> None:
        command = received.message
        if not isinstance(command, Command):
            return
        reason = self._refusal(command, retained)
        if reason is not None:
            self._link.ignored[reason] += 1
            return
        self._seen.append((command.not_after_ms, command.nonce))
        if self._on_command is not None:
            self._on_command(command)

    def _refusal(self, command: Command, retained: bool) -> str | None:
        now_ms = self._clock.now_ms()
        if retained:
            return "retained_command"
        if now_ms is None:
            return "command_clock_unsure"
        if now_ms > command.not_after_ms or command.not_after_ms - now_ms > LIFE_MAX_MS:
            return "late_command" if now_ms > command.not_after_ms else "long_command"
        if command.issued_at_ms < now_ms - self._clock.uptime_ms():
            return "command_before_start"  # an earlier life may have obeyed it already
        while self._seen and self._seen[0][0] < now_ms:
            self._seen.popleft()
        if any(nonce == command.nonce for _, nonce in self._seen):
            return "replayed_command"
        return "too_many_commands" if len(self._seen) >= NONCES_MAX else None
