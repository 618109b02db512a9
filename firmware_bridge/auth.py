"""Keys of a gate, the MAC of a frame, and what keeps a frame from counting twice. PROTOCOL.md 3."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace

from siphash24 import siphash24

from firmware_bridge.errors import GateKeyError
from firmware_bridge.frame import Heading, Ignored, IgnoredBecause, LineFrame

# "The gate key has 32 bytes."
GATE_KEY_SIZE = 32

# "A gate id is 1 to 64 bytes of UTF-8."
GATE_ID_MAX = 64

# "Each direction has its own 16-byte key: the first 16 bytes of HMAC-SHA-256 under the gate key."
LINE_KEY_SIZE = 16

# "The HMAC is over the ASCII text `stile gate v1`, a zero byte, the direction byte and the gate id."
KEY_CONTEXT = b"stile gate v1\x00"


@dataclass(frozen=True, slots=True, repr=False)
class GateKeys:
    """The two SipHash keys of one gate; never printed."""

    to_controller: bytes
    to_host: bytes

    def of(self, heading: Heading) -> bytes:
        """The key for one direction, 16 bytes."""
        return self.to_controller if heading is Heading.TO_CONTROLLER else self.to_host


# "PROVISION and PROVISIONED have boot id 0, counter 0 and a MAC under sixteen zero bytes."
PROVISIONING_KEYS = GateKeys(bytes(LINE_KEY_SIZE), bytes(LINE_KEY_SIZE))


def derive_keys(gate_key: bytes, gate_id: str) -> GateKeys:
    """32-byte gate key and gate id -> both line keys; raises GateKeyError."""
    if len(gate_key) != GATE_KEY_SIZE:
        raise GateKeyError("key", f"{len(gate_key)} bytes long", f"{GATE_KEY_SIZE} bytes long")
    name = gate_id.encode()
    if not 1 <= len(name) <= GATE_ID_MAX:
        raise GateKeyError("id", f"{len(name)} bytes long", f"1 to {GATE_ID_MAX} bytes of UTF-8")

    def line_key(heading: Heading) -> bytes:
        text = KEY_CONTEXT + bytes([heading]) + name
        return hmac.digest(gate_key, text, hashlib.sha256)[:LINE_KEY_SIZE]

    return GateKeys(line_key(Heading.TO_CONTROLLER), line_key(Heading.TO_HOST))


def seal(frame: LineFrame, keys: GateKeys) -> LineFrame:
    """The frame with its MAC."""
    return replace(frame, mac=_mac(frame, keys))


def is_genuine(frame: LineFrame, keys: GateKeys) -> bool:
    """Whether the MAC was made with this gate's key for the frame's direction."""
    return hmac.compare_digest(frame.mac, _mac(frame, keys))


def _mac(frame: LineFrame, keys: GateKeys) -> bytes:
    digest: bytes = siphash24(frame.signed_bytes(), key=keys.of(frame.heading)).digest()
    return digest


class ReplayWindow:
    """Admits each counter of one boot once, rising. A serial line keeps order, so no window is kept open."""

    def __init__(self, boot_id: int, highest: int) -> None:
        self.boot_id = boot_id
        self.highest = highest

    def admit(self, frame: LineFrame) -> Ignored | None:
        """None if the frame is new in this boot (and now used), else why it is ignored."""
        if frame.boot_id != self.boot_id:
            return Ignored(IgnoredBecause.BOOT)
        if frame.counter <= self.highest:
            return Ignored(IgnoredBecause.COUNTER)
        self.highest = frame.counter
        return None
