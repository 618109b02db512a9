"""Pairing a new kiosk over HTTP: both sides prove that they know the one-time code, neither sends it.

`POST /v1/pair`: PairRequest as JSON (bytes as base64) -> PairReply. See wire/README.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.canonical import canonical, joined
from wire.errors import MalformedIdError
from wire.values import Certificate

CODE_BYTES = 10
"""80 random bits: too many to try out against an overheard proof."""
CODE_RULE = "four groups of four letters A-Z or digits 2-7, as `stile central kiosk add` printed them"
GALLERY_KEYS_MAX = 4
"""Key versions a kiosk holds at once, while a rotation is under way."""
HOST_MAX = 253
"""Characters of a DNS name."""

_LOOKUP = b"stile pairing lookup v1"
_REQUEST = b"stile pairing request v1"
_GRANT = b"stile pairing grant v1"


class PairRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kiosk's keys, and the proof that whoever sends them holds the code that `lookup` names.

    `broker_request` (PKCS 10, DER) asks for a certificate for the broker; not every site gives one.
    """

    lookup: f.DigestBytes
    nonce: f.NonceBytes
    public_key: f.PublicKeyBytes
    box_public_key: f.PublicKeyBytes
    software: f.VersionText
    proof: f.DigestBytes
    broker_request: f.CertificateBytes = b""


class PairGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the kiosk now is, whom it trusts, where its broker is; SiteSecrets sealed for it alone.

    The root certifies central and the issuer, and the issuer certifies the kiosk.
    With `broker_authority` and `broker_certificate` (X.509, DER) the broker is spoken to over TLS.
    """

    operator: f.Operator
    site: f.Site
    kiosk: f.Kiosk
    purpose: f.ForPurpose
    gallery: f.Gallery
    root_public_key: f.PublicKeyBytes
    central_certificate: Certificate
    issuer_certificate: Certificate
    kiosk_certificate: Certificate
    central_box_public_key: f.PublicKeyBytes
    sealed_secrets: f.SealedSmallBytes
    broker_host: Annotated[str, Meta(max_length=HOST_MAX)]
    broker_port: Annotated[int, Meta(ge=1, le=65535)]
    issued_at_ms: f.InstantMs
    broker_authority: f.CertificateBytes = b""
    broker_certificate: f.CertificateBytes = b""


class PairReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grant, and the proof that it comes from whoever made the code."""

    grant: PairGrant
    proof: f.DigestBytes


class GalleryKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One version of the site's gallery key (AES-256), and of the rotation of what is sealed under it."""

    version: f.Count
    key: f.DigestBytes
    rotation_seed: f.DigestBytes

    def __repr__(self) -> str:
        """Nothing of what is in it."""
        return f"{type(self).__name__}(…)"


class SiteSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every kiosk of a site shares; never at rest unsealed. The newest gallery key is the last.

    `claim_key` makes the digests of claims.
    """

    gallery_keys: Annotated[tuple[GalleryKey, ...], Meta(min_length=1, max_length=GALLERY_KEYS_MAX)]
    claim_key: f.DigestBytes

    def __repr__(self) -> str:
        """Nothing of what is in it."""
        return f"{type(self).__name__}(…)"


def format_code(raw: bytes) -> str:
    """The pairing code of 10 random bytes, as printed: four groups of four characters."""
    text = base64.b32encode(raw).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def parse_code(text: str) -> bytes:
    """The 10 bytes of a printed pairing code, forgiving case and spaces; raises MalformedIdError."""
    squeezed = "".join(text.upper().replace("-", " ").split())
    try:
        raw = base64.b32decode(squeezed)
    except ValueError:
        raise MalformedIdError("pairing code", text, CODE_RULE) from None
    if len(raw) != CODE_BYTES:
        raise MalformedIdError("pairing code", text, CODE_RULE)
    return raw


def code_lookup(code: bytes) -> bytes:
    """The digest by which central finds a code it gave out, without keeping the code itself in a request."""
    return hashlib.sha256(joined(_LOOKUP, code)).digest()


def _proof(code: bytes, context: bytes, *parts: bytes) -> bytes:
    return hmac.new(code, joined(context, *parts), hashlib.sha256).digest()


def make_request(
    code: bytes,
    nonce: bytes,
    *,
    public_key: bytes,
    box_public_key: bytes,
    software: str,
    broker_request: bytes = b"",
) -> PairRequest:
    """The kiosk's request; `nonce` is 16 random bytes, the keys are 32 bytes each."""
    lookup, proof = code_lookup(code), bytes(32)
    blank = PairRequest(lookup, nonce, public_key, box_public_key, software, proof, broker_request)  # type: ignore[arg-type]
    return msgspec.structs.replace(blank, proof=_request_proof(code, blank))


def _request_proof(code: bytes, request: PairRequest) -> bytes:
    return _proof(code, _REQUEST, canonical(msgspec.structs.replace(request, proof=bytes(32))))


def request_holds(code: bytes, request: PairRequest) -> bool:
    """Whether the sender of a request holds the code."""
    return hmac.compare_digest(request.proof, _request_proof(code, request))


def make_reply(code: bytes, request: PairRequest, grant: PairGrant) -> PairReply:
    """Central's reply, bound to the request."""
    return PairReply(grant, _proof(code, _GRANT, canonical(request), canonical(grant)))


def reply_holds(code: bytes, request: PairRequest, reply: PairReply) -> bool:
    """Whether a reply comes from whoever made the code, and answers this request."""
    return hmac.compare_digest(reply.proof, _proof(code, _GRANT, canonical(request), canonical(reply.grant)))
