"""Somebody has all that central's machine holds: its folder, keys and database. They forge no restriction.

The kiosk's end is the real one: what it pinned at pairing, its check of a standing, its decision.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from central.app import UseCases, init_central, load_config, open_use_cases
from central.rules.authority import certify, reviewer_certificate, reviewer_request
from central.rules.enrolment import Consent
from central.rules.restriction import Terms
from central.service.kiosks import BrokerAddress
from edge.decide.standing import CachedStanding, StandingConfig, assess
from edge.decide.verdict import RestrictionState
from wire.environment import Environment
from wire.ids import KioskId, OperatorId, Purpose, ReasonCode, RestrictionId, ReviewerId, SubjectId
from wire.pairing import PairGrant, make_request, parse_code
from wire.sealing import box_public_key
from wire.signing import DAY_MS, Signer, endorse, restriction_holds, sign_certificate
from wire.values import Certificate, Restriction, Role, Standing

METRO, RIDE = OperatorId("metro"), Purpose("ride")
NOW_MS = 1_795_000_000_000
SEEDS = {name: (name * 32)[:32].encode() for name in ("root", "ada", "bea", "gate")}
"""Of keys that are on other machines."""
ROOT, ADA, BEA, GATE = (Signer.from_seed(seed) for seed in SEEDS.values())


@dataclass(frozen=True)
class Loot:
    """What a thief carries away, and what a kiosk pinned while central was still its operator's."""

    folder: Path
    use_cases: UseCases
    grant: PairGrant
    member: SubjectId
    genuine: Restriction

    def bytes(self) -> bytes:
        """Every byte of every file of central's."""
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())

    def signers(self) -> list[Signer]:
        """Every private key there is in the folder, and one that the thief makes."""
        keys = [bytes.fromhex(path.read_text()) for path in (self.folder / "keys").glob("*.key")]
        assert len(keys) == 5
        return [Signer.from_seed(key) for key in (*keys, b"thief" + bytes(27))]

    def certificates(self) -> list[Certificate]:
        """Every certificate there is, whoever's."""
        held = self.use_cases.context.identity.credentials
        kiosks = [each.certificate for each in self.use_cases.kiosks.all()]
        reviewers = [each.certificate for each in self.use_cases.reviews.reviewers()]
        return [held.central, held.issuer, *filter(None, kiosks), *reviewers]

    def state_at_a_kiosk(self, forged: Restriction) -> RestrictionState:
        """What a paired kiosk makes of a restriction that central's own key vouches for."""
        root, operator = self.grant.root_public_key, self.grant.operator
        standing = self.use_cases.standings.issued(self.member, RIDE)
        assert isinstance(standing, Standing)
        view = assess(
            CachedStanding(msgspec.structs.replace(standing, restrictions=(forged,)), 1, 1, NOW_MS),
            operator=operator,
            purpose=RIDE,
            now_ms=NOW_MS,
            config=StandingConfig(),
            verify=lambda found: restriction_holds(found, root, operator),
        )
        return view.restriction_state


@pytest.fixture
def loot(tmp_path: Path) -> Iterator[Loot]:
    clock = Environment(utc_ms=lambda: NOW_MS)
    config = init_central(tmp_path / "central", METRO, "north", RIDE, root=ROOT, environment=clock)
    with open_use_cases(load_config(config), clock) as use_cases:
        member = use_cases.members.new_subject_id()
        use_cases.members.enrol(member, None, Consent("1", "en", NOW_MS))
        terms = Terms(member, METRO, RIDE, ReasonCode("assault"), "Incident 12", NOW_MS + 9 * DAY_MS)
        genuine = use_cases.standings.draft(terms)
        for name, own in (("ada", ADA), ("bea", BEA)):
            asked = reviewer_request(METRO, ReviewerId(name), own)
            certificate = reviewer_certificate(asked, ROOT, NOW_MS)
            use_cases.reviews.add(certificate)
            genuine = endorse(genuine, own, certificate)
        use_cases.standings.add_restriction(genuine)
        code = use_cases.kiosks.add(KioskId("gate-1"), RIDE)
        request = make_request(
            parse_code(code),
            b"n" * 16,
            public_key=GATE.public_key,
            box_public_key=box_public_key(b"x" * 32),
            software="0.1.0",
        )
        grant = use_cases.kiosks.pair(request, BrokerAddress("127.0.0.1", 1883)).grant
        yield Loot(config.parent, use_cases, grant, member, genuine)


