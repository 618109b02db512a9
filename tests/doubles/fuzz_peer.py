"""What Python makes of a fuzz harness's input, told as the harness tells it."""

import struct

from siphash24 import siphash24

from firmware_bridge.auth import GateKeys, seal
from firmware_bridge.frame import BODY_MAX, FrameReader, Heading, Ignored, IgnoredBecause, LineFrame, encode
from firmware_bridge.messages import Inputs, Outputs
from firmware_bridge.simulator.controller import Controller

KEYS = GateKeys(bytes(range(1, 17)), bytes(range(16, 0, -1)))
BOOT_ID = 7
START_MS = (1 << 32) - 1 - 1_000
BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
INPUT_BITS = (1 << len(Inputs)) - 1
TEXT_MAX = 255


def told_of_frame(stream):
    """As fuzz_frame.c."""
    told = ""
    for found in FrameReader().feed(stream):
        if isinstance(found, Ignored):
            told += f"ignored {list(IgnoredBecause).index(found.because)};"
        else:
            told += f"frame {int(found.heading)} {found.boot_id} {found.counter} {found.type} "
            told += f"{found.body.hex()} {found.mac.hex()};"
    return told


def told_of_auth(text):
    """As fuzz_auth.c."""
    if not 16 <= len(text) <= 16 + TEXT_MAX:
        return ""
    return siphash24(text[16:], key=text[:16]).digest().hex()


class _Run:
    """As fuzz_gate.c."""

    def __init__(self, script):
        self._script = script
        self._at = 0
        self._now_ms = START_MS
        self._counter = 0
        self._inputs = Inputs(0)
        self._contacts = Outputs(0)
        self._stuck = False
        self._controller = Controller(KEYS, BOOT_ID, uptime_ms=START_MS)
        self._told = []

    def told(self):
        verbs = (self._pass_time, self._set_inputs, self._set_contacts, self._raw_bytes, self._sealed,
                 self._hello, self._release, self._acknowledge)  # fmt: skip
        while self._at < len(self._script):
            verbs[self._take() % len(verbs)]()
        return "".join(self._told)

    def _take(self):
        found = self._script[self._at] if self._at < len(self._script) else 0
        self._at += 1
        return found

    def _take_u16(self):
        low = self._take()
        return low | self._take() << 8

    def _tick(self, span_ms):
        self._now_ms = (self._now_ms + span_ms) % (1 << 32)
        self._controller.tick(self._now_ms, self._inputs, self._contacts)
        if not self._stuck:
            self._contacts = self._controller.outputs & BOTH
        self._listen()
        self._told.append(f" {int(self._controller.outputs):02x} ")

    def _listen(self):
        self._told += [wire.hex() for wire in self._controller.outgoing()]

    def _feed(self, wire):
        self._controller.receive(wire)
        self._listen()

    def _send(self, kind, body, boot_id=BOOT_ID):
        if boot_id:
            self._counter += 1
        counter = self._counter if boot_id else 0
        self._feed(encode(seal(LineFrame(Heading.TO_CONTROLLER, boot_id, counter, kind, body), KEYS)))

    def _pass_time(self):
        self._tick(self._take())

    def _set_inputs(self):
        self._inputs = Inputs(self._take_u16() & INPUT_BITS)
        self._tick(1)

    def _set_contacts(self):
        self._stuck = bool(self._take() & 1)

    def _raw_bytes(self):
        size = self._take() % BODY_MAX
        self._feed(bytes(self._take() for _ in range(size)))

    def _sealed(self):
        kind = self._take()
        size = self._take() % (BODY_MAX + 1)
        self._send(kind, bytes(self._take() for _ in range(size)))

    def _hello(self):
        self._send(0x01, bytes([self._take()]) * 16, boot_id=0)

    def _release(self):
        number = bytes([self._take()])
        within_ms = struct.unpack("<h", struct.pack("<H", self._take_u16()))[0]
        limit_ms = (self._now_ms + within_ms) % (1 << 32)
        open_ms = self._take_u16()
        direction = self._take() & 1
        body = number + bytes(15) + number + bytes(7) + struct.pack("<IHB", limit_ms, open_ms, direction)
        self._send(0x03, body)

    def _acknowledge(self):
        self._send(0x04, struct.pack("<I", self._take()))


def told_of_gate(script):
    """As fuzz_gate.c."""
    return _Run(script).told()


TOLD = {"frame": told_of_frame, "auth": told_of_auth, "gate": told_of_gate}
