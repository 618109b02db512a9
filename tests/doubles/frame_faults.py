"""Frames that a line loses, harms, doubles, holds up and swaps; those of other gates and boots; seeded."""

import heapq
import itertools
from dataclasses import dataclass, field, replace
from random import Random

from firmware_bridge import messages
from firmware_bridge.auth import GateKeys, is_genuine, seal
from firmware_bridge.conformance.targets import Drive
from firmware_bridge.frame import FrameReader, Heading, LineFrame, encode
from firmware_bridge.messages import Answer, Direction, Inputs, Outputs

FAULTS = ("drop", "corrupt", "duplicate", "delay", "reorder", "foreign", "other boot")
BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
STEP_MS = 5
DELAY_MAX_MS = 4_000
OTHER_KEYS = GateKeys(b"\x55" * 16, b"\xaa" * 16)

# Beams of one person going in, then one going out, as a step each: whatever release is open ends.
WALK = (Inputs.BEAM_A, Inputs.BEAM_A | Inputs.BEAM_B, Inputs.BEAM_B, Inputs(0),
        Inputs.BEAM_B, Inputs.BEAM_A | Inputs.BEAM_B, Inputs.BEAM_A, Inputs(0))  # fmt: skip
STEPS_A_PLACE = 3

# Frames of earlier boots that are put on the line again.
CAUGHT_MAX = 200

# A power cycle every so many frames: what was caught before is then of another boot.
FRAMES_A_BOOT = 5_000


@dataclass
class Tally:
    """What the controller did with them."""

    faulted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    boots: int = 0
    accepted: int = 0
    openings: int = 0
    late: int = 0
    repeated: int = 0
    unasked: int = 0


class FaultyHost:
    """Sends releases and heartbeats down a line on which every single one meets a fault."""

    def __init__(self, target, keys, seed, boots_before=0):
        self._target, self._keys, self._random = target, keys, Random(seed)
        self.tally = Tally()
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._caught = []
        self._catching = []
        self._boot_id = boots_before
        self._power_on()

    def run(self, frames):
        for count in range(1, frames + 1):
            self._send_faulted()
            self._step()
            if count % FRAMES_A_BOOT == 0:
                self._target.restart()
                self._power_on()
        return self.tally

    def _power_on(self):
        self.tally.boots += 1
        self._boot_id += 1
        self._caught = [*self._caught, *self._catching][-CAUGHT_MAX:]
        self._catching = []
        self._now_ms = 0
        self._counter = 0
        self._line = []
        self._waiting = None
        self._limits = {}
        self._obeyed = set()
        self._unlocked = Outputs(0)
        self._walk = 0
        self._reader = FrameReader()
        self._beat_at_ms = 0
        self._step()

    # --- sending --------------------------------------------------------------------------------------

    def _message(self):
        if self._random.random() < 0.15:
            return messages.Heartbeat(self._random.getrandbits(31) + 1)
        if self._limits and self._random.random() < 0.2:
            # A host that lost an answer, or one that signs an old nonce anew with another limit.
            nonce = self._random.choice(list(self._limits)[-20:])
        else:
            nonce = messages.Nonce(next(self._numbers).to_bytes(8, "big"))
        limit_ms = self._now_ms + self._random.randint(-200, 2_000)
        passage_id = messages.PassageId(nonce * 2)
        direction = Direction(self._random.getrandbits(1))
        return messages.Release(passage_id, nonce, limit_ms % (1 << 32), 500, direction)

    def _send_faulted(self):
        fault = self._random.choice(FAULTS)
        self.tally.faulted[fault] += 1
        message = self._message()
        self._counter += 1
        code, body = messages.encode_body(message)
        frame = LineFrame(Heading.TO_CONTROLLER, self._boot_id, self._counter, code, body)
        if fault == "foreign":
            self._put(encode(seal(frame, OTHER_KEYS)))
            return
        if fault == "other boot":
            wire = self._random.choice(self._caught) if self._caught else b""
            self._put(wire or encode(seal(replace(frame, boot_id=self._boot_id + 1), self._keys)))
            return
        if isinstance(message, messages.Release) and fault not in ("drop", "corrupt"):
            self._limits.setdefault(message.nonce, []).append(message.not_after_ms)
        wire = encode(seal(frame, self._keys))
        self._harm(fault, wire)
        if self._random.random() < 0.01:
            self._catching.append(wire)

    def _harm(self, fault, wire):
        match fault:
            case "corrupt":
                harmed = bytearray(wire)
                for _ in range(self._random.randint(1, 3)):
                    harmed[self._random.randrange(1, len(wire) - 1)] ^= 1 << self._random.randrange(8)
                if bytes(harmed) != wire:
                    self._put(bytes(harmed))
            case "duplicate":
                self._put(wire)
                self._put(wire, self._random.randint(0, 50))
            case "delay":
                self._put(wire, self._random.randint(1, DELAY_MAX_MS))
            case "reorder":
                if self._waiting is None:
                    self._waiting = wire
                else:
                    self._put(wire)
                    self._put(self._waiting)
                    self._waiting = None
            case _:
                pass

    def _put(self, wire, delay_ms=0):
        heapq.heappush(self._line, (self._now_ms + delay_ms, next(self._order), wire))

    def _beat(self):
        """What keeps the host from being silent meets no fault, and is not counted."""
        if self._now_ms >= self._beat_at_ms:
            self._beat_at_ms = self._now_ms + messages.HEARTBEAT_MS
            self._counter += 1
            code, body = messages.encode_body(messages.Heartbeat(1))
            frame = LineFrame(Heading.TO_CONTROLLER, self._boot_id, self._counter, code, body)
            self._put(encode(seal(frame, self._keys)))

    # --- listening ------------------------------------------------------------------------------------

    def _step(self):
        self._beat()
        due = b""
        while self._line and self._line[0][0] <= self._now_ms:
            due += heapq.heappop(self._line)[2]
        began_ms, self._now_ms = self._now_ms, self._now_ms + STEP_MS
        self._walk += 1
        heard = self._target.step(due, self._now_ms, Drive(WALK[self._walk // STEPS_A_PLACE % len(WALK)]))
        for change in heard.changes:
            opened = change.outputs & ~self._unlocked & BOTH
            self.tally.openings += opened.bit_count()
            self._unlocked = change.outputs
        for arrived in self._reader.feed(heard.wire):
            assert isinstance(arrived, LineFrame)
            assert is_genuine(arrived, self._keys)
            self._hear(messages.decode_body(arrived.heading, arrived.type, arrived.body), began_ms)

    def _hear(self, message, began_ms):
        if isinstance(message, messages.Numbered):
            self._counter += 1
            code, body = messages.encode_body(messages.Acknowledge(message.sequence))
            frame = LineFrame(Heading.TO_CONTROLLER, self._boot_id, self._counter, code, body)
            self._put(encode(seal(frame, self._keys)))
        if not isinstance(message, messages.ReleaseAnswer) or message.answer is not Answer.ACCEPTED:
            return
        self.tally.accepted += 1
        self.tally.repeated += message.nonce in self._obeyed
        self._obeyed.add(message.nonce)
        limits = self._limits.get(message.nonce, [])
        self.tally.unasked += not limits
        # Bytes are taken at the earliest when the step began: past every limit this nonce ever had is late.
        self.tally.late += bool(limits) and max(limits) < began_ms
