"""Central's credentials: renewed by the same root, replaced by another, and over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from central.adapters.keyfiles import CREDENTIALS_FILE, REQUEST_FILE
from central.app import UseCases, init_central, load_config, open_use_cases, state_fields
from central.errors import RefusedError, SecretsError
from central.rules.authority import (
    RENEW_DAYS,
    CentralRequest,
    central_credentials,
    reviewer_certificate,
    reviewer_request,
)
from central.rules.enrolment import Consent
from central.rules.export import verify_export
from central.rules.restriction import Terms
from central.service.kiosks import BrokerAddress
from central.trial import TrialReviewer, issue_restriction
from wire.environment import Environment
from wire.ids import KioskId, OperatorId, Purpose, ReasonCode, ReviewerId, SubjectId
from wire.pairing import PairGrant, make_request, parse_code
from wire.sealing import box_public_key
from wire.signing import CERTIFIED_DAYS, DAY_MS, Signer, kiosk_certified, restriction_holds, root_certified
from wire.values import Restriction, Role, Standing

METRO, RIDE = OperatorId("metro"), Purpose("ride")
NOW_MS = 1_795_000_000_000
YEARS_MS = CERTIFIED_DAYS[Role.CENTRAL] * DAY_MS
ROOT, OTHER = Signer.from_seed(b"r" * 32), Signer.from_seed(b"o" * 32)


@dataclass
class Site:
    """A central whose root is elsewhere, and the clock of both."""

    config: Path
    at_ms: int = NOW_MS
    reviewers: list[TrialReviewer] = field(default_factory=list)

    @property
    def keys(self) -> Path:
        return self.config.parent / "keys"

    def opened(self) -> Iterator[UseCases]:
        return open_use_cases(load_config(self.config), Environment(utc_ms=lambda: self.at_ms))

    def certify(self, root: Signer) -> None:
        """The root signs what central asks for, now."""
        asked = msgspec.json.decode((self.keys / REQUEST_FILE).read_bytes(), type=CentralRequest)
        made = central_credentials(asked, root, self.at_ms)
        (self.keys / CREDENTIALS_FILE).write_bytes(msgspec.json.encode(made))

    def hire(self, use_cases: UseCases, root: Signer, *names: str) -> list[TrialReviewer]:
        """Reviewers whom a root certifies now, listed."""
        hired = []
        for name in names:
            own = Signer.from_seed((name * 32)[:32].encode())
            asked = reviewer_request(METRO, ReviewerId(name), own)
            hired.append(TrialReviewer(own, reviewer_certificate(asked, root, self.at_ms)))
            use_cases.reviews.add(hired[-1].certificate)
        return hired


@pytest.fixture
def site(tmp_path: Path) -> Site:
    clock = Environment(utc_ms=lambda: NOW_MS)
    return Site(init_central(tmp_path / "central", METRO, "north", RIDE, root=ROOT, environment=clock))


def pair(use_cases: UseCases, name: str) -> PairGrant:
    code = use_cases.kiosks.add(KioskId(name), RIDE)
    request = make_request(
        parse_code(code),
        name.ljust(16).encode(),
        public_key=Signer.from_seed(name.ljust(32).encode()).public_key,
        box_public_key=box_public_key(b"x" * 32),
        software="0.1.0",
    )
    return use_cases.kiosks.pair(request, BrokerAddress("127.0.0.1", 1883)).grant


def restrict(use_cases: UseCases, reviewers: list[TrialReviewer]) -> tuple[SubjectId, Restriction]:
    member = use_cases.members.new_subject_id()
    use_cases.members.enrol(member, None, Consent("1", "en", use_cases.context.now_ms()))
    ends_ms = use_cases.context.now_ms() + 80 * DAY_MS
    terms = Terms(member, METRO, RIDE, ReasonCode("assault"), "Incident 12", ends_ms)
    return member, issue_restriction(use_cases, terms, reviewers)


def told(use_cases: UseCases, member: SubjectId) -> int:
    standing = use_cases.standings.issued(member, RIDE)
    assert isinstance(standing, Standing)
    return len(standing.restrictions)


def holds(grant: PairGrant, at_ms: int) -> bool:
    root, operator = grant.root_public_key, grant.operator
    return root_certified(grant.central_certificate, Role.CENTRAL, root, operator, at_ms) and kiosk_certified(
        grant.kiosk_certificate, grant.issuer_certificate, root, operator, at_ms
    )


def test_certificates_that_are_over_pair_no_kiosk_and_the_rest_goes_on_until_they_are_renewed(
    site: Site,
) -> None:
    with site.opened() as use_cases:
        first = pair(use_cases, "gate-1")
        assert holds(first, site.at_ms)
        site.at_ms = NOW_MS + YEARS_MS - (RENEW_DAYS - 1) * DAY_MS
        assert state_fields(use_cases)["certificates_due"]
        site.at_ms = NOW_MS + YEARS_MS
        with pytest.raises(RefusedError, match="certificates are over"):
            use_cases.kiosks.add(KioskId("gate-2"), RIDE)
    with site.opened() as use_cases:  # it starts without the root, and serves who knows it
        assert use_cases.kiosks.admitted(KioskId("gate-1")) is not None
        assert [each.broken_at for each in use_cases.records.verify()] == [None]
    site.certify(ROOT)
    with site.opened() as use_cases:
        assert not state_fields(use_cases)["certificates_due"]
        second = pair(use_cases, "gate-2")
        assert holds(second, site.at_ms)
        assert second.central_certificate.public_key == first.central_certificate.public_key
        assert second.root_public_key == first.root_public_key
        assert verify_export(use_cases.records.export(), ROOT.public_key).sound, "with both kiosks' chains"


def test_another_root_ends_what_reviewers_of_the_lost_one_signed_and_kiosks_pair_again(site: Site) -> None:
    with site.opened() as use_cases:
        before = pair(use_cases, "gate-1")
        member, old = restrict(use_cases, site.hire(use_cases, ROOT, "ada", "bea"))
        assert told(use_cases, member) == 1
    site.certify(OTHER)
    with site.opened() as use_cases:
        assert told(use_cases, member) == 0, "no kiosk that pairs now would take it"
        after = pair(use_cases, "gate-2")
        assert after.root_public_key == OTHER.public_key != before.root_public_key
        for name in ("ada", "bea"):
            use_cases.reviews.revoke(ReviewerId(name))
        other, new = restrict(use_cases, site.hire(use_cases, OTHER, "cas", "dora"))
        assert told(use_cases, other) == 1
    for grant, theirs in ((before, [old]), (after, [new])):
        found = [each for each in (old, new) if restriction_holds(each, grant.root_public_key, METRO)]
        assert found == theirs


def test_credentials_of_another_central_site_or_root_signature_are_refused_by_name(
    site: Site, tmp_path: Path
) -> None:
    path = site.keys / CREDENTIALS_FILE
    kept = path.read_bytes()
    held = msgspec.json.decode(kept, type=type(central_credentials(request_of(site), ROOT, NOW_MS)))
    swapped = msgspec.structs.replace(held, central=held.issuer, issuer=held.central)
    other_root = msgspec.structs.replace(held, root_public_key=OTHER.public_key)
    bent = msgspec.structs.replace(held, issuer=msgspec.structs.replace(held.issuer, role=Role.REVIEWER))
    for wrong in (swapped, other_root, bent):
        path.write_bytes(msgspec.json.encode(wrong))
        with pytest.raises(SecretsError, match=r"central\.credentials\.json"), site.opened():
            pass
    path.unlink()
    with pytest.raises(SecretsError, match="stile central root sign"), site.opened():
        pass
    path.write_bytes(kept)
    path.chmod(0o600)
    with site.opened():
        pass


def request_of(site: Site) -> CentralRequest:
    return msgspec.json.decode((site.keys / REQUEST_FILE).read_bytes(), type=CentralRequest)
