"""Two ways to drive a simulated gate on a simulated clock: the real link, and a bare host that signs."""

from firmware_bridge import messages
from firmware_bridge.auth import derive_keys, is_genuine, seal
from firmware_bridge.frame import FrameReader, Heading, LineFrame, encode
from firmware_bridge.link import EventReported, GateLink
from firmware_bridge.messages import Direction, Nonce, PassageId
from firmware_bridge.simulator import SimulatedGate

KEYS = derive_keys(bytes(range(32)), "gate-1")
STEP_MS = 5


def passage(number: int) -> PassageId:
    return PassageId(number.to_bytes(16, "big"))


def nonce(number: int) -> Nonce:
    return Nonce(number.to_bytes(8, "big"))


class Pair:
    """The host's link and a simulated gate, joined by the gate's faulty line, on one clock."""

    def __init__(self, gate=None, keys=KEYS, acknowledge=True, **gate_options):
        self.gate = gate or SimulatedGate(KEYS, **gate_options)
        self.now_ms = self.gate.now_ms
        self.acknowledge = acknowledge
        self._challenges = 0
        self.keys = keys
        self.to_gate = []
        self.to_host = []
        self.openings = []
        self.connect()

    def connect(self):
        """A new host process on the same line."""
        self.link = GateLink(self.keys, self._draw)
        self.link.opened(self.now_ms)

    def _draw(self):
        self._challenges += 1
        return (self._challenges * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big")

    def run(self, span_ms):
        """Let time pass; what the link told meanwhile."""
        told = []
        end_ms = self.now_ms + span_ms
        while self.now_ms < end_ms:
            self.now_ms += STEP_MS
            told += self.link.poll(self.now_ms)
            sent = self.link.outgoing()
            was = self.gate.open_passage
            heard = self.gate.exchange(sent, self.now_ms)
            if self.gate.open_passage not in (None, was):
                self.openings.append((self.gate.open_passage, self.now_ms))
            self.to_gate += [sent] if sent else []
            self.to_host += [heard] if heard else []
            told += self.link.receive(heard, self.now_ms)
            if self.acknowledge:
                for event in told:
                    if isinstance(event, EventReported):
                        self.link.acknowledge(event)
        return told

    def run_dead(self, span_ms):
        """Let time pass with the host dead and the line still in."""
        self.now_ms += span_ms
        self.gate.exchange(b"", self.now_ms)

    def release(self, number=1, *, within_ms=2_000, open_ms=3_000, direction=Direction.ENTRY):
        return self.link.release(
            passage(number),
            nonce(number),
            direction=direction,
            not_after_ms=self.now_ms + within_ms,
            open_ms=open_ms,
            now_ms=self.now_ms,
        )


def reports(told):
    """Only the gate's events among what a link told."""
    return [event.event for event in told if isinstance(event, EventReported)]


class BareHost:
    """Signs what it is told to and keeps what it hears; checks nothing, so it can misbehave."""

    def __init__(self, gate=None, beats=True, **gate_options):
        self.gate = gate or SimulatedGate(KEYS, **gate_options)
        self.now_ms = self.gate.now_ms
        self.beats = beats
        self.counter = 0
        self.heard = []
        self.wire = b""
        self._reader = FrameReader()
        if beats:
            self.beat()
            self.run(STEP_MS)

    def sealed(self, message, boot_id=None, counter=None):
        if counter is None:
            self.counter += 1
            counter = self.counter
        code, body = messages.encode_body(message)
        boot_id = self.gate.boot_id if boot_id is None else boot_id
        return encode(seal(LineFrame(Heading.TO_CONTROLLER, boot_id, counter, code, body), KEYS))

    def put(self, wire):
        """Any bytes on the line, and what came back at once."""
        before = len(self.heard)
        self._listen(self.gate.exchange(wire, self.now_ms))
        return self.heard[before:]

    def send(self, message, **header):
        return self.put(self.sealed(message, **header))

    def beat(self):
        return self.send(messages.Heartbeat(1))

    def run(self, span_ms):
        before = len(self.heard)
        end_ms = self.now_ms + span_ms
        while self.now_ms < end_ms:
            self.now_ms += STEP_MS
            if self.beats and self.now_ms % 500 == 0:
                self.beat()
            self._listen(self.gate.exchange(b"", self.now_ms))
        return self.heard[before:]

    def release(self, number=1, *, within_ms=2_000, open_ms=3_000, direction=Direction.ENTRY):
        """The controller's answer to a release."""
        not_after_ms = (self.gate.uptime_ms + within_ms) % (1 << 32)
        message = messages.Release(passage(number), nonce(number), not_after_ms, open_ms, direction)
        [answer] = [told for told in self.send(message) if isinstance(told, messages.ReleaseAnswer)]
        assert answer.nonce == nonce(number)
        return answer.answer

    def events(self):
        """Each event heard so far once, in order."""
        numbered = self.numbered()
        return [numbered[sequence].event for sequence in sorted(numbered)]

    def numbered(self):
        """Each event heard so far by its number."""
        return {message.sequence: message for message in self.heard if isinstance(message, messages.Numbered)}

    def acknowledge_all(self):
        """Acknowledge until nothing waits, hearing each event first."""
        for _ in range(2 * messages.EVENTS_KEPT):
            if not self.gate.controller.transport.events_waiting:
                return
            if not self.numbered():
                self.run(messages.EVENT_REPEAT_MS)
            self.send(messages.Acknowledge(max(self.numbered())))
        raise AssertionError("events do not end")

    def _listen(self, received):
        self.wire += received
        for frame in self._reader.feed(received):
            assert isinstance(frame, LineFrame)
            assert is_genuine(frame, KEYS)
            self.heard.append(messages.decode_body(frame.heading, frame.type, frame.body))
