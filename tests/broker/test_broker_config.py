"""`stile central broker-config`, what it writes, and what of a central's configuration it makes sense of."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from central.adapters.broker.access import acl
from central.adapters.broker.certificates import BrokerAuthority
from central.adapters.broker.files import Listener, Written, write_broker
from central.app import init_central, load_config
from central.errors import ConfigError, RefusedError, SecretsError
from central.rules.authority import certify
from central.rules.fleet import Kiosk
from edge.adapters.central.tls import certificate_request, make_key
from scripts.cli.central.app import app
from scripts.lab.deployment_sums import load, measured
from wire.environment import utc_ms
from wire.ids import GalleryName, KioskId, OperatorId, Purpose, SiteId
from wire.signing import Signer
from wire.values import Role

DAY_MS = 86_400_000
NOW_MS = utc_ms()
METRO, NORTH = OperatorId("metro"), SiteId("north")
ROOT = Signer.from_seed(b"r" * 32)


def kiosk(name: str, purpose: str = "ride", **changes: object) -> Kiosk:
    certificate = certify(
        METRO, Role.KIOSK, name=name, site=NORTH, public_key=b"k" * 32, now_ms=NOW_MS, by=ROOT
    )
    made = Kiosk(KioskId(name), NORTH, Purpose(purpose), GalleryName("members"), NOW_MS, certificate)
    return dataclasses.replace(made, **changes)


def write(folder: Path, *hosts: str, now_ms: int = NOW_MS) -> Written:
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    listener = Listener(hosts or ("mqtt.example",), 8883)
    return write_broker(
        folder / "keys",
        folder / "broker",
        operator=METRO,
        site=NORTH,
        listener=listener,
        kiosks=[],
        now_ms=now_ms,
    )


def test_written_again_it_keeps_what_is_still_good(tmp_path: Path):
    assert write(tmp_path).made == ("broker-ca.crt", "server.crt", "broker-central.crt")
    assert write(tmp_path).made == ()
    assert write(tmp_path, "mqtt.example", "10.0.0.5").made == ("server.crt",)
    assert write(tmp_path, "mqtt.example", "10.0.0.5", now_ms=NOW_MS + 3 * 365 * DAY_MS).made == ()
    late = write(tmp_path, "mqtt.example", "10.0.0.5", now_ms=NOW_MS + 4 * 365 * DAY_MS)
    assert late.made == ("server.crt", "broker-central.crt")


def test_keys_are_for_their_owner_alone_and_one_that_is_not_is_refused(tmp_path: Path):
    write(tmp_path)
    secrets = [tmp_path / "broker/server.key", *(tmp_path / "keys").glob("*.key")]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    (tmp_path / "keys/broker-ca.key").chmod(0o640)
    with pytest.raises(SecretsError, match="chmod 600"):
        write(tmp_path)


@pytest.mark.parametrize("host", ["mqtt.example:8883", "a b", "", "x\nlistener 1883", "-x"])
def test_what_is_no_name_never_gets_into_a_certificate_or_the_configuration(tmp_path: Path, host: str):
    with pytest.raises(ConfigError, match="DNS name or an IP address"):
        write(tmp_path, host)
    assert not (tmp_path / "broker").exists()


def test_the_acl_has_an_entry_for_each_kiosk_that_may_connect_and_no_other():
    kiosks = [
        kiosk("gate-1"),
        kiosk("locker-1", "locker"),
        kiosk("gate-unpaired", certificate=None),
        kiosk("gate-revoked", revoked_at_ms=NOW_MS),
    ]
    entries = acl(NORTH, kiosks).split("user ")[1:]
    assert [entry.splitlines()[0] for entry in entries] == ["north", "north:gate-1", "north:locker-1"]
    gate, locker = entries[1:]
    assert "topic read stile/v1/north/standing/ride/delta" in gate
    assert "standing/locker" not in gate
    assert "standing/ride" not in locker
    assert "locker-1" not in gate
    assert "+" not in gate + locker
    assert "#" not in gate + locker
    assert {line for line in gate.splitlines() if "write" in line} == {
        f"topic write stile/v1/north/kiosk/gate-1/{level}"
        for level in ("state", "health", "record", "request", "reported")
    }


def request_of(key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "north")])  # central's own, which is ignored
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder(name).sign(key, digest).public_bytes(Encoding.DER)


def test_only_the_key_is_taken_from_a_request(tmp_path: Path):
    authority = BrokerAuthority.create(tmp_path, "metro", NOW_MS)
    made = authority.signed("north:gate-1", request_of(ec.generate_private_key(ec.SECP256R1())), NOW_MS)
    certificate = x509.load_der_x509_certificate(made)
    assert certificate.subject.rfc4514_string() == "CN=north:gate-1"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 2 * 365 + 1


@pytest.mark.parametrize(
    "request_der",
    [
        b"",
        b"\x30\x03\x02\x01\x01",
        request_of(ec.generate_private_key(ec.SECP384R1())),
        request_of(ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_a_request_that_is_none_or_for_another_kind_of_key_is_refused(tmp_path: Path, request_der: bytes):
    authority = BrokerAuthority.create(tmp_path, "metro", NOW_MS)
    with pytest.raises(RefusedError, match="certificate request"):
        authority.signed("north:gate-1", request_der, NOW_MS)


def test_a_request_whose_signature_is_not_the_keys_own_is_refused(tmp_path: Path):
    authority = BrokerAuthority.create(tmp_path, "metro", NOW_MS)
    sound = certificate_request(make_key(lambda count: b"\x07" * count))
    assert authority.signed("north:gate-1", sound, NOW_MS)
    with pytest.raises(RefusedError):
        authority.signed("north:gate-1", sound[:-1] + bytes([sound[-1] ^ 1]), NOW_MS)


def test_ids_too_long_for_a_certificate_are_refused(tmp_path: Path):
    authority = BrokerAuthority.create(tmp_path, "metro", NOW_MS)
    with pytest.raises(RefusedError, match="shorter ids"):
        authority.signed(
            f"{'s' * 32}:{'k' * 32}", request_of(ec.generate_private_key(ec.SECP256R1())), NOW_MS
        )


FILES = 'ca_file = "a"\ncertificate_file = "b"\nkey_file = "c"\n'


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('embedded = false\nport = 8883\nca_file = "a"\n', "mqtt.certificate_file"),
        ('embedded = false\nport = 8883\nserver_name = "x"\n', "mqtt.server_name"),
        ('embedded = false\nport = 8883\naccess_dir = "x"\n', "mqtt.access_dir"),
        (f"embedded = true\n{FILES}", "mqtt.embedded"),
        ("embedded = false\n", "mqtt.port"),
    ],
)
def test_keys_that_do_not_fit_together_are_named(tmp_path: Path, lines: str, complaint: str):
    config = init_central(tmp_path, "metro", "north", "ride")
    before, _, after = config.read_text().partition("[mqtt]")
    http = after[after.index("[http]") :]
    config.write_text(f"{before}[mqtt]\n{lines}\n{http}")
    with pytest.raises(ConfigError, match=complaint):
        load_config(config)


def test_the_command_writes_a_folder_and_says_what_belongs_into_the_configuration(tmp_path: Path):
    config = init_central(tmp_path, "metro", "north", "ride")
    words = ["broker-config", str(tmp_path / "broker"), "--host", "localhost", "--port", "18883"]
    told = CliRunner().invoke(app, [*words, "--config", str(config), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["mqtt"] == {
        "host": "localhost",
        "port": 18883,
        "ca": "keys/broker-ca.crt",
        "certificate": "keys/broker-central.crt",
        "key": "keys/broker-central.key",
        "access": "broker",
    }
    refused = CliRunner().invoke(app, ["broker-config", "x", "--host", "a:1", "--config", str(config)])
    assert refused.exit_code == 2


SIZES = {
    "a standing's row": "standing_row",
    "a member's row with template": "gallery_row",
    "a head of 88,000 rows": "head",
    "a change of one standing": "delta_row",
    "a pass record, in batches of 16": "record",
    "its receipt": "receipt",
    "a kiosk's state, each minute": "state",
    "its health, each 10 s": "health",
    "a question about a guest": "request",
    "its answer": "reply",
}
NEEDED = {
    "passes in the busiest hour": "passes_peak_per_s",
    "broker, messages in and out": "broker_messages_peak_per_s",
    "broker, its network": "broker_peak_mbit_per_s",
    "central, guests asked for": "misses_peak_per_s",
    "central, records": "records_gb_per_day",
    "central, members and standings": "members_gb",
    "a kiosk, down and up": "kiosk_down_mb_per_day",
    "a kiosk, its first snapshot": "snapshot_mb",
    "a kiosk, its cache": "kiosk_database_mb",
}


@pytest.mark.parametrize("label", [*SIZES, *NEEDED])
def test_the_sums_of_the_page_are_those_of_the_program(label: str):
    sizes = measured(88_000, 16)
    needed = load(sizes, 22_000_000, 5_000, 250, 9_000_000)
    page = (Path(__file__).parents[2] / "deploy/README.md").read_text()
    found = re.search(rf"\| {re.escape(label)} \| ([\d,.]+)", page)
    assert found is not None
    computed = getattr(sizes, SIZES[label]) if label in SIZES else getattr(needed, NEEDED[label])
    assert float(found[1].replace(",", "")) == pytest.approx(computed, rel=0.1)
