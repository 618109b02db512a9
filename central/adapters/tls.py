"""Central's end of TLS with the broker: files checked and loaded, each mistake told in a sentence."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from central.adapters.certificates import read_private
from central.errors import SecretsError
from wire.tls import FileTrouble, Validity, look_at

_REMEDY = "`stile central broker-config` makes it"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The CA, central's certificate and key, all PEM; `server_name` when the certificate has another."""

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
