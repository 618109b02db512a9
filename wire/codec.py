"""Messages to bytes and back. Hostile bytes give `Rejected` with a closed reason, never an exception.

An MQTT payload is one MessagePack array: schema version, operator, purpose, key id, signature, message.
The message lies inside as a record, not as an opaque blob; the signature covers exactly its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wire import fields as f
from wire import fleet, records, requests
from wire.canonical import canonical
from wire.errors import TooLargeError
from wire.ids import SLUG_MAX, KeyId
from wire.messages import SCHEMA_VERSION, Message
from wire.records import BODY_MAX_BYTES, RecordBatch, RecordBody
from wire.signing import KeyRing, Signer, message_bytes, verifies
from wire.topics import Address, TopicKind
from wire.values import Role


class Reason(StrEnum):
    """Why a payload was rejected; the names a kiosk counts in its `state`."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_OPERATOR = "wrong_operator"
    WRONG_PURPOSE = "wrong_purpose"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SENDER = "wrong_sender"
    BAD_SIGNATURE = "bad_signature"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A payload that is not to be acted on; `detail` is for a log, at most 200 characters."""

    reason: Reason
    detail: str = ""


class _Version(msgspec.Struct, frozen=True, array_like=True):
    schema: f.Count


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What every payload is: who says it, for which purpose (empty where none), the message's own bytes."""

    schema: f.Count
    operator: f.Operator
    purpose: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z", max_length=SLUG_MAX)]
    key_id: f.Key
    signature: f.SignatureBytes
    body: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Decoded:
    """A payload that is well formed; nothing says yet that its sender wrote it."""

    address: Address
    envelope: Envelope
    message: Message


@dataclass(frozen=True, slots=True)
class Received:
    """A message whose signature holds and whose sender may send it there."""

    address: Address
    message: Message
    purpose: str
    key_id: KeyId
    sender: str


_TYPES: dict[TopicKind, Any] = {
    TopicKind.STATE: fleet.KioskState,
    TopicKind.HEALTH: fleet.Health,
    TopicKind.RECORD: RecordBatch,
    TopicKind.RECEIPT: records.Receipt,
    TopicKind.REQUEST: requests.Request,
    TopicKind.REPLY: requests.Reply,
    TopicKind.COMMAND: fleet.Command,
    TopicKind.DESIRED: fleet.Desired,
    TopicKind.REPORTED: fleet.Reported,
    TopicKind.STANDING_HEAD: fleet.Head,
    TopicKind.STANDING_DELTA: fleet.StandingDelta,
    TopicKind.GALLERY_HEAD: fleet.Head,
    TopicKind.GALLERY_DELTA: fleet.GalleryDelta,
    TopicKind.ROLL_CALL: fleet.RollCall,
}
_DECODERS: dict[TopicKind, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(accepted) for kind, accepted in _TYPES.items()
}
_VERSION = msgspec.msgpack.Decoder(_Version)
_ENVELOPE = msgspec.msgpack.Decoder(Envelope)
_BODY: msgspec.msgpack.Decoder[RecordBody] = msgspec.msgpack.Decoder(RecordBody)
_PURPOSE_IN_TOPIC = (TopicKind.STANDING_HEAD, TopicKind.STANDING_DELTA)
_HOSTILE = (ValueError, RecursionError, OverflowError, MemoryError)
"""msgspec's own errors and bad UTF-8 are ValueErrors; nesting too deep is a RecursionError."""
_DETAIL_MAX = 200


def _rejected(reason: Reason, detail: object = "") -> Rejected:
    return Rejected(reason, str(detail)[:_DETAIL_MAX])


def encode(address: Address, message: Message, signer: Signer, operator: str, purpose: str = "") -> bytes:
    """Sign a message and make the payload for `address`; raises TooLargeError past its topic's size."""
    body = canonical(message)
    signed = message_bytes(
        operator, address.site, topic=address.topic, purpose=purpose, key_id=signer.key_id, payload=body
    )
    envelope = [SCHEMA_VERSION, operator, purpose, signer.key_id, signer.sign(signed), msgspec.Raw(body)]
    payload = canonical(envelope)
    if len(payload) > address.rule.max_bytes:
        raise TooLargeError(address.topic, address.rule.max_bytes, len(payload))
    return payload


def decode_record(body: bytes) -> RecordBody | Rejected:
    """One record's bytes to the record."""
    if len(body) > BODY_MAX_BYTES:
        return _rejected(Reason.OVERSIZED, f"record of {len(body)} bytes")
    try:
        return _BODY.decode(body)
    except _HOSTILE as error:
        return _rejected(Reason.MALFORMED, error)


def decode(address: Address, payload: bytes) -> Decoded | Rejected:
    """Bytes from `address` to a message, without looking at its signature."""
    if len(payload) > address.rule.max_bytes:
        return _rejected(Reason.OVERSIZED, f"{len(payload)} bytes")
    try:
        if _VERSION.decode(payload).schema != SCHEMA_VERSION:
            return _rejected(Reason.UNKNOWN_VERSION)
        envelope = _ENVELOPE.decode(payload)
        message: Message = _DECODERS[address.kind].decode(envelope.body)
    except _HOSTILE as error:
        return _rejected(Reason.MALFORMED, error)
    if isinstance(message, RecordBatch):
        for record in message.records:
            if isinstance(record, records.DroppedRecord):
                continue
            body = decode_record(bytes(record.body))
            if isinstance(body, Rejected):
                return body
            if body.record_id != record.record_id or body.kiosk != message.kiosk:
                return _rejected(Reason.MALFORMED, "a record is filed under another id or kiosk")
    return Decoded(address, envelope, message)


def receive(address: Address, payload: bytes, ring: KeyRing) -> Received | Rejected:
    """Bytes from `address` to a message that its rightful sender signed."""
    decoded = decode(address, payload)
    if isinstance(decoded, Rejected):
        return decoded
    envelope = decoded.envelope
    if envelope.operator != ring.operator:
        return _rejected(Reason.WRONG_OPERATOR, envelope.operator)
    if address.kind in _PURPOSE_IN_TOPIC and envelope.purpose != address.name:
        return _rejected(Reason.WRONG_PURPOSE, envelope.purpose)
    key = ring.keys.get(envelope.key_id)
    if key is None:
        return _rejected(Reason.UNKNOWN_KEY, envelope.key_id)
    named = getattr(decoded.message, "kiosk", address.name)
    if (
        key.role is not address.rule.sender
        or key.site not in ("", address.site)
        or (key.role is Role.KIOSK and key.name != address.name)
        or (address.kind.value.startswith("kiosk/") and named != address.name)
    ):
        return _rejected(Reason.WRONG_SENDER, key.name)
    signed = message_bytes(
        envelope.operator,
        address.site,
        topic=address.topic,
        purpose=envelope.purpose,
        key_id=envelope.key_id,
        payload=bytes(envelope.body),
    )
    if not verifies(key.public_key, envelope.signature, signed):
        return _rejected(Reason.BAD_SIGNATURE, key.name)
    return Received(address, decoded.message, envelope.purpose, envelope.key_id, key.name)
