"""The one table of the gate protocol: messages, codes, limits; `gate_protocol.h` is generated from it.

Byte order is little-endian. Every sentence quoted above a constant stands in PROTOCOL.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, NewType, cast

from firmware_bridge.errors import MessageBoundError
from firmware_bridge.frame import PROTOCOL_VERSION, Heading, Ignored, IgnoredBecause

PassageId = NewType("PassageId", bytes)
"""One attempt at a gate, 16 bytes, chosen by the host; sixteen zero bytes mean no passage."""

Nonce = NewType("Nonce", bytes)
"""Eight random bytes naming one release; a controller obeys each at most once."""

PASSAGE_ID_SIZE = 16
NONCE_SIZE = 8
CHALLENGE_SIZE = 8
NO_PASSAGE = PassageId(bytes(PASSAGE_ID_SIZE))

# "Uptime is in milliseconds since boot, wraps at 2^32, and two uptimes compare by their signed difference."
_UPTIME_SPAN = 1 << 32


def uptime_after(start_ms: int, passed_ms: int) -> int:
    """The uptime `passed_ms` after another, wrapped."""
    return (start_ms + passed_ms) % _UPTIME_SPAN


def uptime_difference(later_ms: int, earlier_ms: int) -> int:
    """Signed milliseconds from one uptime to another, right as long as they are within 24 days."""
    return (later_ms - earlier_ms + _UPTIME_SPAN // 2) % _UPTIME_SPAN - _UPTIME_SPAN // 2


# --- limits ---------------------------------------------------------------------------------------------

# "The line runs at 250000 baud, 8 data bits, no parity, 1 stop bit, no flow control."
BAUD = 250_000
# "The host sends HEARTBEAT every HEARTBEAT_MS."
HEARTBEAT_MS = 500
# "The controller sends STATUS in answer to each HEARTBEAT, when its state changes, and every STATUS_MS."
STATUS_MS = 500
# "The host repeats HELLO every HELLO_REPEAT_MS until WELCOME."
HELLO_REPEAT_MS = 250
# "The controller is in its safe state once it has had no genuine HEARTBEAT for HOST_SILENCE_MS."
HOST_SILENCE_MS = 2_000
# "The host takes the link for lost after LINK_SILENCE_MS without an answer to a HEARTBEAT."
LINK_SILENCE_MS = 2_000
# "The host uses an uptime only if STATUS came within ECHO_MAX_MS of the HEARTBEAT it answers."
ECHO_MAX_MS = 500
# "The host takes the controller's clock for slow or fast by at most CLOCK_TOLERANCE_PPM."
CLOCK_TOLERANCE_PPM = 5_000
# "The host repeats an unanswered RELEASE every RELEASE_REPEAT_MS, with a new counter, until `not_after_ms`."
RELEASE_REPEAT_MS = 100
# "The host waits ANSWER_GRACE_MS past `not_after_ms` for an answer, then calls the release unanswered."
ANSWER_GRACE_MS = 250
# "A release whose `not_after_ms` is more than RELEASE_AHEAD_MAX_MS ahead is refused."
RELEASE_AHEAD_MAX_MS = 10_000
# "The controller raises an open time below OPEN_MIN_MS and cuts one above OPEN_MAX_MS."
OPEN_MIN_MS = 500
OPEN_MAX_MS = 10_000
# "A person between the beams when the open time ends has PASSAGE_FINISH_MS to finish."
PASSAGE_FINISH_MS = 3_000
# "Request to exit unlocks the exit direction for EXIT_OPEN_MS after the input ends."
EXIT_OPEN_MS = 5_000
# "A passage within TAILGATE_MS after another that closed the gate is tailgating, not forcing."
TAILGATE_MS = 1_500
# "A door still open HELD_OPEN_MS after everything locked is held open."
HELD_OPEN_MS = 5_000
# "An input counts once it has been steady for DEBOUNCE_MS."
DEBOUNCE_MS = 10
# "A relay contact that disagrees with its command for RELAY_SETTLE_MS is a fault."
RELAY_SETTLE_MS = 50
# "Fire or emergency frees the gate within LIFE_SAFETY_MS of the input, whatever the host does."
LIFE_SAFETY_MS = 100
# "The buzzer sounds for BUZZER_MS after TAILGATED, WRONG_WAY, FORCED_PASSAGE, FORCED_DOOR and HELD_OPEN."
BUZZER_MS = 2_000
# "An unacknowledged event is repeated every EVENT_REPEAT_MS."
EVENT_REPEAT_MS = 200
# "The controller keeps EVENTS_KEPT events."
EVENTS_KEPT = 16
# "The last EVENTS_RESERVED places are only for events that end a release."
EVENTS_RESERVED = 2
# "The controller remembers NONCES_KEPT nonces, and forgets one only when a release with it would be late."
NONCES_KEPT = 32

LIMITS = {
    name: value
    for name, value in tuple(globals().items())
    if name.isupper() and isinstance(value, int) and not name.startswith("_") and name != "PROTOCOL_VERSION"
}


# --- codes ----------------------------------------------------------------------------------------------


class Direction(IntEnum):
    """Which way a person goes through the gate: entry passes beam A first, exit beam B."""

    ENTRY = 0
    EXIT = 1


class Mode(IntEnum):
    """The controller's state; PROTOCOL.md 6 holds the table of what moves it."""

    LOCKED = 0
    RELEASED = 1
    FREE = 2
    SAFE = 3
    FAULT = 4


