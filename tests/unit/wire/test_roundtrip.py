"""Every message survives the wire; a message bent in one place is a value, never a crash."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect as i

from tests.doubles.examples import examples
from tests.doubles.wire_samples import pass_record
from wire import codec, topics
from wire.canonical import canonical
from wire.chain import body_bytes
from wire.codec import Decoded, Rejected, decode, encode
from wire.ids import KioskId, SiteId
from wire.records import SequencedRecord
from wire.signing import Signer
from wire.topics import Address, TopicKind

SITE, KIOSK = SiteId("north"), KioskId("gate-1")
SIGNER = Signer.from_seed(b"s" * 32)
A_FEW = 3  # list elements drawn; maxima are proven by test_wire_bounds


def drawn(node: i.Type) -> st.SearchStrategy[Any]:
    """Valid values of a type, as msgspec describes it."""
    match node:
        case i.StrType(pattern=str(pattern), max_length=most):
            matching = st.from_regex(pattern.removesuffix(r"\Z"), fullmatch=True)
            return matching.filter(lambda text: most is None or len(text) <= most)
        case i.StrType(max_length=most):
            return st.text(max_size=min(most or 0, 30))
        case i.BytesType(min_length=least, max_length=most):
            return st.binary(min_size=least or 0, max_size=max(least or 0, min(most or 0, 80)))
        case i.IntType(ge=low, le=high):
            return st.integers(low, high)
        case i.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case i.BoolType():
            return st.booleans()
        case i.NoneType():
            return st.none()
        case i.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case i.VarTupleType(item_type=item, min_length=least, max_length=most):
            few = A_FEW if most is None else min(A_FEW, most)
            return st.lists(drawn(item), min_size=least or 0, max_size=few).map(tuple)
        case i.UnionType(types=types):
            return st.one_of([drawn(each) for each in types])
        case i.StructType(cls=cls) if cls is SequencedRecord:
            return st.integers(1, 99).map(sequenced)
        case i.StructType(cls=cls, fields=fields):
            named = {
                each.name: st.just(KIOSK) if each.name == "kiosk" else drawn(each.type) for each in fields
            }
            return st.builds(cls, **named)
    raise AssertionError(node)


def sequenced(number: int) -> SequencedRecord:
    body = pass_record(KIOSK, number)
    return SequencedRecord(number, body.record_id, b"s" * 16, msgspec.Raw(body_bytes(body)), b"l" * 32)


def address_of(kind: TopicKind) -> Address:
    return Address(kind, SITE, "" if kind is TopicKind.ROLL_CALL else KIOSK)


MESSAGES = {kind: drawn(i.type_info(accepted)) for kind, accepted in codec._TYPES.items()}


@pytest.mark.parametrize("kind", list(TopicKind))
@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_message_arrives_as_it_was_sent(kind: TopicKind, data: st.DataObject):
    message = data.draw(MESSAGES[kind])
    payload = encode(address_of(kind), message, SIGNER, "metro")
    decoded = decode(address_of(kind), payload)
    assert isinstance(decoded, Decoded), decoded
    assert canonical(decoded.message) == canonical(message)


RUBBISH = [
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    "x" * 5000,
    b"",
    b"x" * 5000,
    [],
    {},
    [[[[[]]]]],
    {"type": "image"},
]


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of lists and maps."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at, *(place for step, inner in steps for place in places(inner, (*at, step)))]


def bent(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copied = tree.copy()
    copied[place[0]] = bent(tree[place[0]], place[1:], value)
    return copied


@pytest.mark.parametrize("kind", list(TopicKind))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_message_bent_in_one_place_is_a_value_never_a_crash(kind: TopicKind, data: st.DataObject):
    payload = encode(address_of(kind), data.draw(MESSAGES[kind]), SIGNER, "metro")
    tree = msgspec.msgpack.decode(payload)
    place = data.draw(st.sampled_from(places(tree)))
    changed = msgspec.msgpack.encode(bent(tree, place, data.draw(st.sampled_from(RUBBISH))))
    assert isinstance(decode(address_of(kind), changed), Decoded | Rejected)


@pytest.mark.parametrize("kind", list(TopicKind))
@settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_unknown_field_is_malformed(kind: TopicKind, data: st.DataObject):
    tree = msgspec.msgpack.decode(encode(address_of(kind), data.draw(MESSAGES[kind]), SIGNER, "metro"))
    tree[5]["image"] = b"x"
    decoded = decode(address_of(kind), msgspec.msgpack.encode(tree))
    assert isinstance(decoded, Rejected)
    assert decoded.reason is codec.Reason.MALFORMED


def test_no_message_is_larger_than_what_a_broker_is_told_to_carry():
    assert all(rule.max_bytes <= topics.LARGEST_MESSAGE_BYTES for rule in topics.RULES.values())
