import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.auth import PROVISIONING_KEYS, derive_keys, is_genuine, seal
from firmware_bridge.frame import (
    BODY_MAX,
    ENCODED_MAX,
    FRAME_MAX,
    FrameReader,
    Heading,
    Ignored,
    IgnoredBecause,
    LineFrame,
    cobs_decoded,
    cobs_encoded,
    decode,
    encode,
)

KEYS = derive_keys(bytes(32), "property")
U32 = st.integers(0, 0xFFFF_FFFF)
FRAMES = st.builds(
    LineFrame,
    heading=st.sampled_from(Heading),
    boot_id=U32,
    counter=U32,
    type=st.integers(0, 255),
    body=st.binary(max_size=BODY_MAX),
).map(lambda frame: seal(frame, KEYS))


@given(FRAMES)
def test_a_frame_comes_back_as_it_was_sent_and_genuine(frame):
    wire = encode(frame)
    assert wire[0] == wire[-1] == 0
    assert 0 not in wire[1:-1]
    assert len(wire) <= ENCODED_MAX + 2
    [found] = FrameReader().feed(wire)
    assert found == frame
    assert is_genuine(found, KEYS)


@given(st.binary(max_size=2 * ENCODED_MAX))
def test_no_packet_makes_the_decoder_raise(packet):
    assert isinstance(decode(packet), LineFrame | Ignored)


@given(FRAMES, st.data())
def test_a_flipped_bit_never_yields_a_genuine_frame(frame, data):
    packet = bytearray(encode(frame)[1:-1])
    bit = data.draw(st.integers(0, 8 * len(packet) - 1))
    packet[bit // 8] ^= 1 << bit % 8
    for found in FrameReader().feed(bytes([0, *packet, 0])):
        assert isinstance(found, Ignored) or not is_genuine(found, KEYS)


@given(FRAMES, st.data())
def test_a_truncated_frame_never_yields_a_genuine_frame(frame, data):
    packet = encode(frame)[1:-1]
    cut = data.draw(st.integers(0, len(packet) - 1))
    found = decode(packet[:cut])
    assert isinstance(found, Ignored) or not is_genuine(found, KEYS)


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_the_pieces_in_which_bytes_arrive_make_no_difference(frames, sizes):
    stream = b"".join(encode(frame) for frame in frames)
    reader, found, at = FrameReader(), [], 0
    for turn in range(len(stream)):
        size = sizes[turn % len(sizes)]
        found += reader.feed(stream[at : at + size])
        at += size
    assert found == frames


@given(st.binary(max_size=600), FRAMES)
def test_whatever_garbage_comes_first_the_next_frame_is_found(garbage, frame):
    found = list(FrameReader().feed(garbage + encode(frame)))
    assert found[-1] == frame


def test_garbage_without_an_end_is_held_to_one_packet_and_counts_once():
    reader = FrameReader()
    for _ in range(1_000):
        assert list(reader.feed(b"\x55" * 50)) == []
    assert len(reader._partial) <= ENCODED_MAX
    assert list(reader.feed(b"\x00")) == [Ignored(IgnoredBecause.FRAMING)]


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("001100", "01021101"),
        ("11220033", "0311220233"),
        ("11223344", "0511223344"),
        ("11000000", "0211010101"),
    ],
)
def test_cobs_is_as_the_paper_of_cheshire_and_baker_has_it(plain, encoded):
    assert cobs_encoded(bytes.fromhex(plain)) == bytes.fromhex(encoded)
    assert cobs_decoded(bytes.fromhex(encoded)) == bytes.fromhex(plain)


@given(st.binary(max_size=253))
def test_cobs_comes_back_holds_no_delimiter_and_adds_one_byte(plain):
    encoded = cobs_encoded(plain)
    assert (len(encoded), 0 in encoded) == (len(plain) + 1, False)
    assert cobs_decoded(encoded) == plain


@pytest.mark.parametrize("packet", ["00", "0100", "03", "0311", "031100", "02110004"])
def test_what_ends_in_a_run_or_holds_a_delimiter_is_not_cobs(packet):
    assert cobs_decoded(bytes.fromhex(packet)) is None


def test_cobs_adds_exactly_one_byte_to_the_longest_frame():
    assert len(cobs_encoded(bytes(range(1, FRAME_MAX + 1)))) == ENCODED_MAX


VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "gate_frames.json").read_text())


@pytest.mark.parametrize("row", VECTORS["frames"], ids=lambda row: row["name"])
def test_every_message_has_the_bytes_of_its_vector(row):
    keys = derive_keys(bytes.fromhex(VECTORS["gate_key"]), VECTORS["gate_id"])
    if row["name"].startswith("PROVISION"):
        keys = PROVISIONING_KEYS
    frame = LineFrame(
        Heading(row["direction"]), row["boot_id"], row["counter"], row["type"], bytes.fromhex(row["body"])
    )
    sealed = seal(frame, keys)
    assert sealed.mac.hex() == row["mac"]
    assert encode(sealed).hex() == row["wire"]
    assert list(FrameReader().feed(bytes.fromhex(row["wire"]))) == [sealed]
