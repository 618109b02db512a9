"""Ids, topics, chains, seals, certificates and pairing proofs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.doubles.wire_samples import pass_record
from wire import chain, ids, sealing, topics
from wire.claims import ClaimKind, claim_digest
from wire.codec import decode_record
from wire.errors import MalformedIdError, MalformedKeyError, SealBrokenError
from wire.ids import KioskId, OperatorId, SiteId
from wire.pairing import (
    code_lookup,
    format_code,
    make_request,
    parse_code,
    request_holds,
)
from wire.records import Charge, ChargeOutcome
from wire.signing import (
    DAY_MS,
    RESTRICTED_DAYS,
    Signer,
    chain_head_holds,
    endorse,
    kiosk_certified,
    restriction_bytes,
    restriction_holds,
    restriction_in,
    root_certified,
    sign_certificate,
    sign_chain_head,
)
from wire.topics import Address, TopicKind, parse_topic
from wire.values import AgreeBy, Certificate, Restriction, Role

OPERATOR, SITE, KIOSK = OperatorId("metro"), SiteId("north"), KioskId("gate-1")
ROOT, ADA, BEA, ISSUER = (Signer.from_seed(letter * 32) for letter in (b"r", b"a", b"b", b"i"))


@pytest.mark.parametrize("text", ["", "Gate", "a/b", "+", "#", "a" * 33, "-a", "gate-1\n", "gäte"])
def test_a_malformed_kiosk_id_is_refused_with_the_rule(text: str):
    with pytest.raises(MalformedIdError, match="use 1 to 32 of a-z"):
        ids.parse_kiosk_id(text)


def test_well_formed_ids_are_admitted_unchanged():
    assert ids.parse_kiosk_id("gate-1") == "gate-1"
    assert ids.parse_subject_id("0f" * 16) == "0f" * 16
    assert ids.parse_contest_code("K7PD-2MXW") == "K7PD-2MXW"


@pytest.mark.parametrize("kind", list(TopicKind))
def test_every_topic_parses_back_to_its_address(kind: TopicKind):
    address = Address(kind, SITE, "" if kind is TopicKind.ROLL_CALL else "gate-1")
    assert parse_topic(address.topic) == address


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "stile/v1",
        "stile/v2/north/central/roll-call",
        "stile/v1/north/kiosk/{}/state",
        "stile/v1/north/kiosk/A/state",
        "stile/v1/north/kiosk/gate-1/image",
        "stile/v1/north/kiosk/gate-1/state/more",
        "stile/v1/+/central/roll-call",
        "x" * 1000,
    ],
)
def test_a_topic_that_is_not_ours_has_no_address(topic: str):
    assert parse_topic(topic) is None


def test_only_states_shadows_and_heads_are_retained_and_only_health_may_be_lost():
    retained = {kind for kind, rule in topics.RULES.items() if rule.retained}
    heads = {TopicKind.STANDING_HEAD, TopicKind.GALLERY_HEAD}
    assert retained == {TopicKind.STATE, TopicKind.DESIRED, TopicKind.REPORTED} | heads
    assert {kind for kind, rule in topics.RULES.items() if rule.qos == 0} == {TopicKind.HEALTH}
    assert max(rule.max_bytes for rule in topics.RULES.values()) == topics.LARGEST_MESSAGE_BYTES


def test_a_chain_shows_a_changed_a_missing_and_a_swapped_record():
    start = chain.genesis(KIOSK)
    first = chain.chained(start, 1, pass_record(KIOSK, 1), b"1" * 16)
    second = chain.chained(first.link, 2, pass_record(KIOSK, 2), b"2" * 16)
    assert chain.joins(start, first)
    assert chain.joins(first.link, second)
    assert not chain.joins(start, second)
    assert not chain.joins(start, msgspec.structs.replace(first, body=second.body))
    assert not chain.joins(first.link, msgspec.structs.replace(second, sequence=3))
    assert chain.genesis(KioskId("gate-2")) != start


def test_a_chain_head_is_its_own_kiosks_word():
    kiosk = Signer.from_seed(b"k" * 32)
    head = sign_chain_head(KIOSK, 7, b"l" * 32, kiosk)
    assert chain_head_holds(head, kiosk.public_key)
    assert not chain_head_holds(msgspec.structs.replace(head, sequence=8), kiosk.public_key)
    assert not chain_head_holds(head, ROOT.public_key)


def test_a_seal_opens_only_for_its_owner_version_and_key():
    mine = sealing.template_binding(OPERATOR, SITE, ids.SubjectId("1" * 32), "a" * 64)
    other = sealing.template_binding(OPERATOR, SITE, ids.SubjectId("2" * 32), "a" * 64)
    sealed = sealing.seal(b"k" * 32, 3, b"n" * 12, b"template", mine)
    assert sealing.key_version_of(sealed) == 3
    assert sealing.open_seal({3: b"k" * 32}, sealed, mine) == b"template"
    for keys, binding in (({3: b"k" * 32}, other), ({3: b"x" * 32}, mine), ({2: b"k" * 32}, mine)):
        with pytest.raises(SealBrokenError):
            sealing.open_seal(keys, sealed, binding)
    for end in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            sealing.open_seal({3: b"k" * 32}, sealed[:end], mine)


def test_a_box_opens_only_with_the_private_key_it_was_made_for():
    recipient = sealing.box_public_key(b"p" * 32)
    box = sealing.seal_box(recipient, b"e" * 32, b"secret", b"binding")
    assert sealing.open_box(b"p" * 32, box, b"binding") == b"secret"
    hostile = [box[:40], box[:-1], b"\x02" + bytes(80), b""]
    for private, candidate, binding in [(b"q" * 32, box, b"binding"), (b"p" * 32, box, b"other")]:
        with pytest.raises(SealBrokenError):
            sealing.open_box(private, candidate, binding)
    for candidate in hostile:
        with pytest.raises(SealBrokenError):
            sealing.open_box(b"p" * 32, candidate, b"binding")


def test_claims_of_different_kinds_or_sites_have_different_digests():
    digests = {claim_digest(key, kind, "1234") for key in (b"a" * 32, b"b" * 32) for kind in ClaimKind}
    assert len(digests) == 6


def certificate(
    role: Role = Role.REVIEWER,
    operator: str = "metro",
    name: str = "ada",
    of: Signer = ADA,
    *,
    by: Signer = ROOT,
    site: str = "",
    ends_ms: int = 1000,
) -> Certificate:
    made = Certificate(OperatorId(operator), role, name, site, of.public_key, 10, ends_ms, b"")
    return sign_certificate(made, by)


ADAS, BEAS = certificate(), certificate(name="bea", of=BEA)


def restriction(*signed: tuple[Signer, Certificate], **changes: object) -> Restriction:
    made = Restriction(
        restriction_id=ids.RestrictionId("9" * 32),
        subject=ids.SubjectId("1" * 32),
        operator=OPERATOR,
        purpose=ids.Purpose("ride"),
        reason=ids.ReasonCode("assault"),
        reason_text="Incident 12",
        contest_code=ids.ContestCode("K7PD-2MXW"),
        issued_at_ms=100,
        expires_at_ms=200,
    )
    made = msgspec.structs.replace(made, **changes)
    for signer, own in signed or ((ADA, ADAS), (BEA, BEAS)):
        made = endorse(made, signer, own)
    return made


def of_root(made: Certificate, role: Role = Role.REVIEWER, at_ms: int = 10) -> bool:
    return root_certified(made, role, ROOT.public_key, OPERATOR, at_ms)


def test_a_certificate_of_the_root_holds_for_its_role_operator_and_time_only():
    assert of_root(certificate())
    assert not of_root(certificate(), at_ms=9)
    assert not of_root(certificate(), at_ms=1001)
    assert not of_root(certificate(), Role.CENTRAL)
    assert not of_root(certificate(operator="bus"))
    assert not of_root(certificate(by=ADA))
    assert not of_root(certificate(Role.ROOT), Role.ROOT)
    assert not of_root(certificate(Role.KIOSK), Role.KIOSK), "an issuer says who is a kiosk"


def test_a_reviewers_certificate_of_more_than_90_days_holds_for_nothing():
    longest_ms = 10 + 90 * DAY_MS
    assert of_root(certificate(ends_ms=longest_ms))
    assert not of_root(certificate(ends_ms=longest_ms + 1))
    assert of_root(certificate(Role.CENTRAL, ends_ms=longest_ms + 1), Role.CENTRAL)


def test_an_issuer_certifies_kiosks_of_its_site_and_nobody_else():
    issuer = certificate(Role.ISSUER, name="issuer", of=ISSUER, site="north")

    def kiosk(role: Role = Role.KIOSK, **changes: Any) -> Certificate:
        return certificate(role, **{"name": "gate-1", "by": ISSUER, "site": "north", **changes})

    def holds(made: Certificate, by: Certificate = issuer, at_ms: int = 10) -> bool:
        return kiosk_certified(made, by, ROOT.public_key, OPERATOR, at_ms)

    assert holds(kiosk())
    for role in Role:
        assert holds(kiosk(role)) is (role is Role.KIOSK)
        assert not of_root(kiosk(role), role), "an issuer's word is never the root's"
    assert not holds(kiosk(site="south"))
    assert not holds(kiosk(by=ROOT)), "the root certifies no kiosk"
    assert not holds(kiosk(operator="bus"))
    assert not holds(kiosk(), at_ms=1001)
    for role in set(Role) - {Role.ISSUER}:
        assert not holds(kiosk(), certificate(role, name="issuer", of=ISSUER, site="north"))
    self_made = certificate(Role.ISSUER, name="issuer", of=ISSUER, site="north", by=ISSUER)
    assert not holds(kiosk(), self_made)


def test_a_restriction_needs_two_reviewers_of_different_name_and_key_over_the_same_bytes():
    twice = certificate(name="bea")  # another name for ada's key
    namesake = certificate(of=BEA)  # another key for ada's name
    central = certificate(Role.CENTRAL, name="cas", of=BEA)
    issued = certificate(name="cas", of=BEA, by=ISSUER)
    assert holds_here(restriction())
    assert holds_here(restriction((BEA, BEAS), (ADA, ADAS)))
    for other in (
        restriction((ADA, ADAS)),
        restriction((ADA, ADAS), (ADA, ADAS)),
        restriction((ADA, ADAS), (ADA, twice)),
        restriction((ADA, ADAS), (BEA, namesake)),
        restriction((ADA, ADAS), (BEA, central)),
        restriction((ADA, ADAS), (BEA, issued)),
        restriction((ADA, ADAS), (ADA, BEAS)),
        restriction((ROOT, ADAS), (BEA, BEAS)),
        restriction((ADA, ADAS), (BEA, BEAS), (ISSUER, certificate(name="cas", of=ISSUER))),
        msgspec.structs.replace(restriction(), endorsements=()),
    ):
        assert not holds_here(other), other.reviewers


def holds_here(made: Restriction) -> bool:
    return restriction_holds(made, ROOT.public_key, OPERATOR)


def test_a_restriction_changed_after_signing_or_issued_when_a_signer_was_not_certified_does_not_hold():
    assert not holds_here(msgspec.structs.replace(restriction(), expires_at_ms=10**9))
    assert not holds_here(restriction(operator="bus"))
    assert not holds_here(restriction(issued_at_ms=1001, expires_at_ms=2000))
    ended = certificate(name="bea", of=BEA, ends_ms=99)
    assert not holds_here(restriction((ADA, ADAS), (BEA, ended)))
    longest_ms = 100 + RESTRICTED_DAYS * DAY_MS
    assert holds_here(restriction(expires_at_ms=longest_ms))
    assert not holds_here(restriction(expires_at_ms=longest_ms + 1))


def test_what_a_reviewer_is_shown_comes_from_the_bytes_signed_and_from_no_others():
    made = restriction()
    assert restriction_in(restriction_bytes(made)) == msgspec.structs.replace(made, endorsements=())
    for bent in (b"", restriction_bytes(made)[:-1], restriction_bytes(made) + b"x", b"x" * 99):
        with pytest.raises((ValueError, msgspec.DecodeError)):
            restriction_in(bent)


def test_a_signer_needs_a_seed_of_32_bytes():
    with pytest.raises(MalformedKeyError, match="32 bytes, found 5"):
        Signer.from_seed(b"short")


def test_a_pairing_code_is_read_as_people_type_it():
    code = bytes(range(10))
    printed = format_code(code)
    assert [len(group) for group in printed.split("-")] == [4, 4, 4, 4]
    assert parse_code(printed.lower().replace("-", "  ")) == code
    for wrong in ("", "ABCD", printed + "A", printed.replace("-", "1")):
        with pytest.raises(MalformedIdError):
            parse_code(wrong)


def test_a_pairing_request_holds_only_with_its_code_and_unchanged():
    code = b"0123456789"
    request = make_request(code, b"n" * 16, public_key=b"p" * 32, box_public_key=b"x" * 32, software="0.1.0")
    assert request.lookup == code_lookup(code)
    assert request_holds(code, request)
    assert not request_holds(b"9876543210", request)
    assert not request_holds(code, msgspec.structs.replace(request, public_key=b"q" * 32))


CHARGE = Charge(ids.RecordId("c" * 32), "bistro", "table 4", ChargeOutcome.CAPTURED, AgreeBy.SMILE)
PAID = {"amount_minor": 250, "currency": "EUR", "charge": CHARGE}
REFERRED = {"identified_by": None, "subject": None, "standing": None, "verdict": "refer", "lane": None}


def test_a_charge_that_is_known_arrives_in_its_record():
    record = pass_record(KIOSK, 1, **PAID)
    assert decode_record(chain.body_bytes(record)) == record
    cancelled = msgspec.structs.replace(CHARGE, outcome=ChargeOutcome.NOT_CHARGED, agreed_by=None)
    nobody = pass_record(KIOSK, 1, **REFERRED, **PAID | {"charge": cancelled})
    assert decode_record(chain.body_bytes(nobody)) == nobody


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"charge": CHARGE}, "exactly when there is a charge"),
        ({"amount_minor": 250}, "exactly when there is a charge"),
        ({"amount_minor": 250, "currency": "EUR"}, "exactly when there is a charge"),
        (PAID | {"verdict": "refer"}, "granted and agreed"),
        (PAID | REFERRED, "granted and agreed"),
        (PAID | {"charge": msgspec.structs.replace(CHARGE, agreed_by=None)}, "granted and agreed"),
    ],
)
def test_a_record_of_half_a_charge_or_of_one_that_nobody_agreed_to_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        pass_record(KIOSK, 1, **changes)
