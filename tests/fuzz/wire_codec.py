"""A coverage-guided fuzz of `wire.codec`: python -m tests.fuzz.wire_codec CORPUS -runs=N -seed=S.

The first byte chooses the topic and whether the rest is a whole payload or a message in a good envelope.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wire"]):
    from wire import codec
    from wire.canonical import canonical
    from wire.codec import Decoded, Received, Rejected, decode, decode_record, receive
    from wire.ids import KioskId, OperatorId, SiteId
    from wire.messages import SCHEMA_VERSION
    from wire.signing import KeyRing, Signer, TrustedKey, message_bytes
    from wire.topics import Address, TopicKind
    from wire.values import Role

KIOSK, SITE, OPERATOR, PURPOSE = KioskId("gate-1"), SiteId("north"), OperatorId("metro"), "ride"
KINDS = tuple(TopicKind)
SIGNERS = {Role.KIOSK: Signer.from_seed(b"k" * 32), Role.CENTRAL: Signer.from_seed(b"c" * 32)}
RING = KeyRing(OPERATOR, {}).with_key(TrustedKey(SIGNERS[Role.KIOSK].public_key, Role.KIOSK, KIOSK, SITE))
RING = RING.with_key(TrustedKey(SIGNERS[Role.CENTRAL].public_key, Role.CENTRAL, "central", ""))


def address_of(kind: TopicKind) -> Address:
    """A topic of that kind, at one kiosk of one site."""
    if kind is TopicKind.ROLL_CALL:
        return Address(kind, SITE, "")
    return Address(kind, SITE, PURPOSE if kind.value.startswith("standing") else KIOSK)


def signed(address: Address, body: bytes) -> bytes:
    """`body` in an envelope that its rightful sender signed, so that nothing but the body can be wrong."""
    signer = SIGNERS[address.rule.sender]
    covered = message_bytes(
        OPERATOR, SITE, topic=address.topic, purpose=PURPOSE, key_id=signer.key_id, payload=body
    )
    envelope = [SCHEMA_VERSION, OPERATOR, PURPOSE, signer.key_id, signer.sign(covered)]
    return b"\x96" + b"".join(canonical(part) for part in envelope) + body


def one(given: bytes) -> None:
    """Whatever the bytes: a value, and one that its own decoder takes again."""
    if not given:
        return
    address = address_of(KINDS[given[0] % len(KINDS)])
    payload = given[1:] if given[0] & 0x80 else signed(address, given[1:])
    found = receive(address, payload, RING)
    assert isinstance(found, Received | Rejected), found
    plain = decode(address, payload)
    assert isinstance(plain, Decoded | Rejected), plain
    if isinstance(plain, Decoded):
        again = codec._DECODERS[address.kind].decode(canonical(plain.message))
        assert again == plain.message, "a message does not survive its own encoding"
    decode_record(given[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
