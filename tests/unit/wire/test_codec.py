"""Messages survive the wire; hostile bytes give a reason, never an exception."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.examples import examples
from tests.doubles.wire_samples import pass_record
from wire import chain, topics
from wire.canonical import canonical
from wire.codec import Decoded, Reason, Received, Rejected, decode, decode_record, encode, receive
from wire.errors import TooLargeError
from wire.fleet import Head, RollCall, Setting
from wire.ids import KioskId, Nonce, OperatorId, Purpose, SiteId, SubjectId
from wire.records import IdentifiedBy, RecordBatch
from wire.requests import StandingRequest
from wire.signing import KeyRing, Signer, TrustedKey, sign_chain_head
from wire.topics import Address, TopicKind
from wire.values import Role

OPERATOR, SITE, KIOSK = OperatorId("metro"), SiteId("north"), KioskId("gate-1")
CENTRAL, TURNSTILE = Signer.from_seed(b"c" * 32), Signer.from_seed(b"k" * 32)
RING = KeyRing(OPERATOR, {}).with_key(TrustedKey(CENTRAL.public_key, Role.CENTRAL, "central", ""))
RING = RING.with_key(TrustedKey(TURNSTILE.public_key, Role.KIOSK, KIOSK, SITE))
REQUEST = topics.kiosk_topic(TopicKind.REQUEST, SITE, KIOSK)
ASK = StandingRequest(nonce=Nonce(b"n" * 16), not_after_ms=5, subject=SubjectId("ab" * 16))


def payload_for(address: Address = REQUEST, signer: Signer = TURNSTILE, purpose: str = "ride") -> bytes:
    return encode(address, ASK, signer, OPERATOR, purpose)


def test_a_signed_message_arrives_as_it_was_sent():
    received = receive(REQUEST, payload_for(), RING)
    assert received == Received(REQUEST, ASK, "ride", TURNSTILE.key_id, KIOSK)


def test_a_message_for_another_topic_does_not_verify_here():
    elsewhere = topics.kiosk_topic(TopicKind.REQUEST, SITE, KioskId("gate-2"))
    assert receive(elsewhere, payload_for(), RING).reason is Reason.WRONG_SENDER
    other_site = topics.kiosk_topic(TopicKind.REQUEST, SiteId("south"), KIOSK)
    assert receive(other_site, payload_for(), RING).reason is Reason.WRONG_SENDER


def test_central_may_not_speak_as_a_kiosk():
    assert receive(REQUEST, payload_for(signer=CENTRAL), RING).reason is Reason.WRONG_SENDER


def test_a_changed_purpose_breaks_the_signature():
    fields = msgspec.msgpack.decode(payload_for())
    fields[2] = "credit"
    assert receive(REQUEST, msgspec.msgpack.encode(fields), RING).reason is Reason.BAD_SIGNATURE


def test_a_head_of_another_purpose_is_rejected():
    head = Head(
        name="ride", epoch=1, version=1, issued_at_ms=1, count=0, rows_digest=bytes(32), chunk_digests=()
    )
    address = topics.standing_head(SITE, Purpose("ride"))
    assert (
        receive(address, encode(address, head, CENTRAL, OPERATOR, "loans"), RING).reason
        is Reason.WRONG_PURPOSE
    )


def test_another_operator_and_an_unknown_key_are_told_apart():
    foreign = encode(REQUEST, ASK, TURNSTILE, "bus", "ride")
    assert receive(REQUEST, foreign, RING).reason is Reason.WRONG_OPERATOR
    stranger = payload_for(signer=Signer.from_seed(b"x" * 32))
    assert receive(REQUEST, stranger, RING).reason is Reason.UNKNOWN_KEY


def test_an_unknown_schema_version_is_rejected_whatever_follows_it():
    assert decode(REQUEST, msgspec.msgpack.encode([2, {"new": "form"}])).reason is Reason.UNKNOWN_VERSION
    fields = msgspec.msgpack.decode(payload_for())
    fields[0] = 0
    assert decode(REQUEST, msgspec.msgpack.encode(fields)).reason is Reason.UNKNOWN_VERSION


def test_a_message_of_the_wrong_kind_for_its_topic_is_malformed():
    address = topics.kiosk_topic(TopicKind.RECEIPT, SITE, KIOSK)
    call = encode(topics.roll_call(SITE), RollCall(Nonce(b"n" * 16), 1), CENTRAL, OPERATOR)
    assert decode(address, call).reason is Reason.MALFORMED


def test_more_bytes_than_the_topic_allows_are_rejected_and_never_sent():
    address = topics.roll_call(SITE)
    assert decode(address, b"\x00" * 1025).reason is Reason.OVERSIZED
    with pytest.raises(TooLargeError, match="at most 1024"):
        encode(address, Head("n", 1, 1, 1, 1, bytes(32), (b"d" * 32,) * 40), CENTRAL, OPERATOR)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81", b"\x91\x81", b"\x96\x01"])
def test_deep_nesting_is_malformed(opening: bytes):
    assert decode(REQUEST, (opening * 2000)[:4096]).reason is Reason.MALFORMED
    big = topics.kiosk_topic(TopicKind.RECORD, SITE, KIOSK)
    assert isinstance(decode(big, (opening * 100_000)[:262_000]), Rejected)


def test_every_truncation_is_rejected():
    whole = payload_for()
    assert isinstance(decode(REQUEST, whole), Decoded)
    assert {decode(REQUEST, whole[:end]).reason for end in range(len(whole))} == {Reason.MALFORMED}


@settings(max_examples=examples(400), deadline=None)
@given(kind=st.sampled_from(list(TopicKind)), payload=st.binary(max_size=300))
def test_random_bytes_are_rejected(kind: TopicKind, payload: bytes):
    name = "" if kind is TopicKind.ROLL_CALL else "gate-1"
    assert isinstance(decode(Address(kind, SITE, name), payload), Rejected)


@settings(max_examples=examples(400), deadline=None)
@given(data=st.data())
def test_one_changed_byte_never_passes_for_the_original(data: st.DataObject):
    whole = payload_for()
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda drawn: drawn != whole[place]))
    changed = whole[:place] + bytes([byte]) + whole[place + 1 :]
    assert isinstance(receive(REQUEST, changed, RING), Rejected)


def batch(written_by: KioskId = KIOSK) -> RecordBatch:
    start = chain.genesis(KIOSK)
    record = chain.chained(start, 1, pass_record(written_by), b"s" * 16)
    return RecordBatch(KIOSK, start, (record,), sign_chain_head(KIOSK, 1, record.link, TURNSTILE))


def test_a_record_keeps_the_exact_bytes_it_was_committed_with():
    address = topics.kiosk_topic(TopicKind.RECORD, SITE, KIOSK)
    received = receive(address, encode(address, batch(), TURNSTILE, OPERATOR, "ride"), RING)
    assert isinstance(received, Received)
    assert isinstance(received.message, RecordBatch)
    assert chain.joins(chain.genesis(KIOSK), received.message.records[0])
    assert decode_record(bytes(received.message.records[0].body)) == pass_record(KIOSK)


def test_a_batch_with_a_record_of_another_kiosk_or_form_is_malformed():
    address = topics.kiosk_topic(TopicKind.RECORD, SITE, KIOSK)
    foreign = batch(KioskId("gate-2"))
    assert decode(address, encode(address, foreign, TURNSTILE, OPERATOR)).reason is Reason.MALFORMED
    record = msgspec.structs.replace(batch().records[0], body=msgspec.Raw(canonical({"type": "image"})))
    odd = msgspec.structs.replace(batch(), records=(record,))
    assert decode(address, encode(address, odd, TURNSTILE, OPERATOR)).reason is Reason.MALFORMED


def test_a_record_without_an_identification_cannot_name_a_subject():
    with pytest.raises(ValueError, match="exactly when it was identified"):
        pass_record(KIOSK, identified_by=None, comparison=None)
    nobody = pass_record(KIOSK, identified_by=None, subject=None, standing=None)
    assert decode_record(canonical(nobody)) == nobody


def test_a_release_by_staff_names_them_and_may_name_nobody_else():
    unknown = {"subject": None, "standing": None, "comparison": None}
    released = pass_record(KIOSK, identified_by=IdentifiedBy.STAFF, staff="ada", **unknown)
    assert decode_record(canonical(released)) == released
    with pytest.raises(ValueError, match="exactly when they identified or released"):
        pass_record(KIOSK, identified_by=IdentifiedBy.STAFF, **unknown)
    with pytest.raises(ValueError, match="exactly when they identified or released"):
        pass_record(KIOSK, staff="ada")


@pytest.mark.parametrize(
    "key", ["match.threshold", "search.gallery", "confirm.challenge", "gate.open_ms", "keys.root"]
)
def test_the_shadow_cannot_name_what_decides_who_passes(key: str):
    raw = msgspec.msgpack.encode([key, "1"])
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(raw, type=Setting)
    assert (
        msgspec.msgpack.decode(msgspec.msgpack.encode(["screen.language", "nl"]), type=Setting).value == "nl"
    )
