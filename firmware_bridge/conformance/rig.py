"""A host for the conformance suite: signs what it is told to, however wrong, and keeps what it hears."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from firmware_bridge import messages
from firmware_bridge.auth import PROVISIONING_KEYS, GateKeys, is_genuine, seal
from firmware_bridge.conformance.targets import Drive, Heard, PinChange, Target
from firmware_bridge.frame import FrameReader, Heading, LineFrame, encode
from firmware_bridge.messages import Inputs, Outputs, uptime_after

PATIENCE_MS: Final = 60
"""A frame and its answer take some 5 ms of line and work on an AVR; anything later than this did not come."""

PROVISION_MAX_MS: Final = 400
"""Non-volatile memory takes 4 ms a byte, a record of keys has 35."""

STEP_MS: Final = 5
"""How finely time is cut where an answer is awaited, and where not: nothing that is measured depends on
it."""
LONG_STEP_MS: Final = 25

LINE_BYTES_PER_MS: Final = messages.BAUD // 10 // 1_000


class StepError(Exception):
    """A step whose expectation did not hold."""


class ConformanceRig:
    """One target, powered on, and the host that talks to it. Instants are ms since the target's power-on."""

    def __init__(self, target: Target, keys: GateKeys, random: Random, *, wired: bool = True) -> None:
        self._target = target
        self.random = random
        self.wired = wired
        self.keys = keys
        self.drive = Drive()
        self.beats = False
        self.flood: Callable[[], bytes] | None = None
        self.now_ms = 0
        self.changes: list[PinChange] = []
        self.heard: list[messages.Message] = []
        self.events: deque[messages.Numbered] = deque()
        self.status: messages.Status | None = None
        self.boot_id = 0
        self.counter = 0
        self.events_heard = 0
        self.nonce_base = random.getrandbits(32)
        self.fire_release_ms: list[float] = []
        self.replayed_obeyed = 0
        self.late_obeyed = 0
        self._reader = FrameReader()
        self._beat_at_ms = 0
        self._uptime: tuple[int, int] | None = None
        self._out = b""

    # --- time and the line ----------------------------------------------------------------------------

    def run(self, span_ms: int) -> None:
        """Let so much of the target's time pass, heartbeating if that is on."""
        end_ms = self.now_ms + span_ms
        step_ms = STEP_MS if self.flood is not None else LONG_STEP_MS
        while self.now_ms < end_ms:
            if self.beats and self.now_ms >= self._beat_at_ms:
                self._beat_at_ms = self.now_ms + messages.HEARTBEAT_MS
                self.send(messages.Heartbeat(1 + self.random.getrandbits(31)))
            if self.flood is not None:
                self._out += self.flood()
            self.now_ms = min(self.now_ms + step_ms, end_ms)
            wire, self._out = self._out, b""
            self._take(self._target.step(wire, self.now_ms, self.drive))
            self.drive = replace(self.drive, clock_stopped=False)

    def until(self, holds: Callable[[], bool], patience_ms: int = PATIENCE_MS) -> bool:
        """Let time pass until something holds, or patience ends: whether it holds."""
        end_ms = self.now_ms + patience_ms
        while not holds():
            if self.now_ms >= end_ms:
                return False
            self.run(STEP_MS)
        return True

    def put(self, wire: bytes) -> None:
        """Any bytes, with the next moment that passes."""
        self._out += wire

    def send(self, message: messages.Message) -> bytes:
        """A genuine frame with the next counter; the bytes it has on the line."""
        wire = self.sealed(message)
        self.put(wire)
        return wire

    def sealed(self, message: messages.Message) -> bytes:
        """A genuine frame with the next counter, not sent."""
        self.counter += 1
        return encode(seal(self.frame(message, self.counter), self.keys))

    def frame(self, message: messages.Message, counter: int) -> LineFrame:
        """An unsigned frame of this boot."""
        code, body = messages.encode_body(message)
        return LineFrame(Heading.TO_CONTROLLER, self.boot_id, counter, code, body)

    def send_bootless(self, message: messages.Message, keys: GateKeys) -> None:
        """HELLO or PROVISION."""
        code, body = messages.encode_body(message)
        self.put(encode(seal(LineFrame(Heading.TO_CONTROLLER, 0, 0, code, body), keys)))

    def restart(self) -> None:
        """Power off and on."""
        self._target.restart()
        self.now_ms = self._beat_at_ms = 0
        self.changes.clear()
        self.events.clear()
        self._reader.reset()
        self._uptime = self.status = None
        self.beats = False
        self._out = b""

    # --- what is known --------------------------------------------------------------------------------

    def uptime_in(self, ahead_ms: int) -> int:
        """The target's uptime so long from now, reckoned from the last it told."""
        if self._uptime is None:
            raise StepError("the controller has not told its uptime")
        uptime_ms, at_ms = self._uptime
        return uptime_after(uptime_ms, self.now_ms - at_ms + ahead_ms)

    @property
    def outputs(self) -> Outputs:
        """At the pins where they can be seen, else as STATUS says."""
        if self.changes:
            return self.changes[-1].outputs
        return self.status.outputs if self.status else Outputs(0)

    def switched(self, bit: Inputs) -> int | None:
        """When an input last became active at its pin after a pause of LIFE_SAFETY_MS, in microseconds."""
        found, before, ended_us = None, Inputs(0), None
        for change in self.changes:
            if change.inputs & bit and not before & bit:
                if ended_us is None or change.at_us - ended_us >= messages.LIFE_SAFETY_MS * 1_000:
                    found = change.at_us
            elif before & bit and not change.inputs & bit:
                ended_us = change.at_us
            before = change.inputs
        return found

    # --- listening ------------------------------------------------------------------------------------

    def _take(self, heard: Heard) -> None:

        self.changes += heard.changes
        for arrived in self._reader.feed(heard.wire):
            if not isinstance(arrived, LineFrame) or arrived.heading is not Heading.TO_HOST:
                raise StepError(f"the controller sent what is no frame: {arrived}")
            keys = PROVISIONING_KEYS if arrived.boot_id == arrived.counter == 0 else self.keys
            if not is_genuine(arrived, keys):
                continue
            message = messages.decode_body(arrived.heading, arrived.type, arrived.body)
            if not isinstance(message, messages.Message):
                raise StepError(f"the controller sent a message not in the table: type {arrived.type:#04x}")
            self._note(message, arrived)

    def _note(self, message: messages.Message, arrived: LineFrame) -> None:
        self.heard.append(message)
        match message:
            case messages.Status():
                self.status = message
                self._uptime = (message.uptime_ms, self.now_ms)
            case messages.Welcome():
                if self.boot_id != arrived.boot_id:
                    self.events_heard = 0
                self.boot_id = arrived.boot_id
                self.counter = message.host_counter
                self._uptime = (message.uptime_ms, self.now_ms)
            case messages.Numbered():
                if message.sequence > self.events_heard:
                    self.events_heard = message.sequence
                    self.events.append(message)
            case messages.ReleaseAnswer() | messages.Provisioned():
                pass
            case _:
                raise StepError(f"the controller sent a host's message: {type(message).__name__}")
