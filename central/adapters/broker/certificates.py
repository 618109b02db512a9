"""The broker's own small CA: signs the broker's, central's and each kiosk's certificate, and nothing else.

P-256 throughout, which every broker understands. The CA's key stays in central's folder of keys.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central.errors import RefusedError, SecretsError
from wire.tls import IDENTITY_MAX

AUTHORITY_DAYS = 20 * 365
SERVER_DAYS = 5 * 365
CLIENT_DAYS = 2 * 365
"""A kiosk asks for the next one when a third is left, so one that was off for eight months still has time."""
BEHIND_S = 24 * 3600
"""A certificate is good from a day before it was made: the other side's clock may be behind."""
KEY_FILE, CERTIFICATE_FILE = "broker-ca.key", "broker-ca.crt"


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate, both PEM."""

    key: bytes = field(repr=False)
    certificate: bytes


def read_private(path: Path, remedy: str) -> bytes:
    """A file that holds a secret; raises SecretsError when it is not there or others may read it."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_bytes()
    except OSError as error:
        raise SecretsError(str(path), f"cannot be read ({error.strerror}); {remedy}") from None
    if mode & 0o077:
        raise SecretsError(str(path), f"others may read it (mode {mode:o}); chmod 600 it")
    return text


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(identity: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _instant(now_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now_ms // 1000, datetime.UTC)


class BrokerAuthority:
    """The CA. `kiosk` signs a kiosk's request; `server` and `client` make keys with their certificates."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @property
    def pem(self) -> bytes:
        """Its certificate, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """Its certificate, DER: what a kiosk is given."""
        return self._certificate.public_bytes(Encoding.DER)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a folder of keys has a CA."""
        return (folder / KEY_FILE).exists()

    @staticmethod
    def create(folder: Path, operator: str, now_ms: int) -> BrokerAuthority:
        """Make a CA and keep its key and certificate in the folder of keys."""
        key = ec.generate_private_key(ec.SECP256R1())
        name, now = _named(f"{operator} broker CA"), _instant(now_ms)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(seconds=BEHIND_S))
            .not_valid_after(now + datetime.timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_whole(folder / CERTIFICATE_FILE, certificate.public_bytes(Encoding.PEM))
        write_whole(folder / KEY_FILE, _pem(key), 0o600)
        return BrokerAuthority(key, certificate)

    @staticmethod
    def load(folder: Path) -> BrokerAuthority:
        """The CA in a folder of keys; raises SecretsError."""
        remedy = "`stile central broker-config` makes it"
        pem = read_private(folder / KEY_FILE, remedy)
        try:
            certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
            key = load_pem_private_key(pem, None)
        except (OSError, ValueError, TypeError) as error:
            raise SecretsError(str(folder / KEY_FILE), f"is no CA ({error}); {remedy}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise SecretsError(str(folder / KEY_FILE), "is not the key of the CA's certificate beside it")
        return BrokerAuthority(key, certificate)

    def server(self, hosts: Sequence[str], now_ms: int) -> Pair:
        """A key and certificate for a broker that is reached by these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        identity = hosts[0][:IDENTITY_MAX]
        made = self._sign(
            identity,
            key.public_key(),
            now_ms=now_ms,
            days=SERVER_DAYS,
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            names=names,
        )
        return Pair(_pem(key), made.public_bytes(Encoding.PEM))

    def client(self, identity: str, now_ms: int) -> Pair:
        """A key and certificate for a client of this machine, such as central."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(
            identity,
            key.public_key(),
            now_ms=now_ms,
            days=SERVER_DAYS,
            usage=ExtendedKeyUsageOID.CLIENT_AUTH,
            names=None,
        )
        return Pair(_pem(key), made.public_bytes(Encoding.PEM))

    def signed(self, identity: str, request_der: bytes, now_ms: int) -> bytes:
        """The certificate, DER, for a request (PKCS 10, DER) of whoever is known to be `identity`.

        Only the key is taken from the request. Raises RefusedError.
        """
        if len(identity) > IDENTITY_MAX:
            raise RefusedError(f"{identity!r} does not fit into a certificate: use shorter ids")
        try:
            request = x509.load_der_x509_csr(request_der)
            proven = request.is_signature_valid
            key = request.public_key()
        except (ValueError, TypeError) as error:
            raise RefusedError(f"the certificate request cannot be read ({error})") from None
        if not proven or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise RefusedError("the certificate request must be for a P-256 key, and signed by it")
        made = self._sign(
            identity, key, now_ms=now_ms, days=CLIENT_DAYS, usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=None
        )
        return made.public_bytes(Encoding.DER)

    def _sign(
        self,
        identity: str,
        key: ec.EllipticCurvePublicKey,
        *,
        now_ms: int,
        days: int,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        now, subject = _instant(now_ms), _named(identity)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder(self._certificate.subject, subject, key, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(seconds=BEHIND_S))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(authority_key, critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
