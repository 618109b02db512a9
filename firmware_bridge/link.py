"""The host's end of the line, without the line: bytes and instants in, events and bytes out. PROTOCOL.md 4.

Instants are milliseconds on one monotonic clock of the caller's. Nothing here opens, sleeps or draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge import messages
from firmware_bridge.auth import GateKeys, ReplayWindow, is_genuine, seal
from firmware_bridge.frame import (
    COUNTER_MAX,
    PROTOCOL_VERSION,
    FrameReader,
    Heading,
    Ignored,
    IgnoredBecause,
    LineFrame,
    encode,
)
from firmware_bridge.messages import Answer, Cause, Direction, Nonce, PassageId

PENDING_MAX = 8
"""A kiosk has one person at a time; this many unanswered releases mean a runaway caller."""

OPEN_PASSAGES_MAX = 64
"""Releases that may still be open: one in truth, the others unanswered and most likely never obeyed."""


class Handshake(StrEnum):
    """How the host stands with the controller."""

    CLOSED = "closed"
    GREETING = "greeting"
    GREETED = "greeted"
    UP = "up"


_MET = (Handshake.GREETED, Handshake.UP)


class Trouble(StrEnum):
    """Why the link is not up, as a sentence a technician can act on."""

    SILENT = (
        "nothing answers: check the controller's power and cable, and that this is the gate's port; "
        "the gate is in its safe state"
    )
    NOT_A_GATE = (
        "something answers, but not in the gate protocol: this port may belong to a modem or another "
        f"device, or its speed may not be {messages.BAUD} baud"
    )
    DEAF = (
        "the controller is heard but does not answer: check the wire from this kiosk to the controller, "
        "and that no other program talks to it"
    )
    OTHER_KEY = (
        "the controller answers, but with another key: check the gate key and gate id in this kiosk's "
        "configuration, or provision the controller again with its jumper set"
    )
    OTHER_VERSION = (
        f"the controller does not speak protocol version {PROTOCOL_VERSION}: flash the firmware that "
        "came with this release of Stile, or install the release that came with that firmware"
    )
    OTHER_TABLE = (
        "the controller's protocol hash is not ours: its firmware was built from another release; flash "
        "the firmware that came with this release of Stile"
    )


@dataclass(frozen=True, slots=True)
class Up:
    """The controller answered this greeting with the right protocol and key."""

    boot_id: int
    rebooted: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The controller cannot be reached any more."""

    why: str


@dataclass(frozen=True, slots=True)
class ReleaseAnswered:
    """What became of a release: the controller's answer, or None if none came in time."""

    nonce: Nonce
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class EventReported:
    """An event of the gate, once; acknowledge it when it is dealt with."""

    event: messages.Event
    sequence: int
    """Its number in this boot; 0 for what the host itself found out."""
    boot_id: int


LinkEvent = Up | Down | ReleaseAnswered | EventReported


class LocalRefusal(StrEnum):
    """Why a release was not even sent."""

    LINK_DOWN = "link_down"
    CLOCK_UNSURE = "clock_unsure"
    LATE = "late"
    BUSY = "busy"


