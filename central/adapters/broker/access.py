"""Who may do what at Mosquitto: its configuration, and an ACL file kept as central knows its kiosks.

Nothing here decides what is believed: messages are signed. It keeps kiosks from seeing and disturbing others.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from central.adapters.broker.certificates import BrokerAuthority, write_whole
from central.errors import RefusedError
from central.rules.fleet import Kiosk
from wire import topics
from wire.ids import KioskId, SiteId
from wire.tls import central_identity, kiosk_identity
from wire.topics import PACKET_MAX_BYTES, RULES, TopicKind
from wire.values import Role

log = logging.getLogger(__name__)

CONF_FILE, ACL_FILE, PID_FILE, DATA_FOLDER = "mosquitto.conf", "acl", "mosquitto.pid", "data"
CA_FILE, SERVER_CERTIFICATE_FILE, SERVER_KEY_FILE = "ca.crt", "server.crt", "server.key"
QUEUED_MAX = 1000
"""Messages waiting for one client."""
QUEUED_MAX_BYTES = 16 * 2**20
"""Fifty of the largest messages, for a kiosk that reads slowly."""
INFLIGHT_MAX = 100
CONNECTIONS_MAX = 10_010
AUTOSAVE_S = 300

_KIOSKS = tuple(kind for kind in TopicKind if kind.value.startswith("kiosk/{}/"))
_WRITTEN_BY = "Written by `stile central broker-config`; run it again instead of editing."

_CONF = """\
# {written_by}
per_listener_settings false
listener {port}{bind}
cafile {folder}/{ca}
certfile {folder}/{certificate}
keyfile {folder}/{key}
tls_version tlsv1.2
require_certificate true
# A client is who its certificate says, whatever it calls itself: none can take another's session over.
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/{acl}
max_connections {connections}
# Without it a request and its reply take 44 ms instead of 1.
set_tcp_nodelay true
max_packet_size {packet}
max_inflight_messages {inflight}
max_queued_messages {queued}
max_queued_bytes {queued_bytes}
persistence true
persistence_location {folder}/{data}/
autosave_interval {autosave}
pid_file {folder}/{pid}
# Started by root it becomes the owner of this folder, who may read the key.
user {user}
log_dest stderr
log_type error
log_type warning
log_type notice
"""


def mosquitto_conf(folder: Path, port: int, bind: str) -> str:
    """Mosquitto's configuration for a folder that holds its certificate; `bind` empty is every address."""
    return _CONF.format(
        written_by=_WRITTEN_BY,
        folder=folder,
        port=port,
        bind=f" {bind}" if bind else "",
        ca=CA_FILE,
        certificate=SERVER_CERTIFICATE_FILE,
        key=SERVER_KEY_FILE,
        acl=ACL_FILE,
        connections=CONNECTIONS_MAX,
        packet=PACKET_MAX_BYTES,
        inflight=INFLIGHT_MAX,
        queued=QUEUED_MAX,
        queued_bytes=QUEUED_MAX_BYTES,
        data=DATA_FOLDER,
        user=folder.owner(),
        autosave=AUTOSAVE_S,
        pid=PID_FILE,
    )


def may_connect(kiosk: Kiosk) -> bool:
    """Whether a kiosk has a place in the ACL."""
    return kiosk.certificate is not None and kiosk.revoked_at_ms is None


def acl(site: SiteId, kiosks: Iterable[Kiosk], discovery_prefix: str | None = None) -> str:
    """The ACL file: central's entry, and one for each paired kiosk that is not revoked.

    With Home Assistant's discovery prefix, also who is certified as `home-assistant` may read what is there.
    """
    lines = [f"# {_WRITTEN_BY}", "", f"user {central_identity(site)}"]
    lines += [
        f"topic {'write' if rule.sender is Role.CENTRAL else 'read'} {topics.every(kind, site)}"
        for kind, rule in RULES.items()
    ]
    if discovery_prefix is not None:
        lines += [f"topic write {discovery_prefix}/#", "", "user home-assistant"]
        lines.append(f"topic read {discovery_prefix}/#")
    for kiosk in sorted(kiosks, key=lambda each: each.kiosk):
        if may_connect(kiosk):
            lines += ["", f"user {kiosk_identity(kiosk.site, kiosk.kiosk)}", *_of_kiosk(kiosk)]
    return "\n".join(lines) + "\n"


def _of_kiosk(kiosk: Kiosk) -> list[str]:
    site = kiosk.site
    own = [topics.kiosk_topic(kind, site, kiosk.kiosk) for kind in _KIOSKS]
    said = [each for each in own if each.rule.sender is Role.KIOSK]
    heard = [each for each in own if each.rule.sender is Role.CENTRAL]
    heard += [topics.standing_head(site, kiosk.purpose), topics.standing_delta(site, kiosk.purpose)]
    heard += [topics.gallery_head(site, kiosk.gallery), topics.gallery_delta(site, kiosk.gallery)]
    heard.append(topics.roll_call(site))
    return [f"topic write {each.topic}" for each in said] + [f"topic read {each.topic}" for each in heard]


class BrokerAccess:
    """Certificates for kiosks, and the ACL file of a Mosquitto on this machine, reloaded when it changes."""

    def __init__(
        self,
        authority: BrokerAuthority,
        site: SiteId,
        folder: Path | None,
        discovery_prefix: str | None = None,
    ) -> None:
        self._authority, self._site, self._folder = authority, site, folder
        self._discovery_prefix = discovery_prefix
        self._writing = threading.Lock()

    @property
    def authority(self) -> bytes:
        """The CA's certificate, DER."""
        return self._authority.der

    def certify(self, site: SiteId, kiosk: KioskId, request: bytes, now_ms: int) -> bytes:
        """A kiosk's certificate, DER, for its request; raises RefusedError."""
        if not request:
            raise RefusedError("this site's broker asks for certificates: use a newer Stile on the kiosk")
        return self._authority.signed(kiosk_identity(site, kiosk), request, now_ms)

    def keep(self, kiosks: Sequence[Kiosk]) -> bool:
        """Bring the ACL up to date and make the broker read it; whether anything changed."""
        if self._folder is None:
            return False
        wanted, path = acl(self._site, kiosks, self._discovery_prefix).encode(), self._folder / ACL_FILE
        with self._writing:
            if path.exists() and path.read_bytes() == wanted:
                return False
            write_whole(path, wanted, 0o600)
            reload_broker(self._folder)
        return True


def reload_broker(folder: Path) -> bool:
    """Make a running Mosquitto read its ACL and certificates again; False when there is none to tell."""
    try:
        process_id = int((folder / PID_FILE).read_text())
        if "mosquitto" not in Path(f"/proc/{process_id}/comm").read_text():
            return False  # an old file, and the number is somebody else's by now
        os.kill(process_id, signal.SIGHUP)
    except PermissionError:
        log.warning(
            "the broker runs as another user: run it as central's, or reload it after each change of %s",
            folder / ACL_FILE,
        )
        return False
    except (OSError, ValueError):
        return False
    return True