class GateFault(IntEnum):
    """The first hardware fault since boot; it stays latched until the next boot."""

    NONE = 0
    RELAY = 1
    TAMPER = 2


class Cause(IntEnum):
    """Why an accepted release ended before a passage or its own time limit."""

    FIRE = 1
    EMERGENCY = 2
    FAULT = 3
    HOST_SILENT = 4
    REBOOT = 5


class Answer(IntEnum):
    """What the controller says to a release, in the order in which it looks (ACCEPTED comes last)."""

    ACCEPTED = 0
    MALFORMED = 1
    ALREADY = 2
    LATE = 3
    TOO_FAR_AHEAD = 4
    FREE = 5
    FAULT = 6
    SAFE = 7
    BUSY = 8
    EVENTS_FULL = 9
    NONCES_FULL = 10


class Inputs(IntFlag):
    """The controller's inputs, after debouncing; a set bit is the active state."""

    BEAM_A = 1 << 0
    BEAM_B = 1 << 1
    DOOR_OPEN = 1 << 2
    REQUEST_TO_EXIT = 1 << 3
    FIRE = 1 << 4
    EMERGENCY = 1 << 5
    TAMPER = 1 << 6
    FAIL_OPEN = 1 << 7
    PROVISIONING = 1 << 8


class Outputs(IntFlag):
    """The controller's outputs as commanded."""

    ENTRY_UNLOCKED = 1 << 0
    EXIT_UNLOCKED = 1 << 1
    LAMP_GREEN = 1 << 2
    LAMP_RED = 1 << 3
    BUZZER = 1 << 4


class Provisioning(IntEnum):
    """What became of new keys, in the order in which the controller looks (STORED comes last)."""

    STORED = 0
    NO_JUMPER = 1
    UNUSABLE = 2
    NOT_STORED = 3


CODES: tuple[tuple[str, type[IntEnum | IntFlag]], ...] = (
    ("Direction", Direction),
    ("Mode", Mode),
    ("Fault", GateFault),
    ("Cause", Cause),
    ("Answer", Answer),
    ("Inputs", Inputs),
    ("Outputs", Outputs),
    ("Provisioning", Provisioning),
)
"""Each set of codes and its name in PROTOCOL.md: the hash is over that name, not over the class's."""

# --- messages, host to controller -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """Asks who is there; sent with boot id 0 and counter 0."""

    challenge: bytes
    protocol_hash: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The host is alive; `token` comes back in STATUS."""

    token: int


@dataclass(frozen=True, slots=True)
class Release:
    """Open once, one way, for one person, not later than `not_after_ms` of controller uptime."""

    passage_id: PassageId
    nonce: Nonce
    not_after_ms: int
    open_ms: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The host has dealt with the event on the line."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Provision:
    """New line keys, by the local port, with the provisioning jumper set; they count from the next boot."""

    key_to_controller: bytes = field(repr=False)
    key_to_host: bytes = field(repr=False)


# --- messages, controller to host -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answers HELLO: challenge echoed, the controller's own protocol hash, the host's highest counter."""

    challenge: bytes
    protocol_hash: bytes
    host_counter: int
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Status:
    """The controller is alive; `token` is 0 when unasked. Counts stop at 65535."""

    token: int
    uptime_ms: int
    mode: Mode
    fault: GateFault
    inputs: Inputs
    outputs: Outputs
    events_waiting: int
    events_dropped: int
    ignored_framing: int
    ignored_crc: int
    ignored_version: int
    ignored_direction: int
    ignored_mac: int
    ignored_boot: int
    ignored_counter: int
    ignored_malformed: int


