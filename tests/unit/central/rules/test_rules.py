"""PINs, record chains, enrolment, restrictions, configuration: central's rules without its outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.app import init_central, open_use_cases
from central.config import load_config
from central.errors import ConfigError, ConflictError, RefusedError, SecretsError
from central.rules.audit import Acceptable, Position, StoredLink, accept, verify
from central.rules.authority import certify
from central.rules.enrolment import Consent, check_consent, check_template, gallery_entry
from central.rules.restriction import Terms, check, contest_code, draft
from central.rules.subjects import (
    FIRST_WAIT_MS,
    PIN_TRIES,
    PinAnswer,
    PinState,
    StoredClaim,
    Subject,
    after_try,
    before_try,
    check_claim,
    check_pin,
)
from tests.doubles.examples import examples
from tests.doubles.wire_samples import pass_record
from wire import chain
from wire.canonical import canonical
from wire.claims import ClaimKind
from wire.errors import MalformedIdError
from wire.ids import (
    ClaimDigest,
    KioskId,
    OperatorId,
    Purpose,
    ReasonCode,
    SiteId,
    SubjectId,
    parse_contest_code,
)
from wire.records import RecordBatch, RecordFault, SequencedRecord
from wire.requests import PinOutcome
from wire.sealing import seal, template_binding
from wire.signing import DAY_MS, RESTRICTED_DAYS, Signer, endorse, sign_chain_head
from wire.values import GalleryEntry, GalleryRow, Restriction, Role, SealedTemplate, Tombstone

KIOSK, ADA, METRO, NORTH = KioskId("gate-1"), SubjectId("a" * 32), OperatorId("metro"), SiteId("north")
SIGNER, ROOT = Signer.from_seed(b"k" * 32), Signer.from_seed(b"r" * 32)
NOW_MS = 1_795_000_000_000


# PINs


def test_tries_are_used_up_before_the_pin_is_looked_at():
    reserved = before_try(PinState(ADA, "v"), NOW_MS)
    assert isinstance(reserved, PinState)
    assert (reserved.tries_used, reserved.not_before_ms) == (1, NOW_MS + FIRST_WAIT_MS)


def test_the_wait_doubles_and_the_fifth_wrong_pin_locks():
    state, now_ms, waits = PinState(ADA, "v"), NOW_MS, []
    for _ in range(PIN_TRIES):
        reserved = before_try(state, now_ms)
        assert isinstance(reserved, PinState)
        answer, state = after_try(reserved, False, now_ms)
        waits.append(answer.retry_after_ms)
        now_ms = state.not_before_ms
    assert waits == [1000, 2000, 4000, 8000, 0]
    assert before_try(state, now_ms + 10**9) == PinAnswer(PinOutcome.LOCKED, 0, 0)


def test_a_clock_set_back_does_not_lock_anyone_out_for_longer_than_the_longest_wait():
    state = PinState(ADA, "v", 1, NOW_MS + 1000)
    answer = before_try(state, NOW_MS - 10**9)
    assert isinstance(answer, PinAnswer)
    assert answer.retry_after_ms <= 16_000


@pytest.mark.parametrize("pin", ["1234", "0000", "98765", "12a4", "123", "1" * 13, "١٢٣٤", ""])
def test_a_pin_that_is_guessed_first_or_is_none_is_refused(pin: str):
    with pytest.raises(RefusedError):
        check_pin(pin)


def test_an_ordinary_pin_is_taken():
    check_pin("4711")


@pytest.mark.parametrize(
    ("kind", "text"), [("qr", "x"), ("card", "12 34"), ("card", "1" * 33), ("phone", "123")]
)
def test_a_claim_of_the_wrong_form_is_refused(kind: str, text: str):
    with pytest.raises((RefusedError, MalformedIdError)):
        check_claim(ClaimKind(kind), text, 0)


def test_a_ninth_claim_is_refused():
    check_claim(ClaimKind.CARD, "12345678", 7)
    with pytest.raises(RefusedError, match="at most 8"):
        check_claim(ClaimKind.CARD, "12345678", 8)


# Records


def chain_of(count: int) -> list[SequencedRecord]:
    records: list[SequencedRecord] = []
    previous = chain.genesis(KIOSK)
    for number in range(1, count + 1):
        records.append(chain.chained(previous, number, pass_record(KIOSK, number), bytes([number]) * 16))
        previous = records[-1].link
    return records


CHAIN = chain_of(12)


def batch(first: int, last: int, of: list[SequencedRecord] = CHAIN) -> RecordBatch:
    previous = of[first - 2].link if first > 1 else chain.genesis(KIOSK)
    head = sign_chain_head(KIOSK, last, of[last - 1].link, SIGNER)
    return RecordBatch(KIOSK, previous, tuple(of[first - 1 : last]), head)


def link_at(sequence: int) -> bytes | None:
    return chain.genesis(KIOSK) if sequence == 0 else CHAIN[sequence - 1].link


def position(sequence: int) -> Position:
    at = link_at(sequence)
    assert at is not None
    return Position(KIOSK, sequence, at)


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=30))
def test_however_batches_overlap_repeat_or_gap_each_record_is_taken_once_and_in_order(spans: Any):
    taken: list[int] = []
    for first, last in [*((min(pair), max(pair)) for pair in spans), (1, 12)]:
        found = accept(batch(first, last), position(len(taken)), link_at, SIGNER.public_key)
        if isinstance(found, Acceptable):
            taken += [record.sequence for record in found.records]
        else:
            assert (found, first > len(taken) + 1) == (RecordFault.GAP, True)
    assert taken == list(range(1, 13))


def test_a_batch_that_forks_before_the_position_is_a_conflict():
    other = [*CHAIN[:3]]
    for number in range(4, 8):
        other.append(chain.chained(other[-1].link, number, pass_record(KIOSK, number), b"o" * 16))
    for first in range(1, 5):
        found = accept(batch(first, 7, other), position(5), link_at, SIGNER.public_key)
        assert found is RecordFault.CONFLICT
    assert isinstance(accept(batch(4, 7, other), position(3), link_at, SIGNER.public_key), Acceptable)


def test_a_batch_whose_head_or_links_do_not_hold_is_broken():
    whole = batch(1, 4)
    bent = [
        msgspec.structs.replace(whole, records=whole.records[:2] + whole.records[3:]),
        msgspec.structs.replace(whole, records=whole.records[:3]),
        msgspec.structs.replace(whole, previous_link=b"p" * 32),
        msgspec.structs.replace(whole, head=sign_chain_head(KIOSK, 4, CHAIN[3].link, ROOT)),
        msgspec.structs.replace(whole, head=sign_chain_head(KIOSK, 3, CHAIN[2].link, SIGNER)),
    ]
    for each in bent:
        assert accept(each, position(0), link_at, SIGNER.public_key) is RecordFault.BROKEN_LINK


def stored(records: list[SequencedRecord]) -> list[StoredLink]:
    return [
        StoredLink(r.sequence, chain.commitment(r.salt, bytes(r.body)), r.link, r.salt, bytes(r.body))
        for r in records
    ]


def test_a_purged_record_leaves_a_chain_that_verifies_as_purged():
    rows = stored(CHAIN)
    rows[4] = StoredLink(5, rows[4].commitment, rows[4].link, None, None)
    report = verify(KIOSK, rows, [batch(1, 12).head], SIGNER.public_key)
    assert (report.records, report.purged, report.signed_heads, report.broken_at) == (12, 1, 1, None)


def test_verification_names_the_first_break():
    changed, missing, swapped = stored(CHAIN), stored(CHAIN), stored(CHAIN)
    changed[2] = StoredLink(3, changed[2].commitment, changed[2].link, changed[2].salt, changed[3].body)
    del missing[6]
    swapped[8] = StoredLink(9, swapped[9].commitment, swapped[8].link, swapped[9].salt, swapped[9].body)
    reports = [verify(KIOSK, rows, [], SIGNER.public_key) for rows in (changed, missing, swapped)]
    assert [report.broken_at for report in reports] == [3, 7, 9]
    forged = sign_chain_head(KIOSK, 5, CHAIN[4].link, ROOT)
    assert verify(KIOSK, stored(CHAIN), [forged], SIGNER.public_key).broken_at == 5
    rewritten = sign_chain_head(KIOSK, 5, b"l" * 32, SIGNER)
    assert verify(KIOSK, stored(CHAIN), [rewritten], SIGNER.public_key).broken_at == 5


# Enrolment


def sealed(plain: bytes = bytes(512), subject: SubjectId = ADA, **changes: Any) -> SealedTemplate:
    binding = template_binding(METRO, NORTH, subject, "b" * 64)
    made = SealedTemplate(seal(b"g" * 32, 1, b"n" * 12, plain, binding), 1, "b" * 64, 3)
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (sealed(subject=SubjectId("b" * 32)), "does not open"),
        (sealed(key_version=2), "key version"),
        (sealed(recipe_digest="c" * 64), "does not open"),
        (sealed(recipe_digest="x"), "64 hexadecimal"),
        (sealed(images=0), "1 to 16 images"),
        (sealed(plain=b"abc"), "32-bit floats"),
        (sealed(plain=b""), "32-bit floats"),
        (sealed(sealed=b"\x01" * 5000), "at most 4096"),
    ],
)
def test_a_template_that_central_could_not_hand_out_again_is_refused(template: SealedTemplate, rule: str):
    with pytest.raises(RefusedError, match=rule):
        check_template(ADA, template, {1: b"g" * 32}, METRO, NORTH)


def test_a_sound_template_is_taken_and_a_withdrawn_subject_keeps_none():
    check_template(ADA, sealed(), {1: b"g" * 32}, METRO, NORTH)
    assert gallery_entry(Subject(ADA, 1, 2), sealed(), ()) == Tombstone(ADA, 2, ())


def test_a_member_who_lost_many_cards_still_has_a_row_and_a_tombstone_that_kiosks_can_read():
    claims = [
        StoredClaim(ClaimDigest(bytes([n]) * 32), ADA, ClaimKind.CARD, n, None if n > 30 else 100 + n)
        for n in range(1, 39)
    ]
    row = gallery_entry(Subject(ADA, 1), None, claims)
    gone = gallery_entry(Subject(ADA, 1, 2), None, claims)
    for entry in (row, gone):
        assert msgspec.msgpack.decode(canonical(entry), type=GalleryEntry) == entry
    assert isinstance(row, GalleryRow)
    assert row.claim_digests == tuple(ClaimDigest(bytes([n]) * 32) for n in range(31, 39))
    assert set(row.revoked_digests) == {ClaimDigest(bytes([n]) * 32) for n in range(23, 31)}, "the newest"
    assert isinstance(gone, Tombstone)
    assert gone.claim_digests == row.claim_digests, "those that still worked come first"


@pytest.mark.parametrize(
    "consent", [Consent("", "en", 1), Consent("1", "english", 1), Consent("1" * 17, "en", 1)]
)
def test_consent_needs_version_and_language(consent: Consent):
    with pytest.raises(RefusedError):
        check_consent(consent)


# Restrictions

REVIEWERS = {name: Signer.from_seed(name[:1].encode() * 32) for name in ("ada", "bea")}
CERTIFICATES = {
    name: certify(METRO, Role.REVIEWER, name=name, site="", public_key=own.public_key, now_ms=NOW_MS, by=ROOT)
    for name, own in REVIEWERS.items()
}


def signed(drafted: Restriction) -> Restriction:
    for name, own in REVIEWERS.items():
        drafted = endorse(drafted, own, CERTIFICATES[name])
    return drafted


def terms(**changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "subject": ADA,
        "operator": METRO,
        "purpose": Purpose("ride"),
        "reason": ReasonCode("staff_assaulted"),
        "reason_text": "Incident 12",
        "expires_at_ms": NOW_MS + DAY_MS,
    }
    return Terms(**{**fields, **changes})


def test_a_restriction_of_two_reviewers_is_admitted_and_one_of_one_is_not():
    drafted = draft(terms(), NOW_MS, bytes(range(21)))
    check(signed(drafted), ROOT.public_key, METRO, NOW_MS)
    for few in (drafted, endorse(drafted, REVIEWERS["ada"], CERTIFICATES["ada"])):
        with pytest.raises(RefusedError, match="not signed by 2 reviewers"):
            check(few, ROOT.public_key, METRO, NOW_MS)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"expires_at_ms": NOW_MS + (RESTRICTED_DAYS + 1) * DAY_MS}, "at most 366 days"),
        ({"expires_at_ms": NOW_MS}, "over already"),
        ({"reason_text": "  "}, "reason"),
        ({"reason_text": "Incident \u202e12"}, r"has U\+202E at place 10, which nobody sees"),
        ({"operator": OperatorId("bus")}, "not signed"),
    ],
)
def test_a_restriction_without_end_reason_or_right_is_refused(changed: dict[str, Any], rule: str):
    with pytest.raises(RefusedError, match=rule):
        check(signed(draft(terms(**changed), NOW_MS, bytes(21))), ROOT.public_key, METRO, NOW_MS)
    made = msgspec.structs.replace(draft(terms(), NOW_MS, bytes(21)), **changed)
    with pytest.raises(RefusedError, match=rule):
        check(signed(made), ROOT.public_key, METRO, NOW_MS)


def test_a_restriction_dated_ahead_does_not_outlast_the_longest():
    ahead_ms = NOW_MS + 80 * DAY_MS
    made = signed(draft(terms(expires_at_ms=ahead_ms + DAY_MS), ahead_ms, bytes(21)))
    with pytest.raises(RefusedError, match="in the future"):
        check(made, ROOT.public_key, METRO, NOW_MS)


def test_a_reviewer_whose_certificate_is_over_cannot_date_a_restriction_back():
    after_ms = CERTIFICATES["ada"].not_after_ms + 1
    dated_ms = after_ms - DAY_MS
    made = signed(draft(terms(expires_at_ms=after_ms + DAY_MS), dated_ms, bytes(21)))
    with pytest.raises(RefusedError, match="certificate"):
        check(made, ROOT.public_key, METRO, after_ms)


def test_central_itself_cannot_restrict_anyone():
    central = Signer.from_seed(b"c" * 32)
    own = certify(
        METRO, Role.CENTRAL, name="central", site="", public_key=central.public_key, now_ms=NOW_MS, by=ROOT
    )
    made = draft(terms(), NOW_MS, bytes(21))
    made = endorse(endorse(made, REVIEWERS["ada"], CERTIFICATES["ada"]), central, own)
    with pytest.raises(RefusedError, match="not signed by 2 reviewers"):
        check(made, ROOT.public_key, METRO, NOW_MS)


@given(st.binary(min_size=5, max_size=5))
def test_every_contest_code_is_one_that_can_be_typed_back(raw: bytes):
    code = contest_code(raw)
    assert parse_contest_code(code) == code


# Configuration and key files


@pytest.mark.parametrize(
    ("line", "key", "bound"),
    [
        ("colour = 1", "colour", "no such key"),
        ("head_every_s = 0", "head_every_s", ">= 1"),
        ("[mqtt]\nport = 65536", "mqtt.port", "<= 65535"),
        ("[mqtt]\nprot = 1", "mqtt.prot", "no such key"),
        ('[http]\nhost = ""', "http.host", "length >= 1"),
    ],
)
def test_a_bad_key_is_named_with_its_value_and_bound(tmp_path: Path, line: str, key: str, bound: str):
    file = tmp_path / "central.toml"
    opening = 'operator = "metro"\nsite = "north"\n'
    at_top, table = (line, "") if "[" not in line else ("", line)
    file.write_text(f'{opening}{at_top}\n[purposes]\nride = "ride.toml"\n{table}\n')
    with pytest.raises(ConfigError, match=bound) as refusal:
        load_config(file)
    assert refusal.value.key == key


@pytest.mark.parametrize("text", ["operator = ", "\xff", 'operator = "Metro"'])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "central.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError):
        load_config(file)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")


def test_keys_are_made_once_for_their_owner_alone_and_refused_when_others_may_read_them(tmp_path: Path):
    config = init_central(tmp_path, "metro", "north", "ride")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert set(modes.values()) == {0o600}
    with pytest.raises(ConflictError, match="never overwritten"):
        init_central(tmp_path, "metro", "north", "ride")
    (tmp_path / "keys" / "issuer.key").chmod(0o644)
    with pytest.raises(SecretsError, match="chmod 600"), open_use_cases(load_config(config)):
        pass
    (tmp_path / "keys" / "issuer.key").chmod(0o600)
    (tmp_path / "keys" / "pepper.key").write_text("00")
    with (
        pytest.raises(SecretsError, match=r"pepper\.key: must hold 32 bytes"),
        open_use_cases(load_config(config)),
    ):
        pass
