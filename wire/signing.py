"""Ed25519 signatures, the key ring that knows whose they are, and certificates chained to the operator root.

The root certifies central, issuers and reviewers; an issuer certifies the kiosks of its site and nobody else.

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
from wire.values import REVIEWERS_TO_RESTRICT, Certificate, Endorsement, Restriction, Role

KEY_BYTES = 32
"""Ed25519 seed and public key."""
SIGNATURE_BYTES = 64
DAY_MS = 86_400_000
CERTIFIED_DAYS = {Role.CENTRAL: 5 * 365, Role.ISSUER: 5 * 365, Role.KIOSK: 5 * 365, Role.REVIEWER: 90}
"""The longest that a certificate of each role lasts; the root itself has none."""
ROOTED = frozenset({Role.CENTRAL, Role.ISSUER, Role.REVIEWER})
"""The roles that only the root certifies."""
RESTRICTED_DAYS = 366
"""The longest that a restriction lasts: without an end in sight it would be a punishment."""

_KEY_ID = b"stile key id v1"
_MESSAGE = b"stile message v1"
_CERTIFICATE = b"stile certificate v1"
_RESTRICTION = b"stile restriction v2"
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
    """The bytes the root or an issuer signs of a certificate."""
    return joined(_CERTIFICATE, canonical(msgspec.structs.replace(certificate, signature=b"")))


def restriction_bytes(restriction: Restriction) -> bytes:
    """The bytes that every reviewer signs of a restriction: all of it but the endorsements."""
    return joined(_RESTRICTION, canonical(msgspec.structs.replace(restriction, endorsements=())))


def restriction_in(signed: bytes) -> Restriction:
    """What bytes that a reviewer is asked to sign say; raises ValueError when they are no restriction's."""
    found = msgspec.msgpack.decode(signed[len(joined(_RESTRICTION, b"")) :], type=Restriction)
    if restriction_bytes(found) != signed:
        raise ValueError("these bytes are no restriction's in its one form")
    return found


def chain_head_bytes(kiosk: KioskId, sequence: int, link: bytes) -> bytes:
    """The bytes a kiosk signs of its chain's head."""
    return joined(_CHAIN_HEAD, kiosk.encode(), struct.pack(">Q", sequence), link)


def sign_certificate(certificate: Certificate, by: Signer) -> Certificate:
    """The certificate with the root's or the issuer's signature on it."""
    return msgspec.structs.replace(certificate, signature=by.sign(certificate_bytes(certificate)))


def endorse(restriction: Restriction, reviewer: Signer, certificate: Certificate) -> Restriction:
    """The restriction with one more reviewer's signature under it."""
    made = Endorsement(certificate, reviewer.sign(restriction_bytes(restriction)))
    return msgspec.structs.replace(restriction, endorsements=(*restriction.endorsements, made))


def sign_chain_head(kiosk: KioskId, sequence: int, link: bytes, signer: Signer) -> ChainHead:
    """The kiosk's word that its chain is at `link` after record `sequence`."""
    return ChainHead(kiosk, sequence, link, signer.sign(chain_head_bytes(kiosk, sequence, link)))


def _valid(certificate: Certificate, role: Role, operator: str, at_ms: int, *, signed_by: bytes) -> bool:
    return (
        certificate.role is role
        and certificate.operator == operator
        and certificate.not_before_ms <= at_ms <= certificate.not_after_ms
        and certificate.not_after_ms - certificate.not_before_ms <= CERTIFIED_DAYS[role] * DAY_MS
        and verifies(signed_by, certificate.signature, certificate_bytes(certificate))
    )


def root_certified(
    certificate: Certificate, role: Role, root_public_key: bytes, operator: OperatorId, at_ms: int
) -> bool:
    """Whether the operator root itself gave a key this role, CENTRAL, ISSUER or REVIEWER, for `at_ms`."""
    return role in ROOTED and _valid(certificate, role, operator, at_ms, signed_by=root_public_key)


def kiosk_certified(
    certificate: Certificate, issuer: Certificate, root_public_key: bytes, operator: OperatorId, at_ms: int
) -> bool:
    """Whether an issuer that the root certified for the kiosk's own site gave a key the role KIOSK."""
    return (
        root_certified(issuer, Role.ISSUER, root_public_key, operator, at_ms)
        and certificate.site == issuer.site
        and _valid(certificate, Role.KIOSK, operator, at_ms, signed_by=issuer.public_key)
    )


def restriction_holds(restriction: Restriction, root_public_key: bytes, operator: OperatorId) -> bool:
    """Whether two reviewers of different name and key, certified when it was issued, signed a restriction.

    Expiry against the clock is the caller's: an expired restriction is genuine, and over.
    """
    signed, endorsements = restriction_bytes(restriction), restriction.endorsements
    names = {each.certificate.name for each in endorsements}
    keys = {each.certificate.public_key for each in endorsements}
    return (
        restriction.operator == operator
        and 0 < restriction.expires_at_ms - restriction.issued_at_ms <= RESTRICTED_DAYS * DAY_MS
        and len(endorsements) == len(names) == len(keys) == REVIEWERS_TO_RESTRICT
        and all(
            root_certified(
                each.certificate, Role.REVIEWER, root_public_key, operator, restriction.issued_at_ms
            )
            and verifies(each.certificate.public_key, each.signature, signed)
            for each in endorsements
        )
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