@dataclass(frozen=True, slots=True)
class ReleaseAnswer:
    """What became of a RELEASE, by its nonce."""

    nonce: Nonce
    answer: Answer


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What became of PROVISION."""

    answer: Provisioning


@dataclass(frozen=True, slots=True)
class Passed:
    """Somebody went through; the passage id is None when no release was open."""

    passage_id: PassageId | None
    direction: Direction


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The release ended with nobody through."""

    passage_id: PassageId


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The release ended early, so that a passage can no longer be told from others."""

    passage_id: PassageId
    cause: Cause


@dataclass(frozen=True, slots=True)
class Tailgated:
    """A second person followed on one release."""

    passage_id: PassageId


@dataclass(frozen=True, slots=True)
class WrongWay:
    """Somebody went through against the open release."""

    passage_id: PassageId


@dataclass(frozen=True, slots=True)
class ForcedPassage:
    """Somebody went through a locked gate."""

    direction: Direction


@dataclass(frozen=True, slots=True)
class ForcedDoor:
    """The door opened while everything was locked."""


@dataclass(frozen=True, slots=True)
class HeldOpen:
    """The door is still open long after everything locked."""


@dataclass(frozen=True, slots=True)
class FaultLatched:
    """The first hardware fault since boot; releases are refused until the next boot."""

    fault: GateFault


@dataclass(frozen=True, slots=True)
class FireReleased:
    """The fire input freed the gate."""


@dataclass(frozen=True, slots=True)
class EmergencyReleased:
    """The emergency button freed the gate."""


@dataclass(frozen=True, slots=True)
class FreeEnded:
    """Fire input and emergency button are both off again."""


Event = (
    Passed
    | TimedOut
    | Interrupted
    | Tailgated
    | WrongWay
    | ForcedPassage
    | ForcedDoor
    | HeldOpen
    | FaultLatched
    | FireReleased
    | EmergencyReleased
    | FreeEnded
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event as it goes on the line: its number in this boot, and the uptime at which it happened."""

    sequence: int
    at_ms: int
    event: Event


Message = (
    Hello
    | Heartbeat
    | Release
    | Acknowledge
    | Provision
    | Welcome
    | Status
    | ReleaseAnswer
    | Numbered
    | Provisioned
)

# --- the table ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message: its code, its name in PROTOCOL.md, and its fields as `name:letter` of a struct."""

    code: int
    name: str
    message: type[Message | Event]
    body: str
    choices: tuple[tuple[str, type[IntEnum | IntFlag]], ...] = ()

    @property
    def heading(self) -> Heading:
        """The top bit of the code is the direction."""
        return Heading.TO_HOST if self.code & 0x80 else Heading.TO_CONTROLLER

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and struct letter of each field."""
        pairs = (field.partition(":") for field in self.body.split())
        return tuple((name, letter) for name, _, letter in pairs)

    @property
    def is_event(self) -> bool:
        """Whether it goes on the line `Numbered`."""
        return self.body.startswith(_EVENT)

    @property
    def layout(self) -> struct.Struct:
        """The body as a struct, little-endian, unpadded."""
        return struct.Struct("<" + "".join(letter for _, letter in self.fields))


_EVENT = "sequence:I at_ms:I"
_DIRECTION = (("direction", Direction),)
TABLE = (
    MessageRow(0x01, "HELLO", Hello, "challenge:8s protocol_hash:8s"),
    MessageRow(0x02, "HEARTBEAT", Heartbeat, "token:I"),
    MessageRow(
        0x03, "RELEASE", Release, "passage_id:16s nonce:8s not_after_ms:I open_ms:H direction:B", _DIRECTION
    ),
    MessageRow(0x04, "ACKNOWLEDGE", Acknowledge, "sequence:I"),
    MessageRow(0x70, "PROVISION", Provision, "key_to_controller:16s key_to_host:16s"),
    MessageRow(0x81, "WELCOME", Welcome, "challenge:8s protocol_hash:8s host_counter:I uptime_ms:I"),
    MessageRow(
        0x82,
        "STATUS",
        Status,
        "token:I uptime_ms:I mode:B fault:B inputs:H outputs:B events_waiting:B events_dropped:H "
        "ignored_framing:H ignored_crc:H ignored_version:H ignored_direction:H "
        "ignored_mac:H ignored_boot:H ignored_counter:H ignored_malformed:H",
        (
            ("mode", Mode),
            ("fault", GateFault),
            ("inputs", Inputs),
            ("outputs", Outputs),
        ),
    ),
    MessageRow(0x83, "RELEASE_ANSWER", ReleaseAnswer, "nonce:8s answer:B", (("answer", Answer),)),
    MessageRow(0xA0, "PASSED", Passed, f"{_EVENT} passage_id:16s direction:B", _DIRECTION),
    MessageRow(0xA1, "TIMED_OUT", TimedOut, f"{_EVENT} passage_id:16s"),
    MessageRow(0xA2, "INTERRUPTED", Interrupted, f"{_EVENT} passage_id:16s cause:B", (("cause", Cause),)),
    MessageRow(0xA3, "TAILGATED", Tailgated, f"{_EVENT} passage_id:16s"),
    MessageRow(0xA4, "WRONG_WAY", WrongWay, f"{_EVENT} passage_id:16s"),
    MessageRow(0xA5, "FORCED_PASSAGE", ForcedPassage, f"{_EVENT} direction:B", _DIRECTION),
    MessageRow(0xA6, "FORCED_DOOR", ForcedDoor, _EVENT),
    MessageRow(0xA7, "HELD_OPEN", HeldOpen, _EVENT),
    MessageRow(0xA8, "FAULT_LATCHED", FaultLatched, f"{_EVENT} fault:B", (("fault", GateFault),)),
    MessageRow(0xA9, "FIRE_RELEASED", FireReleased, _EVENT),
    MessageRow(0xAA, "EMERGENCY_RELEASED", EmergencyReleased, _EVENT),
    MessageRow(0xAB, "FREE_ENDED", FreeEnded, _EVENT),
    MessageRow(0xF0, "PROVISIONED", Provisioned, "answer:B", (("answer", Provisioning),)),
)
_BY_CODE = {row.code: row for row in TABLE}
_BY_MESSAGE = {row.message: row for row in TABLE}


def row_of(message: Message | Event) -> MessageRow:
    """Its row of the table; a numbered event has its event's."""
    return _BY_MESSAGE[type(message.event if isinstance(message, Numbered) else message)]


