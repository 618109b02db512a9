"""A gate controller in Python: the state table of PROTOCOL.md 6, run by `tick`.

Its clock is its own uptime in milliseconds since boot. It never sees the host's clock, and no message
reaches the lines that free the gate for fire, emergency or request to exit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firmware_bridge import messages
from firmware_bridge.auth import LINE_KEY_SIZE, GateKeys
from firmware_bridge.frame import IgnoredBecause
from firmware_bridge.messages import (
    Answer,
    Cause,
    Direction,
    GateFault,
    Inputs,
    Mode,
    Nonce,
    Outputs,
    PassageId,
    uptime_after,
    uptime_difference,
)
from firmware_bridge.simulator.passage import PassageSensor, Seen
from firmware_bridge.simulator.transport import Transport

_UNLOCKS = {Direction.ENTRY: Outputs.ENTRY_UNLOCKED, Direction.EXIT: Outputs.EXIT_UNLOCKED}
_BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
_LIFE = Inputs.FIRE | Inputs.EMERGENCY
_LETS_OUT = _LIFE | Inputs.REQUEST_TO_EXIT

LOOK_MAX_MS = messages.DEBOUNCE_MS // 2
"""As much as the first look at an active input counts for: a pulse that only one round sees is not enough."""


@dataclass(frozen=True, slots=True)
class _OpenRelease:
    passage_id: PassageId
    direction: Direction
    until_ms: int


class Controller:
    """One boot of a controller. Call `tick` every few milliseconds with the uptime and the raw inputs."""

    def __init__(
        self, keys: GateKeys | None, boot_id: int, protocol_hash: bytes | None = None, uptime_ms: int = 0
    ) -> None:
        self.transport = Transport(keys, boot_id, protocol_hash or messages.protocol_hash())
        self.mode = Mode.SAFE
        self.fault = GateFault.NONE
        self.inputs = Inputs(0)
        self.outputs = Outputs(0)
        self.new_keys: GateKeys | None = None
        self._now_ms = uptime_ms
        self._raw = Inputs(0)
        self._raw_since_ms: dict[Inputs, int] = {}
        self._active_ms: dict[Inputs, int] = {}
        self._last_active_ms: dict[Inputs, int] = {}
        self._sensor = PassageSensor()
        self._host_heard_ms: int | None = None
        self._status_at_ms = uptime_ms
        self._mode_told = Mode.SAFE
        self._release: _OpenRelease | None = None
        self._nonces: dict[Nonce, int] = {}
        self._exit_until_ms: int | None = None
        self._closed_by: tuple[PassageId, int] | None = None
        self._forced_reported = False
        self._door_since_ms: int | None = None
        self._held_reported = False
        self._mismatch_since_ms: int | None = None
        self._buzzer_until_ms: int | None = None

    @property
    def open_passage(self) -> PassageId | None:
        """Whose release is open."""
        return self._release.passage_id if self._release else None

    # --- the line -------------------------------------------------------------------------------------

    def receive(self, received: bytes) -> None:
        """Bytes from the host; takes effect at the uptime of the last tick."""
        for message in self.transport.receive(received, self._now_ms):
            match message:
                case messages.Heartbeat():
                    self._host_heard_ms = self._now_ms
                    self._settle_mode()
                    self._send_status(message.token)
                case messages.Release():
                    self.transport.send(messages.ReleaseAnswer(message.nonce, self._judge(message)))
                    self._settle_mode()
                case messages.Provision():
                    self.transport.send_provisioned(self._provision(message))
                case _:
                    self.transport.ignored[IgnoredBecause.MALFORMED] += 1

    def outgoing(self) -> list[bytes]:
        """Frames for the host."""
        return self.transport.outgoing()

    # --- time -----------------------------------------------------------------------------------------

    def tick(self, now_ms: int, raw: Inputs, contacts: Outputs) -> None:
        """One round of the main loop: inputs, clocks, outputs. `contacts`: the relays as read back."""
        passed_ms = uptime_difference(now_ms, self._now_ms)
        self._now_ms = now_ms
        before = self.inputs
        self._debounce(raw, passed_ms)
        self._follow_life_safety(before)
        if self._closed_by is not None and not self._is_before(self._closed_by[1]):
            self._closed_by = None
        if self._buzzer_until_ms is not None and not self._is_before(self._buzzer_until_ms):
            self._buzzer_until_ms = None
        self._watch_hardware(contacts)
        self._watch_host()
        self._watch_exit_request(before)
        self._watch_passage()
        self._watch_release_time()
        self._watch_door(before)
        self._settle_mode()
        if self.mode is not self._mode_told or uptime_difference(now_ms, self._status_at_ms) >= 0:
            self._send_status(0)
        self.transport.repeat(now_ms)

    def _debounce(self, raw: Inputs, passed_ms: int) -> None:
        if raw == self._raw == self.inputs and not self._active_ms:
            return
        for bit in Inputs:
            if bit & _LETS_OUT:
                self._sum_up(bit, bool(raw & bit), passed_ms)
                continue
            if (raw ^ self._raw) & bit:
                self._raw_since_ms[bit] = self._now_ms
            steady_ms = uptime_difference(self._now_ms, self._raw_since_ms.get(bit, self._now_ms))
            if (raw ^ self.inputs) & bit and steady_ms >= messages.DEBOUNCE_MS:
                self.inputs ^= bit
        self._raw = raw

    def _sum_up(self, bit: Inputs, active: bool, passed_ms: int) -> None:
        # A contact that chatters must let people out: its active time counts in sum, and only its end must
        # be steady.
        if active:
            self._last_active_ms[bit] = self._now_ms
            seen_ms = passed_ms if self._raw & bit else min(passed_ms, LOOK_MAX_MS)
            self._active_ms[bit] = self._active_ms.get(bit, 0) + seen_ms
            if self._active_ms[bit] >= messages.DEBOUNCE_MS:
                self.inputs |= bit
        elif bit in self._active_ms and self._has_passed(self._last_active_ms[bit], messages.LIFE_SAFETY_MS):
            del self._active_ms[bit]
            self.inputs &= ~bit

    def _follow_life_safety(self, before: Inputs) -> None:
        rose, life = self.inputs & ~before, self.inputs & _LIFE
        if rose & Inputs.FIRE:
            self._report(messages.FireReleased())
        if rose & Inputs.EMERGENCY:
            self._report(messages.EmergencyReleased())
        if life:
            self._interrupt(Cause.FIRE if life & Inputs.FIRE else Cause.EMERGENCY)
        elif before & _LIFE:
            self._report(messages.FreeEnded())

    def _watch_hardware(self, contacts: Outputs) -> None:
        if (contacts ^ self.outputs) & _BOTH:
            if self._mismatch_since_ms is None:
                self._mismatch_since_ms = self._now_ms
            elif uptime_difference(self._now_ms, self._mismatch_since_ms) >= messages.RELAY_SETTLE_MS:
                self._latch(GateFault.RELAY)
        else:
            self._mismatch_since_ms = None
        if self.inputs & Inputs.TAMPER:
            self._latch(GateFault.TAMPER)

    def _latch(self, fault: GateFault) -> None:
        if self.fault is GateFault.NONE:
            self.fault = fault
            self._report(messages.FaultLatched(fault=fault))
            self._interrupt(Cause.FAULT)

    def _watch_host(self) -> None:
        if self._host_is_silent() and not self._sensor.occupied:
            self._interrupt(Cause.HOST_SILENT)

    def _host_is_silent(self) -> bool:
        if self.inputs & Inputs.PROVISIONING:
            self._host_heard_ms = None
        if self._host_heard_ms is None:
            return True
        if uptime_difference(self._now_ms, self._host_heard_ms) < messages.HOST_SILENCE_MS:
            return False
        # Kept silent, so that uptime wrapping cannot make an old heartbeat young again.
        self._host_heard_ms = None
        return True

    def _watch_exit_request(self, before: Inputs) -> None:
        if (self.inputs | before) & Inputs.REQUEST_TO_EXIT:
            self._exit_until_ms = uptime_after(self._now_ms, messages.EXIT_OPEN_MS)
        elif self._exit_until_ms is not None and not self._is_before(self._exit_until_ms):
            self._exit_until_ms = None

    def _watch_passage(self) -> None:
        seen = self._sensor.update(bool(self.inputs & Inputs.BEAM_A), bool(self.inputs & Inputs.BEAM_B))
        if seen is None:
            return
        release = self._release
        if seen is Seen.FOLLOWED:
            if release is not None:
                self._alarm(messages.Tailgated(passage_id=release.passage_id))
            return
        direction = Direction(seen.value)
        if release is not None and release.direction is direction:
            self._report(messages.Passed(passage_id=release.passage_id, direction=direction))
            self._release = None
            self._closed_by = (
                release.passage_id,
                uptime_after(self._now_ms, messages.TAILGATE_MS),
            )
        elif self.outputs & _UNLOCKS[direction]:
            self._report(messages.Passed(passage_id=None, direction=direction))
        elif release is not None:
            self._alarm(messages.WrongWay(passage_id=release.passage_id))
        elif self._closed_by is not None:
            self._alarm(messages.Tailgated(passage_id=self._closed_by[0]))
        elif not self._forced_reported:
            self._alarm(messages.ForcedPassage(direction=direction))

    def _watch_release_time(self) -> None:
        release = self._release
        if release is None or self._is_before(release.until_ms):
            return
        finish_ms = uptime_after(release.until_ms, messages.PASSAGE_FINISH_MS)
        if not self._sensor.occupied or not self._is_before(finish_ms):
            self._report(messages.TimedOut(passage_id=release.passage_id))
            self._release = None

    def _watch_door(self, before: Inputs) -> None:
        locked = not self.outputs & _BOTH
        is_open = bool(self.inputs & Inputs.DOOR_OPEN)
        if is_open and not before & Inputs.DOOR_OPEN and locked and self._closed_by is None:
            self._alarm(messages.ForcedDoor())
            self._forced_reported = True
        if not is_open:
            self._forced_reported = False
        if not is_open or not locked:
            self._door_since_ms = None
            self._held_reported = False
        elif self._door_since_ms is None:
            self._door_since_ms = self._now_ms
        elif not self._held_reported and self._has_passed(self._door_since_ms, messages.HELD_OPEN_MS):
            self._alarm(messages.HeldOpen())
            self._held_reported = True

    # --- releases -------------------------------------------------------------------------------------

    def _judge(self, release: messages.Release) -> Answer:
        refused = next((answer for applies, answer in self._refusals(release) if applies), None)
        if refused is not None:
            return refused
        open_ms = min(max(release.open_ms, messages.OPEN_MIN_MS), messages.OPEN_MAX_MS)
        if self._nonces_are_full():
            late = self._oldest_late_nonce()
            assert late is not None
            del self._nonces[late]
        self._nonces[release.nonce] = release.not_after_ms
        self._release = _OpenRelease(
            release.passage_id, release.direction, uptime_after(self._now_ms, open_ms)
        )
        self._closed_by = None
        return Answer.ACCEPTED

    def _refusals(self, release: messages.Release) -> Iterator[tuple[bool, Answer]]:
        # One at a time: asking whether the host is silent may forget its heartbeat, and a release that is
        # refused before that question must change nothing.
        ahead_ms = uptime_difference(release.not_after_ms, self._now_ms)
        yield release.passage_id == messages.NO_PASSAGE, Answer.MALFORMED
        yield release.nonce in self._nonces, Answer.ALREADY
        yield ahead_ms < 0, Answer.LATE
        yield ahead_ms > messages.RELEASE_AHEAD_MAX_MS, Answer.TOO_FAR_AHEAD
        yield bool(self.inputs & _LIFE), Answer.FREE
        yield self.fault is not GateFault.NONE, Answer.FAULT
        yield self._host_is_silent(), Answer.SAFE
        yield self._release is not None, Answer.BUSY
        free_for_others = messages.EVENTS_KEPT - messages.EVENTS_RESERVED
        yield self.transport.events_waiting >= free_for_others, Answer.EVENTS_FULL
        yield self._nonces_are_full() and self._oldest_late_nonce() is None, Answer.NONCES_FULL

    def _nonces_are_full(self) -> bool:
        return len(self._nonces) >= messages.NONCES_KEPT

    def _oldest_late_nonce(self) -> Nonce | None:
        return next((nonce for nonce, until_ms in self._nonces.items() if self._is_late(until_ms)), None)

    def _is_late(self, until_ms: int) -> bool:
        # Or so old that uptime wrapped.
        return not 0 <= uptime_difference(until_ms, self._now_ms) <= messages.RELEASE_AHEAD_MAX_MS

    def _interrupt(self, cause: Cause) -> None:
        if self._release is not None:
            self._report(messages.Interrupted(passage_id=self._release.passage_id, cause=cause))
            self._release = None

    # --- outputs --------------------------------------------------------------------------------------

    def _settle_mode(self) -> None:
        if self.inputs & _LIFE:
            self.mode = Mode.FREE
        elif self.fault is not GateFault.NONE:
            self.mode = Mode.FAULT
        elif self._release is not None:
            self.mode = Mode.RELEASED
        elif self._host_is_silent():
            self.mode = Mode.SAFE
        else:
            self.mode = Mode.LOCKED
        self.outputs = self._commanded()

    def _commanded(self) -> Outputs:
        opened = Outputs(0)
        match self.mode:
            case Mode.FREE:
                opened = _BOTH
            case Mode.SAFE | Mode.FAULT:
                opened = _BOTH if self.inputs & Inputs.FAIL_OPEN else Outputs(0)
            case Mode.RELEASED:
                assert self._release is not None
                opened = _UNLOCKS[self._release.direction]
            case Mode.LOCKED:
                pass
        if self._exit_until_ms is not None:
            opened |= Outputs.EXIT_UNLOCKED
        buzzer = Outputs(0) if self._buzzer_until_ms is None else Outputs.BUZZER
        return opened | (Outputs.LAMP_GREEN if opened else Outputs.LAMP_RED) | buzzer

    # --- small things ---------------------------------------------------------------------------------

    def _is_before(self, uptime_ms: int) -> bool:
        return uptime_difference(uptime_ms, self._now_ms) > 0

    def _has_passed(self, since_ms: int, span_ms: int) -> bool:
        return uptime_difference(self._now_ms, since_ms) >= span_ms

    def _report(self, event: messages.Event) -> None:
        self.transport.report(event, self._now_ms)

    def _alarm(self, event: messages.Event) -> None:
        self._buzzer_until_ms = uptime_after(self._now_ms, messages.BUZZER_MS)
        self._report(event)

    def _provision(self, new: messages.Provision) -> messages.Provisioning:
        if not self.inputs & Inputs.PROVISIONING:
            return messages.Provisioning.NO_JUMPER
        if bytes(LINE_KEY_SIZE) in (new.key_to_controller, new.key_to_host):
            return messages.Provisioning.UNUSABLE
        self.new_keys = GateKeys(new.key_to_controller, new.key_to_host)
        return messages.Provisioning.STORED

    def _send_status(self, token: int) -> None:
        self._mode_told = self.mode
        self._status_at_ms = uptime_after(self._now_ms, messages.STATUS_MS)
        count = self.transport.count
        self.transport.send(
            messages.Status(
                token,
                self._now_ms,
                self.mode,
                self.fault,
                self.inputs,
                self.outputs,
                self.transport.events_waiting,
                self.transport.events_dropped,
                *(count(because) for because in IgnoredBecause),
            )
        )
