"""Central's end of TLS with the broker: files checked and loaded, each mistake told in a sentence."""

from __future__ import annotations

import ssl
from pathlib import Path

from central.adapters.broker.certificates import read_private
from central.errors import SecretsError
from wire.tls import BrokerContext, FileTrouble, TlsFiles, Validity, look_at

_REMEDY = "`stile central broker-config` makes it"


def _public(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SecretsError(str(path), f"cannot be read ({error.strerror}); {_REMEDY}") from None


def look_at_files(files: TlsFiles, now_ms: int) -> Validity:
    """How long central's certificate holds; raises SecretsError naming the file and what to do."""
    key = read_private(files.key, _REMEDY)
    found = look_at(_public(files.ca), _public(files.certificate), key, now_ms)
    if isinstance(found, FileTrouble):
        raise SecretsError(str(getattr(files, found.name)), found.sentence)
    return found


def open_context(files: TlsFiles, now_ms: int) -> ssl.SSLContext:
    """A context that trusts this CA alone and shows central's certificate; raises SecretsError."""
    look_at_files(files, now_ms)
    context = BrokerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.server_name = files.server_name
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise SecretsError(str(files.certificate), f"cannot be used ({error}); {_REMEDY}") from None
    return context
