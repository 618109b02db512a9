"""Many rows at once are taken exactly when they are taken one by one, and are the same rows then."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.examples import examples
from tests.doubles.wire_samples import restriction, standing
from wire import fields as f
from wire.bulk import BulkDecoder
from wire.canonical import canonical
from wire.ids import ClaimDigest, ReasonCode, SubjectId
from wire.values import (
    Factor,
    GalleryEntry,
    GalleryRow,
    SealedTemplate,
    StandingEntry,
    Tombstone,
)

# What a typed decoder raises, and what a chunk is refused for (wire.packing).
REFUSALS = (ValueError, RecursionError, OverflowError)


def subject(number: int) -> SubjectId:
    return SubjectId(f"{number:032x}")


def digest(number: int) -> ClaimDigest:
    return ClaimDigest(bytes([number]) * 32)


FACTORS = (Factor(ReasonCode("fare_kept"), 12, "Paid."), Factor(ReasonCode("fare_broken"), -900, "é" * 200))
STANDINGS: tuple[StandingEntry, ...] = (
    standing(subject(1)),
    Tombstone(subject(2), 5),
    standing(subject(3), 7, factors=FACTORS, restrictions=(restriction(subject(3)),)),
    standing(subject(4), factors=(), tier=ReasonCode("quite_new")),
)
TEMPLATE = SealedTemplate(b"t" * 200, 3, "ab" * 32, 3)
MEMBERS: tuple[GalleryEntry, ...] = (
    GalleryRow(subject(1), (), (), None),
    GalleryRow(subject(2), (digest(1), digest(2)), (digest(3),), TEMPLATE, b"v" * 60, True),
    Tombstone(subject(3), 9, (digest(4),)),
)
KINDS = [(StandingEntry, STANDINGS), (GalleryEntry, MEMBERS)]
ODD: list[Any] = [
    None,
    True,
    b"",
    b"x" * 16,
    b"x" * 32,
    b"x" * 64,
    b"x" * 65,
    b"x" * 5000,
    -1,
    0,
    1,
    1000,
    1001,
    -1001,
    2**45,
    2**45 + 1,
    2**53,
    2**64 - 1,
    0.5,
    1.0,
    "",
    "a",
    "A",
    "a_b",
    "a-b",
    "-a",
    "9",
    "reviewer",
    "EUR",
    "eur",
    "EURO",
    "K7PD-2MXW",
    "K7PD-2MXI",
    "f" * 32,
    "F" * 32,
    "f" * 31,
    "f" * 33,
    "f" * 31 + "\n",
    "f" * 32 + "\n",
    "g" * 32,
    "٣" * 32,  # digits, and not these
    "a" * 48,
    "a" * 49,
    "ab" * 32,
    "AB" * 32,
    "x" * 200,
    "x" * 201,
    "standing",
    "tombstone",
    "row",
    [],
    ["f" * 32],
    [b"x" * 32],
    [b"x" * 32] * 9,
    {},
]


def outcome(decode: Any, encoded: bytes) -> bytes | None:
    """The rows again as bytes; None when they are refused."""
    try:
        return canonical(decode(encoded))
    except REFUSALS:
        return None


def decoders(kind: Any) -> tuple[Any, Any]:
    return msgspec.msgpack.Decoder(tuple[kind, ...]).decode, BulkDecoder(kind).decode


def places(plain: Any) -> Iterator[tuple[int, ...]]:
    """Every place inside lists of lists."""
    for index, value in enumerate(plain):
        yield (index,)
        if isinstance(value, list):
            yield from ((index, *rest) for rest in places(value))


def bent(plain: Any, place: tuple[int, ...], change: Any) -> bytes:
    """The rows with one place changed: by `change(list, index)`."""
    made = copy.deepcopy(plain)
    at = made
    for index in place[:-1]:
        at = at[index]
    change(at, place[-1])
    return canonical(made)


@pytest.mark.parametrize(("kind", "rows"), KINDS, ids=["standings", "gallery"])
def test_whole_rows_come_back_field_by_field(kind: Any, rows: tuple[Any, ...]) -> None:
    made = BulkDecoder(kind).decode(canonical(rows))
    assert canonical(made) == canonical(rows)
    for one, row in zip(made, rows, strict=True):
        assert {name: canonical(getattr(one, name)) for name in row.__struct_fields__} == {
            name: canonical(getattr(row, name)) for name in row.__struct_fields__
        }


@pytest.mark.parametrize(("kind", "rows"), KINDS, ids=["standings", "gallery"])
def test_any_value_in_any_place_is_refused_exactly_when_the_typed_decoder_refuses_it(
    kind: Any, rows: tuple[Any, ...]
) -> None:
    typed, bulk = decoders(kind)
    plain = msgspec.msgpack.decode(canonical(rows))
    counts = {"taken": 0, "refused": 0}
    for place in places(plain):
        for odd in ODD:
            encoded = bent(plain, place, lambda at, index, odd=odd: at.__setitem__(index, odd))
            expected = outcome(typed, encoded)
            assert outcome(bulk, encoded) == expected, (place, odd)
            counts["refused" if expected is None else "taken"] += 1
    assert min(counts.values()) > 50, counts


@pytest.mark.parametrize(("kind", "rows"), KINDS, ids=["standings", "gallery"])
def test_what_is_missing_doubled_or_too_much_is_refused_exactly_as_the_typed_decoder_refuses_it(
    kind: Any, rows: tuple[Any, ...]
) -> None:
    typed, bulk = decoders(kind)
    plain = msgspec.msgpack.decode(canonical(rows))
    changes = {
        "missing": lambda at, index: at.pop(index),
        "doubled": lambda at, index: at.insert(index, at[index]),
        "many": lambda at, index: at.extend([at[index]] * 40),
        "deep": lambda at, index: at.__setitem__(index, [at[index]]),
    }
    for place in places(plain):
        for name, change in changes.items():
            encoded = bent(plain, place, change)
            assert outcome(bulk, encoded) == outcome(typed, encoded), (place, name)


TEXTS = st.one_of(st.sampled_from([odd for odd in ODD if isinstance(odd, str)]), st.text(max_size=50))
SCALARS = st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), TEXTS, st.binary(max_size=70), st.floats())


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_rows_bent_in_many_places_and_bytes_are_taken_by_both_or_by_neither(
    sample: tuple[Any, tuple[Any, ...]], data: st.DataObject
) -> None:
    kind, rows = sample
    typed, bulk = decoders(kind)
    plain = msgspec.msgpack.decode(canonical(rows))
    everywhere = [place for place in places(plain) if len(place) > 1]
    for place in data.draw(st.lists(st.sampled_from(everywhere), max_size=3)):
        at = plain
        for index in place[:-1]:
            at = at[index] if isinstance(at, list) and index < len(at) else None
        if isinstance(at, list) and place[-1] < len(at):
            at[place[-1]] = data.draw(SCALARS)
    encoded = bytearray(canonical(plain))
    for at_byte, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(encoded) - 1), st.integers(0, 255)), max_size=2)
    ):
        encoded[at_byte] = byte
    assert outcome(bulk, bytes(encoded)) == outcome(typed, bytes(encoded))


def test_a_type_that_cannot_be_derived_is_refused_when_the_program_starts() -> None:
    class Made(msgspec.Struct, array_like=True):
        several: list[str] = msgspec.field(default_factory=list)

    with pytest.raises(TypeError, match="several"):
        BulkDecoder(Made)
    with pytest.raises(TypeError, match="only records"):
        BulkDecoder(f.Code | None)
