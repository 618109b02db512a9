"""TLS between clients and the broker: who a certificate names, what is wrong with one, and why a try failed.

Messages are signed end to end, so TLS keeps the broker to those it knows; it is not what makes them true.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from wire.ids import KioskId, SiteId

IDENTITY_MAX = 64
"""Characters of a common name, RFC 5280 (ub-common-name)."""


def kiosk_identity(site: SiteId, kiosk: KioskId) -> str:
    """The name in a kiosk's certificate: its user and its client id at the broker."""
    return f"{site}:{kiosk}"


def central_identity(site: SiteId) -> str:
    """The name in central's certificate; the colon that it lacks keeps kiosks from being called so."""
    return str(site)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The CA, this client's certificate and key, all PEM; `server_name` when the broker has another."""

    ca: Path
    certificate: Path
    key: Path
    server_name: str | None = None


class BrokerContext(ssl.SSLContext):
    """A context that expects one name, whatever address paho connects to."""

    server_name: str | None = None

    def wrap_socket(self, sock: Any, *args: Any, **options: Any) -> ssl.SSLSocket:
        """The socket after its handshake, or closed: paho would leave it open when that fails."""
        options["do_handshake_on_connect"] = True
        if self.server_name is not None:
            options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *args, **options)


@dataclass(frozen=True, slots=True)
class FileTrouble:
    """What is wrong with one of the three files: `name` is `ca`, `certificate` or `key`."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate holds, UTC milliseconds."""

    not_before_ms: int
    not_after_ms: int


def _milliseconds(certificate: x509.Certificate) -> Validity:
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Validity(int(before.timestamp() * 1000), int(after.timestamp() * 1000))


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def look_at(ca_pem: bytes, certificate_pem: bytes, key_pem: bytes, now_ms: int) -> FileTrouble | Validity:
    """What is wrong with a client's files, or how long its certificate holds.

    A certificate from the future is not complained of: the clock of a host without a battery is behind.
    """
    authorities, chain = _certificates(ca_pem), _certificates(certificate_pem)
    if not authorities:
        return FileTrouble("ca", "holds no certificate in PEM: give the CA's certificate")
    if not chain:
        return FileTrouble("certificate", "holds no certificate in PEM: give this client's own")
    try:
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError):
        return FileTrouble("key", "holds no private key in PEM without a password")
    own = chain[0]
    forms = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*forms) != own.public_key().public_bytes(*forms):
        return FileTrouble("key", "is not the key of the certificate: give the two that were made together")
    if not any(_issued(own, issuer) for issuer in (*chain[1:], *authorities)):
        return FileTrouble("certificate", "was not signed by this CA: give the CA's own certificate with it")
    validity = _milliseconds(own)
    if now_ms > validity.not_after_ms:
        until = own.not_valid_after_utc.date().isoformat()
        return FileTrouble("certificate", f"expired on {until}: have a new one made, see deploy/README.md")
    return validity


_SAID = (
    ("hostname mismatch", "the broker's certificate is not made out to {name}: {named}"),
    ("ip address mismatch", "the broker's certificate is not made out to {name}: {named}"),
    ("verify failed: certificate has expired", "the broker's certificate has expired: make a new one"),
    ("is not yet valid", "the broker's certificate is not valid yet: is this machine's clock right?"),
    ("certificate verify failed", "the broker's certificate is not from the CA given here: {authority}"),
    ("alert unknown ca", "the broker does not know the CA of this client's certificate: {authority}"),
    ("alert certificate expired", "the broker finds this client's certificate expired: have a new one made"),
    ("alert certificate revoked", "the broker was told that this client's certificate is revoked"),
    ("certificate required", "the broker asks for a client certificate: give certificate_file and key_file"),
    ("alert bad certificate", "the broker does not accept this client's certificate: {authority}"),
    ("wrong version number", "no TLS is spoken at that port: give the port of the TLS listener"),
    ("record layer failure", "no TLS is spoken at that port: give the port of the TLS listener"),
    ("unexpected_eof", "the broker hung up while TLS began: is that the port of its TLS listener?"),
    ("unexpected eof", "the broker hung up while TLS began: is that the port of its TLS listener?"),
)
_NAMED = "give the name in it as host, or as server_name"
_AUTHORITY = "use the CA that signed both sides"


def explained(said: str, name: str) -> str:
    """OpenSSL's words as a sentence that says what to do; other words stay as they are.

    `name` is what the broker's certificate had to be made out to.
    """
    heard = said.lower().replace("_alert_", " alert ")
    for phrase, sentence in _SAID:
        if phrase in heard:
            return sentence.format(name=name, named=_NAMED, authority=_AUTHORITY)
    return said