def field_values(message: Message) -> dict[str, int | bytes]:
    """Each field by its name in PROTOCOL.md, with the value it has on the line."""
    parts = (message, message.event) if isinstance(message, Numbered) else (message,)
    found = {name: getattr(part, name) for part in parts for name in part.__slots__ if name != "event"}
    return {name: NO_PASSAGE if value is None else value for name, value in found.items()}


def encode_body(message: Message) -> tuple[int, bytes]:
    """A message -> its code and body; raises MessageBoundError naming the field out of bounds."""
    row, values = row_of(message), field_values(message)
    for name, letter in row.fields:
        value = values[name]
        if letter.endswith("s"):
            size = int(letter[:-1])
            if not isinstance(value, bytes) or len(value) != size:
                raise MessageBoundError(row.name, name, value, f"{size} bytes")
        elif isinstance(value, bytes) or not 0 <= value < 1 << (8 * struct.calcsize(letter)):
            raise MessageBoundError(row.name, name, value, f"0 to {(1 << 8 * struct.calcsize(letter)) - 1}")
    return row.code, row.layout.pack(*(values[name] for name, _ in row.fields))


def decode_body(heading: Heading, code: int, body: bytes) -> Message | Ignored:
    """A genuine frame's code and body -> its message, or that it is malformed; never raises."""
    row = _BY_CODE.get(code)
    if row is None or row.heading is not heading or row.layout.size != len(body):
        return Ignored(IgnoredBecause.MALFORMED)
    choices = dict(row.choices)
    try:
        values = {
            name: choices[name](value) if name in choices else value
            for (name, _), value in zip(row.fields, row.layout.unpack(body), strict=True)
        }
    except ValueError:
        return Ignored(IgnoredBecause.MALFORMED)
    make: Callable[..., Any] = row.message
    if not row.is_event:
        return cast(Message, make(**values))
    sequence, at_ms = values.pop("sequence"), values.pop("at_ms")
    if row.message is Passed and values["passage_id"] == NO_PASSAGE:
        values["passage_id"] = None
    return Numbered(sequence, at_ms, make(**values))


def protocol_hash() -> bytes:
    """Eight bytes that change whenever a message, code or limit does; both ends compare them in HELLO."""
    lines = [f"version {PROTOCOL_VERSION}"]
    lines += [f"{name} {value}" for name, value in LIMITS.items()]
    lines += [f"{name}.{entry.name} {entry.value}" for name, codes in CODES for entry in codes]
    lines += [f"{row.code:#04x} {row.name} {row.body}" for row in TABLE]
    return hashlib.sha256("\n".join(lines).encode()).digest()[:8]
