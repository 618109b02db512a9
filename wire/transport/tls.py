"""TLS with the broker, from files: checked, loaded, and each mistake told in a sentence."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from wire.errors import TlsFileError
from wire.tls import BrokerContext, FileTrouble, TlsFiles, Validity, explained, look_at

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""
SILENT_S = 0.5
"""With TLS 1.3 a broker refuses a certificate after the handshake; silent for so long, it is content."""


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(path, f"cannot be read ({error.strerror}): {remedy}") from error


def _read_key(path: Path, remedy: str) -> bytes:
    key = _read(path, remedy)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise TlsFileError(path, f"has mode {mode:o}, so others on this machine may read it: chmod 600 it")
    return key


def look_at_files(files: TlsFiles, now_ms: int, remedy: str) -> Validity:
    """How long the certificate holds; raises `TlsFileError` naming the file and what to do."""
    key = _read_key(files.key, remedy)
    found = look_at(_read(files.ca, remedy), _read(files.certificate, remedy), key, now_ms)
    if isinstance(found, FileTrouble):
        raise TlsFileError(getattr(files, found.name), found.sentence)
    return found


def open_context(files: TlsFiles, now_ms: int, remedy: str, *, clock_may_lag: bool = False) -> ssl.SSLContext:
    """A context that trusts this CA alone and shows this certificate; raises `TlsFileError`.

    Files are read anew at each call, so a renewed certificate is used from the next connection on.
    `clock_may_lag`: with a clock before the certificate's first day, the broker's dates are not checked.
    """
    validity = look_at_files(files, now_ms, remedy)
    context = BrokerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.server_name = files.server_name
    if clock_may_lag and now_ms < validity.not_before_ms:
        # A host without a battery gets its time from the very broker it could not reach otherwise. The CA and
        # the name are still checked.
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise TlsFileError(files.certificate, f"cannot be used ({error}): {remedy}") from error
    return context


def probe(context: ssl.SSLContext, host: str, port: int, name: str, within_s: float) -> str:
    """What is wrong with TLS to a broker, as a sentence; empty when it takes this client. Blocks.

    `name` is what the broker's certificate has to be made out to. Raises OSError when nobody answers.
    """
    with socket.create_connection((host, port), within_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.settimeout(SILENT_S)
                with contextlib.suppress(TimeoutError):
                    secured.recv(1)
        except ssl.SSLError as error:
            return explained(str(error), name)
    return ""