@dataclass(slots=True)
class _Pending:
    """A release on its way."""

    message: messages.Release
    give_up_ms: int
    repeat_at_ms: int
    sent: int = 0
    answered: int = 0
    refusal: Answer | None = None
    """The first refusal, told only once no copy is left that may yet be obeyed."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """An uptime of the controller, and the latest instant it can have been read at."""

    uptime_ms: int
    at_ms: int


class GateLink:
    """One controller on one line. `draw_challenge` gives 8 unpredictable bytes."""

    def __init__(self, keys: GateKeys, draw_challenge: Callable[[], bytes]) -> None:
        self._keys = keys
        self._draw_challenge = draw_challenge
        self._reader = FrameReader()
        self._out = bytearray()
        self.standing = Handshake.CLOSED
        self.trouble: Trouble | None = None
        self.status: messages.Status | None = None
        self.ignored: Counter[IgnoredBecause] = Counter()
        self._window: ReplayWindow | None = None
        self._rebooted = False
        self._counter = 0
        self._challenge: bytes | None = None
        self._hello_at_ms: int | None = None
        self._greeting_since_ms = 0
        self._seen: set[Trouble] = set()
        self._echoed_at_ms = 0
        self._heartbeat_at_ms = 0
        self._token = 0
        self._token_sent_ms = 0
        self._sample: _Sample | None = None
        self._pending: dict[Nonce, _Pending] = {}
        self._open_passages: dict[PassageId, None] = {}
        self._reported = 0
        self._acknowledged = 0

    @property
    def boot_id(self) -> int | None:
        """The controller's boot while the link is up."""
        return self._window.boot_id if self._window and self.standing is Handshake.UP else None

    @property
    def mismatched(self) -> bool:
        """Whether a controller is there that can never be talked to as things are."""
        return self.trouble in (Trouble.OTHER_KEY, Trouble.OTHER_VERSION, Trouble.OTHER_TABLE)

    # --- the line -------------------------------------------------------------------------------------

    def opened(self, now_ms: int) -> None:
        """The port is open: greet the controller."""
        self._reader.reset()
        self._out.clear()
        self._greet(now_ms)

    def closed(self, why: str) -> tuple[LinkEvent, ...]:
        """The port is gone: nothing waits for it, and nothing is sent when it returns."""
        events = self._lose(why)
        self.standing = Handshake.CLOSED
        self._challenge = self._hello_at_ms = None
        self.trouble = None
        return events

    def outgoing(self) -> bytes:
        """Bytes to write now; they are forgotten here."""
        taken = bytes(self._out)
        self._out.clear()
        return taken

    def receive(self, received: bytes, now_ms: int) -> tuple[LinkEvent, ...]:
        """Bytes from the line, in any pieces."""
        events: list[LinkEvent] = []
        if received:
            self._seen.add(Trouble.NOT_A_GATE)
        for arrived in self._reader.feed(received):
            taken = self._take(arrived, now_ms)
            if isinstance(taken, Ignored):
                self.ignored[taken.because] += 1
            else:
                events.extend(taken)
        return tuple(events)

    def poll(self, now_ms: int) -> tuple[LinkEvent, ...]:
        """What is due by now: greetings, heartbeats, repeats, and giving up."""
        events: list[LinkEvent] = []
        if self.standing in _MET and now_ms - self._echoed_at_ms >= messages.LINK_SILENCE_MS:
            # Welcomed but never answered after: somebody else's counters are ahead of ours.
            trouble = Trouble.SILENT if self.standing is Handshake.UP else Trouble.DEAF
            events.extend(self._lose(trouble))
            self._greet(now_ms)
            self.trouble = trouble
        if (
            self.standing is Handshake.GREETING
            and now_ms - self._greeting_since_ms >= messages.LINK_SILENCE_MS
        ):
            self.trouble = self._diagnosis()
            self._seen.clear()
            self._greeting_since_ms = now_ms
        if self._hello_at_ms is not None and now_ms >= self._hello_at_ms:
            self._send_hello(now_ms)
        if self.standing in _MET:
            if now_ms >= self._heartbeat_at_ms:
                self._send_heartbeat(now_ms)
            for pending in tuple(self._pending.values()):
                events.extend(self._chase(pending, now_ms))
        return tuple(events)

    def next_poll_ms(self, now_ms: int) -> int | None:
        """When `poll` next has something to do; None while the port is closed."""
        due = [self._hello_at_ms] if self._hello_at_ms is not None else []
        if self.standing in _MET:
            due += [self._heartbeat_at_ms, self._echoed_at_ms + messages.LINK_SILENCE_MS]
            due += [
                pending.give_up_ms
                if pending.refusal is not None
                else min(pending.repeat_at_ms, pending.give_up_ms)
                for pending in self._pending.values()
            ]
        return max(min(due), now_ms) if due else None

    # --- what the driver asks -------------------------------------------------------------------------

    def release(
        self,
        passage_id: PassageId,
        nonce: Nonce,
        *,
        direction: Direction,
        not_after_ms: int,
        open_ms: int,
        now_ms: int,
    ) -> LocalRefusal | None:
        """Send a release; `ReleaseAnswered` follows unless it is refused here. Raises MessageBoundError."""
        if self.standing is not Handshake.UP:
            return LocalRefusal.LINK_DOWN
        if nonce in self._pending or len(self._pending) >= PENDING_MAX:
            return LocalRefusal.BUSY
        if now_ms > not_after_ms:
            return LocalRefusal.LATE
        uptime_ms = self._earliest_uptime(now_ms)
        if uptime_ms is None:
            return LocalRefusal.CLOCK_UNSURE
        ahead_ms = min(not_after_ms - now_ms, messages.RELEASE_AHEAD_MAX_MS)
        # A slow controller clock would stretch the wait; the cut keeps the promise for any in tolerance.
        ahead_ms -= ahead_ms * messages.CLOCK_TOLERANCE_PPM // 1_000_000
        message = messages.Release(
            passage_id,
            nonce,
            messages.uptime_after(uptime_ms, ahead_ms),
            min(open_ms, messages.OPEN_MAX_MS),
            direction,
        )
        messages.encode_body(message)
        pending = _Pending(message, not_after_ms + messages.ANSWER_GRACE_MS, now_ms)
        self._pending[nonce] = pending
        self._chase(pending, now_ms)
        return None

    def acknowledge(self, reported: EventReported) -> None:
        """Say that an event is dealt with; with the link down it is said later."""
        sequence = reported.sequence
        # An event of an earlier boot is gone in the controller; its number means another event now.
        if self._window is None or reported.boot_id != self._window.boot_id or not sequence:
            return
        self._acknowledged = max(self._acknowledged, sequence)
        if self.standing is Handshake.UP:
            self._send(messages.Acknowledge(sequence))

    def uptime_ms(self, now_ms: int) -> int | None:
        """The controller's uptime, the earliest it can be; None if not heard lately."""
        return self._earliest_uptime(now_ms)

    # --- receiving ------------------------------------------------------------------------------------

    def _take(self, arrived: LineFrame | Ignored, now_ms: int) -> tuple[LinkEvent, ...] | Ignored:
        """The checks in PROTOCOL.md's order; what fails is noted for the diagnosis."""
        if isinstance(arrived, Ignored):
            if arrived.because is IgnoredBecause.VERSION:
                self._seen.add(Trouble.OTHER_VERSION)
            return arrived
        if arrived.heading is not Heading.TO_HOST:
            return Ignored(IgnoredBecause.DIRECTION)
        if not is_genuine(arrived, self._keys):
            self._seen.add(Trouble.OTHER_KEY)
            return Ignored(IgnoredBecause.MAC)
        message = messages.decode_body(arrived.heading, arrived.type, arrived.body)
        if isinstance(message, messages.Welcome):
            return self._welcomed(message, arrived, now_ms)
        if self._window is None or self.standing not in _MET:
            self._seen.add(Trouble.DEAF)
            return Ignored(IgnoredBecause.BOOT)
        if verdict := self._window.admit(arrived):
            # Another boot may be a restarted controller or a replay: only an answered challenge can tell.
            if verdict.because is IgnoredBecause.BOOT and self._challenge is None:
                self._start_hello(now_ms)
            return verdict
        match message:
            case Ignored():
                return message
            case messages.Status():
                return self._note_status(message, now_ms)
            case _ if self.standing is Handshake.GREETED:
                # Repeated soon; first the heartbeat must be answered, so that a release can follow.
                return ()
            case messages.ReleaseAnswer():
                return self._answered(message)
            case messages.Numbered():
                return self._report(message)
            case _:
                return Ignored(IgnoredBecause.MALFORMED)

    def _welcomed(
        self, welcome: messages.Welcome, arrived: LineFrame, now_ms: int
    ) -> tuple[LinkEvent, ...] | Ignored:
        if self._challenge is None or welcome.challenge != self._challenge:
            return Ignored(IgnoredBecause.COUNTER)
        if welcome.protocol_hash != messages.protocol_hash():
            self._seen.add(Trouble.OTHER_TABLE)
            return Ignored(IgnoredBecause.VERSION)
        self._challenge = self._hello_at_ms = None
        self._echoed_at_ms = now_ms
        same_boot = self._window is not None and self._window.boot_id == arrived.boot_id
        if same_boot and self.standing in _MET:
            return ()
        self._rebooted = self._window is not None and not same_boot
        events = self._lose("the controller restarted")
        if self._rebooted:
            events += tuple(
                EventReported(messages.Interrupted(passage_id, Cause.REBOOT), 0, arrived.boot_id)
                for passage_id in self._open_passages
            )
            self._open_passages.clear()
        if not same_boot:
            self._counter = self._reported = self._acknowledged = 0
        self._window = ReplayWindow(arrived.boot_id, arrived.counter)
        # Another host, or this one before a restart, may have used counters; going on below would be ignored.
        self._counter = max(self._counter, welcome.host_counter)
        self.standing = Handshake.GREETED
        self._heartbeat_at_ms = now_ms
        return events

    def _note_status(self, status: messages.Status, now_ms: int) -> tuple[LinkEvent, ...]:
        assert self._window is not None
        self.status = status
        if status.token != self._token or now_ms - self._token_sent_ms > messages.ECHO_MAX_MS:
            return ()
        # Read at some moment since the heartbeat; taking it for just now makes every later uptime the
        # earliest it can be, so that a release never outlives its limit.
        self._sample = _Sample(status.uptime_ms, now_ms)
        self._echoed_at_ms = now_ms
        if self.standing is Handshake.UP:
            return ()
        self.standing = Handshake.UP
        self.trouble = None
        return (Up(self._window.boot_id, self._rebooted),)

    def _answered(self, answer: messages.ReleaseAnswer) -> tuple[LinkEvent, ...]:
        pending = self._pending.get(answer.nonce)
        if pending is None:
            return ()
        pending.answered += 1
        found = answer.answer
        # The answer to an earlier copy was lost: that copy was obeyed.
        if found is Answer.ALREADY and pending.sent > 1:
            found = Answer.ACCEPTED
        if found is Answer.ACCEPTED:
            self._may_be_open(pending)
        else:
            pending.refusal = found if pending.refusal is None else pending.refusal
            # What made the gate refuse may end before a later copy arrives, and that copy is obeyed.
            if pending.answered < pending.sent:
                return ()
            found = pending.refusal
        del self._pending[answer.nonce]
        return (ReleaseAnswered(answer.nonce, found),)

    def _may_be_open(self, pending: _Pending) -> None:
        self._open_passages[pending.message.passage_id] = None
        while len(self._open_passages) > OPEN_PASSAGES_MAX:
            del self._open_passages[next(iter(self._open_passages))]

    def _report(self, numbered: messages.Numbered) -> tuple[LinkEvent, ...]:
        assert self._window is not None
        if numbered.sequence <= self._reported:
            if numbered.sequence <= self._acknowledged:
                self._send(messages.Acknowledge(numbered.sequence))
            return ()
        self._reported = numbered.sequence
        event = numbered.event
        if isinstance(event, messages.Passed | messages.TimedOut | messages.Interrupted) and event.passage_id:
            self._open_passages.pop(event.passage_id, None)
        return (EventReported(event, numbered.sequence, self._window.boot_id),)

    # --- sending --------------------------------------------------------------------------------------

    def _greet(self, now_ms: int) -> None:
        self.standing = Handshake.GREETING
        self._greeting_since_ms = now_ms
        self._seen.clear()
        self._start_hello(now_ms)

    def _start_hello(self, now_ms: int) -> None:
        self._challenge = self._draw_challenge()
        # Two hosts on one line must not take each other's echoes for their own.
        self._token = int.from_bytes(self._challenge[:4], "little")
        self._send_hello(now_ms)

    def _send_hello(self, now_ms: int) -> None:
        assert self._challenge is not None
        code, body = messages.encode_body(messages.Hello(self._challenge, messages.protocol_hash()))
        self._out += encode(seal(LineFrame(Heading.TO_CONTROLLER, 0, 0, code, body), self._keys))
        self._hello_at_ms = now_ms + messages.HELLO_REPEAT_MS

    def _send_heartbeat(self, now_ms: int) -> None:
        self._token = self._token % COUNTER_MAX + 1
        self._token_sent_ms = now_ms
        self._send(messages.Heartbeat(self._token))
        self._heartbeat_at_ms = now_ms + messages.HEARTBEAT_MS

    def _chase(self, pending: _Pending, now_ms: int) -> tuple[LinkEvent, ...]:
        if now_ms >= pending.give_up_ms:
            del self._pending[pending.message.nonce]
            self._may_be_open(pending)
            return (ReleaseAnswered(pending.message.nonce, None),)
        last_repeat_ms = pending.give_up_ms - messages.ANSWER_GRACE_MS
        if pending.refusal is not None:
            return ()
        if now_ms >= pending.repeat_at_ms and now_ms <= last_repeat_ms:
            self._send(pending.message)
            pending.sent += 1
        if now_ms >= pending.repeat_at_ms:
            pending.repeat_at_ms = now_ms + messages.RELEASE_REPEAT_MS
        return ()

    def _send(self, message: messages.Message) -> None:
        # A counter that is used up must never wrap: silence puts the gate in its safe state instead.
        if self._window is None or self._counter >= COUNTER_MAX:
            return
        self._counter += 1
        code, body = messages.encode_body(message)
        frame = LineFrame(Heading.TO_CONTROLLER, self._window.boot_id, self._counter, code, body)
        self._out += encode(seal(frame, self._keys))

    # --- losing ---------------------------------------------------------------------------------------

    def _lose(self, why: str) -> tuple[LinkEvent, ...]:
        unanswered = tuple(ReleaseAnswered(nonce, None) for nonce in self._pending)
        for pending in self._pending.values():
            self._may_be_open(pending)
        self._pending.clear()
        self._out.clear()
        self.status = self._sample = None
        return (*unanswered, Down(why)) if self.standing is Handshake.UP else ()

    def _earliest_uptime(self, now_ms: int) -> int | None:
        sample = self._sample
        if sample is None or now_ms - sample.at_ms > messages.LINK_SILENCE_MS:
            return None
        passed_ms = now_ms - sample.at_ms
        passed_ms -= passed_ms * messages.CLOCK_TOLERANCE_PPM // 1_000_000
        return messages.uptime_after(sample.uptime_ms, passed_ms)

    def _diagnosis(self) -> Trouble:
        order = (
            Trouble.OTHER_VERSION,
            Trouble.OTHER_TABLE,
            Trouble.DEAF,
            Trouble.OTHER_KEY,
            Trouble.NOT_A_GATE,
        )
        return next((trouble for trouble in order if trouble in self._seen), Trouble.SILENT)
