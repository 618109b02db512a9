"""Every field of the wire has a maximum, and none could hold an image."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import inspect as i

from wire import codec, pairing
from wire.codec import Envelope
from wire.fields import FIELD_MAX_BYTES
from wire.messages import Message
from wire.packing import PACKED_MAX_BYTES
from wire.records import PassRecord, SequencedRecord
from wire.requests import GalleryChunk, StandingChunk

# A message inside its envelope and a record inside its batch keep their exact bytes for signature and
# commitment; codec decodes both at once, under the topic's and the record's size.
RAW_FIELDS = {(Envelope, "body"), (SequencedRecord, "body")}
# A chunk is deflated rows; `wire.packing` turns it into records, under a chunk's bound, or refuses it.
PACKED_FIELDS = {(StandingChunk, "packed"), (GalleryChunk, "packed")}
ROOTS = (Message, Envelope, PassRecord, pairing.PairRequest, pairing.PairReply, pairing.SiteSecrets)


def unbounded(node: i.Type, where: str, seen: set[type]) -> Iterator[str]:
    match node:
        case i.StrType(max_length=limit) | i.BytesType(max_length=limit):
            if limit is None or limit > FIELD_MAX_BYTES:
                yield f"{where}: {type(node).__name__} of at most {limit}"
        case i.VarTupleType(max_length=limit, item_type=inner):
            if limit is None:
                yield f"{where}: a list without a maximum"
            yield from unbounded(inner, f"{where}[]", seen)
        case i.UnionType(types=types):
            for inner in types:
                yield from unbounded(inner, where, seen)
        case i.StructType(cls=cls, fields=fields):
            if cls not in seen:
                seen.add(cls)
                for field in fields:
                    place = f"{cls.__name__}.{field.name}"
                    if isinstance(field.type, i.RawType) and (cls, field.name) in RAW_FIELDS:
                        continue
                    if (cls, field.name) in PACKED_FIELDS:
                        assert isinstance(field.type, i.BytesType)
                        assert field.type.max_length == PACKED_MAX_BYTES
                        continue
                    yield from unbounded(field.type, place, seen)
        case i.IntType(ge=low, le=high):
            if low is None or high is None:
                yield f"{where}: a number without bounds"
        case i.BoolType() | i.NoneType() | i.FloatType() | i.EnumType():
            pass
        case _:
            yield f"{where}: {type(node).__name__} has no bound to check"


def faults_of(root: object) -> list[str]:
    return list(unbounded(i.type_info(root), str(root), set()))


def test_every_field_of_every_message_has_a_maximum_of_at_most_4_kib():
    assert [fault for root in ROOTS for fault in faults_of(root)] == []


def test_every_topic_is_walked():
    walked: set[type] = set()
    list(unbounded(i.type_info(Message), "", walked))
    accepted = [i.type_info(each) for each in codec._TYPES.values()]
    tops = {t.cls for node in accepted for t in (node.types if isinstance(node, i.UnionType) else (node,))}
    assert tops <= walked


class Careless(msgspec.Struct):
    image: bytes
    names: tuple[str, ...]
    anything: msgspec.Raw


def test_the_walk_finds_a_field_without_a_maximum():
    assert faults_of(Careless) == [
        "Careless.image: BytesType of at most None",
        "Careless.names: a list without a maximum",
        "Careless.names[]: StrType of at most None",
        "Careless.anything: RawType has no bound to check",
    ]
