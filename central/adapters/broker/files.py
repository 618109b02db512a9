"""What a Mosquitto for this site needs, written into a folder: configuration, certificates, ACL.

Written again, it keeps the CA, and every certificate that still fits and has a third of its life left.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from central.adapters.broker.access import (
    CA_FILE,
    CONF_FILE,
    DATA_FOLDER,
    SERVER_CERTIFICATE_FILE,
    SERVER_KEY_FILE,
    BrokerAccess,
    mosquitto_conf,
    reload_broker,
)
from central.adapters.broker.certificates import (
    CERTIFICATE_FILE,
    BrokerAuthority,
    Pair,
    read_private,
    write_whole,
)
from central.errors import ConfigError
from central.rules.fleet import Kiosk
from wire.ids import OperatorId, SiteId
from wire.tls import FileTrouble, central_identity, look_at

CENTRAL_KEY_FILE, CENTRAL_CERTIFICATE_FILE = "broker-central.key", "broker-central.crt"
LEFT = 1 / 3
"""A certificate is renewed when less than this share of its life is left."""
HOST_PATTERN = r"[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?"
"""A DNS name."""
_REMEDY = "`stile central broker-config` makes it"


@dataclass(frozen=True, slots=True)
class Listener:
    """By which names and addresses the broker is reached, and where it listens (empty: everywhere)."""

    hosts: tuple[str, ...]
    port: int
    bind: str = ""

    @property
    def complaint(self) -> ConfigError | None:
        """What of it does not fit into a certificate or the configuration."""
        for host in self.hosts:
            if re.fullmatch(HOST_PATTERN, host) is None and not _is_address(host):
                return ConfigError("--host", "host", host, "give a DNS name or an IP address, without a port")
        if self.bind and not _is_address(self.bind):
            return ConfigError("--bind", "bind", self.bind, "give an IP address of this machine")
        return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Written:
    """The folder, and which certificates were made anew."""

    folder: Path
    made: tuple[str, ...]


def write_broker(
    keys: Path,
    folder: Path,
    *,
    operator: OperatorId,
    site: SiteId,
    listener: Listener,
    kiosks: Sequence[Kiosk],
    now_ms: int,
) -> Written:
    """Write everything, and have a running broker read it; raises ConfigError, SecretsError, OSError."""
    if (complaint := listener.complaint) is not None:
        raise complaint
    made = []
    if BrokerAuthority.exists(keys):
        authority = BrokerAuthority.load(keys)
    else:
        authority = BrokerAuthority.create(keys, operator, now_ms)
        made.append(CERTIFICATE_FILE)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / DATA_FOLDER).mkdir(mode=0o700, exist_ok=True)
    write_whole(folder / CA_FILE, authority.pem)
    server = folder / SERVER_KEY_FILE, folder / SERVER_CERTIFICATE_FILE
    if not _lasts(authority, *server, now_ms) or _names_in(server[1]) != set(listener.hosts):
        _keep(authority.server(listener.hosts, now_ms), *server)
        made.append(SERVER_CERTIFICATE_FILE)
    central = keys / CENTRAL_KEY_FILE, keys / CENTRAL_CERTIFICATE_FILE
    if not _lasts(authority, *central, now_ms):
        _keep(authority.client(central_identity(site), now_ms), *central)
        made.append(CENTRAL_CERTIFICATE_FILE)
    conf = mosquitto_conf(folder.resolve(), listener.port, listener.bind)
    write_whole(folder / CONF_FILE, conf.encode())
    if not BrokerAccess(authority, site, folder).keep(kiosks):
        reload_broker(folder)
    return Written(folder, tuple(made))


def _keep(pair: Pair, key: Path, certificate: Path) -> None:
    write_whole(key, pair.key, 0o600)
    write_whole(certificate, pair.certificate)


def _lasts(authority: BrokerAuthority, key: Path, certificate: Path, now_ms: int) -> bool:
    if not key.exists() or not certificate.exists():
        return False
    found = look_at(authority.pem, certificate.read_bytes(), read_private(key, _REMEDY), now_ms)
    if isinstance(found, FileTrouble):
        return False
    return found.not_after_ms - now_ms > (found.not_after_ms - found.not_before_ms) * LEFT


def _names_in(certificate: Path) -> set[str]:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}
