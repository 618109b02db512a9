"""Ed25519 signatures, the key ring that knows whose they are, and certificates chained to the operator root.

Every signature covers a context string and length-prefixed parts: bytes signed for one use fit no other.
Keys come from seeds that the caller drew: nothing here is random.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wire.canonical import canonical, joined
from wire.errors import MalformedKeyError
from wire.ids import KeyId, KioskId, OperatorId
from wire.records import ChainHead
from wire.values import Certificate, Restriction, Role

KEY_BYTES = 32
"""Ed25519 seed and public key."""
SIGNATURE_BYTES = 64

_KEY_ID = b"stile key id v1"
_MESSAGE = b"stile message v1"
_CERTIFICATE = b"stile certificate v1"
_RESTRICTION = b"stile restriction v1"
_CHAIN_HEAD = b"stile chain head v1"


def key_id_of(public_key: bytes) -> KeyId:
    """The id of a public key: 128 bits of its digest, in hexadecimal."""
    return KeyId(hashlib.sha256(joined(_KEY_ID, public_key)).hexdigest()[:32])


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that signs; `public_key` is 32 bytes."""

    key_id: KeyId
    public_key: bytes
    _private: Ed25519PrivateKey = field(repr=False)

    @staticmethod
    def from_seed(seed: bytes) -> Signer:
        """The signer of a 32-byte seed; raises MalformedKeyError."""
        if len(seed) != KEY_BYTES:
            raise MalformedKeyError("Ed25519 seed", KEY_BYTES, len(seed))
        private = Ed25519PrivateKey.from_private_bytes(seed)
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Signer(key_id_of(public), public, private)

    def sign(self, signed: bytes) -> bytes:
        """The 64-byte signature of `signed`."""
        return self._private.sign(signed)


def verifies(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether `signature` is that of `public_key` over `signed`; hostile bytes are simply not."""
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def message_bytes(
    operator: str, site: str, *, topic: str, purpose: str, key_id: str, payload: bytes
) -> bytes:
    """The bytes a message's signature covers."""
    parts = (operator.encode(), site.encode(), topic.encode(), purpose.encode(), key_id.encode())
    return joined(_MESSAGE, *parts, payload)


def certificate_bytes(certificate: Certificate) -> bytes:
    """The bytes the root signs of a certificate."""
    return joined(_CERTIFICATE, canonical(msgspec.structs.replace(certificate, signature=b"")))


def restriction_bytes(restriction: Restriction) -> bytes:
    """The bytes a reviewer signs of a restriction, their certificate included."""
    return joined(_RESTRICTION, canonical(msgspec.structs.replace(restriction, signature=b"")))


def chain_head_bytes(kiosk: KioskId, sequence: int, link: bytes) -> bytes:
    """The bytes a kiosk signs of its chain's head."""
    return joined(_CHAIN_HEAD, kiosk.encode(), struct.pack(">Q", sequence), link)


def sign_certificate(certificate: Certificate, root: Signer) -> Certificate:
    """The certificate with the root's signature on it."""
    return msgspec.structs.replace(certificate, signature=root.sign(certificate_bytes(certificate)))


def sign_restriction(restriction: Restriction, reviewer: Signer) -> Restriction:
    """The restriction with its reviewer's signature on it."""
    return msgspec.structs.replace(restriction, signature=reviewer.sign(restriction_bytes(restriction)))


def sign_chain_head(kiosk: KioskId, sequence: int, link: bytes, signer: Signer) -> ChainHead:
    """The kiosk's word that its chain is at `link` after record `sequence`."""
    return ChainHead(kiosk, sequence, link, signer.sign(chain_head_bytes(kiosk, sequence, link)))


def certificate_holds(
    certificate: Certificate, root_public_key: bytes, operator: OperatorId, at_ms: int
) -> bool:
    """Whether the operator root signed this certificate and it is valid at `at_ms`."""
    return (
        certificate.operator == operator
        and certificate.role is not Role.ROOT
        and certificate.not_before_ms <= at_ms <= certificate.not_after_ms
        and verifies(root_public_key, certificate.signature, certificate_bytes(certificate))
    )


def restriction_holds(restriction: Restriction, root_public_key: bytes, operator: OperatorId) -> bool:
    """Whether a reviewer of this operator, certified when they issued it, signed this restriction.

    Expiry against the clock is the caller's: an expired restriction is genuine, and over.
    """
    certificate = restriction.certificate
    return (
        restriction.operator == operator
        and restriction.issued_at_ms < restriction.expires_at_ms
        and certificate.role is Role.REVIEWER
        and certificate.name == restriction.reviewer
        and certificate_holds(certificate, root_public_key, operator, restriction.issued_at_ms)
        and verifies(certificate.public_key, restriction.signature, restriction_bytes(restriction))
    )


def chain_head_holds(head: ChainHead, public_key: bytes) -> bool:
    """Whether the kiosk of `public_key` signed this head of its chain."""
    return verifies(public_key, head.signature, chain_head_bytes(head.kiosk, head.sequence, head.link))


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and whose it is: `name` is a kiosk's, reviewer's or central's; empty `site` is any."""

    public_key: bytes
    role: Role
    name: str
    site: str

    @staticmethod
    def of(certificate: Certificate) -> TrustedKey:
        """The key a certificate (already found to hold) vouches for."""
        return TrustedKey(certificate.public_key, certificate.role, certificate.name, certificate.site)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys one party trusts, by key id. Never changed: `with_key` gives a new ring."""

    operator: OperatorId
    keys: Mapping[KeyId, TrustedKey]

    def with_key(self, key: TrustedKey) -> KeyRing:
        """A ring with one key more."""
        return KeyRing(self.operator, {**self.keys, key_id_of(key.public_key): key})
