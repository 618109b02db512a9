"""Sealing: AES-256-GCM under a versioned site key, and boxes that only an X25519 key opens.

A seal is bound to what it belongs to (its binding): a template does not open as another subject's.
Nonces and ephemeral keys are arguments; each is drawn once, from the system's generator, by the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wire.canonical import joined
from wire.errors import MalformedKeyError, SealBrokenError
from wire.ids import KioskId, Nonce, OperatorId, SiteId, SubjectId

SEAL_KEY_BYTES = 32
SEAL_NONCE_BYTES = 12
_TAG_BYTES = 16
_SEALED = struct.Struct(">BI12s")
"""Form, key version and nonce; ciphertext and tag follow."""
_SEALED_FORM = 1
_BOX_FORM = 2
_BOX = b"stile box v1"


@lru_cache(maxsize=16)  # making one takes as long as sealing three rows
def _cipher(key: bytes) -> AESGCM:
    if len(key) != SEAL_KEY_BYTES:
        raise MalformedKeyError("AES-256 key", SEAL_KEY_BYTES, len(key))
    return AESGCM(key)


def seal(key: bytes, key_version: int, nonce: bytes, plain: bytes, binding: bytes) -> bytes:
    """Seal `plain` under a 32-byte key of `key_version`, with a 12-byte nonce never used before with it."""
    opening = _SEALED.pack(_SEALED_FORM, key_version, nonce)
    return opening + _cipher(key).encrypt(nonce, plain, joined(opening, binding))


def seal_many(
    key: bytes, key_version: int, nonces: bytes, plains: Sequence[bytes], bindings: Sequence[bytes]
) -> list[bytes]:
    """What `seal` makes of each of many, at half its price; `nonces` are 12 bytes for each."""
    # `joined` and `_SEALED` written out: a cache of a million rows comes through here.
    encrypt, head = _cipher(key).encrypt, struct.pack(">BI", _SEALED_FORM, key_version)
    begun, length = struct.pack(">I", _SEALED.size) + head, struct.Struct(">I").pack
    sealed, at = [], 0
    for plain, binding in zip(plains, bindings, strict=True):
        nonce = nonces[at : at + SEAL_NONCE_BYTES]
        at += SEAL_NONCE_BYTES
        sealed.append(head + nonce + encrypt(nonce, plain, begun + nonce + length(len(binding)) + binding))
    return sealed


def key_version_of(sealed: bytes) -> int | None:
    """The key version a seal names, or None when these bytes are no seal."""
    if len(sealed) < _SEALED.size + _TAG_BYTES or sealed[0] != _SEALED_FORM:
        return None
    version: int = _SEALED.unpack_from(sealed)[1]
    return version


def open_seal(keys: Mapping[int, bytes], sealed: bytes, binding: bytes) -> bytes:
    """Open a seal with the key of its version; raises SealBrokenError."""
    version = key_version_of(sealed)
    if version is None or version not in keys:
        raise SealBrokenError(f"a value sealed under key version {version}")
    opening, nonce = sealed[: _SEALED.size], _SEALED.unpack_from(sealed)[2]
    try:
        return _cipher(keys[version]).decrypt(nonce, sealed[_SEALED.size :], joined(opening, binding))
    except InvalidTag:
        raise SealBrokenError(f"a value sealed under key version {version}") from None


def box_public_key(private_key: bytes) -> bytes:
    """The X25519 public key of a 32-byte private key."""
    return (
        X25519PrivateKey.from_private_bytes(private_key)
        .public_key()
        .public_bytes(Encoding.Raw, PublicFormat.Raw)
    )


def _box_key(private: X25519PrivateKey, peer: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    shared = private.exchange(X25519PublicKey.from_public_bytes(peer))
    return HKDF(SHA256(), SEAL_KEY_BYTES, salt=None, info=joined(_BOX, ephemeral, recipient)).derive(shared)


def seal_box(recipient: bytes, ephemeral_private: bytes, plain: bytes, binding: bytes) -> bytes:
    """Seal for the owner of X25519 key `recipient`; `ephemeral_private` is 32 random bytes, used once."""
    private = X25519PrivateKey.from_private_bytes(ephemeral_private)
    ephemeral = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = _box_key(private, recipient, ephemeral, recipient)
    opening = bytes([_BOX_FORM]) + ephemeral
    # The key serves this one message, so a fixed nonce never repeats under it.
    return opening + AESGCM(key).encrypt(bytes(SEAL_NONCE_BYTES), plain, joined(opening, binding))


def open_box(private_key: bytes, box: bytes, binding: bytes) -> bytes:
    """Open a box with the 32-byte X25519 private key it was made for; raises SealBrokenError."""
    if len(box) < 1 + 32 + _TAG_BYTES or box[0] != _BOX_FORM:
        raise SealBrokenError("a box")
    private = X25519PrivateKey.from_private_bytes(private_key)
    opening, ephemeral = box[:33], box[1:33]
    try:
        key = _box_key(private, ephemeral, ephemeral, box_public_key(private_key))
        return AESGCM(key).decrypt(bytes(SEAL_NONCE_BYTES), box[33:], joined(opening, binding))
    except (InvalidTag, ValueError):  # ValueError: an ephemeral point of low order
        raise SealBrokenError("a box") from None


def template_binding(operator: OperatorId, site: SiteId, subject: SubjectId, recipe_digest: str) -> bytes:
    """What a sealed template is bound to."""
    return joined(b"template", operator.encode(), site.encode(), subject.encode(), recipe_digest.encode())


def pin_binding(kiosk: KioskId, subject: SubjectId, nonce: Nonce) -> bytes:
    """What a PIN on its way to central is bound to."""
    return joined(b"pin", kiosk.encode(), subject.encode(), nonce)


def enrol_binding(kiosk: KioskId, subject: SubjectId, nonce: Nonce) -> bytes:
    """What a new member's claim and PIN are bound to on their way to central."""
    return joined(b"enrol", kiosk.encode(), subject.encode(), nonce)


def withdraw_binding(kiosk: KioskId, subject: SubjectId, nonce: Nonce) -> bytes:
    """What the PIN of a member who withdraws is bound to."""
    return joined(b"withdraw", kiosk.encode(), subject.encode(), nonce)


def secrets_binding(kiosk: KioskId, nonce: bytes) -> bytes:
    """What a kiosk's wrapped site secrets are bound to: its id and the nonce it asked with."""
    return joined(b"site secrets", kiosk.encode(), nonce)
