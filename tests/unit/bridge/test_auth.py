import binascii
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given
from hypothesis import strategies as st
from siphash24 import siphash24

from firmware_bridge.auth import KEY_CONTEXT, ReplayWindow, derive_keys, is_genuine, seal
from firmware_bridge.errors import GateKeyError
from firmware_bridge.frame import CRC_INITIAL, Heading, Ignored, IgnoredBecause, LineFrame

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "gate_frames.json").read_text())
KEYS = derive_keys(bytes(32), "a gate")
FRAME = seal(LineFrame(Heading.TO_HOST, 3, 9, 0xA0, b"body"), KEYS)


def test_siphash_and_crc_are_those_of_their_published_vectors():
    row = VECTORS["siphash_2_4"]
    mac = siphash24(bytes.fromhex(row["text"]), key=bytes.fromhex(row["key"])).digest()
    assert mac.hex() == row["mac"]
    assert binascii.crc_hqx(b"123456789", CRC_INITIAL) == 0x29B1


def test_line_keys_are_hmac_sha256_of_context_direction_and_gate_id():
    gate_key, gate_id = bytes.fromhex(VECTORS["gate_key"]), VECTORS["gate_id"]
    keys = derive_keys(gate_key, gate_id)
    for heading, name in ((Heading.TO_CONTROLLER, "key_to_controller"), (Heading.TO_HOST, "key_to_host")):
        other = hmac.HMAC(gate_key, hashes.SHA256())
        other.update(KEY_CONTEXT + bytes([heading]) + gate_id.encode())
        assert keys.of(heading) == other.finalize()[:16] == bytes.fromhex(VECTORS[name])


def test_no_two_directions_or_gates_share_a_key():
    keys = [derive_keys(bytes(32), name) for name in ("a", "b", "ab")] + [derive_keys(b"\1" * 32, "a")]
    every = {key for pair in keys for key in (pair.to_controller, pair.to_host)}
    assert len(every) == 2 * len(keys)


@pytest.mark.parametrize(
    ("gate_key", "gate_id", "says"),
    [
        (bytes(31), "gate", "31 bytes long, but must be 32"),
        (bytes(32), "", "0 bytes long"),
        (bytes(32), "g" * 65, "65 bytes long"),
    ],
)
def test_a_bad_key_or_id_is_refused_with_its_bound(gate_key, gate_id, says):
    with pytest.raises(GateKeyError, match=says):
        derive_keys(gate_key, gate_id)


def test_keys_are_never_shown():
    assert KEYS.to_host.hex() not in repr(KEYS)
    assert repr(KEYS.to_host) not in repr(KEYS)


@pytest.mark.parametrize(
    "forged",
    [
        LineFrame(Heading.TO_CONTROLLER, 3, 9, 0xA0, b"body", FRAME.mac),
        LineFrame(Heading.TO_HOST, 4, 9, 0xA0, b"body", FRAME.mac),
        LineFrame(Heading.TO_HOST, 3, 10, 0xA0, b"body", FRAME.mac),
        LineFrame(Heading.TO_HOST, 3, 9, 0xA1, b"body", FRAME.mac),
        LineFrame(Heading.TO_HOST, 3, 9, 0xA0, b"bodz", FRAME.mac),
        LineFrame(Heading.TO_HOST, 3, 9, 0xA0, b"body", bytes(8)),
    ],
    ids=["direction", "boot id", "counter", "type", "body", "mac"],
)
def test_the_mac_covers_every_field(forged):
    assert is_genuine(FRAME, KEYS)
    assert not is_genuine(forged, KEYS)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 30)), max_size=60))
def test_the_window_admits_each_counter_of_its_boot_once_and_only_rising(arriving):
    window, admitted = ReplayWindow(1, 0), []
    for boot_id, counter in arriving:
        verdict = window.admit(LineFrame(Heading.TO_HOST, boot_id, counter, 0, b""))
        if boot_id != 1:
            assert verdict == Ignored(IgnoredBecause.BOOT)
        elif counter <= max(admitted, default=0):
            assert verdict == Ignored(IgnoredBecause.COUNTER)
        else:
            assert verdict is None
            admitted.append(counter)
    assert admitted == sorted(set(admitted))
