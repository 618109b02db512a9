"""The controller's end of the line: checks in, frames out, and events kept until acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from firmware_bridge import messages
from firmware_bridge.auth import PROVISIONING_KEYS, GateKeys, ReplayWindow, is_genuine, seal
from firmware_bridge.frame import (
    COUNTER_MAX,
    FrameReader,
    Heading,
    Ignored,
    IgnoredBecause,
    LineFrame,
    encode,
)

# "Counts stop at 65535."
COUNT_MAX = 0xFFFF

HELLO_CODE = 0x01
PROVISION_CODE = 0x70


class Transport:
    """Frames of one boot of the controller; without keys it knows only PROVISION and PROVISIONED."""

    def __init__(self, keys: GateKeys | None, boot_id: int, protocol_hash: bytes) -> None:
        self._keys = keys
        self._reader = FrameReader()
        self._window = ReplayWindow(boot_id, 0)
        self._counter = 0
        self._protocol_hash = protocol_hash
        self._out: list[bytes] = []
        self._events: deque[messages.Numbered] = deque()
        self._sequence = 0
        self._repeat_at_ms = 0
        self.events_dropped = 0
        self.ignored: Counter[IgnoredBecause] = Counter()

    @property
    def boot_id(self) -> int:
        """Which start of the controller these frames belong to."""
        return self._window.boot_id

    def receive(self, received: bytes, now_ms: int) -> Iterator[messages.Message]:
        """Messages that count, in order; hellos and acknowledgements are dealt with here."""
        for arrived in self._reader.feed(received):
            message = self._admit(arrived)
            match message:
                case Ignored(because=because):
                    self.ignored[because] += 1
                case messages.Hello():
                    self.send(
                        messages.Welcome(message.challenge, self._protocol_hash, self._window.highest, now_ms)
                    )
                case messages.Acknowledge():
                    self._acknowledge(message.sequence, now_ms)
                case _:
                    yield message

    def send(self, message: messages.Message) -> None:
        """One frame to the host."""
        if self._keys is None or self._counter >= COUNTER_MAX:
            return
        self._counter += 1
        code, body = messages.encode_body(message)
        frame = LineFrame(Heading.TO_HOST, self._window.boot_id, self._counter, code, body)
        self._out.append(encode(seal(frame, self._keys)))

    def send_provisioned(self, answer: messages.Provisioning) -> None:
        """The answer to PROVISION, which belongs to no boot."""
        code, body = messages.encode_body(messages.Provisioned(answer))
        self._out.append(encode(seal(LineFrame(Heading.TO_HOST, 0, 0, code, body), PROVISIONING_KEYS)))

    def outgoing(self) -> list[bytes]:
        """Frames to put on the line now."""
        taken, self._out = self._out, []
        return taken

    def report(self, event: messages.Event, now_ms: int) -> None:
        """Keep an event until the host acknowledges it; the reserved places are for ends of releases."""
        ends = (
            isinstance(event, messages.Passed | messages.TimedOut | messages.Interrupted)
            and event.passage_id is not None
        )
        places = messages.EVENTS_KEPT if ends else messages.EVENTS_KEPT - messages.EVENTS_RESERVED
        if len(self._events) >= places:
            self.events_dropped = min(self.events_dropped + 1, COUNT_MAX)
            return
        self._sequence += 1
        self._events.append(messages.Numbered(self._sequence, now_ms, event))
        if len(self._events) == 1:
            self._send_event(now_ms)

    @property
    def events_waiting(self) -> int:
        """Events not yet acknowledged."""
        return len(self._events)

    def repeat(self, now_ms: int) -> None:
        """Send the oldest event again if it is due."""
        if self._events and messages.uptime_difference(now_ms, self._repeat_at_ms) >= 0:
            self._send_event(now_ms)

    def count(self, because: IgnoredBecause) -> int:
        """Frames ignored for one reason, as STATUS carries it."""
        return min(self.ignored[because], COUNT_MAX)

    def _admit(self, arrived: LineFrame | Ignored) -> messages.Message | Ignored:
        if isinstance(arrived, Ignored):
            return arrived
        if arrived.heading is not Heading.TO_CONTROLLER:
            return Ignored(IgnoredBecause.DIRECTION)
        bootless = arrived.boot_id == 0 and arrived.counter == 0
        provisions = bootless and arrived.type == PROVISION_CODE
        keys = PROVISIONING_KEYS if provisions else self._keys
        if keys is None or not is_genuine(arrived, keys):
            return Ignored(IgnoredBecause.MAC)
        greets = bootless and arrived.type == HELLO_CODE
        if not (greets or provisions) and (verdict := self._window.admit(arrived)):
            return verdict
        if arrived.type == PROVISION_CODE and not bootless:
            return Ignored(IgnoredBecause.MALFORMED)
        return messages.decode_body(arrived.heading, arrived.type, arrived.body)

    def _acknowledge(self, sequence: int, now_ms: int) -> None:
        # Only the event on the line: a wrong number must not drop one the host has never seen.
        if self._events and self._events[0].sequence == sequence:
            self._events.popleft()
            if self._events:
                self._send_event(now_ms)

    def _send_event(self, now_ms: int) -> None:
        self.send(self._events[0])
        self._repeat_at_ms = messages.uptime_after(now_ms, messages.EVENT_REPEAT_MS)
