"""What a kiosk believes at pairing: central by the root alone, itself by an issuer for its site."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from central.rules.authority import certify
from edge.adapters.central.pairing import _checked
from edge.errors import PairingError
from wire.canonical import canonical
from wire.ids import GalleryName, KioskId, OperatorId, Purpose, SiteId
from wire.pairing import GalleryKey, PairGrant, SiteSecrets, make_request
from wire.sealing import box_public_key, seal_box, secrets_binding
from wire.signing import Signer
from wire.values import Certificate, Role

METRO, NORTH, GATE = OperatorId("metro"), SiteId("north"), KioskId("gate-1")
NOW_MS = 1_795_000_000_000
ROOT, CENTRAL, ISSUER, OWN, OTHER = (
    Signer.from_seed(letter * 32) for letter in (b"r", b"c", b"i", b"k", b"o")
)
BOX, NONCE = b"x" * 32, b"n" * 16
SECRETS = SiteSecrets((GalleryKey(1, b"g" * 32, b"s" * 32),), b"l" * 32)
REQUEST = make_request(
    b"0123456789", NONCE, public_key=OWN.public_key, box_public_key=box_public_key(BOX), software="0.1.0"
)


def certificate(role: Role, of: Signer, by: Signer, name: str = "", site: str = NORTH) -> Certificate:
    named = name or role.value
    return certify(METRO, role, name=named, site=site, public_key=of.public_key, now_ms=NOW_MS, by=by, days=9)


KIOSK = certificate(Role.KIOSK, OWN, ISSUER, GATE)
ISSUED = certificate(Role.ISSUER, ISSUER, ROOT)


def grant(**changes: Any) -> PairGrant:
    made = PairGrant(
        operator=METRO,
        site=NORTH,
        kiosk=GATE,
        purpose=Purpose("ride"),
        gallery=GalleryName("members"),
        root_public_key=ROOT.public_key,
        central_certificate=certificate(Role.CENTRAL, CENTRAL, ROOT),
        issuer_certificate=ISSUED,
        kiosk_certificate=KIOSK,
        central_box_public_key=box_public_key(BOX),
        sealed_secrets=seal_box(
            box_public_key(BOX), b"e" * 32, canonical(SECRETS), secrets_binding(GATE, NONCE)
        ),
        broker_host="127.0.0.1",
        broker_port=1883,
        issued_at_ms=NOW_MS,
    )
    return msgspec.structs.replace(made, **changes)


def test_a_grant_whose_certificates_lead_to_the_root_is_believed() -> None:
    assert _checked(grant(), REQUEST, BOX) == SECRETS


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"central_certificate": certificate(Role.CENTRAL, CENTRAL, ISSUER)}, "central certificate"),
        ({"central_certificate": certificate(Role.ISSUER, CENTRAL, ROOT)}, "central certificate"),
        ({"central_certificate": certificate(Role.REVIEWER, CENTRAL, ROOT)}, "central certificate"),
        ({"central_certificate": certificate(Role.CENTRAL, CENTRAL, OTHER)}, "central certificate"),
        ({"central_certificate": certificate(Role.CENTRAL, CENTRAL, ROOT, site="south")}, "central"),
        ({"kiosk_certificate": certificate(Role.KIOSK, OWN, ROOT, GATE)}, "kiosk certificate"),
        ({"kiosk_certificate": certificate(Role.KIOSK, OWN, CENTRAL, GATE)}, "kiosk certificate"),
        ({"kiosk_certificate": certificate(Role.KIOSK, OWN, ISSUER, "gate-2")}, "kiosk certificate"),
        ({"kiosk_certificate": certificate(Role.CENTRAL, OWN, ISSUER, GATE)}, "kiosk certificate"),
        ({"kiosk_certificate": certificate(Role.KIOSK, OTHER, ISSUER, GATE)}, "another key"),
        ({"issuer_certificate": certificate(Role.CENTRAL, ISSUER, ROOT)}, "kiosk certificate"),
        ({"issuer_certificate": certificate(Role.ISSUER, ISSUER, OTHER)}, "kiosk certificate"),
        ({"issuer_certificate": certificate(Role.ISSUER, ISSUER, ROOT, site="south")}, "kiosk certificate"),
        ({"site": SiteId("south")}, "central certificate"),
        ({"root_public_key": OTHER.public_key}, "central certificate"),
        ({"issued_at_ms": NOW_MS + 10 * 86_400_000}, "central certificate"),
    ],
)
def test_a_certificate_by_the_wrong_hand_or_in_the_wrong_role_is_not(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(PairingError, match=said):
        _checked(grant(**changed), REQUEST, BOX)
