"""A chunk is rows or nothing, whatever it would become; and a feed's digest knows its rows, each once."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.examples import examples
from tests.doubles.wire_samples import standing
from wire.canonical import canonical
from wire.ids import ClaimDigest, SubjectId
from wire.packing import (
    CHUNK_MAX_BYTES,
    CHUNK_MAX_ROWS,
    EMPTY_ROWS_DIGEST,
    PACKED_MAX_BYTES,
    Checked,
    check_gallery,
    check_standings,
    chunk_digest,
    pack,
    row_number,
    rows_digest,
    rows_number,
    unpack_gallery,
    unpack_standings,
)
from wire.values import GalleryRow, StandingEntry, Tombstone


def subject(number: int) -> SubjectId:
    return SubjectId(f"{number:032x}")


def digest(number: int) -> ClaimDigest:
    return ClaimDigest(bytes([number]) * 32)


ROWS: list[StandingEntry] = [standing(subject(1)), Tombstone(subject(2), 5), standing(subject(3), 7)]
ENCODED = [canonical(row) for row in ROWS]


def test_a_chunk_unpacks_to_its_rows_their_bytes_and_its_digest():
    packed, digest = pack(ENCODED)
    unpacked = unpack_standings(packed)
    assert unpacked is not None
    assert unpacked.rows == tuple(ROWS)
    assert list(unpacked.encoded) == ENCODED
    assert unpacked.digest == digest == chunk_digest(canonical(tuple(ROWS)))


def test_the_digest_is_of_the_rows_and_not_of_how_they_were_compressed():
    plain = canonical(tuple(ROWS))
    unpacked = unpack_standings(zlib.compress(plain, 9))
    assert unpacked is not None
    assert unpacked.digest == pack(ENCODED)[1]


@pytest.mark.parametrize("size", [CHUNK_MAX_BYTES + 6, 10**7, 200 * 10**6])
def test_a_bomb_is_refused_and_never_inflated_beyond_a_chunks_size(size: int, monkeypatch):
    deflating = zlib.compressobj(9)
    bomb = b"".join(deflating.compress(bytes(10**6)) for _ in range(size // 10**6))
    bomb += deflating.compress(bytes(size % 10**6)) + deflating.flush()
    assert len(bomb) <= PACKED_MAX_BYTES
    inflated = []
    make = zlib.decompressobj

    class Watched:
        def __init__(self) -> None:
            self._real = make()

        def decompress(self, packed: bytes, most: int) -> bytes:
            inflated.append(self._real.decompress(packed, most))
            return inflated[-1]

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr("wire.packing.zlib.decompressobj", Watched)
    assert unpack_standings(bomb) is None
    assert [len(each) for each in inflated] == [CHUNK_MAX_BYTES + 6]


MEMBERS = [
    GalleryRow(subject(4), (digest(1), digest(2)), (digest(3),), None),
    Tombstone(subject(5), 5, (digest(4),)),
    GalleryRow(subject(6), (), (), None),
]


def test_a_checked_chunk_has_the_bytes_subjects_and_digest_of_an_unpacked_one():
    packed, of_chunk = pack(ENCODED)
    subjects = tuple(row.subject for row in ROWS)
    assert check_standings(packed) == Checked(subjects, tuple(ENCODED), (), of_chunk)


def test_a_checked_gallery_says_whose_claims_hold_and_whose_have_ended():
    encoded = [canonical(row) for row in MEMBERS]
    packed, of_chunk = pack(encoded)
    claims = (
        (subject(4), digest(1), False),
        (subject(4), digest(2), False),
        (subject(4), digest(3), True),
        (subject(5), digest(4), True),
    )
    subjects = tuple(row.subject for row in MEMBERS)
    assert check_gallery(packed) == Checked(subjects, tuple(encoded), claims, of_chunk)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"not deflated at all",
        pack(ENCODED)[0][:-1],
        pack(ENCODED)[0] + b"more",
        bytes(PACKED_MAX_BYTES + 1),
        zlib.compress(b"\xc1"),
        zlib.compress(canonical({"image": b"x" * 4096})),
        zlib.compress(canonical((b"x" * 4096,))),
        zlib.compress(b"\x91" * 100_000),
        zlib.compress(canonical(tuple(ROWS)) + b"\x00"),
    ],
    ids=["empty", "plain", "short", "long", "oversized", "rubbish", "map", "blob", "deep", "trailing"],
)
def test_what_is_not_a_list_of_rows_is_no_chunk(packed: bytes):
    assert unpack_standings(packed) is None
    assert unpack_gallery(packed) is None
    assert check_standings(packed) is None
    assert check_gallery(packed) is None


def test_a_chunk_of_too_many_rows_is_no_chunk():
    tombstones = [canonical(Tombstone(subject(number), 1)) for number in range(CHUNK_MAX_ROWS + 1)]
    assert unpack_standings(pack(tombstones[:-1])[0]) is not None
    assert unpack_standings(pack(tombstones)[0]) is None
    assert check_standings(pack(tombstones[:-1])[0]) is not None
    assert check_standings(pack(tombstones)[0]) is None


def test_a_chunk_of_standings_is_no_chunk_of_a_gallery():
    assert unpack_gallery(pack(ENCODED)[0]) is None
    assert check_gallery(pack(ENCODED)[0]) is None


def test_a_row_out_of_its_bounds_makes_a_chunk_none():
    bent = msgspec.msgpack.decode(ENCODED[0])
    bent[4] = 1001  # a score
    assert unpack_standings(zlib.compress(canonical([bent]))) is None
    assert check_standings(zlib.compress(canonical([bent]))) is None


@settings(max_examples=examples(50), deadline=None)
@given(st.permutations(ENCODED), st.integers(0, 2))
def test_a_feeds_digest_does_not_depend_on_order_and_misses_no_row(rows: list[bytes], left_out: int):
    number = sum(map(row_number, rows))
    assert rows_digest(number) == rows_digest(sum(map(row_number, ENCODED)))
    assert rows_number(rows_digest(number)) == number % 2**256
    less = number - row_number(rows[left_out])
    assert rows_digest(less) != rows_digest(number)
    assert rows_digest(less + row_number(rows[left_out])) == rows_digest(number)
    assert rows_digest(number + row_number(rows[left_out])) != rows_digest(number)  # one of them twice


def test_no_rows_have_the_empty_digest():
    assert rows_digest(0) == EMPTY_ROWS_DIGEST
    unpacked = unpack_standings(pack([])[0])
    assert unpacked is not None
    assert unpacked.rows == ()