def test_what_two_reviewers_signed_refuses_at_a_kiosk(loot: Loot) -> None:
    assert loot.state_at_a_kiosk(loot.genuine) is RestrictionState.VERIFIED


def test_neither_the_roots_nor_a_reviewers_key_is_anywhere_on_centrals_machine(loot: Loot) -> None:
    taken = loot.bytes()
    assert (loot.folder / "keys" / "issuer.key").read_bytes() in taken
    for name, seed in SEEDS.items():
        for form in (seed, seed.hex().encode(), base64.b64encode(seed).rstrip(b"=")):
            assert form not in taken, name


def forgeries(loot: Loot) -> Iterator[Restriction]:
    """A restriction signed with every pair of what the thief has: keys, certificates, and those they make."""
    signers, drafted = loot.signers(), msgspec.structs.replace(loot.genuine, endorsements=())
    made = [
        certify(METRO, role, name=name, site=site, public_key=of.public_key, now_ms=NOW_MS, by=by, days=90)
        for role in (Role.REVIEWER, Role.CENTRAL, Role.ISSUER, Role.KIOSK)
        for name, site in (("ada", ""), ("eve", "north"))
        for of in signers
        for by in signers
    ]
    hands = [(signer, certificate) for signer in signers for certificate in loot.certificates()]
    hands += [(own, each) for each in made for own in signers if own.public_key == each.public_key]
    # Beside what they forge, what they overheard: one half of a restriction that reviewers did sign.
    ada = loot.genuine.endorsements[0]
    for signer, certificate in hands:
        once = endorse(drafted, signer, certificate)
        yield msgspec.structs.replace(once, endorsements=(ada, *once.endorsements))
    for (one, first), (two, second) in itertools.islice(itertools.combinations(hands, 2), 0, None, 37):
        yield endorse(endorse(drafted, one, first), two, second)


def test_a_whole_theft_of_central_forges_no_restriction(loot: Loot) -> None:
    tried = 0
    for forged in forgeries(loot):
        assert loot.state_at_a_kiosk(forged) is RestrictionState.UNVERIFIED, forged.reviewers
        tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": SubjectId("e" * 32)},
        {"purpose": Purpose("locker")},
        {"operator": OperatorId("bus")},
        {"expires_at_ms": NOW_MS + 300 * DAY_MS},
        {"issued_at_ms": NOW_MS - 1},
        {"reason": ReasonCode("other")},
        {"reason_text": "Incident 13"},
        {"restriction_id": RestrictionId("e" * 32)},
    ],
)
def test_a_thief_changes_nothing_of_a_restriction_that_reviewers_signed(
    loot: Loot, changed: dict[str, Any]
) -> None:
    forged = msgspec.structs.replace(loot.genuine, **changed)
    root, operator = loot.grant.root_public_key, loot.grant.operator
    assert not restriction_holds(forged, root, operator)
    assert loot.state_at_a_kiosk(forged) is RestrictionState.UNVERIFIED


def test_a_stolen_reviewers_key_beside_a_whole_theft_restricts_nobody(loot: Loot) -> None:
    drafted = msgspec.structs.replace(loot.genuine, endorsements=(), restriction_id=RestrictionId("e" * 32))
    certificates = {each.reviewer: each.certificate for each in loot.use_cases.reviews.reviewers()}
    once = endorse(drafted, ADA, certificates[ReviewerId("ada")])
    for signer in loot.signers():
        own = msgspec.structs.replace(certificates[ReviewerId("bea")], public_key=signer.public_key)
        for certificate in (
            certificates[ReviewerId("bea")],
            own,
            *(sign_certificate(own, by) for by in loot.signers()),
        ):
            assert loot.state_at_a_kiosk(endorse(once, signer, certificate)) is RestrictionState.UNVERIFIED
    both = endorse(once, BEA, certificates[ReviewerId("bea")])
    assert loot.state_at_a_kiosk(both) is RestrictionState.VERIFIED, "two reviewers' keys do"
