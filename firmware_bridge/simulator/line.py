"""One direction of a serial line that can fail on request."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware_bridge.frame import DELIMITER

HELD_MAX = 4_096
"""What an idle line may hold back before it loses bytes, as a small UART buffer would."""


@dataclass(slots=True)
class _Held:
    packet: bytes
    not_before_ms: int


class FaultyLine:
    """Carries packets in order; each fault verb harms the next packets, counting from now."""

    def __init__(self) -> None:
        self._partial = b""
        self._queue: deque[_Held] = deque()
        self._drop = self._corrupt = self._duplicate = 0
        self._delay_ms = 0
        self._reorder = False
        self._overtaken: bytes | None = None

    def drop_next(self, count: int = 1) -> None:
        """Lose the next packets."""
        self._drop += count

    def corrupt_next(self, count: int = 1) -> None:
        """Flip one bit in the middle of each of the next packets."""
        self._corrupt += count

    def duplicate_next(self, count: int = 1) -> None:
        """Deliver each of the next packets twice."""
        self._duplicate += count

    def delay_next(self, delay_ms: int) -> None:
        """Hold the next packet, and all behind it, for so long."""
        self._delay_ms = delay_ms

    def reorder_next(self) -> None:
        """Deliver the next packet after the one behind it."""
        self._reorder = True

    def garble(self, garbage: bytes, now_ms: int) -> None:
        """Put bytes on the line that nobody sent."""
        self._queue.append(_Held(garbage, now_ms))

    def put(self, sent: bytes, now_ms: int) -> None:
        """Bytes as one end writes them."""
        *complete, self._partial = (self._partial + sent).split(DELIMITER)
        self._partial = self._partial[-HELD_MAX:]
        for packet in filter(None, complete):
            self._carry(packet, now_ms)

    def take(self, now_ms: int) -> bytes:
        """Bytes the other end may read by now."""
        ready = bytearray()
        while self._queue and self._queue[0].not_before_ms <= now_ms:
            ready += self._queue.popleft().packet
        return bytes(ready)

    def lose_all(self) -> None:
        """The line is cut: nothing on it arrives."""
        self._queue.clear()
        self._partial = b""
        self._overtaken = None

    def _carry(self, packet: bytes, now_ms: int) -> None:
        if self._drop:
            self._drop -= 1
            return
        if self._corrupt:
            self._corrupt -= 1
            middle = len(packet) // 2
            packet = packet[:middle] + bytes([packet[middle] ^ 0x10 or 1]) + packet[middle + 1 :]
        if self._reorder:
            self._reorder, self._overtaken = False, packet
            return
        copies = 1
        if self._duplicate:
            self._duplicate -= 1
            copies = 2
        not_before_ms, self._delay_ms = now_ms + self._delay_ms, 0
        for _ in range(copies):
            self._queue.append(_Held(DELIMITER + packet + DELIMITER, not_before_ms))
        if self._overtaken is not None:
            self._queue.append(_Held(DELIMITER + self._overtaken + DELIMITER, not_before_ms))
            self._overtaken = None
