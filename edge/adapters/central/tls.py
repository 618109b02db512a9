"""The kiosk's end of TLS with the broker: its key, its certificate, and the CA it trusts for nothing else."""

from __future__ import annotations

import ssl
from dataclasses import replace
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
from cryptography.x509.oid import NameOID

from edge.adapters.storage.keyfile import RandomBytes, write_secret
from edge.errors import StoreError
from wire.errors import TlsFileError
from wire.tls import FileTrouble, TlsFiles, Validity, look_at
from wire.transport import tls

CA_FILE, CERTIFICATE_FILE, KEY_FILE = "broker-ca.crt", "broker.crt", "broker.key"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points P-256 has (SEC 2): a private key is one number below it."""
_KEY_SOURCE_BYTES = 48
"""More than a key's 32, so that the remainder is even to within 2**-128 (FIPS 186-5, A.2.1)."""
_REMEDY = "give the file under [broker], or pair this kiosk anew"


def make_key(random_bytes: RandomBytes) -> bytes:
    """A new private key, PEM."""
    number = int.from_bytes(random_bytes(_KEY_SOURCE_BYTES), "big") % (_ORDER - 1) + 1
    key = ec.derive_private_key(number, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_request(key_pem: bytes) -> bytes:
    """A request (PKCS 10, DER) for a certificate of this key; whose it is, central knows otherwise."""
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kiosk")])
    return x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _pem(certificate_der: bytes) -> bytes:
    try:
        return x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)
    except ValueError:
        return b""


def files_in(folder: Path) -> TlsFiles | None:
    """The files that pairing wrote; None where the site's broker asks for no certificate."""
    files = TlsFiles(folder / CA_FILE, folder / CERTIFICATE_FILE, folder / KEY_FILE)
    return files if files.certificate.exists() else None


def chosen_files(folder: Path, given: TlsFiles | None, server_name: str | None) -> TlsFiles | None:
    """The files given, else those of pairing; None where the site's broker asks for no certificate."""
    files = given or files_in(folder)
    return files if files is None or server_name is None else replace(files, server_name=server_name)


def keep_certificate(folder: Path, key_pem: bytes, certificate_der: bytes, ca_der: bytes) -> None:
    """Keep what central signed, the key first; raises StoreError when it is not for this key, or OSError."""
    certificate, authority = _pem(certificate_der), _pem(ca_der)
    found = look_at(authority, certificate, key_pem, 0)
    if isinstance(found, FileTrouble):
        raise StoreError(f"the broker's {found.name} that central sent {found.sentence}")
    write_secret(folder / KEY_FILE, key_pem)
    write_secret(folder / CA_FILE, authority)
    write_secret(folder / CERTIFICATE_FILE, certificate)


def look_at_files(files: TlsFiles, now_ms: int) -> Validity:
    """How long this kiosk's certificate holds; raises `StoreError` naming the file and what to do."""
    try:
        return tls.look_at_files(files, now_ms, _REMEDY)
    except TlsFileError as error:
        raise StoreError(str(error)) from error


def open_context(files: TlsFiles, now_ms: int) -> ssl.SSLContext:
    """A context with this kiosk's certificate; raises `TlsFileError`."""
    return tls.open_context(files, now_ms, _REMEDY, clock_may_lag=True)


def probe(files: TlsFiles, host: str, port: int, now_ms: int, within_s: float) -> str:
    """What is wrong with TLS to a broker, as a sentence; empty when it takes this kiosk. Blocks.

    Raises `StoreError` for the files, OSError when nobody answers.
    """
    try:
        context = open_context(files, now_ms)
    except TlsFileError as error:
        raise StoreError(str(error)) from error
    return tls.probe(context, host, port, files.server_name or host, within_s)
